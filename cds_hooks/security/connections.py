"""Connections that go to the address that was checked, not to what the name means a moment later (DNS rebinding)."""

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import cache
from typing import Final

import httpcore
import httpx

from cds_hooks.security.addresses import AddressRule
from cds_hooks.security.reach import Reach
from cds_hooks.security.refused import Refused
from cds_hooks.security.urls import address_of

Resolver = Callable[[str, int], Awaitable[Sequence[str]]]
"""The addresses of a host name, for a port."""

_MOST_CONNECTIONS: Final = 100
_KEPT_SECONDS: Final = 30.0


async def system_resolver(host: str, port: int) -> Sequence[str]:
    """The addresses that the operating system has for a name; httpcore.ConnectError where it has none."""
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise httpcore.ConnectError("the name of the host is not known") from error
    return list(dict.fromkeys(str(each[4][0]) for each in found))


class Pools:
    """One pool of connections for each way of reaching hosts: a connection is not reused under another rule."""

    def __init__(self, resolver: Resolver) -> None:
        """Nothing is opened before the first request."""
        self._resolver = resolver
        self._pools: dict[Reach, httpcore.AsyncConnectionPool] = {}

    def pool(self, reach: Reach) -> httpcore.AsyncConnectionPool:
        """The pool for hosts that are reached in this way."""
        pool = self._pools.get(reach)
        if pool is None:
            pool = self._pools[reach] = httpcore.AsyncConnectionPool(
                ssl_context=_certificates(reach.authorities),
                max_connections=_MOST_CONNECTIONS,
                keepalive_expiry=_KEPT_SECONDS,
                network_backend=CheckedBackend(reach.rule, self._resolver),
            )
        return pool

    async def aclose(self) -> None:
        """Closes every connection."""
        pools, self._pools = self._pools, {}
        for pool in pools.values():
            await pool.aclose()


class CheckedBackend(httpcore.AsyncNetworkBackend):
    """Looks a name up once, refuses it if one of its addresses is not allowed, and connects to one of these."""

    def __init__(self, rule: AddressRule, resolver: Resolver) -> None:
        """The TLS name and the Host header stay those of the URL: httpcore takes them from the request."""
        self._rule = rule
        self._resolver = resolver
        self._network = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """A connection to an allowed address of the host; Refused where one of its addresses is not allowed."""
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
        """Never: no client is registered with one."""
        del path, timeout, socket_options
        raise Refused("address", "Unix sockets are not connected to.")

    async def sleep(self, seconds: float) -> None:
        """Waits, between attempts of httpcore."""
        await asyncio.sleep(seconds)

    async def _allowed(self, host: str, port: int) -> Sequence[str]:
        addresses = [host] if address_of(host) is not None else await self._resolver(host, port)
        # all of them: a name with one public and one private address is how a check of the first is passed
        if not addresses or not all(self._rule.allows(address) for address in addresses):
            raise Refused("address", "The host's network address is not one that may be connected to.")
        return addresses

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


def _certificates(authorities: str | None) -> ssl.SSLContext:
    return _public() if authorities is None else _believing(authorities)


@cache
def _public() -> ssl.SSLContext:
    # 20 ms and a few megabytes, and nothing in it depends on the client
    return _believing(None)


def _believing(authorities: str | None) -> ssl.SSLContext:
    context = httpx.create_ssl_context(trust_env=False)
    if authorities is not None:
        context.load_verify_locations(cadata=authorities)
    return context
