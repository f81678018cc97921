"""Reads the status of each resource as FHIR R4 writes it: in other spellings, of other releases, in words.

A status that none of them has is said. Where R4 has the code `unknown`, it is read as that; a clinical status is then
not stated. Value sets: FHIR R4 (4.0.1), the required bindings of `status`, condition-clinical, condition-ver-status,
allergyintolerance-clinical and allergyintolerance-verification; further codes of STU3 and R5 (read on 2026-11-28).
"""

import re
from collections.abc import Mapping
from typing import Any, Final, TypeVar

from msgspec.structs import replace

from fhir.record.datatypes import CodeableConcept, Coding, quoted
from fhir.record.refusals import Refusal
from fhir.record.resources import AllergyIntolerance, Condition

_T = TypeVar("_T")
STATUS_NOT_READ: Final = "status-not-read"
"""The reason of a resource whose status FHIR does not have."""

_UNKNOWN: Final = "unknown"
NEVER_TOOK_PLACE: Final = frozenset({"planned", "arrived", "triaged", "cancelled", "entered-in-error", _UNKNOWN})
"""The status of an Encounter that is no stay and no visit."""
_STATUSES: Final[Mapping[str, str]] = {
    "Observation": "registered preliminary final amended corrected cancelled entered-in-error unknown",
    "MedicationRequest": "active on-hold cancelled completed entered-in-error stopped draft unknown",
    "MedicationStatement": "active completed entered-in-error intended stopped on-hold unknown not-taken",
    "MedicationDispense": (
        "preparation in-progress cancelled on-hold completed entered-in-error stopped declined unknown"
    ),
    "MedicationAdministration": "in-progress not-done on-hold completed entered-in-error stopped unknown",
    "Encounter": ("planned arrived triaged in-progress onleave finished cancelled entered-in-error unknown"),
    "Procedure": "preparation in-progress not-done on-hold stopped completed entered-in-error unknown",
    "DiagnosticReport": (
        "registered partial preliminary final amended corrected appended cancelled entered-in-error unknown"
    ),
    "ServiceRequest": "draft active on-hold revoked completed entered-in-error unknown",
    "Appointment": ("proposed pending booked arrived fulfilled cancelled noshow entered-in-error checked-in waitlist"),
    "Immunization": "completed entered-in-error not-done",
    "Device": "active inactive entered-in-error unknown",
    "CarePlan": "draft active on-hold revoked completed entered-in-error unknown",
    "FamilyMemberHistory": "partial completed entered-in-error health-unknown",
    "DocumentReference": "current superseded entered-in-error",
    "Consent": "draft proposed active rejected inactive entered-in-error",
    "Flag": "active inactive entered-in-error",
}
# R5, the codes of DSTU2 and STU3 that R4 renamed, and those that interfaces hand on from HL7 v2.
_OF_OTHER_RELEASES: Final[Mapping[str, Mapping[str, str]]] = {
    "Observation": {"f": "final", "c": "corrected", "p": "preliminary"},  # of HL7 v2, table 0085
    "MedicationRequest": {"ended": "completed"},
    "MedicationStatement": {"recorded": "unknown", "draft": "unknown", "taking": "active"},
    "Encounter": {
        "on-hold": "onleave",
        "discharged": "finished",
        "completed": "finished",
        "discontinued": "finished",
    },
    "Procedure": {"aborted": "stopped", "suspended": "on-hold"},
    "DiagnosticReport": {"modified": "amended"},
    "ServiceRequest": {"suspended": "on-hold", "cancelled": "revoked", "ended": "completed"},
    "CarePlan": {"suspended": "on-hold", "cancelled": "revoked", "proposed": "draft", "ended": "completed"},
    "Device": {"available": "active", "not-available": "inactive"},
}
_ILLNESS: Final = "active recurrence relapse inactive remission resolved"
_ALLERGY: Final = "active inactive resolved"
_CERTAINTY: Final = "unconfirmed provisional differential confirmed refuted entered-in-error presumed unknown"
# What a chart calls a problem that is taken back or ruled out; FHIR has one word for each.
_TAKEN_BACK: Final = {"cancelled": "entered-in-error", "entered-in-error": "entered-in-error"}
_RULED_OUT: Final = {"ruled out": "refuted", "excluded": "refuted", "disproved": "refuted", "disproven": "refuted"}


def _key(text: str) -> str:
    return re.sub(r"[\W_]+", "", text).lower().replace("canceled", "cancelled")


