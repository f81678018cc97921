"""The only way to send a request: to a registered address, checked when it is called, with a limited answer.

Everything is enforced where a request leaves (`transport.py`). That, and what connects, is loaded with the first
request, or soon after the start: httpx takes 0.03 s and 4 MB, and many calls read nothing.
"""

import asyncio
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from cds_hooks.security.client import Budgets, KeySetUrl
from cds_hooks.security.fhir_base import CountOutbound, FhirBase, OutboundRefused, Resolver
from cds_hooks.security.keys import MOST_KEY_SET_BYTES

if TYPE_CHECKING:
    import httpx

    from cds_hooks.security.pools import ConnectionPools

_CONNECT_SECONDS: Final = 2.0
_KEY_SET_MILLISECONDS: Final = 3000
_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*")  # RFC 6750, section 2.1


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
        """Returns a client for one hook call, used in `async with`; paths are relative to the base.

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
        """Returns the content of a key set's URL.

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
