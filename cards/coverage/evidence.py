"""Evaluates the criteria of a coverage policy over a chart, in three values, with the resources that show them.

True: the chart shows it. False: the chart was looked through and does not show it. None: it cannot be told, because
the data did not come or only a clinician can say it. A criterion is a JSON object of one test (docs/payers.md).
"""

import calendar
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date, timedelta
from typing import Any, Final

from msgspec import Struct

from fhir.mapping.concepts import read_concept
from fhir.mapping.conditions import condition_status, condition_time, doubt_of, find_condition
from fhir.mapping.medications.presence import presence_of
from fhir.mapping.tobacco import smoking_history
from fhir.record.datatypes import CodeableConcept, FhirTime, Quantity, parse_time
from fhir.record.measurement import USABLE_STATUS, effective_time
from fhir.record.reading import relative_reference
from fhir.record.record import PatientRecord
from fhir.record.resources import Condition, Encounter, Observation, Procedure
from fhir.terminology.conditions import CONDITION_GROUPS

Test = Mapping[str, Any]
_ICD10: Final = ("icd-10", "2.16.840.1.113883.6.90")
_ROOM_AIR: Final = ("room air", "ambient air", "without oxygen")
_LATE_STATUS: Final = frozenset({"cancelled", "planned", "entered-in-error"})


class Seen(Struct, frozen=True):
    """Whether a test holds, and the references of the resources that show that it does or does not."""

    holds: bool | None
    sources: tuple[str, ...] = ()


UNKNOWN: Final = Seen(None)
_NO: Final = Seen(False)


class Subject(Struct, frozen=True):
    """What a criterion is judged on: the chart, the day of service, who orders, and visits with their participants."""

    record: PatientRecord
    day: date
    requester: str | None = None
    participants: Mapping[str, frozenset[str]] = {}
    """By the id of an Encounter the references of who took part."""


def evaluate(test: Test, subject: Subject) -> Seen:
    """Return whether the test holds.

    Raises:
        KeyError: The test is not one of those that are known (`check_test` says so at load).
    """
    ((name, wanted),) = test.items()
    return _TESTS[name](wanted, subject)


def check_test(test: Any) -> str | None:
    """Return what is wrong with a test as it stands in a file; None where nothing is."""
    if not isinstance(test, dict) or len(test) != 1:
        return "a test is an object with one member"
    ((name, wanted),) = test.items()
    if name not in _TESTS:
        return f"there is no test {name!r}; there are {', '.join(sorted(_TESTS))}"
    if name in ("any", "all"):
        if not isinstance(wanted, list) or not wanted:
            return f"{name} has a list of tests"
        return next((fault for part in wanted if (fault := check_test(part))), None)
    if name == "not":
        return check_test(wanted)
    members = _MEMBERS.get(name)
    if members is not None:
        if not isinstance(wanted, dict):
            return f"{name} has an object"
        if unknown := sorted(set(wanted) - members):
            return f"{name} has no member {unknown[0]!r}; it has {', '.join(sorted(members))}"
        if unknown := sorted(set(wanted.get("groups", ())) - set(CONDITION_GROUPS)):
            return f"there is no group of conditions {unknown[0]!r}"
    return None


def codes_of(test: Test) -> Iterator[str]:
    """Return the LOINC codes that a test reads."""
    ((name, wanted),) = test.items()
    if name in ("any", "all"):
        for part in wanted:
            yield from codes_of(part)
    elif name == "not":
        yield from codes_of(wanted)
    elif name == "observation":
        yield from wanted.get("loinc", ())


# Logic


def _any(tests: Sequence[Test], subject: Subject) -> Seen:
    results = [evaluate(test, subject) for test in tests]
    for result in results:
        if result.holds:
            return result
    if any(result.holds is None for result in results):
        return UNKNOWN
    return Seen(False, tuple(source for result in results for source in result.sources))


def _all(tests: Sequence[Test], subject: Subject) -> Seen:
    results = [evaluate(test, subject) for test in tests]
    for result in results:
        if result.holds is False:
            return result
    if any(result.holds is None for result in results):
        return UNKNOWN
    return Seen(True, tuple(source for result in results for source in result.sources))


def _not(test: Test, subject: Subject) -> Seen:
    result = evaluate(test, subject)
    return UNKNOWN if result.holds is None else Seen(not result.holds, result.sources)


# Dates


def months_before(day: date, months: int) -> date:
    """Return the same day so many months earlier, or the last day of that month.

    >>> months_before(date(2026, 8, 31), 6)
    datetime.date(2026, 2, 28)
    """
    month = day.year * 12 + day.month - 1 - months
    year, month = divmod(month, 12)
    return date(year, month + 1, min(day.day, calendar.monthrange(year, month + 1)[1]))


