"""Transport and tokens, as far as they can be tried without a key of the client (`signed.py` is for the rest)."""

import base64
import hashlib
import hmac
import json
from collections.abc import Iterator
from typing import Any, Final

from cds_hooks.contract.exchange import Exchange
from cds_hooks.contract.finding import SHOULD, NotTested
from cds_hooks.contract.registry import Faults, tries, tries_server
from cds_hooks.contract.service import Service
from cds_hooks.contract.target import Target

_REFUSALS: Final = (401, 403)


@tries_server("GEN-02")
def everything_runs_over_https(target: Target) -> Faults:
    """Serve over HTTPS wherever patients' data may pass."""
    if target.connection.base.startswith("https:"):
        return
    if target.is_local:
        raise NotTested("the server runs on this machine; give its public address")
    yield target.discovery.fault("the address is http")


@tries_server("SEC-32")
def the_certificate_names_the_server(target: Target) -> Faults:
    """Serve a certificate that is in date, names this host and leads to a trusted authority."""
    if not target.connection.base.startswith("https:"):
        raise NotTested("the address is http")
    if "certificate" in target.discovery.failure.lower():
        yield target.discovery.fault(target.discovery.failure)


@tries("SEC-01", level=SHOULD)
def a_call_without_token_is_refused(service: Service) -> Faults:
    """Require a token whenever a caller could learn something about a patient."""
    if not service.connection.authenticates and service.connection.is_local:
        raise NotTested("the server runs on this machine and no token was given")
    exchange = _with_token(service, "")
    if exchange.ok:
        yield exchange.fault(exchange.answer)


@tries("SEC-02", "DISC-16")
def what_asks_for_a_token_asks_everywhere(service: Service) -> Faults:
    """Refuse a missing token on the service and on its feedback alike."""
    _needs_token(service)
    exchange = service.feedback({"feedback": []}, "feedback without token", broken=True, authenticated=False)
    if exchange.status not in (*_REFUSALS, 404, 405):
        yield exchange.fault(exchange.answer)


@tries("SEC-04")
def an_altered_token_is_refused(service: Service) -> Faults:
    """Verify the signature before anything in the token is believed."""
    header, claims, signature = _parts(service)
    yield from _refused(service, "an altered payload", _token(header, claims | {"contractKit": 1}, signature))
    yield from _refused(service, "an altered signature", _token(header, claims, signature[::-1]))


@tries("SEC-20")
def the_algorithm_none_is_refused(service: Service) -> Faults:
    """Refuse alg none in any spelling."""
    header, claims, signature = _parts(service)
    for name in ("none", "None", "nOnE"):
        yield from _refused(service, f"alg {name}", _token(header | {"alg": name}, claims, ""))
        yield from _refused(service, f"alg {name} and a signature", _token(header | {"alg": name}, claims, signature))


@tries("SEC-21")
def symmetric_algorithms_are_refused(service: Service) -> Faults:
    """Refuse HS256 and its kin: whoever knows the public key could sign."""
    header, claims, _ = _parts(service)
    signed = _token(header | {"alg": "HS256"}, claims, "").rstrip(".")
    for secret in (b"", b"secret", json.dumps(header).encode()):
        digest = hmac.new(secret, signed.encode(), hashlib.sha256).digest()
        yield from _refused(service, "alg HS256", f"{signed}.{_encoded(digest)}")


@tries("SEC-29", level=SHOULD)
def a_refusal_does_not_say_why(service: Service) -> Faults:
    """Answer every bad token with the same 401: the reason helps only those who forge."""
    header, claims, signature = _parts(service)
    tokens = ["", "no-token", _token(header | {"alg": "none"}, claims, ""), _token(header, claims, signature[::-1])]
    exchanges = [_with_token(service, token) for token in tokens]
    for exchange in exchanges[1:]:
        if exchange.status != 401 or exchange.body != exchanges[0].body:
            yield exchange.fault(f"{exchange.answer}; a missing token {exchanges[0].answer}")


def _needs_token(service: Service) -> None:
    if _with_token(service, "").status not in _REFUSALS:
        raise NotTested("the server asks for no token" if service.connection.authenticates else "no token was given")


def _refused(service: Service, what: str, token: str) -> Faults:
    exchange = _with_token(service, token, what)
    if exchange.status not in _REFUSALS:
        yield exchange.fault(exchange.answer)


def _with_token(service: Service, token: str, what: str = "no token") -> Exchange:
    headers = {"authorization": f"Bearer {token}"} if token else {}
    return service.send(service.request(), f"a call with {what}", headers=headers, authenticated=False, broken=True)


def _parts(service: Service) -> tuple[dict[str, Any], dict[str, Any], str]:
    """Header, claims and signature of the tester's token."""
    _needs_token(service)
    words = service.connection.bearer(service.path).split(".")
    if len(words) != 3:
        raise NotTested("the token that was given is no JWT")
    header, claims = (json.loads(base64.urlsafe_b64decode(f"{word}===")) for word in words[:2])
    return header, claims, words[2]


def _token(header: dict[str, Any], claims: dict[str, Any], signature: str) -> str:
    return ".".join([*_encode(header, claims), signature])


def _encode(*parts: dict[str, Any]) -> Iterator[str]:
    return (_encoded(json.dumps(part).encode()) for part in parts)


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
