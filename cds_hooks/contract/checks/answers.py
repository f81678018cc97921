"""Rules for every answer there was: its status, its form, what an error says, and whom it is about."""

import re
from collections.abc import Iterator
from typing import Final
from urllib.parse import unquote

from cds_hooks.contract.exchange import Exchange, Purpose
from cds_hooks.contract.finding import SHOULD
from cds_hooks.contract.node import Node
from cds_hooks.contract.registry import Faults, weighs

_TRACE: Final = re.compile(
    r"Traceback \(most recent|File \"[^\"]+\", line \d|\bat [\w.$<>]+ ?\([^)]*\.(?:java|kt|js|ts):\d+"
    r"|\bat .+ in .+:line \d+|goroutine \d+ \[running\]"
)
_SUBJECTS: Final = ("subject", "patient", "beneficiary", "for")
_SHORTEST_TELLING_ID: Final = 4


@weighs("RESP-01")
def every_call_gets_an_answer(exchange: Exchange) -> Faults:
    """Answer every call within the client's patience: a client that hears nothing cannot tell why."""
    if exchange.purpose is Purpose.CALL and not exchange.status:
        yield exchange.fault(exchange.answer)


@weighs("RESP-01")
def a_conformant_call_is_answered_with_200(exchange: Exchange) -> Faults:
    """Answer 200 with an object that holds a cards array, or 412 where needed data is missing."""
    if exchange.purpose is not Purpose.CALL or exchange.broken or exchange.status in (0, 412):
        return
    if exchange.ok and exchange.cards is None:
        yield exchange.fault(f"{exchange.answer} without a cards array")


@weighs("RESP-03", "RESP-01")
def nothing_to_say_is_said_with_200(exchange: Exchange) -> Faults:
    """Answer 200 with {"cards": []} where there is no advice: not 204, not an empty body."""
    if exchange.purpose is Purpose.CALL and (exchange.status == 204 or (exchange.ok and not exchange.body.strip())):
        yield exchange.fault(f"{exchange.answer} with an empty body")


@weighs("GEN-01", "GEN-07")
def an_answer_is_strict_json(exchange: Exchange) -> Faults:
    """Write JSON as RFC 8259 has it: UTF-8, no comments, no trailing commas, no NaN."""
    if exchange.purpose is Purpose.CALL and exchange.status == 200 and exchange.document.problem:
        yield exchange.fault(f"no JSON: {exchange.document.problem}")


@weighs("GEN-01", level=SHOULD)
def no_member_stands_twice(exchange: Exchange) -> Faults:
    """Send each member once: which of two a client takes is not defined."""
    if exchange.status == 200 and exchange.document.repeated:
        yield exchange.fault(f"twice: {', '.join(exchange.document.repeated)}")


@weighs("GEN-11", level=SHOULD)
def an_answer_is_declared_as_json(exchange: Exchange) -> Faults:
    """Answer with the content type application/json."""
    declared = exchange.headers.get("content-type", "")
    if exchange.cards is not None and declared.split(";")[0].strip().lower() != "application/json":
        yield exchange.fault(f"content-type is {declared or 'missing'}")


@weighs("RESP-04", level=SHOULD, everything=True)
def a_mistake_of_the_client_is_a_4xx(exchange: Exchange) -> Faults:
    """Answer what is wrong with the request with a 4xx: a 5xx says that the service is broken, and clients retry it."""
    if exchange.broken and exchange.status >= 500 and exchange.status != 501:
        yield exchange.fault(exchange.answer)


@weighs("RESP-04", level=SHOULD, everything=True)
def a_conformant_request_is_not_failed_on(exchange: Exchange) -> Faults:
    """Look into the server's log: a request without a mistake must not end in a 5xx."""
    if not exchange.broken and exchange.status >= 500 and exchange.purpose is not Purpose.OTHER:
        yield exchange.fault(exchange.answer)


