"""Which drugs the patient reacts to, how badly, and whether a drug or a class is among them."""

import re
from collections.abc import Iterator
from typing import Literal, TypeAlias
from weakref import WeakKeyDictionary

from msgspec import Struct

from fhir.record.record import PatientRecord
from fhir.record.resources import AllergyIntolerance, CodeableConcept
from fhir.terminology.allergens import Allergen, allergen_of_code, allergen_of_words
from fhir.terminology.medications import class_members

Severity: TypeAlias = Literal["critical", "warning", "info"]

# shared/data/medications/rules/allergy.json, table matching, row severity; only the words of the manifestation count.
_CRITICAL = re.compile(
    r"anaphyla|angio-?o?edema|stevens|toxic epidermal|\bten\b|\bdress\b|h(?:a)?emoly|bronchospasm", re.IGNORECASE
)
_WARNING = re.compile(r"hives|urticaria|rash|exanthem|swelling|wheez", re.IGNORECASE)


class Allergy(Struct, frozen=True, gc=False):
    """A drug allergy or intolerance: what of, the chart's words, how severe, where it stands.

    `kind` is None when the chart does not say which of the two it is: then it counts as an allergy.
    """

    allergen: Allergen
    words: str
    source: str
    kind: Literal["allergy", "intolerance"] | None
    severity: Severity
    reactions: tuple[str, ...] = ()
    criticality: str | None = None
    is_confirmed: bool = False

    @property
    def is_intolerance(self) -> bool:
        """Whether the chart says that it is an intolerance, not an allergy."""
        return self.kind == "intolerance"


_ALLERGIES: WeakKeyDictionary[PatientRecord, tuple[Allergy, ...]] = WeakKeyDictionary()


def allergies(record: PatientRecord) -> tuple[Allergy, ...]:
    """The drug allergies and intolerances of the record, made once per record.

    Neither resolved or inactive ones, nor food and pollen; refuted ones are not facts of the record.
    """
    known = _ALLERGIES.get(record)
    if known is None:
        known = _ALLERGIES[record] = tuple(_drug_allergies(record))
    return known


def allergy_to_ingredient(record: PatientRecord, rxcui: str) -> Allergy | None:
    """The worst allergy or intolerance to this very ingredient, None when there is none."""
    return _worst(one for one in allergies(record) if any(each.rxcui == rxcui for each in one.allergen.ingredients))


def allergy_to_class(record: PatientRecord, name: str) -> Allergy | None:
    """The worst allergy or intolerance to a class of drugs, or to an ingredient of it.

    Raises KeyError for a class that the tables do not have.
    """
    members = class_members()[name]
    return _worst(
        one
        for one in allergies(record)
        if name in one.allergen.classes or any(each.rxcui in members for each in one.allergen.ingredients)
    )


def _worst(found: Iterator[Allergy]) -> Allergy | None:
    order = ("critical", "warning", "info")
    return min(found, key=lambda one: (one.is_intolerance, order.index(one.severity)), default=None)


def _drug_allergies(record: PatientRecord) -> Iterator[Allergy]:
    for resource in record.allergies:
        stated = resource.clinicalStatus
        if stated is not None and stated.coding and not stated.has("active"):
            continue
        allergen = _allergen(resource)
        if allergen.ingredients or allergen.classes:
            yield _allergy(resource, allergen)


def _allergen(resource: AllergyIntolerance) -> Allergen:
    found = _meaning(resource.code) if resource.code is not None else Allergen()
    for reaction in resource.reaction:
        if reaction.substance is not None:
            found |= _meaning(reaction.substance)
    return found


def _meaning(concept: CodeableConcept) -> Allergen:
    found = Allergen()
    for coding in concept.coding:
        found |= allergen_of_code(coding.system, coding.code)
    if found != Allergen():
        return found
    for text in (concept.text, *(coding.display for coding in concept.coding)):
        found |= allergen_of_words(text) if text else Allergen()
    return found


def _allergy(resource: AllergyIntolerance, allergen: Allergen) -> Allergy:
    reactions = tuple(concept.words for reaction in resource.reaction for concept in reaction.manifestation)
    return Allergy(
        allergen,
        resource.code.words if resource.code is not None else "",
        f"AllergyIntolerance/{resource.id}" if resource.id else "AllergyIntolerance without id",
        _kind(resource.type),
        _severity(resource, reactions),
        reactions,
        resource.criticality,
        resource.verificationStatus is not None and resource.verificationStatus.has("confirmed"),
    )


def _kind(stated: str | None) -> Literal["allergy", "intolerance"] | None:
    if stated == "allergy":
        return "allergy"
    return "intolerance" if stated == "intolerance" else None


def _severity(resource: AllergyIntolerance, reactions: tuple[str, ...]) -> Severity:
    texts = (*reactions, *(reaction.description or "" for reaction in resource.reaction))
    if any(_CRITICAL.search(text) for text in texts):
        severity: Severity = "critical"
    elif any(_WARNING.search(text) for text in texts):
        severity = "warning"
    elif resource.criticality == "high":
        # "nausea, headache, unknown reaction with low criticality" are info; an unknown one that is high is not.
        return "warning"
    else:
        return "info" if resource.criticality == "low" or texts else "warning"
    # The same table: low criticality lowers one step.
    if resource.criticality == "low":
        return "warning" if severity == "critical" else "info"
    return severity
