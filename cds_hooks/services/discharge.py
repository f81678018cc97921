"""What the patient goes home with: the rules for orders over the active medications.

A planning estimate has no place here: its population lives at home (models_onnx/models/mortality_5y.py). What can be
decided at discharge with sources at hand is the dose of what goes home, by the kidney function of this stay.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from msgspec import structs

from cards.card import Action, Card, Suggestion
from cards.compose import check_orders
from cards.markdown import plain
from cards.rules.draft import Draft, read_draft
from cards.rules.engine import rule_book
from cards.rules.finding import Silence
from cards.topics import TOPICS
from cds_hooks.errors import PayloadTooLarge
from cds_hooks.prefetch import Needs
from cds_hooks.protocol.charted import ChartedOrders, dicts
from cds_hooks.protocol.hooks import ENCOUNTER_DISCHARGE, EncounterDischargeContext
from cds_hooks.protocol.mending import mended
from cds_hooks.service import Advice, Service, Situation
from fhir.mapping.active_medications import ActiveMedication, active_medications
from fhir.record.resources import MedicationRequest

Json = dict[str, Any]

NEEDS = rule_book().needs
# FHIR R4, value set medicationrequest-category: what is only `inpatient` ends with the stay.
CATEGORIES: Final = "http://terminology.hl7.org/CodeSystem/medicationrequest-category"
_AT_HOME: Final = frozenset({"discharge", "community", "outpatient"})
# Each corrected order is judged beside all others.
_MOST_ORDERS = 200
_NO_JSON = "the order has no id by which its own JSON is found, so it cannot be given back corrected"


@dataclass(frozen=True, slots=True)
class _Active:
    """An active order: what it is, and the client's own JSON of it where that came with the call."""

    medication: ActiveMedication
    draft: Draft

    @property
    def words(self) -> str:
        return plain(self.medication.identity.words)


async def decide(situation: Situation) -> Advice:
    """One card for each order that goes home and has a finding, and a reason for everything that says nothing."""
    record = situation.record
    if record.deceased:
        return Advice(silences=[Silence("patient", "deceased", "The patient has died.")])
    situation.prefetch.require("medications")
    active = list(_active_orders(situation))
    if len(active) > _MOST_ORDERS:
        raise PayloadTooLarge(f"There are more than {_MOST_ORDERS} active medication orders; nothing was judged.")
    judged = [each for each in active if _goes_home(each.draft.resource)]
    drafts = [each.draft for each in active]
    names = [each.draft.name for each in judged]
    outcome = check_orders(record, drafts, names, situation.card_uuid, quiet=situation.quiet, signing=True)
    advice = Advice(silences=[silence.of_a_whole_order() for silence in outcome.silences])
    by_name = {each.draft.name: each for each in active}
    for card in outcome.cards:
        advice.cards.append(_at_discharge(card, by_name, situation, advice.silences))
    advice.silences += _not_judged(active, judged, situation)
    advice.orders = {
        "drafts": {"resourceType": "Bundle", "entry": [{"resource": each.resource} for each in drafts]},
        "judged": [each.draft.name for each in judged],
    }
    return advice


# The active orders


def _active_orders(situation: Situation) -> Iterator[_Active]:
    charted = ChartedOrders(situation.sent).by_id
    for position, medication in enumerate(active_medications(situation.record)):
        order = medication.order
        if isinstance(order, MedicationRequest):
            resource = mended(charted.get(order.id or "", {}))
            reference = f"MedicationRequest/{order.id}" if order.id else None
            read = read_draft(resource).order or order
            yield _Active(medication, Draft(resource, "MedicationRequest", reference, position, read=read))


def _goes_home(resource: Json) -> bool:
    # Epic sends one concept where R4 has a list
    codings = [coding for concept in dicts(resource.get("category")) for coding in dicts(concept.get("coding"))]
    codes = [coding.get("code") for coding in codings]
    return "inpatient" not in codes or any(code in codes for code in _AT_HOME)


def _not_judged(active: Iterable[_Active], judged: list[_Active], situation: Situation) -> Iterator[Silence]:
    names = {each.draft.name for each in judged}
    for each in active:
        if each.draft.name not in names:
            text = f"{each.draft.name} is an order of the stay only: not judged at discharge."
            yield Silence(each.draft.name, "inpatient-order", text)
    if not judged:
        yield Silence("medications", "nothing-to-judge", "No active medication order goes home: nothing was judged.")
    stated = len(situation.record.medication_statements)
    if stated:
        yield Silence("statements", "stated-only", f"{stated} medications are stated, not ordered: not judged.")


# The cards


def _at_discharge(card: Card, active: dict[str, _Active], situation: Situation, silences: list[Silence]) -> Card:
    """The card of a drafted order, said and offered about an order that is active already."""
    order = next(active[each["source"]] for each in _facts(card) if each.get("name") == "draft")
    suggestions = []
    for suggestion in card.suggestions:
        meant = [active.get(each.resource_id or "", order) for each in suggestion.actions if _needs_json(each)]
        if all(each.draft.resource for each in meant):
            suggestions.append(_for_active(suggestion, active, situation))
        else:
            silences.append(
                Silence(order.draft.name, "suggestion-withheld", f"{suggestion.label}: not offered, {_NO_JSON}.")
            )
    return structs.replace(
        card,
        source=structs.replace(card.source, topic=TOPICS["discharge"]),
        suggestions=tuple(suggestions),
        selection_behavior=card.selection_behavior if suggestions else None,
        links=situation.links_of(card),
    )


def _facts(card: Card) -> list[Json]:
    (ours,) = (card.extension or {}).values()
    facts: list[Json] = ours["facts"]
    return facts


def _needs_json(action: Action) -> bool:
    return action.type in ("update", "delete")


def _for_active(suggestion: Suggestion, active: dict[str, _Active], situation: Situation) -> Suggestion:
    label = suggestion.label.replace("Cancel this order", "Stop this order")
    actions = tuple(_action(each, active, situation) for each in suggestion.actions)
    return structs.replace(suggestion, label=label, actions=actions)


def _action(action: Action, active: dict[str, _Active], situation: Situation) -> Action:
    """A draft is deleted, an active order is stopped; what is new is ordered here and now."""
    if action.type == "delete":
        order = active[action.resource_id or ""]
        stopped = {**order.draft.resource, "status": "stopped"}
        return Action(type="update", description=f"Stop {order.words}", resource=stopped)
    if action.type == "update":
        return action
    context = situation.request.context
    assert isinstance(context, EncounterDischargeContext)  # noqa: S101 - the only hook of this service
    resource = {
        **(action.resource or {}),
        "encounter": {"reference": f"Encounter/{context.encounter_id}"},
        "authoredOn": situation.record.as_of.date().isoformat(),
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
    needs=Needs.of(analytes=NEEDS.analytes, resources=NEEDS.resources, required=("medications",)),
    decide=decide,
    gives_back=frozenset({"MedicationRequest"}),
)