def _is_within(time: FhirTime | None, wanted: Test, day: date) -> bool | None:
    """Whether the time lies in the window of the test; None where it cannot be told."""
    begin = end = None
    if "within_months" in wanted:
        begin = months_before(day, wanted["within_months"])
    elif "within_days" in wanted:
        begin = day - timedelta(days=wanted["within_days"])
    elif "within_full_months" in wanted:  # months that begin after the month of the event
        begin = months_before(day.replace(day=1), wanted["within_full_months"])
    if "older_than_days" in wanted:
        end = day - timedelta(days=wanted["older_than_days"])
    elif "older_than_months" in wanted:
        end = months_before(day, wanted["older_than_months"])
    if begin is None and end is None:
        return True
    if time is None:
        return None
    if begin is not None:
        if time.last_day < begin or time.first_day > day:
            return False
        if time.first_day < begin:
            return None
    if end is not None:
        if time.first_day > end:
            return False
        if time.last_day > end:
            return None
    return True


def _counted(hits: Iterable[tuple[bool | None, str]], count: int) -> Seen:
    """True with so many certain hits, None where the uncertain could make them up."""
    sources, doubtful = [], 0
    for holds, source in hits:
        if holds:
            sources.append(source)
        elif holds is None:
            doubtful += 1
    if len(sources) >= count:
        return Seen(True, tuple(sources))
    return UNKNOWN if len(sources) + doubtful >= count else _NO


def _absent(record: PatientRecord, *kinds: str) -> Seen:
    """Nothing was found: no where the chart was asked for it, unknown where it was not."""
    return _NO if all(record.was_requested(kind) for kind in kinds) else UNKNOWN


# The patient


def _age(wanted: Test, subject: Subject) -> Seen:
    born = subject.record.birth_date
    years = born.completed_years(subject.day - timedelta(days=wanted.get("days_after", 0))) if born else None
    if years is None:
        return UNKNOWN
    return Seen(_is_in(years, wanted), (f"Patient/{subject.record.patient_id}",))


def _sex(wanted: str, subject: Subject) -> Seen:
    sex = subject.record.sex
    return UNKNOWN if sex is None else Seen(sex == wanted, (f"Patient/{subject.record.patient_id}",))


def _is_in(value: float, wanted: Test) -> bool:
    return (
        value >= wanted.get("ge", value)
        and value <= wanted.get("le", value)
        and ("gt" not in wanted or value > wanted["gt"])
        and ("lt" not in wanted or value < wanted["lt"])
    )


# Conditions


def _condition(wanted: Test, subject: Subject) -> Seen:
    record, any_status = subject.record, wanted.get("status", "any") == "any"
    sites: dict[str, list[tuple[bool | None, str]]] = {}
    for condition in record.conditions:
        code = _code_of(condition, wanted)
        if code is None or (not any_status and condition_status(condition, record.as_of_epoch) == "past"):
            continue
        holds = _is_within(condition_time(condition, record), wanted, subject.day)
        if doubt_of(condition):
            holds = None if holds is not False else False
        sites.setdefault(code, []).append((holds, f"Condition/{condition.id}"))
    hit = find_condition(record, *wanted.get("groups", ()))
    if hit is not None and hit.source.startswith("Procedure/"):  # a transplant, a bypass or dialysis that was done
        sites[hit.code] = [(_is_within(hit.time, wanted, subject.day), hit.source)]
    best = (max(hits, key=lambda hit: (hit[0] is True, hit[0] is None)) for hits in sites.values())
    seen = _counted(best, wanted.get("sites", 1))
    return _absent(record, "Condition") if seen.holds is False and not sites else seen


def _code_of(condition: Condition, wanted: Test) -> str | None:
    """Return the code by which a condition is meant: its ICD-10-CM code, and a group only where it has none."""
    prefixes, last = tuple(code.replace(".", "") for code in wanted.get("icd10", ())), wanted.get("last")
    codings = condition.code.coding if condition.code is not None else ()
    codes = [
        (coding.code or "").replace(".", "").upper()
        for coding in codings
        if any(name in (coding.system or "") for name in _ICD10)
    ]
    if codes and prefixes:
        return next((code for code in codes if code.startswith(prefixes) and (not last or code[-1:] in last)), None)
    groups, excepted = wanted.get("groups", ()), wanted.get("except_codes", ())
    meant = read_concept(condition.code).meant if groups else ()
    return next((hit.code for hit in meant if hit.group in groups and hit.code not in excepted), None)


