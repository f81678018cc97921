"""Orders of imaging and tests that are given to a performer: the rules for studies over what was signed.

The context of order-dispatch holds references only. The orders are found in the prefetch, under whatever key, or read
from the client's FHIR server. They are active by then: what is corrected is the client's own order with everything in
it, and an order that is not to be done is revoked, never deleted.
"""

from collections.abc import Iterable, Iterator
from typing import Any, Final

import msgspec

from cards.rules.engine.rule_book import rule_book
from cards.rules.patient.orders import DraftOrder, is_for_other_patient, read_draft
from cards.text import plain
from cds_hooks.call.prefetch.needs import Needs
from cds_hooks.call.protocol.hooks import ORDER_DISPATCH, OrderDispatchContext
from cds_hooks.call.protocol.originals import OriginalOrders
from cds_hooks.call.protocol.request import CDSRequest
from cds_hooks.call.services._service import Advice, Advisor, ServiceInput
from cds_hooks.errors import BadRequest, PreconditionFailed
from fhir.mapping.studies import RESULT_CODES
from fhir.record.record import relative_reference
from fhir.record.refusals import WhyNot
from fhir.record.repair import repair_resource

NEEDS = rule_book().needs_of_tests
_JUDGED: Final = "ServiceRequest"
_KEY: Final = "dispatched"
_LONGEST_REFERENCE: Final = 80


def find(call: ServiceInput) -> Advice:
    """One card for each dispatched study or test with a finding, and a reason for everything that says nothing."""
    context: Any = call.request.context
    wanted = tuple(
        dict.fromkeys(relative_reference(dispatched_order) for dispatched_order in context.dispatched_orders)
    )
    call.require_at_most(wanted, "context.dispatchedOrders")
    studies = [reference for reference in wanted if reference.startswith(f"{_JUDGED}/")]
    drafts = list(_dispatched_studies(studies, call))
    if studies and not drafts:
        _require_orders(call)
    advice, _ = call.advise_on_orders(drafts, None, signing=True, active_orders=True)
    by_name = {draft.name: draft for draft in drafts}
    advice.silences += _not_judged(wanted, by_name)
    advice.silences += _tasks_of_others(context, wanted)
    advice.orders = {
        "drafts": {"resourceType": "Bundle", "entry": [{"resource": draft.resource} for draft in drafts]},
        "judged": list(by_name),
    }
    return advice


def _dispatched_studies(references: Iterable[str], call: ServiceInput) -> Iterator[DraftOrder]:
    """Yield the client's own orders; of an order that did not come along there is nothing to judge."""
    sent = OriginalOrders(call.sent, _JUDGED)
    for position, reference in enumerate(references):
        resource = sent.original(reference)
        if resource is None:
            continue
        draft = read_draft(repair_resource(resource), position=position)
        if is_for_other_patient(draft, call.record.patient_id):
            place = f"context.dispatchedOrders[{position}]"
            raise BadRequest(f"`{place}` is for another patient than context.patientId; nothing was checked.", place)
        yield draft


def _require_orders(call: ServiceInput) -> None:
    """Refuses a call whose studies were not looked up; that a client looked and found none is an answer (TRAP-04)."""
    states = [state for state in call.prefetch.states if state.template.resource == _JUDGED]
    if any(state.is_known for state in states):
        return
    why = next((state.text for state in states if state.template.key == _KEY), "not sent")
    raise PreconditionFailed(
        f"None of the ServiceRequests of context.dispatchedOrders is available ({why}): nothing was judged. Send them "
        "in the prefetch, under any key, or a fhirServer with a token that may read them.",
        f"prefetch.{_KEY}",
    )


def _not_judged(wanted: Iterable[str], found_studies: dict[str, DraftOrder]) -> Iterator[WhyNot]:
    for reference in wanted:
        name = plain(reference, _LONGEST_REFERENCE)
        if not reference.startswith(f"{_JUDGED}/"):
            yield WhyNot(name, "not-a-study", f"{name} is not a ServiceRequest: it is judged when it is signed.")
        elif reference not in found_studies:
            yield WhyNot(name, "order-not-found", f"{name} was not found: not judged.")


def _tasks_of_others(context: OrderDispatchContext, wanted: Iterable[str]) -> Iterator[WhyNot]:
    """Each Task is about one of the dispatched orders; another focus is a fault of the client."""
    dispatched = frozenset(wanted)
    for position, task in enumerate(context.fulfillment_tasks):
        focus = msgspec.json.decode(task.get("focus", b"null"))
        reference = focus.get("reference") if isinstance(focus, dict) else None
        if isinstance(reference, str) and relative_reference(reference) not in dispatched:
            text = "A fulfilment Task is about an order that is not dispatched: it changes nothing here."
            yield WhyNot(f"fulfillmentTasks[{position}]", "not-dispatched", text)


def _names_studies(request: CDSRequest) -> bool:
    """Whether a study is dispatched: of nothing else the Patient is needed."""
    context: Any = request.context
    return any(
        relative_reference(dispatched_order).startswith(f"{_JUDGED}/") for dispatched_order in context.dispatched_orders
    )


ADVISOR = Advisor(
    id="order-safety-dispatch",
    hooks=(ORDER_DISPATCH,),
    title="Dispatched imaging and laboratory orders checked against this patient",
    description=(
        "Checks imaging and laboratory orders that are given to a performer against kidney function, metformin, "
        "pregnancy, implants and earlier results, and offers the corrected order. Medication orders are judged when "
        "they are signed."
    ),
    usage_requirements="For those who place and dispatch orders; not signed off by a human radiologist.",
    warns_of_harm=True,
    needs=Needs.of(analytes=NEEDS.analytes, resources=NEEDS.resources, lab_codes=RESULT_CODES),
    find=find,
    returns_resources=frozenset({"ServiceRequest", "MedicationRequest"}),
    needs_patient=_names_studies,
)
