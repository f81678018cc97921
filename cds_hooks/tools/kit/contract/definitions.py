"""What CDS Hooks and FHIR define: hooks and their context fields, codes of override reasons, names of FHIR types.

Sources: HL7/cds-hooks-library (main 5d04c4d and v1.0.1), as section 5 of the checklist gives it; the elements of
FHIR R4 (4.0.1), with the types that DSTU2 and STU3 had besides for templates of older servers.
"""

import csv
from dataclasses import dataclass
from importlib.resources import files
from typing import Final

_YES: Final = ("yes",)


def read_table(name: str) -> list[dict[str, str]]:
    """Return the rows of a table of the kit."""
    text = files("cds_hooks.tools.kit.contract").joinpath(name).read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines()))


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a hook's context: its JSON type, whether it is required, whether it may be a prefetch token."""

    hook: str
    name: str
    required: bool
    token: bool
    type: str


FIELDS = tuple(
    Field(row["hook"], row["field"], row["required"] in _YES, row["token"] in _YES, row["type"])
    for row in read_table("hooks.csv")
)
HOOKS = tuple(dict.fromkeys(field.hook for field in FIELDS))
# The metadata tables and change logs of these pages disagree with each other (trap 15): both values are right.
HOOK_VERSIONS = {
    "patient-view": ("1.0", "1.1"),
    "order-sign": ("1.0", "1.1.0", "1.1"),
    "order-select": ("1.0", "1.0.2"),
    "order-dispatch": ("1.1",),
    "encounter-start": ("1.0",),
    "encounter-discharge": ("1.0",),
    "appointment-book": ("1.0",),
    "allergyintolerance-create": ("0.1.0",),
    "problem-list-item-create": ("0.1.0",),
    "medication-refill": ("0.1.0",),
    "medication-verify": ("0.1.0", "1.0"),
    "medication-prescribe": ("1.0",),
    "order-review": ("1.0",),
}


def fields_of(hook: str) -> tuple[Field, ...]:
    """Return the fields of this hook's context; none for a hook that is not in the library."""
    return tuple(field for field in FIELDS if field.hook == hook)


NON_ADHERENCE: Final = "http://terminology.hl7.org/CodeSystem/non-adherence-reason-codes"
_CODES = """
    cds-not-applicable
        patient-ineligible indication-order-exists action-completed action-unsuccessful
        action-performed-no-adverse-effect action-not-priority
    cds-suboptimal-context
        limited-time wrong-time-workflow inappropriate-recipient need-more-info
    recipient-disagrees-evidence
        does-not-align-latest-evidence expert-contradicts policy-contradicts recipient-does-not-trust
    recipient-concerns-outcomes
        risk-benefit-ratio mitigate-risk-negative-outcome likely-negative-health-outcomes patient-contraindication
    does-not-align-preferences
        patient-fears-discomfort patient-does-not-want-change cultural-religious-reason prefers-alternative
        patient-refuses
    not-convenient-feasible
        inadequate-support service-not-available implementation-challenges too-costly-uncovered
        recipient-does-not-understand comorbidity-disability
"""
NON_ADHERENCE_CODES: Final = frozenset(_CODES.split())


_OLDER = """
    BodySite Conformance DataElement DeviceComponent DeviceUseRequest DiagnosticOrder EligibilityRequest
    EligibilityResponse ExpansionProfile ImagingManifest ImagingObjectSelection MedicationOrder Order OrderResponse
    ProcedureRequest ProcessRequest ProcessResponse ReferralRequest Sequence ServiceDefinition
"""
FHIR_ELEMENTS: Final = {
    line.partition(" ")[0]: line.partition(" ")[2].split()
    for line in files("fhir.elements").joinpath("fhir_elements.txt").read_text(encoding="utf-8").splitlines()
}
"""The elements of each type of FHIR R4 (`cards/knowledge/elm/fhir_model.py` says how): a resource has `!` before it."""
R4_TYPES: Final = frozenset(name.lstrip("!") for name in FHIR_ELEMENTS if name.startswith("!"))
ANY_TYPES: Final = R4_TYPES | frozenset(_OLDER.split())