# Results


def _observation(wanted: Test, subject: Subject) -> Seen:
    record = subject.record
    hits = [
        (time, value, observation)
        for observation in record.observations_for("coverage")
        if observation.status in USABLE_STATUS
        and _is_named(observation, wanted)
        and (value := _value_in(observation, wanted)) is not None
        and (time := effective_time(observation)) is not None
    ]
    hits = [hit for hit in hits if _is_within(hit[0], wanted, subject.day) and _has_proof(hit[2], wanted)]
    for _, _, observation in hits:
        record.note_use(observation)
    if not hits:
        return UNKNOWN
    if "count" in wanted:
        return _counted(((_is_in(value, wanted), f"Observation/{read.id}") for _, value, read in hits), wanted["count"])
    newest = max(hits, key=lambda hit: hit[0].instant)
    return Seen(_is_in(newest[1], wanted), (f"Observation/{newest[2].id}",))


def _is_named(observation: Observation, wanted: Test) -> bool:
    codes = wanted.get("loinc", ())
    if any(coding.code in codes for coding in observation.code.coding):
        return True
    words = _words(observation.code)
    return any(_holds_words(words, name) for name in wanted.get("text", ()))


def _holds_words(words: str, name: str) -> bool:
    """Whether the words of a name stand in the text as words: "ahi" is no part of "dahil".

    >>> _holds_words("apnea hypopnea index (ahi)", "ahi"), _holds_words("dahil", "ahi")
    (True, False)
    """
    plain = "".join(letter if letter.isalnum() else " " for letter in words)
    wanted = "".join(letter if letter.isalnum() else " " for letter in name)
    return f" {' '.join(wanted.split())} " in f" {' '.join(plain.split())} "


def _words(concept: Any) -> str:
    return " ".join((concept.text or "", *(coding.display or "" for coding in concept.coding))).lower()


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
    texts = [_words(observation.code), *(note.text or "" for note in observation.note)]
    texts += [_words(part.code) for part in observation.component if part.valueQuantity is None]
    texts += [_words(part.valueCodeableConcept) for part in observation.component if part.valueCodeableConcept]
    texts += [part.valueString or "" for part in observation.component]
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
        value = part.valueQuantity.value if part.valueQuantity is not None else None
        if value is None:
            continue
        if codes & {"3150-6", "3150-0", "19994-3"}:
            if round(value, 2) not in (21, 0.21):
                return False
            proof = True
        elif codes & {"3151-8"}:
            if value != 0:
                return False
            proof = True
    return proof or any(word in words for word in _ROOM_AIR)


def _bmi(wanted: Test, subject: Subject) -> Seen:
    record = subject.record
    bmi = record.newest("bmi")
    if bmi is not None:
        return Seen(_is_in(bmi.value, wanted), (bmi.source,))
    weight, height = record.newest("body_weight"), record.newest("body_height")
    if weight is None or height is None:
        return UNKNOWN
    return Seen(_is_in(weight.value / (height.value / 100) ** 2, wanted), (weight.source, height.source))


def _pack_years(wanted: Test, subject: Subject) -> Seen:
    packs = smoking_history(subject.record).pack_years
    return UNKNOWN if packs is None else Seen(_is_in(packs.value, wanted), (packs.source,))


def _smoked_within_years(years: int, subject: Subject) -> Seen:
    smoking = smoking_history(subject.record)
    answer = smoking.answer
    if answer is None:
        return UNKNOWN
    if answer.status == "current":
        return Seen(True, (answer.source,))
    earliest = months_before(subject.day, 12 * years)
    if smoking.stopped_from is not None and smoking.stopped_from >= earliest:
        return Seen(True, (answer.source,))
    if answer.status == "never" or (smoking.stopped_by is not None and smoking.stopped_by < earliest):
        return Seen(False, (answer.source,))
    return UNKNOWN


# Procedures, visits and medications


def _procedure(wanted: Test, subject: Subject) -> Seen:
    record = subject.record
    hits: list[tuple[bool | None, str]] = [
        (_is_within(_performed(procedure), wanted, subject.day), f"Procedure/{procedure.id}")
        for procedure in record.procedures
        if procedure.status == "completed" and _names(procedure.code, wanted)
    ]
    if wanted.get("reports"):
        for report in record.diagnostic_reports:
            if _names(report.code, wanted):
                text = report.effectiveDateTime or report.issued
                time = parse_time(text) if text else None
                hits.append((_is_within(time, wanted, subject.day), f"DiagnosticReport/{report.id}"))
    if wanted.get("encounters"):
        hits += [
            (_is_within(_began(visit), wanted, subject.day), f"Encounter/{visit.id}")
            for visit in record.encounters
            if _took_place(visit) and any(_names(concept, wanted) for concept in visit.type)
        ]
    seen = _counted(hits, wanted.get("count", 1))
    return _absent(record, "Procedure") if not hits else seen


