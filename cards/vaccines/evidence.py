"""What a chart says of vaccines beside the doses: immunity by a laboratory's result, and what the patient declines.

CDC, logic specification for ACIP recommendations: evidence of immunity. Tables: `data/immunity_results.csv`.
"""

import re
from collections.abc import Iterator
from datetime import date
from typing import Final

from msgspec import Struct

from cards.vaccines.knowledge import VaccineKnowledge, load_knowledge
from fhir.mapping.declined import REFUSED, declined_in_chart
from fhir.mapping.immunizations import vaccine_families
from fhir.record.datatypes import CodeableConcept
from fhir.record.measurement import USABLE_STATUS, effective_time
from fhir.record.record import PatientRecord
from fhir.record.resources import Observation
from fhir.terminology.assertions import is_of_patient
from fhir.terminology.package_tables import package_rows
from fhir.terminology.vaccines import families_of_words

_IMMUNE: Final = "IMMUNE"
_POSITIVE: Final = re.compile(r"\b(?:positive|pos|reactive|detected|immune|present)\b", re.IGNORECASE)
_NEGATIVE: Final = re.compile(r"\b(?:negative|neg|non|not|equivocal|indeterminate|borderline)\b", re.IGNORECASE)
# HL7 v3 ObservationInterpretation.
_POSITIVE_CODES: Final = frozenset({"POS", "RR", "WR", "DET"})
_NEGATIVE_CODES: Final = frozenset({"NEG", "NR", "ND", "IND", "E"})
_TO_THE_DAY: Final = ("day", "instant")
_PER_LITRE: Final = frozenset({"[iu]/l", "iu/l", "miu/ml", "m[iu]/ml"})


class ImmunityResult(Struct, frozen=True):
    """A result that shows immunity or infection: CDC's observation, from which quantity on (None: by its words)."""

    observation: str
    at_least: float | None


_RESULTS: Final = {
    row["loinc"]: ImmunityResult(row["observation"], float(row["at_least"]) if row["at_least"] else None)
    for row in package_rows("cards.vaccines", "data/immunity_results.csv")
}
IMMUNITY_CODES: Final = frozenset(_RESULTS)


def immunity_shown(record: PatientRecord) -> Iterator[tuple[str, date | None, str, str]]:
    """CDC's observations of immunity that results show: code, day, source and words."""
    for observation in record.facts(Observation):
        for coding in observation.code.coding:  # most results have no such code
            if coding.code in _RESULTS:
                break
        else:
            continue
        meaning = _RESULTS[coding.code]
        if observation.status not in USABLE_STATUS or not _shows(observation, meaning):
            continue
        time = effective_time(observation)
        if time is None or time.is_after(record.as_of_epoch):
            continue
        words = observation.code.words
        day = time.first_day if time.precision in _TO_THE_DAY else None
        yield meaning.observation, day, f"Observation/{observation.id}", words


def _shows(observation: Observation, meaning: ImmunityResult) -> bool:
    codes = {coding.code for concept in observation.interpretation for coding in concept.coding}
    if codes & _NEGATIVE_CODES:
        return False
    if codes & _POSITIVE_CODES:
        return True
    quantity = observation.valueQuantity
    if quantity is not None and meaning.at_least is not None and quantity.value is not None:
        unit = (quantity.code or quantity.unit).lower()
        is_at_least = quantity.comparator not in ("<", "<=") and float(quantity.value) >= meaning.at_least
        return unit in _PER_LITRE and is_at_least
    concept = observation.valueCodeableConcept
    words = f"{observation.valueString or ''} {concept.words if concept is not None else ''}"
    return _POSITIVE.search(words) is not None and _NEGATIVE.search(words) is None


class DeclinedVaccine(Struct, frozen=True):
    """A vaccine group that the patient declined, and when."""

    group: str
    when: str


def declined_vaccines(record: PatientRecord, knowledge: VaccineKnowledge) -> dict[str, DeclinedVaccine]:
    """Return the vaccine groups that the patient declined within a year, by their names."""
    declined: dict[str, DeclinedVaccine] = {}
    for entry in declined_in_chart(record):
        if entry.time is None:
            continue
        for group in groups_of(entry.concept, knowledge) or _refused_in_words(entry.concept.words, knowledge):
            if group not in declined or declined[group].when < entry.time.date:
                declined[group] = DeclinedVaccine(group, entry.time.date)
    return declined


def _refused_in_words(words: str, knowledge: VaccineKnowledge) -> frozenset[str]:
    """Return the groups that the words name without the refusal, for which the reader of words takes them as denied."""
    return _groups(families_of_words(REFUSED.sub(" ", words)), knowledge)


def immunity_stated(record: PatientRecord, knowledge: VaccineKnowledge) -> frozenset[str]:
    """Return the vaccine groups of which a dose was not given because the patient is immune (FHIR R4, IMMUNE)."""
    stated = (
        groups_of(entry.vaccineCode, knowledge)
        for entry in record.immunizations_not_done
        if entry.statusReason is not None and entry.statusReason.has(_IMMUNE)
    )
    return frozenset().union(*stated)


def groups_of(concept: CodeableConcept | None, knowledge: VaccineKnowledge) -> frozenset[str]:
    """Return the vaccine groups that a concept means, by its codes or by its words."""
    return frozenset() if concept is None else _groups(vaccine_families(concept, is_vaccine=True), knowledge)


def _groups(families: frozenset[str], knowledge: VaccineKnowledge) -> frozenset[str]:
    return frozenset(name for name, group in knowledge.schedule.groups.items() if families & set(group.antigens))


# CDC's titles: "Severe allergic reaction after previous dose of Hepatitis B"; not those of one kind of a vaccine.
_REACTION_TO: Final = "Severe allergic reaction after previous dose of "
_ONE_KIND: Final = " any "


def _read_reactions() -> dict[str, tuple[str, ...]]:
    """CDC's observations of a severe reaction by the family of the vaccine."""
    codes: dict[str, tuple[str, ...]] = {}
    for code, observation in load_knowledge().schedule.observations.items():
        if observation.title.startswith(_REACTION_TO) and _ONE_KIND not in observation.title:
            for family in families_of_words(observation.title.removeprefix(_REACTION_TO), is_vaccine=True):
                codes[family] = (*codes.get(family, ()), code)
    return codes


REACTIONS: Final = _read_reactions()
"""CDC's observations of a severe reaction by the family of the vaccine."""


def severe_reactions_to(words: str) -> list[str]:
    """CDC's observations of a severe reaction to the vaccines that a text names.

    >>> severe_reactions_to("MMR vaccine"), severe_reactions_to("peanut")
    (['091', '092', '093'], [])
    """
    families = (
        families_of_words(words) if is_of_patient(f"reaction to {words}", 12, names_vaccines=True) else frozenset()
    )
    return sorted(code for family in families for code in REACTIONS.get(family, ()))
