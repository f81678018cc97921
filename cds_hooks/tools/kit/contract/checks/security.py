"""Checks of security and CORS: what a stranger gets, and what a browser of another origin may read."""

import base64
import hashlib
import hmac
import json
from typing import Any, Final

from cds_hooks.tools.kit.contract.assertions import UNAUTHORIZED, expect_unauthorized
from cds_hooks.tools.kit.contract.connection import Exchange
from cds_hooks.tools.kit.contract.document import SHOULD, NotTested
from cds_hooks.tools.kit.contract.registry import Faults, check_server, check_service
from cds_hooks.tools.kit.contract.requests import conformant_requests
from cds_hooks.tools.kit.contract.target import DISCOVERY, Service, Target


@check_server("GEN-02")
def everything_runs_over_https(target: Target) -> Faults:
    """Serve over HTTPS wherever patients' data may pass."""
    if target.connection.base.startswith("https:"):
        return
    if target.connection.is_local:
        raise NotTested("the server runs on this machine; give its public address")
    yield target.discovery.fault("the address is http")


@check_server("SEC-32")
def the_certificate_names_the_server(target: Target) -> Faults:
    """Serve a certificate that is in date, names this host and leads to a trusted authority."""
    if not target.connection.base.startswith("https:"):
        raise NotTested("the address is http")
    if "certificate" in target.discovery.failure.lower():
        yield target.discovery.fault(target.discovery.failure)


@check_service("SEC-01", level=SHOULD)
def a_call_without_token_is_refused(service: Service) -> Faults:
    """Require a token whenever a caller could learn something about a patient."""
    if not service.connection.authenticates and service.connection.is_local:
        raise NotTested("the server runs on this machine and no token was given")
    exchange = service.send_with_token("", "a call with no token")
    if exchange.ok:
        yield exchange.fault(exchange.answer)


@check_service("SEC-02", "DISC-16")
def what_asks_for_a_token_asks_everywhere(service: Service) -> Faults:
    """Refuse a missing token on the service and on its feedback alike."""
    _needs_token(service)
    exchange = service.feedback({"feedback": []}, "feedback without token", broken=True, authenticated=False)
    if exchange.status not in (*UNAUTHORIZED, 404, 405):
        yield exchange.fault(exchange.answer)


@check_service("SEC-04")
def an_altered_token_is_refused(service: Service) -> Faults:
    """Verify the signature before anything in the token is believed."""
    header, claims, signature = _parts(service)
    yield from _refused(service, "an altered payload", _token(header, claims | {"contractKit": 1}, signature))
    yield from _refused(service, "an altered signature", _token(header, claims, signature[::-1]))


@check_service("SEC-20")
def the_algorithm_none_is_refused(service: Service) -> Faults:
    """Refuse alg none in any spelling."""
    header, claims, signature = _parts(service)
    for name in ("none", "None", "nOnE"):
        yield from _refused(service, f"alg {name}", _token(header | {"alg": name}, claims, ""))
        yield from _refused(service, f"alg {name} and a signature", _token(header | {"alg": name}, claims, signature))


@check_service("SEC-21")
def symmetric_algorithms_are_refused(service: Service) -> Faults:
    """Refuse HS256 and its kin: whoever knows the public key could sign."""
    header, claims, _ = _parts(service)
    signed = _token(header | {"alg": "HS256"}, claims, "").rstrip(".")
    signer = service.connection.signer
    # The classic: the library is handed the public key, and takes it for the secret.
    public = signer.key.public_forms() if signer is not None else ()
    for secret in (b"", b"secret", json.dumps(header).encode(), *public):
        digest = hmac.new(secret, signed.encode(), hashlib.sha256).digest()
        yield from _refused(service, "alg HS256", f"{signed}.{_encoded(digest)}")


@check_service("SEC-29", level=SHOULD)
def a_refusal_does_not_say_why(service: Service) -> Faults:
    """Answer every bad token with the same 401: the reason helps only those who forge."""
    header, claims, signature = _parts(service)
    tokens = ["", "no-token", _token(header | {"alg": "none"}, claims, ""), _token(header, claims, signature[::-1])]
    exchanges = [service.send_with_token(token, "a call with no token") for token in tokens]
    for exchange in exchanges[1:]:
        if exchange.status != 401 or exchange.body != exchanges[0].body:
            yield exchange.fault(f"{exchange.answer}; a missing token {exchanges[0].answer}")


def _needs_token(service: Service) -> None:
    if service.send_with_token("", "a call with no token").status not in UNAUTHORIZED:
        raise NotTested("the server asks for no token" if service.connection.authenticates else "no token was given")


def _refused(service: Service, title: str, token: str) -> Faults:
    return expect_unauthorized(service.send_with_token(token, f"a call with {title}"))


def _parts(service: Service) -> tuple[dict[str, Any], dict[str, Any], str]:
    """Header, claims and signature of the tester's token."""
    _needs_token(service)
    words = service.connection.bearer(service.path).split(".")
    if len(words) != 3:
        raise NotTested("the token that was given is not a JWT")
    header, claims = (json.loads(base64.urlsafe_b64decode(f"{word}===")) for word in words[:2])
    return header, claims, words[2]


def _token(header: dict[str, Any], claims: dict[str, Any], signature: str) -> str:
    return ".".join([*(_encoded(json.dumps(part).encode()) for part in (header, claims)), signature])


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


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
    if first.headers.get(_ALLOWED) not in ("*", target.origin):
        raise NotTested(f"discovery does not serve browsers from {target.origin}")
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
