"""What a patient takes already, as orders that the rules can be asked about."""

from collections.abc import Iterator
from typing import Any

from msgspec.structs import replace

from cards.card import Suggestion
from cards.compose.medications import fits_finding
from cards.rules.engine.finding import RuleFinding
from cards.rules.patient.orders import DraftMedication, DraftOrder
from cards.suggest import OrderCheck, suggestions_for
from cards.text import plain
from cds_hooks.call.protocol.originals import OriginalOrders
from fhir.mapping.medications.active import ActiveMedication, active_medications
from fhir.record.record import PatientRecord
from fhir.record.repair import repair_resource
from fhir.record.resources import MedicationRequest


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
