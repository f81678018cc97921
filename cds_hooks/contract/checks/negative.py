"""Requests that are no conformant call: each is refused, and none breaks the server."""

import json
from typing import Any, Final

from cds_hooks.contract.calls import new_instance
from cds_hooks.contract.expecting import of_field, refused, refused_with, refused_without
from cds_hooks.contract.finding import SHOULD, NotTested
from cds_hooks.contract.hooks import fields_of
from cds_hooks.contract.registry import Faults, tries, tries_server
from cds_hooks.contract.service import Service
from cds_hooks.contract.target import Target

_WRONG: Final[dict[str, Any]] = {"string": 17, "object": "text", "array": "text"}


@tries("REQ-02")
def a_call_names_its_hook(service: Service) -> Faults:
    """Refuse a call without hook, or with one that is no string."""
    yield from refused_without(service, "hook")
    yield from refused_with(service, "a number as hook", hook=17)


@tries("REQ-03")
def a_call_has_a_hook_instance(service: Service) -> Faults:
    """Refuse a call without hookInstance, or with one that is no string."""
    yield from refused_without(service, "hookInstance")
    yield from refused_with(service, "an object as hookInstance", hookInstance={"id": 1})


@tries("REQ-08")
def a_call_has_a_context(service: Service) -> Faults:
    """Refuse a call without context, or with one that is no object."""
    yield from refused_without(service, "context")
    yield from refused_with(service, "an array as context", context=[])
    yield from refused_with(service, "null as context", context=None)


@tries("HK-patient-view-patientId")
def required_context_is_there(service: Service) -> Faults:
    """Refuse a call that lacks a required field of its context: an answer would be advice on a guess."""
    for field in _required(service):
        yield from of_field(service, field, refused_without(service, "context", field))


@tries("HK-patient-view-patientId")
def required_context_is_of_its_type(service: Service) -> Faults:
    """Refuse a call whose required context field is of another JSON type."""
    types = {field.name: field.type for field in fields_of(service.hook)}
    for field in _required(service):
        context = service.request()["context"] | {field: _WRONG[types[field]]}
        what = f"context.{field} as {type(context[field]).__name__}"
        yield from of_field(service, field, refused_with(service, what, context=context))


def _required(service: Service) -> list[str]:
    fields = [field.name for field in fields_of(service.hook) if field.required]
    if not fields:
        raise NotTested(f"the context of {service.hook} is not in the hook library")
    return fields


@tries("REQ-15", level=SHOULD)
def a_hook_that_is_not_listed_is_refused(service: Service) -> Faults:
    """Refuse a hook that discovery does not list for this id: an empty list would say that all is well."""
    yield from refused_with(service, "an unknown hook", hook="contract-kit-no-such-hook")


@tries("REQ-17", level=SHOULD)
def the_form_of_before_1_0_is_refused(service: Service) -> Faults:
    """Refuse user and patient at top level, and say that they belong into context."""
    request = service.request()
    patient = request.pop("context")["patientId"]
    old = request | {"user": "Practitioner/contract-kit-user", "patient": patient, "context": {}}
    yield from refused(service.send(old, "user and patient at top level", broken=True))


@tries("REQ-05", level=SHOULD)
def a_token_comes_with_its_server(service: Service) -> Faults:
    """Refuse fhirAuthorization without fhirServer: a token without an address is a mistake."""
    yield from _refused_access(service, "fhirAuthorization without fhirServer", _ACCESS, server=False)


@tries("FHIR-03", level=SHOULD)
def fhir_authorization_is_not_empty(service: Service) -> Faults:
    """Refuse fhirAuthorization that is empty, null or no object."""
    yield from _refused_access(service, "fhirAuthorization as {}", {})
    yield from _refused_access(service, "fhirAuthorization as a string", "token")


@tries("FHIR-04", level=SHOULD)
def fhir_authorization_has_a_token(service: Service) -> Faults:
    """Refuse fhirAuthorization without access_token."""
    access = {name: value for name, value in _ACCESS.items() if name != "access_token"}
    yield from _refused_access(service, "fhirAuthorization without access_token", access)


