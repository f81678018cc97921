"""Checks with calls that a good server refuses."""

import json
from typing import Any, Final

from cds_hooks.tools.kit.contract.assertions import expect_refusal, in_row_of_field
from cds_hooks.tools.kit.contract.connection import Purpose
from cds_hooks.tools.kit.contract.definitions import fields_of
from cds_hooks.tools.kit.contract.document import SHOULD, NotTested, observe
from cds_hooks.tools.kit.contract.registry import Faults, check_server, check_service
from cds_hooks.tools.kit.contract.requests import new_hook_instance
from cds_hooks.tools.kit.contract.target import DISCOVERY, Service, Target

_WRONG: Final[dict[str, Any]] = {"string": 17, "object": "text", "array": "text"}
_HUGE_MEGABYTES: Final = 50


@check_service("HK-patient-view-patientId", level=SHOULD)
def required_context_is_there(service: Service) -> Faults:
    """Refuse a call that lacks a required field of its context: an answer would be advice on a guess."""
    for field in _required(service):
        request = service.request()
        request["context"].pop(field, None)
        exchange = service.send(request, f"{service.hook} without context.{field}", broken=True)
        yield from in_row_of_field(service, field, expect_refusal(exchange))


@check_service("HK-patient-view-patientId", level=SHOULD)
def required_context_is_of_its_type(service: Service) -> Faults:
    """Refuse a call whose required context field is of another JSON type."""
    types = {field.name: field.type for field in fields_of(service.hook)}
    for field in _required(service):
        context = service.request()["context"] | {field: _WRONG[types[field]]}
        title = f"{service.hook} with context.{field} as {type(context[field]).__name__}"
        exchange = service.send(service.request() | {"context": context}, title, broken=True)
        yield from in_row_of_field(service, field, expect_refusal(exchange))


def _required(service: Service) -> list[str]:
    fields = [field.name for field in fields_of(service.hook) if field.required]
    if not fields:
        raise NotTested(f"the context of {service.hook} is not in the hook library")
    return fields


@check_service("GEN-01", level=SHOULD)
def deep_nesting_does_not_break_the_server(service: Service) -> Faults:
    """Bound the depth of what you read: a body of brackets must not take a worker down."""
    exchange = service.send_as_is(b"[" * 100_000, "body is 100,000 open brackets", broken=True)
    yield from expect_refusal(exchange)
    second_exchange = service.send(service.request(), "a call after the nested one")
    if not second_exchange.ok:
        yield second_exchange.fault(second_exchange.answer)


@check_service("REQ-01", level=SHOULD)
def a_service_is_called_by_post_only(service: Service) -> Faults:
    """Answer other methods on a service with 405."""
    for method in ("GET", "PUT", "DELETE", "PATCH"):
        yield from expect_refusal(service.connection.send(method, service.path, f"{method} on a service", broken=True))


@check_server("REQ-01", level=SHOULD)
def discovery_is_read_by_get_only(target: Target) -> Faults:
    """Answer POST on discovery with 405."""
    target.observe_discovery()
    yield from expect_refusal(
        target.connection.send("POST", DISCOVERY, "POST on discovery", content=b"{}", broken=True)
    )


@check_server("REQ-01", "DISC-07")
def an_unknown_service_is_404(target: Target) -> Faults:
    """Answer an id that discovery does not list with 404, never with an empty list of cards."""
    hook = target.any_service.hook
    body = {
        "hook": hook,
        "hookInstance": new_hook_instance(),
        "context": {"userId": "Practitioner/1", "patientId": "1"},
    }
    path = f"{DISCOVERY}/contract-kit-no-such-service"
    yield from expect_refusal(target.connection.post(path, body, "an unknown service", broken=True))


@check_server("GEN-01", level=SHOULD, slow=True)
def a_huge_body_is_refused(target: Target) -> Faults:
    """Bound the size of what you read, and answer 413: who sends many megabytes must not fill the memory."""
    service = target.any_service
    padding = " " * (_HUGE_MEGABYTES * 1_000_000)
    body = f"{json.dumps(service.request())[:-1]}{padding}}}".encode()
    exchange = service.send_as_is(body, f"a body of {_HUGE_MEGABYTES} MB", broken=True, purpose=Purpose.OTHER)
    # A server that closes the connection while the body still comes has refused it, too.
    if exchange.ok or exchange.failure == "timed out":
        yield exchange.fault(f"{exchange.answer}; the body was not refused")


@check_service("HK-order-select-draftOrders", "PRE-06", level=SHOULD)
def a_bundle_is_a_bundle(service: Service) -> Faults:
    """Refuse a Bundle whose entry is not an array, or draftOrders that are no Bundle: nothing in them was looked at."""
    request = service.request()
    prefetch = request.get("prefetch") or {}
    keys = [key for key, value in prefetch.items() if isinstance(value, dict) and value.get("resourceType") == "Bundle"]
    drafts = request["context"].get("draftOrders") if service.hook in ("order-select", "order-sign") else None
    observe(keys or drafts, f"{service.id} is sent no Bundle")
    for key in keys:
        yield from _taken_for_none(service, key, prefetch)
    for title, bundle in {
        "draftOrders whose entry is text": {"resourceType": "Bundle", "type": "collection", "entry": "none"},
        "draftOrders that are a Patient": {"resourceType": "Patient", "id": "contract-kit"},
    }.items():
        if drafts is not None:
            request = service.request()
            request["context"]["draftOrders"] = bundle
            yield from expect_refusal(service.send(request, title, broken=True))


def _taken_for_none(service: Service, key: str, prefetch: dict[str, Any]) -> Faults:
    """Yield a fault where a broken Bundle is answered like an empty one, and its data would have given other advice.

    An answer that says on a card or in its extension what could not be read is no such answer.
    """
    bundle = {"resourceType": "Bundle", "type": "searchset"}
    empty = service.send(service.request() | {"prefetch": prefetch | {key: bundle}}, f"prefetch.{key} is empty")
    if empty.advice == service.base.exchange.advice:
        return
    broken = prefetch | {key: bundle | {"entry": "none"}}
    exchange = service.send(service.request() | {"prefetch": broken}, f"prefetch.{key} has text as entry")
    if exchange.ok and exchange.statement == empty.statement:
        yield exchange.fault(f"{exchange.answer}, as if the search had found nothing")
