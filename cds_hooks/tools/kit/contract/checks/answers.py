"""Checks of the answer to every request: status, headers, body, and the time it took."""

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from time import perf_counter
from typing import Final
from urllib.parse import unquote

from cds_hooks.tools.kit.contract.connection import Exchange, Purpose
from cds_hooks.tools.kit.contract.document import SHOULD, observe
from cds_hooks.tools.kit.contract.registry import Faults, check_exchange, check_service
from cds_hooks.tools.kit.contract.target import Service

_TRACE: Final = re.compile(
    r"Traceback \(most recent|File \\?\"[^\"]+\", line \d|\bat [\w.$<>]{1,200} ?\([^)]{0,200}\.(?:java|kt|js|ts):\d+"
    r"|\bat .{1,200} in .{1,200}:line \d+|goroutine \d+ \[running\]"
)
# Of RFC 9110, 6585, 7725 and WebDAV; no redirect, no partial content, no teapot for a call.
_STATUSES: Final = frozenset(
    {200, 201, 202, 204, 400, 401, 403, 404, 405, 406, 408, 409, 410, 411, 412, 413, 414, 415, 417, 421, 422, 426, 428}
    | {429, 431, 451, 500, 501, 502, 503, 504, 505}
)
_SUBJECTS: Final = ("subject", "patient", "beneficiary", "for")
_SHORTEST_TELLING_ID: Final = 4


@check_exchange("RESP-03", "RESP-01")
def nothing_to_say_is_said_with_200(exchange: Exchange) -> Faults:
    """Answer 200 with {"cards": []} where there is no advice: not 204, not an empty body."""
    is_silent = exchange.purpose is Purpose.CALL and exchange.ok and not exchange.cards
    observe(is_silent, "no call was answered without a card")
    if exchange.status == 204 or not exchange.body.strip():
        yield exchange.fault(f"{exchange.answer} with an empty body")


@check_exchange("GEN-01", "GEN-07")
def an_answer_is_strict_json(exchange: Exchange) -> Faults:
    """Write JSON as RFC 8259 has it: UTF-8, no comments, no trailing commas, no NaN."""
    observe(exchange.status == 200, "nothing was answered with 200")
    observe(exchange.purpose in (Purpose.CALL, Purpose.DISCOVERY), "no service was called")
    if exchange.document.problem:
        yield exchange.fault(f"no JSON: {exchange.document.problem}")


@check_exchange("GEN-01", level=SHOULD)
def no_member_stands_twice(exchange: Exchange) -> Faults:
    """Send each member once: which of two a client takes is not defined."""
    observe(exchange.status == 200 and not exchange.document.problem, "no JSON was answered with 200")
    if exchange.document.repeated:
        yield exchange.fault(f"twice: {', '.join(exchange.document.repeated)}")


@check_exchange("GEN-11", level=SHOULD)
def an_answer_is_declared_as_json(exchange: Exchange) -> Faults:
    """Answer with the content type application/json: another charset than UTF-8 garbles letters outside ASCII."""
    is_discovery = exchange.purpose is Purpose.DISCOVERY and exchange.status == 200
    observe(is_discovery or exchange.cards is not None, "no call was answered with cards")
    declared = exchange.headers.get("content-type", "")
    name, *parameters = (part.strip().lower() for part in declared.split(";"))
    charsets = [part.partition("=")[2].strip('" ') for part in parameters if part.startswith("charset")]
    if name != "application/json" or not set(charsets) <= {"utf-8", "utf8"}:
        yield exchange.fault(f"content-type is {declared or 'missing'}")


@check_exchange("RESP-05", level=SHOULD, everything=True)
def a_mistake_of_the_client_is_not_412(exchange: Exchange) -> Faults:
    """Keep 412 for required FHIR data that cannot be had: on a request that is wrong it sends the client looking."""
    observe(exchange.broken and exchange.status, "no request with a mistake was answered")
    if exchange.status == 412:
        yield exchange.fault(exchange.answer)


@check_exchange("RESP-04", level=SHOULD, everything=True)
def a_status_is_one_that_http_defines(exchange: Exchange) -> Faults:
    """Answer with a status that HTTP defines for what happened: clients and proxies know no other."""
    is_service_call = exchange.purpose in (Purpose.CALL, Purpose.FEEDBACK)
    observe(is_service_call and exchange.status, "no service answered")
    if exchange.status not in _STATUSES:
        yield exchange.fault(exchange.answer)