@tries("FHIR-05", level=SHOULD)
def the_token_type_is_bearer(service: Service) -> Faults:
    """Refuse any token_type but Bearer."""
    yield from _refused_access(service, "token_type mac", _ACCESS | {"token_type": "mac"})


_ACCESS: Final = {
    "access_token": "contract-kit-token",
    "token_type": "Bearer",
    "expires_in": 60,
    "scope": "user/*.read",
    "subject": "contract-kit",
}


def _refused_access(service: Service, what: str, access: object, *, server: bool = True) -> Faults:
    request = service.request() | {"fhirAuthorization": access}
    if server:
        request["fhirServer"] = "https://ehr.example/fhir"
    yield from refused(service.send_as_is(request, what, broken=True))


@tries("EXT-01", level=SHOULD)
def an_extension_that_is_no_object_is_refused(service: Service) -> Faults:
    """Refuse extension as an array or string: it is an object, not FHIR's list of url and value."""
    for value in ([{"url": "https://example.org/x", "valueString": "y"}], "text"):
        request = service.request() | {"extension": value}
        yield from refused(service.send_as_is(request, f"extension as {type(value).__name__}", broken=True))


@tries("GEN-01")
def what_is_not_json_is_refused(service: Service) -> Faults:
    """Refuse a body that is no JSON: success would mean that an unreadable request was looked at."""
    whole = json.dumps(service.request())
    bodies = {
        "an empty body": b"",
        "half of a request": whole[: len(whole) // 2].encode(),
        "a trailing comma": f"{whole[:-1]},}}".encode(),
        "a comment": f"/* call */ {whole}".encode(),
        "text": b"hello",
        "NaN": f'{whole[:-1]}, "contractKit": NaN}}'.encode(),
        "bytes that are no UTF-8": whole.replace("hookInstance", "hookInstance\xff", 1).encode("latin-1"),
        "two documents": f"{whole}{whole}".encode(),
    }
    for what, body in bodies.items():
        yield from refused(service.send_as_is(body, f"body is {what}", broken=True))


@tries("GEN-01")
def other_formats_are_refused(service: Service) -> Faults:
    """Refuse XML and forms."""
    for kind, body in {
        "application/xml": b"<request><hook>patient-view</hook></request>",
        "application/x-www-form-urlencoded": b"hook=patient-view&hookInstance=1",
    }.items():
        yield from refused(service.send_as_is(body, f"body is {kind}", broken=True, headers={"content-type": kind}))


@tries("REQ-01", "GEN-01")
def a_body_that_is_no_object_is_refused(service: Service) -> Faults:
    """Refuse JSON that is an array, a string, a number or null."""
    for body in (b"[]", b"null", b'"text"', b"17", b"{}"):
        yield from refused(service.send_as_is(body, f"body is {body.decode()}", broken=True))


@tries("GEN-01", level=SHOULD)
def deep_nesting_does_not_break_the_server(service: Service) -> Faults:
    """Bound the depth of what you read: a body of brackets must not take a worker down."""
    exchange = service.send_as_is(b"[" * 100_000, "body is 100,000 open brackets", broken=True)
    yield from refused(exchange)
    again = service.send(service.request(), "a call after the nested one")
    if not again.ok:
        yield again.fault(again.answer)


@tries("REQ-01", level=SHOULD)
def a_service_is_called_by_post_only(service: Service) -> Faults:
    """Answer other methods on a service with 405."""
    for method in ("GET", "PUT", "DELETE", "PATCH"):
        yield from refused(service.connection.send(method, service.path, f"{method} on a service", broken=True))


@tries_server("REQ-01", level=SHOULD)
def discovery_is_read_by_get_only(target: Target) -> Faults:
    """Answer POST on discovery with 405."""
    yield from refused(target.connection.send("POST", "/cds-services", "POST on discovery", content=b"{}", broken=True))


@tries_server("REQ-01", "DISC-07")
def an_unknown_service_is_404(target: Target) -> Faults:
    """Answer an id that discovery does not list with 404, never with an empty list of cards."""
    hook = target.any_service.hook
    body = {"hook": hook, "hookInstance": new_instance(), "context": {"userId": "Practitioner/1", "patientId": "1"}}
    path = "/cds-services/contract-kit-no-such-service"
    yield from refused(target.connection.post(path, body, "an unknown service", broken=True))