@weighs("RESP-06", level=SHOULD, everything=True)
def an_error_carries_an_operation_outcome(exchange: Exchange) -> Faults:
    """Send an OperationOutcome with severity and code with each error: integrators read it first."""
    if exchange.status < 400 or exchange.purpose is Purpose.OTHER:
        return
    value = exchange.document.value
    issues = value.get("issue") if isinstance(value, dict) and value.get("resourceType") == "OperationOutcome" else None
    if not isinstance(issues, list) or not issues:
        yield exchange.fault(f"answered {exchange.status} without an OperationOutcome")
    elif not all(isinstance(each, dict) and each.get("severity") and each.get("code") for each in issues):
        yield exchange.fault("an issue lacks severity or code")


@weighs("RESP-06", level=SHOULD, everything=True)
def an_error_does_not_tell_where_it_was_made(exchange: Exchange) -> Faults:
    """Keep stack traces in the log: outside they help nobody but an attacker."""
    if exchange.status >= 400 and _TRACE.search(exchange.body.decode("utf-8", "replace")):
        yield exchange.fault("the error holds a stack trace")


@weighs("RESP-06", level=SHOULD, everything=True)
def an_error_does_not_name_the_patient(exchange: Exchange) -> Faults:
    """Leave patient data out of errors: they end in logs of many parties."""
    if exchange.status >= 400 and _names_patient(exchange.body.decode("utf-8", "replace"), exchange):
        yield exchange.fault("the error holds the patient's id")


@weighs("ACT-03", "ACT-04")
def what_is_ordered_is_for_this_patient(exchange: Exchange) -> Faults:
    """Write resources for the patient of the call only: anything else is another patient's order."""
    for resource in _resources(exchange):
        for name in _SUBJECTS:
            reference = resource.at(name).text("reference").split("/_history")[0]
            kind, _, identifier = reference.rpartition("/")
            if kind.endswith("Patient") and exchange.patient and identifier != exchange.patient:
                yield exchange.fault("the resource is about another patient than context.patientId", resource.place)


def _resources(exchange: Exchange) -> Iterator[Node]:
    document = Node(exchange.document.value) if exchange.cards is not None else Node({})
    suggestions = (each for card in document.objects("cards") for each in card.objects("suggestions"))
    for holder, name in [*((each, "actions") for each in suggestions), (document, "systemActions")]:
        for action in holder.objects(name):
            yield action.at("resource")


@weighs("CARD-01", "FB-14", level=SHOULD)
def a_card_has_a_uuid(exchange: Exchange) -> Faults:
    """Give each card a uuid: without it no client sends feedback on it."""
    for card in _cards(exchange):
        if not card.has("uuid"):
            yield exchange.fault("card without uuid: no feedback will come", card.place)


@weighs("SRC-03", level=SHOULD)
def a_source_does_not_point_at_the_patient(exchange: Exchange) -> Faults:
    """Let source.url lead to the organisation or data set; use a link for what is about this patient."""
    for card in _cards(exchange):
        if _names_patient(card.at("source").text("url"), exchange):
            yield exchange.fault("source.url holds the patient's id", card.at("source").at("url").place)


@weighs("LINK-02", level=SHOULD)
def a_link_does_not_carry_the_patient(exchange: Exchange) -> Faults:
    """Leave patient ids out of URLs: browsers keep them and send them on."""
    for card in _cards(exchange):
        for link in card.objects("links"):
            if _names_patient(link.text("url"), exchange):
                yield exchange.fault("the URL holds the patient's id", link.at("url").place)


def _cards(exchange: Exchange) -> Iterator[Node]:
    return Node({"cards": exchange.cards or []}).objects("cards")


def _names_patient(text: str, exchange: Exchange) -> bool:
    """Whether the patient's id stands there as a whole: ids of other resources may begin with it."""
    whole = rf"(?<![\w-]){re.escape(exchange.patient)}(?![\w-])"
    return len(exchange.patient) >= _SHORTEST_TELLING_ID and bool(re.search(whole, unquote(text)))
