"""Network connections that use the IP address that was checked (protection against DNS rebinding)."""

import asyncio
import socket
import ssl
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from typing import Final

import httpcore
import httpx

from cds_hooks.security.addresses import AddressRule, address_of
from cds_hooks.security.fhir_base import OutboundRefused, Resolver

__all__ = ["CheckedBackend", "TransportRefused", "httpx", "prepare_connections", "ssl_context_for", "system_resolver"]


class TransportRefused(OutboundRefused, httpx.TransportError):
    """The same below an HTTP client, to which it is an error of the connection."""


_LOOKUPS: Final = ThreadPoolExecutor(32, thread_name_prefix="names")
"""Threads that only look up names, so that a slow name server does not delay other work in threads."""


async def system_resolver(host: str, port: int) -> Sequence[str]:
    """Returns the addresses that the operating system finds for a name.

    Raises:
        httpcore.ConnectError: it finds none.
    """
    loop = asyncio.get_running_loop()
    try:
        lookup = partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
        addresses = await loop.run_in_executor(_LOOKUPS, lookup)
    except OSError as error:
        raise httpcore.ConnectError("the name of the host is not known") from error
    return list(dict.fromkeys(str(address[4][0]) for address in addresses))


class CheckedBackend(httpcore.AsyncNetworkBackend):
    """Looks a name up once, refuses it if any of its addresses is not allowed, and connects to one of them."""

    def __init__(self, rule: AddressRule, resolver: Resolver) -> None:
        """The TLS name and the Host header stay those of the URL: httpcore takes them from the request."""
        self._rule = rule
        self._resolver = resolver
        self._network = httpcore.AnyIOBackend()
        self._lookups: dict[tuple[str, int], asyncio.Future[Sequence[str]]] = {}

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Returns a connection to an allowed address of the host.

        Raises:
            TransportRefused: one of the host's addresses is not allowed.
        """
        try:
            async with asyncio.timeout(timeout):
                addresses = await self._allowed(host, port)
                return await self._first(addresses, port, timeout, local_address, socket_options)
        except TimeoutError as error:
            raise httpcore.ConnectTimeout("no connection in time") from error

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Always refused: no client is registered with a Unix socket."""
        del path, timeout, socket_options
        raise TransportRefused("address", "Unix sockets are not connected to.")

    async def sleep(self, seconds: float) -> None:
        """Waits between two attempts of httpcore."""
        await asyncio.sleep(seconds)

    async def _allowed(self, host: str, port: int) -> Sequence[str]:
        addresses = [host] if address_of(host) is not None else await self._look_up(host, port)
        # all of them are checked: an attacker's name may have one public address and one private one
        if not addresses or not all(self._rule.allows(address) for address in addresses):
            raise TransportRefused("address", "The host's network address is not one that may be connected to.")
        return addresses

    async def _look_up(self, host: str, port: int) -> Sequence[str]:
        """Returns the addresses of a name.

        All calls that wait for the same name share one lookup, so that a slow one occupies one thread.
        """
        key = (host, port)
        lookup = self._lookups.get(key)
        if lookup is None:
            lookup = self._lookups[key] = asyncio.ensure_future(self._resolver(host, port))
            lookup.add_done_callback(lambda done: self._looked_up(key, done))
        return await asyncio.shield(lookup)

    def _looked_up(self, key: tuple[str, int], lookup: asyncio.Future[Sequence[str]]) -> None:
        del self._lookups[key]
        if not lookup.cancelled():
            lookup.exception()  # every call that waited has the result

    async def _first(
        self,
        addresses: Sequence[str],
        port: int,
        timeout: float | None,
        local_address: str | None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None,
    ) -> httpcore.AsyncNetworkStream:
        *others, last = addresses
        for address in others:
            try:
                return await self._network.connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                continue
        return await self._network.connect_tcp(last, port, timeout, local_address, socket_options)


def prepare_connections() -> None:
    """Loads what the first request to a FHIR server would load on the event loop: 25 ms of modules, 50 ms of TLS."""
    asyncio.run(httpcore.AnyIOBackend().sleep(0))  # anyio imports its part for asyncio when it is first used
    _public()


def ssl_context_for(authorities: str | None) -> ssl.SSLContext:
    """Returns the TLS context: the public certificate authorities and, where given, the site's own (PEM)."""
    return _public() if authorities is None else _believing(authorities)


@cache
def _public() -> ssl.SSLContext:
    # 20 to 50 ms and a few megabytes, and nothing in it depends on the client
    return _believing(None)


def _believing(authorities: str | None) -> ssl.SSLContext:
    context = httpx.create_ssl_context(trust_env=False)
    if authorities is not None:
        context.load_verify_locations(cadata=authorities)
    return context