@check_exchange("RESP-04", level=SHOULD, everything=True)
def no_request_is_failed_on(exchange: Exchange) -> Faults:
    """Answer a mistake of the client with a 4xx and nothing with a 5xx, which clients send again: see the log."""
    is_service_call = exchange.purpose in (Purpose.CALL, Purpose.FEEDBACK)
    observe((is_service_call or exchange.broken) and exchange.status, "no service answered")
    if exchange.status >= 500 and not (exchange.broken and exchange.status == 501):
        yield exchange.fault(exchange.answer)


@check_exchange("RESP-06", level=SHOULD, everything=True)
def an_error_carries_an_operation_outcome(exchange: Exchange) -> Faults:
    """Send an OperationOutcome with severity and code with each error: integrators read it first."""
    observe(exchange.status >= 400 and exchange.purpose is not Purpose.OTHER, "no error was answered")
    value = exchange.document.value
    issues = value.get("issue") if isinstance(value, dict) and value.get("resourceType") == "OperationOutcome" else None
    if not isinstance(issues, list) or not issues:
        yield exchange.fault(f"answered {exchange.status} without an OperationOutcome")
    elif not all(isinstance(issue, dict) and issue.get("severity") and issue.get("code") for issue in issues):
        yield exchange.fault("an issue lacks severity or code")


@check_exchange("RESP-06", level=SHOULD, everything=True)
def an_error_gives_nothing_away(exchange: Exchange) -> Faults:
    """Leave stack traces and patient data out of errors: they end in logs of many parties, and help an attacker."""
    observe(exchange.status >= 400, "no error was answered")
    text = exchange.body.decode("utf-8", "replace")
    if _TRACE.search(text):
        yield exchange.fault("the error holds a stack trace")
    if _names_patient(text, exchange):
        yield exchange.fault("the error holds the patient's id")


@check_exchange("ACT-03", "ACT-04")
def what_is_ordered_is_for_this_patient(exchange: Exchange) -> Faults:
    """Write resources for the patient of the call only: anything else is another patient's order."""
    resources = [action.at("resource") for action in exchange.actions]
    observe(resources and not exchange.broken, "no action was seen")
    holders = [holder for resource in resources for holder in (resource, *resource.objects("contained"))]
    for holder in holders:
        if any(_is_another_patient(holder.at(name).text("reference"), exchange.patient) for name in _SUBJECTS):
            yield exchange.fault("the resource is about another patient than context.patientId", holder.location)
    for action in exchange.actions:
        if _is_another_patient(action.text("resourceId"), exchange.patient):
            yield exchange.fault("the action is on another patient", action.location)


def _is_another_patient(reference: str, patient: str) -> bool:
    kind, _, identifier = reference.split("/_history")[0].rpartition("/")
    return kind.endswith("Patient") and bool(patient) and identifier != patient


@check_exchange("CARD-01", "FB-14", level=SHOULD)
def a_card_has_a_uuid(exchange: Exchange) -> Faults:
    """Give each card a uuid: without it no client sends feedback on it."""
    observe(exchange.cards, "no card was seen")
    for card in exchange.response.objects("cards"):
        if not card.has("uuid"):
            yield exchange.fault("card without uuid: no feedback will come", card.location)


@check_exchange("SRC-03", level=SHOULD)
def a_source_does_not_point_at_the_patient(exchange: Exchange) -> Faults:
    """Let source.url lead to the organization or data set; use a link for what is about this patient."""
    observe(any(card.at("source").text("url") for card in exchange.response.objects("cards")), "no source.url was seen")
    for card in exchange.response.objects("cards"):
        if _names_patient(card.at("source").text("url"), exchange):
            yield exchange.fault("source.url holds the patient's id", card.at("source").at("url").location)


@check_exchange("LINK-02", level=SHOULD)
def a_link_does_not_carry_the_patient(exchange: Exchange) -> Faults:
    """Leave patient ids out of URLs: browsers keep them and send them on."""
    links = [link for card in exchange.response.objects("cards") for link in card.objects("links")]
    observe(links, "no link was seen")
    for link in links:
        if _names_patient(link.text("url"), exchange):
            yield exchange.fault("the URL holds the patient's id", link.at("url").location)


def _names_patient(text: str, exchange: Exchange) -> bool:
    """Return whether the patient's id stands there as a whole: ids of other resources may begin with it."""
    whole_id = rf"(?<![\w-]){re.escape(exchange.patient)}(?![\w-])"
    return len(exchange.patient) >= _SHORTEST_TELLING_ID and bool(re.search(whole_id, unquote(text)))


