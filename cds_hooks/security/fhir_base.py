"""What may be called: a registered FHIR server, by which rules, and the refusal of everything else."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Literal, NamedTuple

from msgspec import Struct, field

from cds_hooks.security.addresses import BadUrl, Reach, Url, parse_url
from cds_hooks.security.client import Budgets

RefusedReason = Literal[
    "address",
    "encoded",
    "malformed",
    "not-reading",
    "not-registered",
    "token",
    "too-large",
    "too-many",
]


class OutboundRefused(Exception):
    """A request that may not be made, or an answer that is not read; below an HTTP client a `TransportRefused`.

    `reason` is a code for logs and metrics, the text a sentence. Neither contains the address: it comes from outside
    and may contain anything.
    """

    def __init__(self, reason: RefusedReason, text: str) -> None:
        super().__init__(text)
        self.reason: RefusedReason = reason
        self.text = text


Resolver = Callable[[str, int], Awaitable[Sequence[str]]]
"""A function that gives the IP addresses of a host name for a port."""

OutboundEvent = Literal["timeout", "pool-replaced"]
CountOutbound = Callable[[str, str, OutboundEvent], None]
"""Counts an event: the client's name, `fhir` or `keys`, and what happened."""


class PoolKey(NamedTuple):
    """Identifies a pool: client, base and rules of the connection; a pool is used for no other."""

    client: str
    purpose: Literal["fhir", "keys", "login"]
    base: str
    reach: Reach


class FhirBase(Struct, frozen=True):
    """A FHIR server that may be called."""

    url: Url
    """The base URL as the call gave it, without `/` at the end: queries are relative to it."""
    registered: Url
    """The base URL as the trust file gives it: links may point below it and nowhere else."""
    reach: Reach
    budgets: Budgets = field(default_factory=Budgets)
    client: str = ""
    """The client for which it is read: connections are not shared with other clients."""
    purpose: Literal["fhir", "keys", "login"] = "fhir"
    open: bool = False
    """Whether it is read without an access token."""

    @property
    def pool_key(self) -> PoolKey:
        """The key of the connection pool that is used."""
        return PoolKey(self.client, self.purpose, str(self.registered), self.reach)

    def check(self, address: str) -> Url:
        """Returns the parts of an absolute address below the registered base; `next` links are checked in the same way.

        Raises:
            OutboundRefused: the address is malformed or not below the base.
        """
        try:
            url = parse_url(address)
        except BadUrl as error:
            raise OutboundRefused("malformed", f"The address is not called: {error}.") from error
        if not is_below(url, self.registered):
            raise OutboundRefused(
                "not-registered", "The address is not below a FHIR server registered for this client."
            )
        return url


def is_below(url: Url, base: Url) -> bool:
    """Returns whether the URL has the base's scheme, host and port, and the base's path or one below it."""
    prefix = base.path.rstrip("/")
    return url.origin == base.origin and (url.path == prefix or url.path.startswith(prefix + "/"))
