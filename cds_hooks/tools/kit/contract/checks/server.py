"""Checks of the whole server: discovery, addresses and methods that it has not, its certificate, and CORS."""

import json
from collections import Counter
from typing import Any, Final

from cds_hooks.tools.kit.contract.connection import Exchange, Purpose
from cds_hooks.tools.kit.contract.definitions import HOOKS
from cds_hooks.tools.kit.contract.document import SHOULD, observe
from cds_hooks.tools.kit.contract.registry import Faults, check_server
from cds_hooks.tools.kit.contract.requests import conformant_requests
from cds_hooks.tools.kit.contract.target import DISCOVERY, Target


@check_server("DISC-01", "DISC-14")
def discovery_answers_get_with_200(target: Target) -> Faults:
    """Serve discovery by GET at {baseUrl}/cds-services with status 200, also behind a proxy's prefix."""
    if target.discovery.status != 200:
        yield target.discovery.fault(target.discovery.answer)


@check_server("DISC-01", level=SHOULD)
def discovery_is_the_same_twice(target: Target) -> Faults:
    """Answer discovery from what is configured, so that two reads of an unchanged server agree."""
    target.observe_discovery()
    first, second = target.discovery, target.connection.get(DISCOVERY, "discovery again", Purpose.DISCOVERY)
    if first.document.value is not None and first.document.value != second.document.value:
        yield second.fault("the second answer differs from the first")


@check_server("DISC-13", "DISC-07")
def an_id_answers_every_hook_it_is_listed_for(target: Target) -> Faults:
    """Route by hook and id together: a registry keyed by id alone loses all entries but one."""
    listed = Counter(service.id for service in target.services)
    shared = [service for service in target.services if listed[service.id] > 1 and service.hook in HOOKS]
    observe(shared, "no id is listed for several hooks")
    for service in shared:
        if service.calls and not any(call.exchange.ok for call in service.calls):
            yield service.calls[0].exchange.fault(f"no call was accepted: {service.calls[0].exchange.answer}")


_HUGE_MEGABYTES: Final = 50


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


@check_server("GEN-02")
def everything_runs_over_https(target: Target) -> Faults:
    """Serve over HTTPS wherever patients' data may pass."""
    if target.connection.base.startswith("https:"):
        return
    observe(not target.connection.is_local, "the server runs on this machine; give its public address")
    yield target.discovery.fault("the address is http")


@check_server("SEC-32")
def the_certificate_names_the_server(target: Target) -> Faults:
    """Serve a certificate that is in date, names this host and leads to a trusted authority."""
    observe(target.connection.base.startswith("https:"), "the address is http")
    if "certificate" in target.discovery.failure.lower():
        yield target.discovery.fault(target.discovery.failure)


_STRANGER: Final = "https://contract-kit-attacker.example"
_ALLOWED: Final = "access-control-allow-origin"


@check_server("CORS-02", "CORS-01", level=SHOULD)
def a_preflight_is_answered(target: Target) -> Faults:
    """If browsers may call: answer OPTIONS before authentication, allow POST, Authorization and Content-Type."""
    target.observe_discovery()
    for path, method in _addresses(target):
        exchange = _preflight(target, path, method, target.origin)
        # GET and POST need no mention in access-control-allow-methods (Fetch standard).
        listed = exchange.headers.get("access-control-allow-headers", "").lower().replace(" ", "").split(",")
        if not exchange.ok:
            yield exchange.fault(exchange.answer)
        elif exchange.headers.get(_ALLOWED) not in ("*", target.origin):
            yield exchange.fault(f"{target.origin} is not allowed")
        elif "authorization" not in listed:
            yield exchange.fault("the header authorization is not allowed")
        elif not {"content-type", "*"} & set(listed):
            yield exchange.fault("the header content-type is not allowed")


@check_server("CORS-01")
def no_origin_is_trusted_with_credentials(target: Target) -> Faults:
    """Never allow credentials together with any origin, neither by * nor by echoing the origin that asks."""
    target.observe_discovery()
    for path, method in _addresses(target):
        for exchange in (
            _preflight(target, path, method, _STRANGER),
            target.connection.get(path, "GET with an unlisted origin", headers={"origin": _STRANGER}),
        ):
            credentials = exchange.headers.get("access-control-allow-credentials", "").lower() == "true"
            if credentials and exchange.headers.get(_ALLOWED) in ("*", _STRANGER):
                yield exchange.fault(f"{exchange.headers.get(_ALLOWED)} is allowed with credentials")


@check_server("CORS-03", level=SHOULD)
def cors_headers_stand_on_every_answer(target: Target) -> Faults:
    """Send CORS headers with POST, 4xx and 5xx too: else a browser shows its user a network error."""
    origin = {"origin": target.origin}
    first = target.connection.get(DISCOVERY, "discovery from a browser", headers=origin)
    serves_browsers = first.headers.get(_ALLOWED) in ("*", target.origin)
    observe(serves_browsers, f"discovery does not serve browsers from {target.origin}")
    service = target.any_service
    # Made without a call that was answered: where a token is asked for and none was given there is no such call.
    _, request = next(conformant_requests(service.entry, target.charts[0], target.as_of))
    foreign = origin | {"authorization": "Bearer contract-kit.no.token"}
    unknown = f"{DISCOVERY}/contract-kit-no-such-service"
    alone: dict[str, Any] = {"headers": foreign, "authenticated": False, "broken": True}
    without: dict[str, Any] = {"headers": origin, "authenticated": False, "broken": target.connection.authenticates}
    for exchange in (
        service.send(request, "a call from a browser", headers=origin),
        service.send_as_is(b"{", "a broken call from a browser", headers=origin, broken=True),
        service.send(request, "a call from a browser without a token", **without),
        service.send(request, "a call from a browser with a token of nobody", **alone),
        service.feedback({"feedback": []}, "feedback from a browser with a token of nobody", **alone),
        target.connection.get(unknown, "an unknown service", headers=origin),
    ):
        if exchange.status and exchange.headers.get(_ALLOWED) not in ("*", target.origin):
            yield exchange.fault(f"answered {exchange.status} without {_ALLOWED}")


def _addresses(target: Target) -> list[tuple[str, str]]:
    return [(DISCOVERY, "GET"), *((service.path, "POST") for service in target.services[:1])]


def _preflight(target: Target, path: str, method: str, origin: str) -> Exchange:
    headers = {
        "origin": origin,
        "access-control-request-method": method,
        "access-control-request-headers": "authorization, content-type",
    }
    return target.connection.send("OPTIONS", path, f"preflight from {origin}", headers=headers, authenticated=False)
