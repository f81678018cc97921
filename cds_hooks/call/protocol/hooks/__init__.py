"""The hooks of the CDS Hooks library: name, version, and how the context of each is read.

Source: the metadata tables of HL7/cds-hooks-library (main 5d04c4d), as the checklist's section 5 gives them.

What the context of each hook holds (checklist section 5; HL7/cds-hooks-library main 5d04c4d and v1.0.1).

A member of type `Raw` is a JSON object kept as it came, so that a corrected draft can keep everything it carried.
Which members are required and of which JSON type is said by the annotations; `protocol/request.py` reads them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

import msgspec
from msgspec import Raw, Struct, structs


class Context(Struct, frozen=True, rename="camel", kw_only=True):
    """What every hook has: the patient, by bare id. The user is left out by some hooks, the encounter by most."""

    patient_id: str
    user_id: str | None = None
    encounter_id: str | None = None


class UserContext(Context, frozen=True, rename="camel", kw_only=True):
    """A context that names its user, as `Type/id`; null where the client knows none, and never left out."""

    user_id: str | None


class PatientViewContext(UserContext, frozen=True, rename="camel", kw_only=True):
    """patient-view 1.0: a user opens a patient's record."""


class OrderSelectContext(UserContext, frozen=True, rename="camel", kw_only=True):
    """order-select 1.0: `selections` (`Type/id`) are the picked ones of `draftOrders`."""

    selections: tuple[str, ...]
    draft_orders: Raw


class OrderSignContext(UserContext, frozen=True, rename="camel", kw_only=True):
    """order-sign 1.0: all orders that are about to be signed."""

    draft_orders: Raw


class OrderDispatchContext(Context, frozen=True, rename="camel", kw_only=True):
    """order-dispatch 1.1: orders that get a performer. It never has a user."""

    dispatched_orders: tuple[str, ...]
    performer: str
    fulfillment_tasks: tuple[dict[str, Raw], ...] = ()


class EncounterStartContext(UserContext, frozen=True, rename="camel", kw_only=True):
    """encounter-start 1.0: admission, check-in, a virtual visit begins."""

    encounter_id: str


class EncounterDischargeContext(UserContext, frozen=True, rename="camel", kw_only=True):
    """encounter-discharge 1.0: the discharge, at its start, its end or in between."""

    encounter_id: str


class AppointmentBookContext(UserContext, frozen=True, rename="camel", kw_only=True):
    """appointment-book 1.0: a Bundle of proposed Appointments."""

    appointments: Raw


class AllergyIntoleranceCreateContext(UserContext, frozen=True, rename="camel", kw_only=True):
    """allergyintolerance-create 0.1.0: one AllergyIntolerance that is about to be added."""

    allergy_intolerance: Raw


class ProblemListItemCreateContext(UserContext, frozen=True, rename="camel", kw_only=True):
    """problem-list-item-create 0.1.0: a Bundle of Conditions just put on the list."""

    conditions: Raw


class MedicationRefillContext(Context, frozen=True, rename="camel", kw_only=True):
    """medication-refill 0.1.0: a Bundle of drafted MedicationRequests; it may come from a pharmacy, without a user."""

    medications: Raw


class MedicationVerifyContext(UserContext, frozen=True, rename="camel", kw_only=True):
    """medication-verify 0.1.0: one active MedicationRequest before a pharmacist."""

    medication: Raw


Members = dict[str, Raw]
Modernise = Callable[[Members], Members]


@dataclass(frozen=True)
class Hook:
    """One hook. `tokens` are the context fields that a prefetch template may use up to CDS Hooks 2.0.1 (TOK-04)."""

    name: str
    context: type[Context]
    version: str
    tokens: frozenset[str] = field(default=frozenset({"userId", "patientId", "encounterId"}), kw_only=True)
    modernise: Modernise | None = field(default=None, kw_only=True)
    """Gives the members of an earlier version of the hook, or of its published examples, today's names."""

    @cached_property
    def fields(self) -> Mapping[str, bool]:
        """The names of its context fields on the wire; True for those that are required."""
        return {field.encode_name: field.required for field in structs.fields(self.context)}

    @cached_property
    def decoder(self) -> msgspec.json.Decoder[Context]:
        """Decodes its context; `read_context` (request.py) checks what a decoder does not."""
        return msgspec.json.Decoder(self.context)

    @cached_property
    def texts(self) -> tuple[tuple[str, str], ...]:
        """The required strings: attribute, and name on the wire."""
        return tuple((field.name, field.encode_name) for field in structs.fields(self.context) if _is_text(field))

    @cached_property
    def objects(self) -> tuple[tuple[str, str, bool], ...]:
        """The members that are kept as JSON: attribute, name on the wire, and whether they are required."""
        raw_fields = [field for field in structs.fields(self.context) if field.type is Raw]
        return tuple((field.name, field.encode_name, field.required) for field in raw_fields)


def _is_text(field_info: structs.FieldInfo) -> bool:
    """Return whether the field is a required string: GEN-06 says that such a one may not be blank either."""
    return bool(field_info.required and field_info.type in (str, str | None))


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
    """Return the members with a bare resource: the library's examples wrap it, or send a Bundle of one (TRAP-37)."""
    if "allergyIntolerances" in members and "allergyIntolerance" not in members:
        resources = _resources_of(members["allergyIntolerances"])
        if len(resources) == 1:
            members["allergyIntolerance"] = resources[0]
    return _unwrapped(members, "allergyIntolerance")


def _modern_verify(members: Members) -> Members:
    """Return the members with `medication`: the library's examples call it `order`, and wrap it (TRAP-37)."""
    if "order" in members:
        members.setdefault("medication", members.pop("order"))
    return _unwrapped(members, "medication")


def _unwrapped(members: Members, name: str) -> Members:
    try:
        order = _wrapper.decode(members.get(name, b"{}"))
    except msgspec.ValidationError:
        return members  # no object at all, which the decoder of the context says
    if order.resourceType is None and order.resource is not _ABSENT:
        members[name] = order.resource
    return members


def _resources_of(raw: Raw) -> list[Raw]:
    try:
        return [entry.resource for entry in _bundle.decode(raw).entry if entry.resource is not _ABSENT]
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
