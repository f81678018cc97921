"""The only way to send a request: to a registered address, checked when it is called, with a limited answer.

Everything is enforced where a request leaves (`transport.py`). That, and what connects, is loaded with the first
request, or soon after the start: httpx takes 0.03 s and 4 MB, and many calls read nothing.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from msgspec import Struct, field

from cds_hooks.security.addresses import BadUrl, Reach, Url, parse_url
from cds_hooks.security.client import Budgets, KeySetUrl
from cds_hooks.security.keys import MOST_KEY_SET_BYTES

if TYPE_CHECKING:
    import httpx

    from cds_hooks.security.pools import ConnectionPools

_CONNECT_SECONDS: Final = 2.0
_KEY_SET_MILLISECONDS: Final = 3000
_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*")  # RFC 6750, section 2.1

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
        """The parts of an absolute address below the registered base; `next` links are checked in the same way.

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
    """Whether the URL has the base's scheme, host and port, and the base's path or one below it."""
    prefix = base.path.rstrip("/")
    return url.origin == base.origin and (url.path == prefix or url.path.startswith(prefix + "/"))


class OutboundClient:
    """Makes HTTP clients, each for one FHIR server; connections are kept for each client and base."""

    def __init__(self, resolver: Resolver | None = None) -> None:
        """`resolver` gives the IP addresses of a name (default: the operating system's).

        Each of them is checked, and the connection uses one of them.
        """
        self._resolver = resolver
        self._count: CountOutbound = lambda _client, _purpose, _event: None
        self._opened: ConnectionPools | None = None

    def count_with(self, count: CountOutbound) -> None:
        """Sets the function that counts timeouts and replaced pools."""
        self._count = count

    @property
    def _pools(self) -> "ConnectionPools":
        if self._opened is None:
            from cds_hooks.security.connections import system_resolver
            from cds_hooks.security.pools import ConnectionPools

            self._opened = ConnectionPools(self._resolver or system_resolver)
            self._opened.count = lambda *event: self._count(*event)
        return self._opened

    def open(
        self, base: FhirBase, token: str | None = None, headers: Mapping[str, str] | None = None
    ) -> "httpx.AsyncClient":
        """A client for one hook call, used in `async with`; paths are relative to the base.

        The token and `headers` are sent with every request to this base and to no other address. A request that may not
        be made, or whose answer is larger than the budget, raises TransportRefused.
        """
        if token is not None and not _TOKEN.fullmatch(token):
            raise OutboundRefused("token", "The access token is not one that can stand in a header.")
        from cds_hooks.security.transport import Bound, httpx

        seconds = base.budgets.fetch_milliseconds / 1000
        return httpx.AsyncClient(
            base_url=f"{base.url}/",
            transport=Bound(base, token, self._pools),
            headers={"accept": "application/fhir+json", **(headers or {})},
            timeout=httpx.Timeout(seconds, connect=min(seconds, _CONNECT_SECONDS)),
            follow_redirects=False,
            trust_env=False,
        )

    async def fetch(self, source: KeySetUrl) -> bytes:
        """The content of a key set's URL.

        Raises:
            httpx.HTTPError: it cannot be fetched.
            TimeoutError: it cannot be fetched in time.
        """
        budgets = Budgets(fetch_milliseconds=_KEY_SET_MILLISECONDS, max_response_bytes=MOST_KEY_SET_BYTES)
        base = FhirBase(source.url, source.url, source.reach, budgets, purpose="keys")
        async with asyncio.timeout(_KEY_SET_MILLISECONDS / 1000), self.open(base) as http:
            answer = await http.get(str(source.url), headers={"accept": "application/json"})
            return answer.raise_for_status().content

    async def aclose(self) -> None:
        """Closes the connections that are kept."""
        if self._opened is not None:
            await self._opened.aclose()
