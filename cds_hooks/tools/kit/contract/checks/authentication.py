"""Checks of signed tokens: good ones are accepted, and those with one thing wrong are refused."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from cds_hooks.tools.kit.contract.assertions import UNAUTHORIZED, expect_cards, expect_unauthorized
from cds_hooks.tools.kit.contract.document import SHOULD, Fault, NotTested, observe
from cds_hooks.tools.kit.contract.registry import Faults, check_server, check_service
from cds_hooks.tools.kit.contract.target import DISCOVERY, Service, Target
from cds_hooks.tools.kit.simulator.fhir_server import QuietHandler, listening
from cds_hooks.tools.kit.simulator.signing import Signer


@check_service("SEC-17", "SEC-25", "SEC-24")
def a_token_is_taken_once(service: Service) -> Faults:
    """Refuse a jti that was used, and a token without one."""
    token = _signer(service).token(service.url)
    first = service.send_with_token(token, "a token for the first time", broken=False)
    if not first.ok:
        raise NotTested(f"the good token {first.answer}")
    yield from expect_unauthorized(service.send_with_token(token, "the same token again"))
    yield from expect_token_refused(service, "without jti", without=["jti"])


@check_service("SEC-23", "SEC-05", level=SHOULD)
def only_chosen_algorithms_are_taken(service: Service) -> Faults:
    """Take the algorithm from the registration, not from the token's header."""
    signer = _signer(service)
    other_algorithms = [name for name in signer.key.algorithms if name != signer.key.algorithm]
    for name in other_algorithms:
        yield from expect_token_refused(service, f"signed with {name}", header={"alg": name})
    if not other_algorithms:
        raise NotTested(f"the key can sign with {signer.key.algorithm} only")


@check_server("DISC-16", "SEC-14")
def discovery_takes_tokens_for_discovery_only(target: Target) -> Faults:
    """Where discovery needs a token, its audience is the discovery URL."""
    signer = target.connection.signer
    if signer is None:
        raise NotTested("no key was given (--key)")
    if target.connection.get(DISCOVERY, "discovery without token", authenticated=False).ok:
        raise NotTested("discovery needs no token")
    token = signer.token(f"{target.connection.base}{target.any_service.path}")
    headers = {"authorization": f"Bearer {token}"}
    exchange = target.connection.get(
        DISCOVERY, "discovery with a token for a service", headers=headers, authenticated=False, broken=True
    )
    yield from expect_unauthorized(exchange)


def _signer(service: Service) -> Signer:
    signer = service.connection.signer
    if signer is None:
        raise NotTested("no key was given (--key)")
    if service.send_with_token("", "no token").status not in UNAUTHORIZED:
        raise NotTested("the server asks for no token")
    return signer


def expect_token_refused(service: Service, title: str, **changes: Any) -> Faults:
    """Yield a fault where a token with these changes (see `Signer.token`) is accepted."""
    token = _signer(service).token(service.url, **changes)
    yield from expect_unauthorized(service.send_with_token(token, f"a token {title}"))


def expect_token_accepted(service: Service, title: str, **changes: Any) -> Faults:
    """Yield a fault where a token with these changes is refused."""
    token = _signer(service).token(service.url, **changes)
    yield from expect_cards(service.send_with_token(token, f"a token {title}", broken=False))


@check_service("SEC-19", "SEC-04")
def a_key_inside_the_token_is_not_believed(service: Service) -> Faults:
    """Verify with registered keys only: a token that brings its own key (jwk) proves nothing."""
    stranger = _signer(service).stranger
    header = {"alg": stranger.algorithm, "jwk": stranger.public_jwk}
    yield from expect_token_refused(
        service, "with a jwk of its own and the registered kid", header=header, key=stranger
    )
    header |= {"kid": stranger.jwk["kid"]}
    yield from expect_token_refused(service, "with a jwk of its own", header=header, key=stranger)


@check_service("SEC-19", level=SHOULD)
def a_key_set_of_a_stranger_is_neither_read_nor_believed(service: Service) -> Faults:
    """Compare jku with the registered address before it is read: else whoever sends a token chooses the key."""
    stranger = _signer(service).stranger
    observe(service.fhir_host, "no host was named that the server may call: --fhir-host 127.0.0.1")
    with _serving_keys({"keys": [stranger.public_jwk]}, service.fhir_host) as keys:
        header = {"alg": stranger.algorithm, "kid": stranger.jwk["kid"], "jku": keys.url}
        yield from expect_token_refused(service, "signed by a stranger whose jku it names", header=header, key=stranger)
        if keys.reads:
            yield Fault(f"the key set that jku names was read {keys.reads} times", "", f"POST {service.path}")


@dataclass
class _KeySet:
    """Where a key set stands, and how often it was read."""

    url: str = ""
    reads: int = 0


@contextmanager
def _serving_keys(document: dict[str, Any], host: str) -> Iterator[_KeySet]:
    """Serve this JWK Set at an address of its own until the block ends; `host` as for `serving_fhir`."""
    body, keys = json.dumps(document).encode(), _KeySet()

    class Handler(QuietHandler):
        def respond(self) -> None:
            keys.reads += 1
            self.send(200, body, {"content-type": "application/json"})

    with listening(Handler, host) as origin:
        keys.url = f"{origin}/jwks.json"
        yield keys
