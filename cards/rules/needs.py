"""What rules read of a patient: the analytes and resource types from which a service derives its prefetch."""

from collections.abc import Mapping
from typing import NamedTuple


class RuleNeeds(NamedTuple):
    """Analytes (keys of ANALYTES) and FHIR resource types beyond the Patient."""

    analytes: frozenset[str]
    resources: frozenset[str]


_MEDICATIONS = ("MedicationRequest", "MedicationStatement")
# A stay in hospital shortens how long a kidney value counts; AKI and dialysis are conditions; whether an order is
# answered is seen from the tests that are ordered.
_KIDNEY = ("Observation", "Condition", "Encounter", "ServiceRequest")

_ANALYTES: Mapping[str, tuple[str, ...]] = {
    "egfr_best": ("creatinine", "egfr"),
    "crcl_actual_weight": ("creatinine", "egfr", "body_weight"),
    "crcl_adjusted_weight": ("creatinine", "egfr", "body_weight", "body_height"),
    "weight": ("body_weight",),
    "condition:pregnancy": ("pregnancy_signs",),
    "gestation": ("pregnancy_signs",),
}
_RESOURCES: Mapping[str, tuple[str, ...]] = {
    "egfr_best": _KIDNEY,
    "crcl_actual_weight": _KIDNEY,
    "crcl_adjusted_weight": _KIDNEY,
    "weight": ("Observation",),
    "conditions": ("Condition",),
    # A delivery ends a pregnancy.
    "condition:pregnancy": ("Procedure", "Encounter", "Observation"),
    "gestation": ("Condition", "Procedure", "Encounter", "Observation"),
    "active": _MEDICATIONS,
    "history": _MEDICATIONS,
    "allergies": ("AllergyIntolerance",),
}
# Every substitute is checked against allergies and what is taken already, whatever its rule asks.
_ALWAYS = frozenset({"AllergyIntolerance", *_MEDICATIONS})


def needs_of(uses: frozenset[str]) -> RuleNeeds:
    """The needs of predicates that use these facts."""
    analytes = {one for use in uses for one in _ANALYTES.get(use, ())}
    resources = {one for use in uses for one in _RESOURCES.get(use, ())}
    for use in uses:
        if use.startswith("lab:"):
            analytes.add(use.removeprefix("lab:"))
            resources.add("Observation")
        if use.startswith("resource:"):
            resources.add(use.removeprefix("resource:"))
    return RuleNeeds(frozenset(analytes), frozenset(resources | _ALWAYS))
