"""What a patient takes already, as orders that the rules can be asked about, and what was stopped."""

from collections.abc import Iterator
from typing import Any, Final

from msgspec import Struct
from msgspec.structs import replace

from cards.card import Suggestion
from cards.compose.medications import fits_finding
from cards.rules.engine.finding import RuleFinding
from cards.rules.patient.orders import DraftMedication, DraftOrder
from cards.suggest import OrderCheck, suggestions_for
from cards.text import plain
from cds_hooks.call.protocol.originals import OriginalOrders
from fhir.mapping.medications.active import (
    ActiveMedication,
    active_medications,
    ended_medications,
    orders_not_active,
)
from fhir.record.datatypes import FhirTime
from fhir.record.record import PatientRecord
from fhir.record.repair import repair_resource
from fhir.record.resources import MedicationRequest

_STOPPED_DAYS: Final = 365.0


class Stop(Struct, frozen=True):
    """A medicine that was stopped, what the chart says of it, and when: the end, or the date of the order."""

    time: FhirTime
    words: str
    dated: str


def stopped_medicine(record: PatientRecord, classes: frozenset[str]) -> Stop | None:
    """Return the medicine of these classes that was stopped in the last year; None where one is taken, or none was."""
    if any(medication.identity.classes & classes for medication in active_medications(record)):
        return None
    stops = stops_of(record, classes)
    return next((stop for stop in stops if stop.time.whole_days(record.as_of_epoch) <= _STOPPED_DAYS), None)


def stops_of(record: PatientRecord, classes: frozenset[str]) -> Iterator[Stop]:
    """Yield when each medicine of these classes was stopped, and what the chart says of it.

    FHIR R4 does not say when an order was stopped unless its period ends: else the date is that of the order.
    """
    for ended in ended_medications(record, _STOPPED_DAYS):
        if ended.identity.classes & classes and ended.ended is not None:
            yield Stop(ended.ended, f"{plain(ended.name, 40)} ended", ended.ended.date)
    for order in orders_not_active(record):
        if order.identity.classes & classes and order.authored is not None:
            state = "on hold" if order.order.status == "on-hold" else "stopped"
            yield Stop(order.authored, f"{plain(order.name, 40)} {state}", f"(ordered {order.authored.date})")


def taken_medications(
    record: PatientRecord, charted: OriginalOrders | None = None
) -> Iterator[tuple[ActiveMedication, DraftOrder]]:
    """Yield what is taken, ordered or stated, each as the order that the rules read.

    With `charted` an order has the client's own JSON, from which it can be given back stopped; what is only stated has
    none.
    """
    for position, medication in enumerate(active_medications(record)):
        order = medication.order
        resource: dict[str, Any] = {}
        if isinstance(order, MedicationRequest):
            resource = repair_resource(charted.by_id(order.id or "") or {}) if charted is not None else {}
        else:
            order = MedicationRequest(
                id=order.id,
                status="active",
                medicationCodeableConcept=order.medicationCodeableConcept,
                medicationReference=order.medicationReference,
                dosageInstruction=order.dosageInstruction,
                contained=order.contained,
            )
        reference = medication.source if order.id else None
        yield medication, DraftOrder(resource, "MedicationRequest", reference, position, read=order)


def with_offers(finding: RuleFinding, drafted: DraftMedication, check: OrderCheck) -> RuleFinding:
    """Return the finding with what can be done about it here, of an order that came with the call."""
    fitting = tuple(offer for offer in finding.suggestions if fits_finding(offer, finding, drafted.medication))
    if not fitting or not drafted.draft.resource.get("id"):
        return finding
    offers, _ = suggestions_for(replace(finding, suggestions=fitting), drafted, check)
    return replace(finding, offers=tuple(replace(offer, label=_label(offer, finding.drug)) for offer in offers))


def _label(offer: Suggestion, name: str) -> str:
    """Return what a button does to which drug: a card of the review is about several."""
    if any((action.resource or {}).get("status") == "stopped" for action in offer.actions):
        return f"Stop {name}"
    is_of_tests = all(action.type == "create" for action in offer.actions)
    is_named = name.lower() in offer.label.lower()
    return offer.label if is_named or is_of_tests else plain(f"{name}: {offer.label}", 80)
