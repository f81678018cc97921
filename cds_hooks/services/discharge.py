"""What the patient goes home with: the rules for orders over the active medications.

A planning estimate has no place here: its population lives at home (models_onnx/models/mortality_5y.py). What can be
decided at discharge with sources at hand is the dose of what goes home, by the kidney function of this stay.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from msgspec import structs

from cards.card import TOPICS, Action, Card, Suggestion
from cards.compose.orders import check_orders
from cards.rules.engine.finding import Silence
from cards.rules.engine.rule_book import rule_book
from cards.rules.patient.orders import DraftOrder, read_draft
from cards.text import plain
from cds_hooks.errors import PayloadTooLarge
from cds_hooks.prefetch.needs import Needs
from cds_hooks.protocol.hooks import ENCOUNTER_DISCHARGE, EncounterDischargeContext
from cds_hooks.protocol.repair import OriginalOrders, objects_in, repair_resource
from cds_hooks.services._service import Advice, Service, ServiceInput
from fhir.mapping.medications.active import ActiveMedication, active_medications
from fhir.record.resources import MedicationRequest

Json = dict[str, Any]

NEEDS = rule_book().needs
_NOT_READ = frozenset({"Device"})  # only rules about imaging ask for implants
# FHIR R4, value set medicationrequest-category: what is only `inpatient` ends with the stay.
CATEGORIES: Final = "http://terminology.hl7.org/CodeSystem/medicationrequest-category"
_AT_HOME: Final = frozenset({"discharge", "community", "outpatient"})
_NO_JSON = "the order has no id by which its own JSON is found, so it cannot be given back corrected"


@dataclass(frozen=True, slots=True)
class _Active:
    """An active order: what it is, and the client's own JSON of it where that came with the call."""

    medication: ActiveMedication
    draft: DraftOrder

    @property
    def words(self) -> str:
        return plain(self.medication.identity.words)


async def decide(call: ServiceInput) -> Advice:
    """One card for each order that goes home and has a finding, and a reason for everything that says nothing."""
    record = call.record
    if record.deceased:
        return Advice(silences=[Silence("patient", "deceased", "The patient has died.")])
    call.prefetch.require("medications")
    active = list(_active_orders(call))
    if len(active) > call.max_drafts:
        raise PayloadTooLarge(
            f"There are {len(active)} active medication orders, and at most {call.max_drafts} are checked in one call "
            "(CDS_MAX_DRAFTS); nothing was checked.",
            "prefetch.medications",
        )
    judged = [each for each in active if _goes_home(each.draft.resource)]
    drafts = [each.draft for each in active]
    names = [each.draft.name for each in judged]
    outcome = check_orders(
        record, drafts, names, call.card_uuid, suppress=call.suppress, signing=True, active_orders=True
    )
    advice = Advice(silences=list(outcome.silences))
    advice.reads = call.reads_of(outcome.cards, outcome.medications)
    by_name = {each.draft.name: each for each in active}
    for card, name in zip(outcome.cards, outcome.drafts, strict=True):
        advice.cards.append(_at_discharge(card, by_name[name], by_name, call, advice.silences))
    advice.silences += _not_judged(active, judged, call)
    advice.orders = {
        "drafts": {"resourceType": "Bundle", "entry": [{"resource": each.resource} for each in drafts]},
        "judged": [each.draft.name for each in judged],
    }
    return advice


# The active orders


def _active_orders(call: ServiceInput) -> Iterator[_Active]:
    charted = OriginalOrders(call.sent)
    for position, medication in enumerate(active_medications(call.record)):
        order = medication.order
        if isinstance(order, MedicationRequest):
            resource = repair_resource(charted.by_id(order.id or "") or {})
            reference = f"MedicationRequest/{order.id}" if order.id else None
            read = read_draft(resource).order or order
            yield _Active(medication, DraftOrder(resource, "MedicationRequest", reference, position, read=read))


def _goes_home(resource: Json) -> bool:
    # Epic sends one concept where R4 has a list
    codings = [
        coding for concept in objects_in(resource.get("category")) for coding in objects_in(concept.get("coding"))
    ]
    codes = [coding.get("code") for coding in codings]
    return "inpatient" not in codes or any(code in codes for code in _AT_HOME)


def _not_judged(active: Iterable[_Active], judged: list[_Active], call: ServiceInput) -> Iterator[Silence]:
    names = {each.draft.name for each in judged}
    for each in active:
        if each.draft.name not in names:
            text = f"{each.draft.name} is an order of the stay only: not judged at discharge."
            yield Silence(each.draft.name, "inpatient-order", text)
    if not judged:
        yield Silence("medications", "nothing-to-judge", "No active medication order goes home: nothing was checked.")
    stated = len(call.record.medication_statements)
    if stated:
        yield Silence("statements", "stated-only", f"{stated} medications are stated, not ordered: not judged.")


# The cards


def _at_discharge(
    card: Card, order: _Active, active: dict[str, _Active], call: ServiceInput, silences: list[Silence]
) -> Card:
    """The card of a drafted order, said and offered about an order that is active already."""
    suggestions = []
    for suggestion in card.suggestions:
        meant = [active.get(each.resource_id or "", order) for each in suggestion.actions if _needs_json(each)]
        if all(each.draft.resource for each in meant):
            suggestions.append(_for_active(suggestion, active, call))
        else:
            silences.append(
                Silence(order.draft.name, "suggestion-withheld", f"{suggestion.label}: not offered, {_NO_JSON}.")
            )
    return structs.replace(
        card,
        source=structs.replace(card.source, topic=TOPICS["discharge"]),
        suggestions=tuple(suggestions),
        selection_behavior=card.selection_behavior if suggestions else None,
        links=call.links_of(card),
    )


def _needs_json(action: Action) -> bool:
    return action.type in ("update", "delete")


def _for_active(suggestion: Suggestion, active: dict[str, _Active], call: ServiceInput) -> Suggestion:
    actions = tuple(_action(each, active, call) for each in suggestion.actions)
    return structs.replace(suggestion, actions=actions)


def _action(action: Action, active: dict[str, _Active], call: ServiceInput) -> Action:
    """A draft is deleted, an active order is stopped; what is new is ordered here and now."""
    if action.type == "delete":
        order = active[action.resource_id or ""]
        stopped = {**order.draft.resource, "status": "stopped"}
        return Action(type="update", description=f"Stop {order.words}", resource=stopped)
    if action.type == "update":
        return action
    context = call.request.context
    assert isinstance(context, EncounterDischargeContext)  # noqa: S101 - the only hook of this service
    resource = {
        **(action.resource or {}),
        "encounter": {"reference": f"Encounter/{context.encounter_id}"},
        "authoredOn": call.record.as_of.date().isoformat(),
        "requester": {"reference": context.user_id},
    }
    if resource["resourceType"] == "MedicationRequest":
        resource["category"] = [{"coding": [{"system": CATEGORIES, "code": "discharge"}]}]
    return structs.replace(action, resource=resource)


SERVICE = Service(
    id="discharge-medications",
    hooks=(ENCOUNTER_DISCHARGE,),
    title="Medications at discharge checked against this patient",
    description=(
        "Checks the active medication orders that go home against kidney function, each other, age, pregnancy, "
        "allergies, opioid load and overdue tests, as the stay has left them, and offers the corrected order."
    ),
    usage_requirements="For prescribers and pharmacists at discharge; not signed off by a human pharmacist.",
    needs=Needs.of(analytes=NEEDS.analytes, resources=NEEDS.resources - _NOT_READ, required=("medications",)),
    decide=decide,
    returns_resources=frozenset({"MedicationRequest"}),
)
