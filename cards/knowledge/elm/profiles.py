"""Tells whether a resource is what a profile of QI-Core or US Core is about.

QI-Core 6.0 (https://hl7.org/fhir/us/qicore, read on 2026-11-28): what was not done has profiles of its own, which fix a
status or `doNotPerform`; US Core's vital signs fix a code. A resource that says which QI-Core profile it follows is
taken at its word; of another one the fixed elements decide.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from cards.knowledge.elm.fhir_model import Node

_QI_CORE: Final = "http://hl7.org/fhir/us/qicore/StructureDefinition/"
_US_CORE: Final = "http://hl7.org/fhir/us/core/StructureDefinition/"
_DO_NOT_PERFORM: Final = _QI_CORE + "qicore-doNotPerform"


def _has_status(*statuses: str) -> Callable[[Mapping[str, Any]], bool]:
    return lambda raw: raw.get("status") in statuses


def _must_not_be_performed(raw: Mapping[str, Any]) -> bool:
    if raw.get("doNotPerform") is True:
        return True
    return any(
        extension.get("url") == _DO_NOT_PERFORM and extension.get("valueBoolean") is True
        for extension in raw.get("modifierExtension") or ()
        if isinstance(extension, dict)
    )


# of a type: the profile of what was not done, and what it fixes
_NOT_DONE: Final[dict[str, tuple[str, Callable[[Mapping[str, Any]], bool]]]] = {
    "Communication": ("qicore-communicationnotdone", _has_status("not-done")),
    "CommunicationRequest": ("qicore-communicationnotrequested", _must_not_be_performed),
    "DeviceRequest": ("qicore-devicenotrequested", _must_not_be_performed),
    "Immunization": ("qicore-immunizationnotdone", _has_status("not-done")),
    "MedicationAdministration": ("qicore-medicationadministrationnotdone", _has_status("not-done")),
    "MedicationDispense": ("qicore-medicationdispensedeclined", _has_status("declined")),
    "MedicationRequest": ("qicore-medicationnotrequested", _must_not_be_performed),
    "Observation": ("qicore-observationcancelled", _has_status("cancelled")),
    "Procedure": ("qicore-procedurenotdone", _has_status("not-done")),
    "ServiceRequest": ("qicore-servicenotrequested", _must_not_be_performed),
    "Task": ("qicore-taskrejected", _has_status("rejected")),
}
# LOINC codes that US Core's profiles of vital signs fix
_VITAL_SIGNS: Final = {
    "us-core-blood-pressure": "85354-9", "us-core-bmi": "39156-5", "us-core-body-height": "8302-2",
    "us-core-body-temperature": "8310-5", "us-core-body-weight": "29463-7", "us-core-head-circumference": "9843-4",
    "us-core-heart-rate": "8867-4", "us-core-respiratory-rate": "9279-1", "us-core-pulse-oximetry": "59408-5",
}  # fmt: skip


def profile_test(kind: str, profile: str) -> Callable[[Node], bool] | None:
    """Return a function that says whether a resource follows a profile; None for a profile that is not read."""
    fixed = _fixed(kind, profile)
    if not profile.startswith((_QI_CORE, _US_CORE)):
        return None

    def follows(resource: Node) -> bool:
        stated = [name for name in _profiles(resource.raw) if name.startswith((_QI_CORE, _US_CORE))]
        if any(name.startswith(_QI_CORE) for name in stated) or profile in stated:
            return profile in stated
        return fixed is None or fixed(resource.raw)

    return follows


def _profiles(raw: Mapping[str, Any]) -> list[str]:
    meta = raw.get("meta")
    profiles = meta.get("profile") if isinstance(meta, dict) else None
    return [str(name).partition("|")[0] for name in profiles] if isinstance(profiles, list) else []


def _fixed(kind: str, profile: str) -> Callable[[Mapping[str, Any]], bool] | None:
    name = profile.rpartition("/")[2]
    if name in _VITAL_SIGNS:
        code = _VITAL_SIGNS[name]
        return lambda raw: code in {coding.get("code") for coding in (raw.get("code") or {}).get("coding") or ()}
    if kind not in _NOT_DONE or not profile.startswith(_QI_CORE):
        return None
    not_done, test = _NOT_DONE[kind]
    return test if name == not_done else (lambda raw: not test(raw))
