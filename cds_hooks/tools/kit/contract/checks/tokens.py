"""Checks of tokens: good ones are accepted, those with one thing wrong and none at all are refused."""

import base64
import hashlib
import hmac
import json
from typing import Any

from cds_hooks.tools.kit.contract.assertions import UNAUTHORIZED, expect
from cds_hooks.tools.kit.contract.document import SHOULD, Fault, NotTested, observe
from cds_hooks.tools.kit.contract.registry import Faults, check_server, check_service
from cds_hooks.tools.kit.contract.target import DISCOVERY, Service, Target
from cds_hooks.tools.kit.simulator.fhir_server import Behaviour, serving_fhir
from cds_hooks.tools.kit.simulator.signing import SigningKey, encoded


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
    public = signer.public_forms() if signer is not None else ()
    for secret in (b"", b"secret", json.dumps(header).encode(), *public):
        digest = hmac.new(secret, signed.encode(), hashlib.sha256).digest()
        yield from _refused(service, "alg HS256", f"{signed}.{encoded(digest)}")


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
    return expect("unauthorized", service.send_with_token(token, f"a call with {title}"))


def _parts(service: Service) -> tuple[dict[str, Any], dict[str, Any], str]:
    """Header, claims and signature of the tester's token."""
    _needs_token(service)
    words = service.connection.bearer(service.path).split(".")
    observe(len(words) == 3, "the token that was given is not a JWT")
    header, claims = (json.loads(base64.urlsafe_b64decode(f"{word}===")) for word in words[:2])
    return header, claims, words[2]


def _token(header: dict[str, Any], claims: dict[str, Any], signature: str) -> str:
    return ".".join([*(encoded(json.dumps(part).encode()) for part in (header, claims)), signature])


@check_service("SEC-17", "SEC-25", "SEC-24")
def a_token_is_taken_once(service: Service) -> Faults:
    """Refuse a jti that was used, and a token without one."""
    token = _signer(service).token(service.url)
    first = service.send_with_token(token, "a token for the first time", broken=False)
    observe(first.ok, f"the good token {first.answer}")
    yield from expect("unauthorized", service.send_with_token(token, "the same token again"))
    yield from expect_of_token("unauthorized", service, "without jti", without=["jti"])


@check_service("SEC-23", "SEC-05", level=SHOULD)
def only_chosen_algorithms_are_taken(service: Service) -> Faults:
    """Take the algorithm from the registration, not from the token's header."""
    signer = _signer(service)
    other_algorithms = [name for name in signer.algorithms if name != signer.algorithm]
    observe(other_algorithms, f"the key can sign with {signer.algorithm} only")
    for name in other_algorithms:
        yield from expect_of_token("unauthorized", service, f"signed with {name}", header={"alg": name})


@check_server("DISC-16", "SEC-14")
def discovery_takes_tokens_for_discovery_only(target: Target) -> Faults:
    """Where discovery needs a token, its audience is the discovery URL."""
    signer = target.connection.signer
    if signer is None:
        raise NotTested("no key was given (--key)")
    without = target.connection.get(DISCOVERY, "discovery without token", authenticated=False)
    observe(not without.ok, "discovery needs no token")
    headers = {"authorization": f"Bearer {signer.token(target.any_service.url)}"}
    title = "discovery with a token for a service"
    yield from expect("unauthorized", target.connection.get(DISCOVERY, title, headers=headers, broken=True))


def _signer(service: Service) -> SigningKey:
    if service.connection.signer is None:
        raise NotTested("no key was given (--key)")
    _needs_token(service)
    return service.connection.signer


def expect_of_token(expected: str, service: Service, title: str, **changes: Any) -> Faults:
    """Yield a fault where a token with these changes (see `SigningKey.token`) is not answered as expected."""
    token = _signer(service).token(service.url, **changes)
    exchange = service.send_with_token(token, f"a token {title}", broken=expected == "unauthorized")
    yield from expect(expected, exchange)


@check_service("SEC-19", "SEC-04")
def a_key_inside_the_token_is_not_believed(service: Service) -> Faults:
    """Verify with registered keys only: a token that brings its own key (jwk) proves nothing."""
    stranger = _signer(service).stranger
    header = {"alg": stranger.algorithm, "jwk": stranger.public_jwk}
    yield from expect_of_token(
        "unauthorized", service, "with a jwk of its own and the registered kid", header=header, key=stranger
    )
    header |= {"kid": stranger.jwk["kid"]}
    yield from expect_of_token("unauthorized", service, "with a jwk of its own", header=header, key=stranger)


@check_service("SEC-19", level=SHOULD)
def a_key_set_of_a_stranger_is_neither_read_nor_believed(service: Service) -> Faults:
    """Compare jku with the registered address before it is read: else whoever sends a token chooses the key."""
    stranger = _signer(service).stranger
    observe(service.fhir_host, "no host was named that the server may call: --fhir-host 127.0.0.1")
    key_set: dict[str, Any] = {"resourceType": "Binary", "id": "jwks", "keys": [stranger.public_jwk]}
    with serving_fhir([key_set], Behaviour(), host=service.fhir_host) as server:
        header = {"alg": stranger.algorithm, "kid": stranger.jwk["kid"], "jku": f"{server.base}/Binary/jwks"}
        yield from expect_of_token(
            "unauthorized", service, "signed by a stranger whose jku it names", header=header, key=stranger
        )
        if reads := len(server.requests):
            yield Fault(f"the key set that jku names was read {reads} times", "", f"POST {service.path}")