_LIMIT_SECONDS: Final = 0.5
_AT_ONCE: Final = 4
_LONG_ENOUGH_SECONDS: Final = 0.1
_ONE_AFTER_ANOTHER: Final = 0.85  # of the time that calls take one after another


@check_service("PRE-17", level=SHOULD)
def calls_are_answered_within_500_ms(service: Service) -> Faults:
    """Answer 19 of 20 calls within 500 ms: the clinician waits, and clients drop what comes late."""
    # The first call of a service may find it cold.
    exchanges = [call.exchange for call in service.calls[1:] if call.exchange.ok]
    if not exchanges and service.calls and service.calls[0].exchange.ok:
        exchanges = [service.send(service.as_new(service.calls[0].sent), "the only call again") for _ in range(3)]
    observe(exchanges, "too few calls were answered to judge their time")
    exchanges.sort(key=lambda exchange: exchange.seconds)
    slow, middle = exchanges[int(len(exchanges) * 0.95)], exchanges[len(exchanges) // 2]
    if slow.seconds > _LIMIT_SECONDS:
        yield slow.fault(
            f"95th percentile {slow.seconds * 1000:.0f} ms, median {middle.seconds * 1000:.0f} ms "
            f"over {len(exchanges)} calls"
        )


@check_service("RESP-01")
def calls_at_once_do_not_mix(service: Service) -> Faults:
    """Keep nothing of one call for the next: patients asked about at the same time must get their own answers."""
    answered_calls = [call for call in service.calls if call.exchange.cards is not None][:_AT_ONCE]
    observe(len(answered_calls) > 1, "fewer than two calls were answered")
    alone = [service.send(call.sent, f"{service.hook} for {call.about}, again").advice for call in answered_calls]
    is_steady = alone == [call.exchange.advice for call in answered_calls]
    observe(is_steady, "the same call, made twice one after the other, is answered with different words")
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        sent = pool.map(
            lambda call: service.send(call.sent, f"{service.hook} for {call.about}, at once"), answered_calls * 2
        )
        for exchange, advice in zip(sent, alone * 2, strict=True):
            if exchange.cards is None:
                yield exchange.fault(exchange.answer)
            elif exchange.advice != advice:
                yield exchange.fault("the answer differs from that to the same call made alone")


@check_service("RESP-01", level=SHOULD)
def one_caller_does_not_hold_up_the_others(service: Service) -> Faults:
    """Serve calls side by side: a client that sends its request slowly must not keep the others waiting."""
    request = service.request()
    with service.connection.held_open(service.path):
        exchange = service.send(request, "while another call is only half sent")
    if not exchange.status:
        yield exchange.fault(f"{exchange.answer} while another call was only half sent")


@check_service("RESP-01", level=SHOULD)
def calls_at_once_are_computed_side_by_side(service: Service) -> Faults:
    """Serve calls side by side: where a call takes its time, four at once must not take four times as long."""
    request = service.request()
    alone = min(service.send(service.as_new(request), "a call alone").seconds for _ in range(2))
    observe(alone >= _LONG_ENOUGH_SECONDS, "calls are answered too quickly to see whether they wait for each other")
    for _ in range(2):  # a busy machine may be slow once
        start = perf_counter()
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            sent = [pool.submit(service.send, service.as_new(request), "four calls at once") for _ in range(_AT_ONCE)]
        seconds = perf_counter() - start
        if seconds < _ONE_AFTER_ANOTHER * _AT_ONCE * alone:
            return
    yield sent[-1].result().fault(f"{_AT_ONCE} calls at once took {seconds:.1f} s, one alone {alone:.1f} s")


@check_service("ACT-04", "ACT-05", level=SHOULD)
def an_action_is_on_something_that_the_client_has(service: Service) -> Faults:
    """Update and delete what the call brought: the client cannot find another resource, or it is another patient's."""
    acted = False
    for call in service.calls:
        held_resources = set(_names_in(call.sent))
        for action in call.exchange.actions:
            resource = action.at("resource")
            name = f"{resource.text('resourceType')}/{resource.text('id')}"
            name = action.text("resourceId") if action.text("type") == "delete" else name
            if action.text("type") in ("update", "delete") and name.strip("/"):
                acted = True
                if name not in held_resources:
                    yield call.exchange.fault(f"{action.text('type')} of what the call did not bring", action.location)
    observe(acted, f"{service.id} updates and deletes nothing")


def _names_in(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("resourceType"), str) and "id" in value:
            yield f"{value['resourceType']}/{value['id']}"
        for member in value.values():
            yield from _names_in(member)
    elif isinstance(value, list):
        for member in value:
            yield from _names_in(member)