def _names(concept: CodeableConcept | None, wanted: Test) -> bool:
    if concept is None:
        return False
    if any(coding.code in wanted.get("codes", ()) for coding in concept.coding):
        return True
    words = _words(concept)
    return any(word in words for word in wanted.get("words", ()))


def _performed(procedure: Procedure) -> FhirTime | None:
    period = procedure.performedPeriod
    text = procedure.performedDateTime or ((period.end or period.start) if period is not None else None)
    return parse_time(text) if text else None


def _began(visit: Encounter) -> FhirTime | None:
    return parse_time(visit.period.start) if visit.period is not None and visit.period.start else None


def _took_place(visit: Encounter) -> bool:
    return visit.status not in _LATE_STATUS


def _encounter(wanted: Test, subject: Subject) -> Seen:
    record = subject.record
    hits = [
        (_is_within(_began(visit), wanted, subject.day), f"Encounter/{visit.id}")
        for visit in record.encounters
        if _took_place(visit) and _is_meant(visit, wanted, subject)
    ]
    return _counted(hits, 1) if hits else _absent(record, "Encounter")


def _is_meant(visit: Encounter, wanted: Test, subject: Subject) -> bool:
    took_part = subject.participants.get(visit.id or "", frozenset())
    if wanted.get("by_requester") and subject.requester is not None and subject.requester in took_part:
        return True
    if visit.class_ is not None and visit.class_.code in wanted.get("classes", ()):
        return True
    prefixes = tuple(code.replace(".", "") for code in wanted.get("reason_icd10", ()))
    for reason in visit.reasonCode:
        if prefixes and any((coding.code or "").replace(".", "").startswith(prefixes) for coding in reason.coding):
            return True
        if any(word in _words(reason) for word in wanted.get("reason_words", ())):
            return True
    return False


def _medication(wanted: Test, subject: Subject) -> Seen:
    presence = presence_of(subject.record, frozenset(wanted["classes"]))
    if presence.state == "present":
        return Seen(True, tuple(medication.source for medication in presence.medications))
    return _NO if presence.state == "absent" else UNKNOWN


def _statement(_wanted: Any, _subject: Subject) -> Seen:
    """Only a clinician can say it: a QuestionnaireResponse may."""
    return UNKNOWN


def _order(_wanted: Any, _subject: Subject) -> Seen:
    """The order itself is the evidence."""
    return Seen(True)


_TESTS: Final[dict[str, Callable[[Any, Subject], Seen]]] = {
    "any": _any,
    "all": _all,
    "not": _not,
    "age": _age,
    "sex": _sex,
    "condition": _condition,
    "observation": _observation,
    "bmi": _bmi,
    "pack_years": _pack_years,
    "smoked_within_years": _smoked_within_years,
    "procedure": _procedure,
    "encounter": _encounter,
    "medication": _medication,
    "statement": _statement,
    "order": _order,
}
_LIMITS: Final = frozenset({"ge", "le", "gt", "lt"})
_WINDOWS: Final = frozenset(
    {"within_months", "within_days", "within_full_months", "older_than_days", "older_than_months"}
)
_MEMBERS: Final[Mapping[str, frozenset[str]]] = {
    "age": _LIMITS | {"days_after"},
    "condition": _WINDOWS | {"icd10", "groups", "except_codes", "status", "sites", "last"},
    "observation": _LIMITS | _WINDOWS | {"loinc", "text", "units", "room_air", "words", "without_words", "count"},
    "bmi": _LIMITS,
    "pack_years": _LIMITS,
    "procedure": _WINDOWS | {"codes", "words", "reports", "encounters", "count"},
    "encounter": _WINDOWS | {"classes", "by_requester", "reason_icd10", "reason_words"},
    "medication": frozenset({"classes"}),
}


def participants_of(encounters: Iterable[Mapping[str, Any]]) -> dict[str, frozenset[str]]:
    """Return who took part in each of these visits, as `Type/id`, by the id of the visit."""
    return {
        str(visit.get("id")): frozenset(
            relative_reference(reference)
            for part in visit.get("participant") or ()
            if isinstance(part, dict)
            for reference in [(part.get("individual") or {}).get("reference")]
            if isinstance(reference, str)
        )
        for visit in encounters
    }
