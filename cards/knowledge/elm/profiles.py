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


# of a type: the profile of what was not done, and the status that it fixes; "" where it fixes `doNotPerform`
_NOT_DONE: Final = {
    "Communication": ("qicore-communicationnotdone", "not-done"),
    "CommunicationRequest": ("qicore-communicationnotrequested", ""),
    "DeviceRequest": ("qicore-devicenotrequested", ""),
    "Immunization": ("qicore-immunizationnotdone", "not-done"),
    "MedicationAdministration": ("qicore-medicationadministrationnotdone", "not-done"),
    "MedicationDispense": ("qicore-medicationdispensedeclined", "declined"),
    "MedicationRequest": ("qicore-medicationnotrequested", ""),
    "Observation": ("qicore-observationcancelled", "cancelled"),
    "Procedure": ("qicore-procedurenotdone", "not-done"),
    "ServiceRequest": ("qicore-servicenotrequested", ""),
    "Task": ("qicore-taskrejected", "rejected"),
}
# LOINC codes that US Core's profiles of vital signs fix
_VITAL_SIGNS: Final = {
    "us-core-blood-pressure": "85354-9", "us-core-bmi": "39156-5", "us-core-body-height": "8302-2",
    "us-core-body-temperature": "8310-5", "us-core-body-weight": "29463-7", "us-core-head-circumference": "9843-4",
    "us-core-heart-rate": "8867-4", "us-core-respiratory-rate": "9279-1", "us-core-pulse-oximetry": "59408-5",
}  # fmt: skip


def profile_test(kind: str, profile: str) -> Callable[[Node], bool] | None:
    """Return a function that says whether a resource follows a profile; None for a profile that is not read."""
    if not profile.startswith((_QI_CORE, _US_CORE)):
        return None

    def follows(resource: Node) -> bool:
        meta = resource.raw.get("meta")
        profiles = meta.get("profile") if isinstance(meta, dict) else None
        stated = [str(name).partition("|")[0] for name in profiles] if isinstance(profiles, list) else []
        if profile in stated or any(name.startswith(_QI_CORE) for name in stated):
            return profile in stated
        return _has_fixed_elements(kind, profile, resource.raw)

    return follows


def _has_fixed_elements(kind: str, profile: str, raw: Mapping[str, Any]) -> bool:
    name = profile.rpartition("/")[2]
    if name in _VITAL_SIGNS:
        return _VITAL_SIGNS[name] in {coding.get("code") for coding in (raw.get("code") or {}).get("coding") or ()}
    if kind not in _NOT_DONE or not profile.startswith(_QI_CORE):
        return True
    not_done, status = _NOT_DONE[kind]
    was_not_done = raw.get("status") == status if status else _must_not_be_performed(raw)
    return was_not_done == (name == not_done)


def _must_not_be_performed(raw: Mapping[str, Any]) -> bool:
    return raw.get("doNotPerform") is True or any(
        extension.get("url") == _DO_NOT_PERFORM and extension.get("valueBoolean") is True
        for extension in raw.get("modifierExtension") or ()
        if isinstance(extension, dict)
    )