def _spellings(codes: str, others: Mapping[str, str] | None = None) -> dict[str, str]:
    return {_key(code): code for code in codes.split()} | {_key(code): own for code, own in (others or {}).items()}


_CODES: Final = {kind: frozenset(codes.split()) for kind, codes in _STATUSES.items()}
_SPELLINGS: Final = {kind: _spellings(codes, _OF_OTHER_RELEASES.get(kind)) for kind, codes in _STATUSES.items()}
_CLINICAL: Final = {"Condition": _spellings(_ILLNESS), "AllergyIntolerance": _spellings(_ALLERGY)}
_VERIFICATION: Final = _spellings(_CERTAINTY, _TAKEN_BACK | _RULED_OUT)
_KNOWN: Final = frozenset(_ILLNESS.split()) | frozenset(_CERTAINTY.split())


def read_statuses(resources: list[_T], kind: type[_T], refusals: list[Refusal]) -> list[_T]:
    """Return the resources of one kind with their statuses as R4 has them; what it does not have is said."""
    name = str(kind.__struct_config__.tag)  # type: ignore[attr-defined]  # every kind of resource is a struct
    if kind in (Condition, AllergyIntolerance):
        return [_with_statuses(resource, name, refusals) for resource in resources]
    codes = _CODES[name]
    statuses = [resource.status for resource in resources]  # type: ignore[attr-defined]
    if codes.issuperset(statuses):
        return resources
    return [
        resource if status is None or status in codes else _with_status(resource, status, name, refusals)
        for resource, status in zip(resources, statuses, strict=True)
    ]


def status_of_r4(kind: str, status: str) -> str:
    """Return the status of a resource of this kind as R4 has it; one that none of the releases has as it is written.

    >>> status_of_r4("MedicationRequest", "Cancelled")
    'cancelled'
    """
    return status if status in _CODES.get(kind, ()) else _SPELLINGS.get(kind, {}).get(_key(status), status)


def _with_status(resource: Any, status: str, kind: str, refusals: list[Refusal]) -> Any:
    code = _SPELLINGS[kind].get(_key(status))
    if code is None:
        is_unknown = _UNKNOWN in _CODES[kind]
        refusals.append(_refusal(resource, "status", status, "not known" if is_unknown else "not given"))
        return replace(resource, status=_UNKNOWN) if is_unknown else resource
    return replace(resource, status=code)


def _with_statuses(resource: Any, kind: str, refusals: list[Refusal]) -> Any:
    clinical, verification = resource.clinicalStatus, resource.verificationStatus
    if _is_known(clinical) and _is_known(verification):
        return resource
    changes: dict[str, Any] = {}
    if not _is_known(clinical):
        code = _code_in(clinical, _CLINICAL[kind])
        changes["clinicalStatus"] = _concept(code) if code is not None else None
        if _code_in(clinical, _spellings("", _TAKEN_BACK)) is not None:
            changes["verificationStatus"] = verification = _concept("entered-in-error")
        elif code is None:
            refusals.append(_refusal(resource, "clinical status", clinical.words, "not stated"))
    if not _is_known(verification):
        code = _code_in(verification, _VERIFICATION)
        changes["verificationStatus"] = _concept(code) if code is not None else None
        if code is None:
            refusals.append(_refusal(resource, "verification status", verification.words, "not stated"))
    return replace(resource, **changes)


def _is_known(stated: CodeableConcept | None) -> bool:
    if stated is None or not (stated.coding or stated.text):
        return True
    return not _KNOWN.isdisjoint([coding.code for coding in stated.coding])


def _code_in(stated: CodeableConcept, spellings: Mapping[str, str]) -> str | None:
    """Return the code that a code, a display or the text names; what takes back goes before the others."""
    written = [*(coding.code for coding in stated.coding), *stated.texts]
    codes = [code for text in written if (code := spellings.get(_key(text))) is not None]
    return next((code for code in codes if code in ("entered-in-error", "refuted")), next(iter(codes), None))


def _concept(code: str) -> CodeableConcept:
    return CodeableConcept((Coding(code=code),))


def _refusal(resource: Any, element: str, status: str, read_as: str) -> Refusal:
    text = f"{resource.called} has the {element} {quoted(status)}, which FHIR does not have: read as {read_as}."
    return Refusal(resource.called, STATUS_NOT_READ, text)
