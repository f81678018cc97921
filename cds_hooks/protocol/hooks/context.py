"""What the context of each hook holds (checklist section 5; HL7/cds-hooks-library main 5d04c4d and v1.0.1).

A member of type `Raw` is a JSON object kept as it came, so that a corrected draft can keep everything it carried.
Which members are required and of which JSON type is said by the annotations; `hook.py` reads them.
"""

from msgspec import Raw, Struct


class Context(Struct, frozen=True, rename="camel", kw_only=True):
    """What every hook has: the patient, by bare id. The user is left out by some hooks, the encounter by most."""

    patient_id: str
    user_id: str | None = None
    encounter_id: str | None = None


class UserContext(Context, frozen=True, rename="camel", kw_only=True):
    """A context that names its user, as `Type/id`."""

    user_id: str


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
