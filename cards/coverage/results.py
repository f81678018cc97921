"""Tests of criteria that read results: observations with their circumstances, body mass index, smoking."""

from collections.abc import Mapping
from typing import Final

from cards.coverage.seen import Subject, Test, is_in, is_within, months_before, words_of
from cards.rules.conditions.condition import Truth
from cards.rules.patient.measurements import body_mass_index
from fhir.mapping.tobacco import smoking_history
from fhir.record.datatypes import Quantity
from fhir.record.measurement import USABLE_STATUS, effective_time
from fhir.record.resources import Observation

_ROOM_AIR: Final = ("room air", "ambient air", "without oxygen")


def observation_test(wanted: Test, subject: Subject) -> Truth:
    """Return whether the newest result of a test, or so many of them, keeps its limits."""
    record = subject.record
    hits = [
        (time, value, observation)
        for observation in record.facts(Observation)
        if observation.status in USABLE_STATUS
        and _is_named(observation, wanted)
        and (value := _value_in(observation, wanted)) is not None
        and (time := effective_time(observation)) is not None
    ]
    hits = [hit for hit in hits if is_within(hit[0], wanted, subject.day) and _has_proof(hit[2], wanted)]
    if not hits:
        return None
    if "count" in wanted:
        return subject.counted((is_in(value, wanted) for _, value, _ in hits), wanted["count"])
    return is_in(max(hits, key=lambda hit: hit[0].instant)[1], wanted)


def _is_named(observation: Observation, wanted: Test) -> bool:
    codes = wanted.get("loinc", ())
    if any(coding.code in codes for coding in observation.code.coding):
        return True
    words = words_of(observation.code)
    return any(_holds_words(words, name) for name in wanted.get("text", ()))


def _holds_words(words: str, name: str) -> bool:
    """Whether the words of a name stand in the text as words: "ahi" is not part of "dahil".

    >>> _holds_words("apnea hypopnea index (ahi)", "ahi"), _holds_words("dahil", "ahi")
    (True, False)
    """
    plain = "".join(letter if letter.isalnum() else " " for letter in words)
    wanted = "".join(letter if letter.isalnum() else " " for letter in name)
    return f" {' '.join(wanted.split())} " in f" {' '.join(plain.split())} "


def _value_in(observation: Observation, wanted: Test) -> float | None:
    quantity = observation.valueQuantity
    if quantity is None or quantity.value is None or quantity.comparator:
        return None
    factor = _factor(quantity, wanted.get("units", {}))
    return None if factor is None else quantity.value * factor


def _factor(quantity: Quantity, units: Mapping[str, float]) -> float | None:
    names = [name for name in (quantity.code, quantity.unit) if name]
    if not names:
        return units.get("")
    return next((units[name] for name in names if name in units), None)


def _has_proof(observation: Observation, wanted: Test) -> bool:
    """Whether the result says what the test asks of its circumstances: room air, exercise, not asleep."""
    texts = [*observation.code.texts, *(note.text for note in observation.note)]
    for part in observation.component:
        texts += part.code.texts if part.valueQuantity is None else ()
        texts += part.valueCodeableConcept.texts if part.valueCodeableConcept else ()
        texts.append(part.valueString or "")
    words = " ".join(texts).lower()
    if "words" in wanted and not any(word in words for word in wanted["words"]):
        return False
    if any(word in words for word in wanted.get("without_words", ())):
        return False
    return not wanted.get("room_air") or _is_on_room_air(observation, words)


def _is_on_room_air(observation: Observation, words: str) -> bool:
    """Inspired oxygen of 21 % (LOINC 3150-6, 3150-0) or a flow of 0 (3151-8), or the words."""
    proof = False
    for part in observation.component:
        codes = {coding.code for coding in part.code.coding}
        quantity = part.valueQuantity
        if quantity is None or quantity.value is None:
            continue
        value, is_exact = quantity.value, not quantity.comparator
        if codes & {"3150-6", "3150-0", "19994-3"}:
            if round(value, 2) not in (21, 0.21) or not is_exact:
                return False
            proof = True
        elif codes & {"3151-8"}:
            if value != 0 or not is_exact:
                return False
            proof = True
    return proof or any(word in words for word in _ROOM_AIR)


def bmi_test(wanted: Test, subject: Subject) -> Truth:
    """Return whether the body mass index keeps its limits."""
    bmi = body_mass_index(subject.record, None)
    return None if bmi is None else is_in(bmi.value, wanted)


def pack_years_test(wanted: Test, subject: Subject) -> Truth:
    """Return whether the pack-years keep their limits."""
    packs = smoking_history(subject.record).pack_years
    return None if packs is None else is_in(packs.value, wanted)


def smoking_test(years: int, subject: Subject) -> Truth:
    """Return whether the patient smokes now or stopped within so many years."""
    smoking = smoking_history(subject.record)
    answer = smoking.answer
    if answer is None:
        return None
    if answer.status == "current":
        return True
    earliest = months_before(subject.day, 12 * years)
    if smoking.stopped_from is not None and smoking.stopped_from >= earliest:
        return True
    if answer.status == "never" or (smoking.stopped_by is not None and smoking.stopped_by < earliest):
        return False
    return None
