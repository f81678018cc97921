"""Features that a site declares by code list or phrase: conditions and procedures that are on record."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Final

from fhir.mapping.conditions import condition_hit, doubt_of
from fhir.mapping.features.feature import Feature, FeatureValue, Missing, YesNoFeature
from fhir.record.datatypes import CodeableConcept, FhirTime
from fhir.record.record import PatientRecord
from fhir.record.resources import Condition, Procedure
from fhir.terminology.assertions import AssertedText
from fhir.terminology.medications import addresses_of

FEATURES: tuple[Feature, ...] = ()

SYSTEMS: Final = {
    name: frozenset(addresses_of(name)) for name in ("snomed", "icd10", "icd9", "icd10pcs", "cpt", "hcpcs", "loinc")
}
"""Short names of code systems, with the addresses by which charts name them."""
_CODE = re.compile(r"(?P<system>[a-z0-9]+)\|(?P<code>[A-Za-z0-9][A-Za-z0-9.-]{0,30})(?P<all>\*?)")


@dataclass(frozen=True, slots=True)
class CodeOrPhrase:
    """One code with its addresses, all codes that begin so where `begins`, or words in lower case."""

    systems: frozenset[str] = frozenset()
    code: str = ""
    begins: bool = False
    phrase: str = ""

    def matches(self, concept: CodeableConcept) -> str | None:
        """Return the code, or "" for a phrase, by which the concept is meant; None where it is not.

        A phrase counts where its words say that the patient has it: "no history of …" and a mother's do not.
        """
        if self.phrase:
            return "" if any(_says(self.phrase, text) for text in concept.texts) else None
        for coding in concept.coding:
            code = coding.code.replace(".", "").upper()
            if coding.system in self.systems and (code.startswith(self.code) if self.begins else code == self.code):
                return coding.code
        return None


def read_code(text: str) -> CodeOrPhrase:
    """Return a code as "icd10|E11*" or "snomed|44054006".

    Raises:
        ValueError: It is not written so, or names a code system without a short name here.
    """
    match = _CODE.fullmatch(text)
    if match is None or match["system"] not in SYSTEMS:
        raise ValueError(
            f"{text!r} is not a code; write SYSTEM|CODE, with * for all that begin so; systems: {', '.join(SYSTEMS)}"
        )
    return CodeOrPhrase(SYSTEMS[match["system"]], match["code"].replace(".", "").upper(), bool(match["all"]))


def _says(phrase: str, text: str) -> bool:
    lower = text.lower()
    start = lower.find(phrase)
    while start >= 0:
        end = start + len(phrase)
        is_word = not (lower[start - 1 : start].isalnum() or lower[end : end + 1].isalnum())
        if is_word and AssertedText(text).at(start, end).is_of_patient:
            return True
        start = lower.find(phrase, end)
    return False


@dataclass(frozen=True, eq=False)
class Coded(YesNoFeature):
    """Whether something on record has one of the codes or phrases; with a window, not longer ago."""

    wanted: tuple[CodeOrPhrase, ...] = ()

    def read(self, record: PatientRecord) -> FeatureValue | Missing:
        """Return the newest such entry with its words and date; not found where the chart was asked and has none."""
        (resource,) = self.reads - {"Encounter"}
        if not record.was_requested(resource):
            return self.not_requested()
        newest: FeatureValue | None = None
        for concept, time, source in self._entries(record):
            if time is not None and (time.is_after(record.as_of_epoch) or self.is_old(time, record)):
                continue
            if time is None and self.window_days is not None:
                continue
            code = next((code for wanted in self.wanted if (code := wanted.matches(concept)) is not None), None)
            if code is None:
                continue
            when = time.text if time is not None else record.as_of.date().isoformat()
            value = FeatureValue(self, 1.0, when, source, code, 1.0, concept.words)
            newest = value if newest is None or value.effective > newest.effective else newest
        return newest or self.not_found(record)

    def _entries(self, record: PatientRecord) -> Iterator[tuple[CodeableConcept, FhirTime | None, str]]:
        raise NotImplementedError

    @property
    def source_words(self) -> str:
        """The element, the codes and the phrases."""
        names = [item.phrase or f"{item.code}{'*' if item.begins else ''}" for item in self.wanted]
        return f"{', '.join(self.codes)}; {', '.join(names)}"


@dataclass(frozen=True, eq=False)
class CodedCondition(Coded):
    """Whether a condition is on record that is not over and not in doubt; with a window, also one that is over."""

    elements: ClassVar[tuple[str, ...]] = ("Condition.code",)
    reads: ClassVar[frozenset[str]] = frozenset({"Condition", "Encounter"})

    def _entries(self, record: PatientRecord) -> Iterator[tuple[CodeableConcept, FhirTime | None, str]]:
        for condition in record.facts(Condition):
            if condition.code is None or doubt_of(condition):
                continue
            hit = condition_hit("", condition, "", record)
            if hit.status != "past" or self.window_days is not None:
                yield condition.code, hit.time, hit.source


@dataclass(frozen=True, eq=False)
class CodedProcedure(Coded):
    """Whether a procedure was done."""

    elements: ClassVar[tuple[str, ...]] = ("Procedure.code",)
    reads: ClassVar[frozenset[str]] = frozenset({"Procedure"})

    def _entries(self, record: PatientRecord) -> Iterator[tuple[CodeableConcept, FhirTime | None, str]]:
        for procedure in record.facts(Procedure):
            if procedure.code is None or procedure.status not in ("completed", "in-progress"):
                continue
            yield procedure.code, procedure.performed, procedure.source
