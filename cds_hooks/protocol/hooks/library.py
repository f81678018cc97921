"""The hooks of the CDS Hooks library with their published versions, and the names they replaced.

Source: the metadata tables of HL7/cds-hooks-library (main 5d04c4d), as the checklist's section 5 gives them.
"""

from typing import Final

import msgspec
from msgspec import Raw

from cds_hooks.protocol.hooks.context import (
    AllergyIntoleranceCreateContext,
    AppointmentBookContext,
    EncounterDischargeContext,
    EncounterStartContext,
    MedicationRefillContext,
    MedicationVerifyContext,
    OrderDispatchContext,
    OrderSelectContext,
    OrderSignContext,
    PatientViewContext,
    ProblemListItemCreateContext,
)
from cds_hooks.protocol.hooks.hook import Hook, Members

PATIENT_VIEW: Final = "patient-view"
ORDER_SELECT: Final = "order-select"
ORDER_SIGN: Final = "order-sign"
ORDER_DISPATCH: Final = "order-dispatch"
ENCOUNTER_START: Final = "encounter-start"
ENCOUNTER_DISCHARGE: Final = "encounter-discharge"
APPOINTMENT_BOOK: Final = "appointment-book"
ALLERGYINTOLERANCE_CREATE: Final = "allergyintolerance-create"
PROBLEM_LIST_ITEM_CREATE: Final = "problem-list-item-create"
MEDICATION_REFILL: Final = "medication-refill"
MEDICATION_VERIFY: Final = "medication-verify"


_ABSENT: Final = Raw(b"null")


class _Wrapper(msgspec.Struct):
    resourceType: str | None = None
    resource: Raw = _ABSENT


class _Bundle(msgspec.Struct):
    entry: tuple[_Wrapper, ...]


_wrapper: Final = msgspec.json.Decoder(_Wrapper)
_bundle: Final = msgspec.json.Decoder(_Bundle)


def _modern_dispatch(members: Members) -> Members:
    """Names of order-dispatch 1.0 (`order`, `task`) and of the library's examples (hyphens): TRAP-37, TRAP-38."""
    for old, new in (("dispatched-orders", "dispatchedOrders"), ("fulfillment-tasks", "fulfillmentTasks")):
        if old in members:
            members.setdefault(new, members.pop(old))
    for old, new in (("order", "dispatchedOrders"), ("task", "fulfillmentTasks")):
        if old in members:
            members.setdefault(new, Raw(b"[" + bytes(members.pop(old)) + b"]"))
    return members


def _modern_allergy(members: Members) -> Members:
    """The library's examples wrap the resource, or send a Bundle of one under a plural name (TRAP-37)."""
    if "allergyIntolerances" in members and "allergyIntolerance" not in members:
        resources = _resources_of(members["allergyIntolerances"])
        if len(resources) == 1:
            members["allergyIntolerance"] = resources[0]
    return _unwrapped(members, "allergyIntolerance")


def _modern_verify(members: Members) -> Members:
    """The library's examples call `medication` `order`, and wrap it (TRAP-37)."""
    if "order" in members:
        members.setdefault("medication", members.pop("order"))
    return _unwrapped(members, "medication")


def _unwrapped(members: Members, name: str) -> Members:
    try:
        found = _wrapper.decode(members.get(name, b"{}"))
    except msgspec.ValidationError:
        return members  # no object at all, which the decoder of the context says
    if found.resourceType is None and found.resource is not _ABSENT:
        members[name] = found.resource
    return members


def _resources_of(raw: Raw) -> list[Raw]:
    try:
        return [each.resource for each in _bundle.decode(raw).entry if each.resource is not _ABSENT]
    except msgspec.ValidationError:
        return []


LIBRARY: Final = {
    hook.name: hook
    for hook in (
        Hook(PATIENT_VIEW, PatientViewContext, "1.0"),
        Hook(ORDER_SELECT, OrderSelectContext, "1.0"),
        Hook(ORDER_SIGN, OrderSignContext, "1.0"),
        Hook(
            ORDER_DISPATCH,
            OrderDispatchContext,
            "1.1",
            tokens=frozenset({"patientId", "dispatchedOrders", "performer"}),
            modernise=_modern_dispatch,
        ),
        Hook(ENCOUNTER_START, EncounterStartContext, "1.0"),
        Hook(ENCOUNTER_DISCHARGE, EncounterDischargeContext, "1.0"),
        Hook(APPOINTMENT_BOOK, AppointmentBookContext, "1.0"),
        Hook(ALLERGYINTOLERANCE_CREATE, AllergyIntoleranceCreateContext, "0.1.0", modernise=_modern_allergy),
        Hook(PROBLEM_LIST_ITEM_CREATE, ProblemListItemCreateContext, "0.1.0"),
        Hook(MEDICATION_REFILL, MedicationRefillContext, "0.1.0"),
        Hook(MEDICATION_VERIFY, MedicationVerifyContext, "0.1.0", modernise=_modern_verify),
    )
}

REPLACED: Final = {
    "medication-prescribe": "order-select while the order is entered and order-sign before it is signed",
    "order-review": "order-sign",
}
"""Hooks of CDS Hooks 1.0 that the library deprecates: what to use in their place."""
