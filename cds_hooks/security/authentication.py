"""Checks what a token claims against the trust file, in the order of CDS Hooks' best practices, before any key is used.

Nothing here is secret or slow: a token without a valid signature costs as little as possible before it is refused.
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from functools import lru_cache

from cds_hooks.security.client import TrustedClient
from cds_hooks.security.token import Claims, Header, Token
from cds_hooks.security.untrusted import Untrusted
from cds_hooks.security.urls import BadUrl, parse_url

_FEEDBACK = "/feedback"


@dataclass(frozen=True, slots=True)
class Register:
    """The clients of a trust file, by what their tokens name first."""

    clients: tuple[TrustedClient, ...] = ()
    by_issuer: dict[str, tuple[TrustedClient, ...]] = field(init=False)
    origins: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        issuers = {issuer for client in self.clients for issuer in client.issuers}
        object.__setattr__(
            self, "by_issuer", {each: tuple(c for c in self.clients if each in c.issuers) for each in issuers}
        )
        object.__setattr__(self, "origins", frozenset(each for c in self.clients for each in c.cors_origins))

    def client_of(self, claims: Claims) -> TrustedClient:
        """The one client that the claims are from, if they are true; Untrusted where there is none."""
        for client in self.by_issuer.get(claims.iss, ()):
            if client.subjects and claims.sub not in client.subjects:
                continue
            if client.tenant is not None and claims.tenant != client.tenant:
                continue
            return client
        raise Untrusted("issuer")


def claimed_client(token: Token, register: Register, endpoints: Collection[str], now: float) -> TrustedClient:
    """The client that the token claims to be from; Untrusted where its header or a claim is not what that client sends.

    `endpoints` are the URLs by which the called address is known; `now` is in seconds since the epoch. The signature
    is still to be checked, with one of that client's keys.
    """
    client = register.client_of(token.claims)
    _check_header(token.header, client)
    if not any(each in endpoints or each in client.audiences for each in token.claims.aud):
        raise Untrusted("audience", client.name)
    _check_times(token.claims, client, now)
    return client


def _check_header(header: Header, client: TrustedClient) -> None:
    if header.alg not in client.algorithms:
        raise Untrusted("algorithm", client.name)
    if header.jku is not None and header.jku != client.jku:
        raise Untrusted("jku", client.name)


def _check_times(claims: Claims, client: TrustedClient, now: float) -> None:
    skew = client.budgets.skew_seconds
    if claims.exp <= now - skew:
        raise Untrusted("expired", client.name)
    if claims.iat > now + skew or (claims.nbf is not None and claims.nbf > now + skew):
        raise Untrusted("not-yet", client.name)
    if not 0 < claims.exp - claims.iat <= client.budgets.max_lifetime_seconds:
        raise Untrusted("lifetime", client.name)


@lru_cache(maxsize=1024)
def endpoints_of(public_url: str, path: str) -> frozenset[str]:
    """The URLs that a token for a call of this path may name: its own and, for feedback, its service's.

    CDS Hooks does not spell out the audience of feedback (checklist row SEC-14). On loopback the three names of this
    machine are one.
    """
    paths = {path, path.removesuffix(_FEEDBACK)}
    return frozenset(base + each for base in _spellings(public_url.rstrip("/")) for each in paths)


def _spellings(public_url: str) -> list[str]:
    try:
        url = parse_url(public_url)
    except BadUrl:
        return [public_url]
    names = ("127.0.0.1", "localhost", "::1")
    if url.host not in names:
        return [public_url]
    shown = (f"[{name}]" if ":" in name else name for name in names)
    return [f"{url.scheme}://{name}:{url.port}{url.path.rstrip('/')}" for name in shown] + [public_url]
