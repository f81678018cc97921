"""Decides who may call and which addresses this server may call: by a trust file, or in the development profile."""

import asyncio
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path
from secrets import token_hex
from time import time
from typing import TYPE_CHECKING, Final, Protocol

from cds_hooks.errors import Untrusted
from cds_hooks.logs import log
from cds_hooks.security.addresses import (
    BadUrl,
    CountOutbound,
    FhirBase,
    OutboundRefused,
    Reach,
    Url,
    is_below,
    is_loopback,
    parse_url,
    reach_of,
)
from cds_hooks.security.client import ANONYMOUS, PinnedKeys, ProxiedCall, TrustedClient
from cds_hooks.security.register import LOOK_SECONDS, WatchedTrustFile
from cds_hooks.security.replay import ReplayStore, open_replay_store
from cds_hooks.security.token import Token, bearer, claimed_client, endpoints_of, read_token
from cds_hooks.security.trust_file import ANY_NAME, RegistrableNames

if TYPE_CHECKING:
    from cds_hooks.security.outbound import OutboundClient

Headers = Iterable[tuple[bytes, bytes]]
_DISCOVERY: Final = "/cds-services"


class Trust(Protocol):
    """The decisions that the server asks for: who calls, and whether an address may be called."""

    development: bool
    """Whether there is no trust file: the server then listens on loopback addresses only."""

    @property
    def outbound(self) -> "OutboundClient":
        """The client for requests to other servers, made with the first of them."""

    def count_outbound_with(self, count: CountOutbound) -> None:
        """Set the function that counts timeouts and replaced pools of outbound connections."""

    @property
    def origins(self) -> Collection[str]:
        """The origins whose browsers may call; `*` among them means any. The same object follows the file."""

    @property
    def clients(self) -> tuple[TrustedClient, ...]:
        """The clients that are registered now."""

    async def client_of(self, headers: Headers, path: str, call: ProxiedCall | None = None) -> TrustedClient:
        """Return the client that calls this path, from the headers of the ASGI scope.

        Where a proxy sends the same `call` again, its token is taken again, and the call is noted as repeated.

        Raises:
            Untrusted: the headers do not identify one (401).
        """

    def may_fetch(self, client: TrustedClient, fhir_server: str) -> FhirBase:
        """Return the FHIR server that a call names, to be opened with `outbound`.

        Raises:
            OutboundRefused: it is not registered for this client.
        """

    async def keep_looking(self) -> None:
        """Follows the file also where nobody calls, so that the log says at once what became of it; until cancelled."""

    async def check(self) -> None:
        """ReplayStoreFailed where no call with a token could be answered."""

    async def aclose(self) -> None:
        """Close connections and files."""


def open_trust(
    file: Path | None,
    public_url: str,
    database_url: str,
    *,
    registrable: RegistrableNames = ANY_NAME,
    development: TrustedClient = ANONYMOUS,
) -> Trust:
    """Return the trust of a file; without a file, that of the development profile.

    In the development profile every caller is the client `development`. `public_url` is the address that tokens name;
    `registrable` is what clients can be registered for.

    Raises:
        TrustFileError: the file cannot be used; its message is made of sentences for the operator.
        ReplayStoreFailed: the store of used tokens cannot be opened.
    """
    if file is None:
        return DevelopmentTrust(development)
    return FileTrust(file, public_url, open_replay_store(database_url), registrable)


class _Outbound:
    """Holds the client for outbound requests. httpx takes 0.03 s and 4 MB, and many calls read nothing."""

    def __init__(self, outbound: "OutboundClient | None") -> None:
        """`outbound` is given by tests that resolve names themselves."""
        self._outbound = outbound
        self._count: CountOutbound = lambda _client, _purpose, _event: None

    @property
    def outbound(self) -> "OutboundClient":
        """The client, made with the first request."""
        if self._outbound is None:
            from cds_hooks.security.outbound import OutboundClient

            self._outbound = OutboundClient()
            self._outbound.count_with(self._count)
        return self._outbound

    def count_outbound_with(self, count: CountOutbound) -> None:
        """Set the function that counts timeouts and replaced pools of outbound connections."""
        self._count = count

    async def aclose(self) -> None:
        """Close connections."""
        if self._outbound is not None:
            await self._outbound.aclose()


class DevelopmentTrust(_Outbound):
    """The development profile: every caller is trusted, and only addresses on this machine are called."""

    development = True

    def __init__(self, client: TrustedClient = ANONYMOUS, outbound: "OutboundClient | None" = None) -> None:
        super().__init__(outbound)
        self._client = client

    @property
    def origins(self) -> Collection[str]:
        """Any."""
        return ("*",)

    async def client_of(self, headers: Headers, path: str, call: ProxiedCall | None = None) -> TrustedClient:
        """Return the one client of the development profile, whatever token the call has."""
        del headers, path, call
        return self._client

    @property
    def clients(self) -> tuple[TrustedClient, ...]:
        """The one client of the development profile."""
        return (self._client,)

    def may_fetch(self, client: TrustedClient, fhir_server: str) -> FhirBase:
        """Return the FHIR server at a loopback address.

        Raises:
            OutboundRefused: the host is not written as a loopback address or `localhost`.
        """
        url = _base_url(fhir_server)
        if not is_loopback(url):
            raise OutboundRefused("not-registered", "Without a trust file only FHIR servers on loopback are read.")
        return FhirBase(url, url, reach_of(url, Reach()), client.budgets, client.name, open=True)

    async def keep_looking(self) -> None:
        """There is no file to follow."""

    async def check(self) -> None:
        """Call need no token."""


class FileTrust(_Outbound):
    """The trust of a trust file: a client is identified by the signed token of each call."""

    development = False

    def __init__(
        self,
        file: Path,
        public_url: str,
        replays: ReplayStore,
        registrable: RegistrableNames = ANY_NAME,
        clock: Callable[[], float] = time,
        outbound: "OutboundClient | None" = None,
    ) -> None:
        """`clock` gives seconds since the epoch.

        Raises:
            TrustFileError: the file cannot be used.
        """
        super().__init__(outbound)
        self._live = WatchedTrustFile(file, registrable, lambda source: self.outbound.fetch(source))
        self._public_url = public_url
        if _is_plain(public_url):
            # checklist row GEN-02: behind a proxy that serves https, tokens should name the proxy's address
            log().warning("tokens name a plain http address", reason="public-url")
        self._replays = replays
        self._clock = clock
        self._origins = _Origins(self._live)

    @property
    def origins(self) -> Collection[str]:
        """The origins of all clients of the current file."""
        return self._origins

    @property
    def clients(self) -> tuple[TrustedClient, ...]:
        """The clients of the current file."""
        return self._live.register().clients

    async def keep_looking(self) -> None:
        """Look at the file twice a second until cancelled."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            self._live.register()

    async def client_of(self, headers: Headers, path: str, call: ProxiedCall | None = None) -> TrustedClient:
        """Return the client whose key signed the call's token, which is for this path and was not used before.

        The token of a `call` that a proxy sends again is taken again.

        Raises:
            Untrusted: there is no such token (401).
        """
        register = self._live.register()
        if path == _DISCOVERY and not self._live.discovery_needs_token:
            return self._live.anonymous
        token = read_token(bearer(headers))
        now = self._clock()
        client = claimed_client(token, register, endpoints_of(self._public_url, path), now)
        await self._check_signature(token, client)
        claims = token.claims
        until = claims.exp + client.budgets.skew_seconds
        call_id = call.id if call is not None else ""
        is_first = await self._replays.first_use(claims.iss, claims.jti, until, now, call_id)
        if not is_first and call is not None:
            is_first = call.is_repeated = await self._replays.was_used_by(claims.iss, claims.jti, call_id)
        if not is_first:
            raise Untrusted("replayed", client.name)
        return client

    async def _check_signature(self, token: Token, client: TrustedClient) -> None:
        kid = token.header.kid
        source = client.key_source
        if isinstance(source, PinnedKeys):
            key = source.keys.by_kid.get(kid)
        else:
            remote = self._live.remote_keys(source)
            key = remote.key(kid) or await remote.key_after_fetching(kid)
            if not remote.usable:
                raise Untrusted("keys-away", client.name)
        if key is None:
            raise Untrusted("key", client.name)
        if not key.verifies(token.header.alg, token.signed, token.signature):
            raise Untrusted("signature", client.name)

    def may_fetch(self, client: TrustedClient, fhir_server: str) -> FhirBase:
        """Return the registered base that equals the address or lies above it.

        Raises:
            OutboundRefused: there is none for this client.
        """
        url = _base_url(fhir_server)
        for base in client.fhir:
            if is_below(url, base.url):
                return FhirBase(url, base.url, base.reach, client.budgets, client.name, open=base.open)
        raise OutboundRefused("not-registered", "The call's fhirServer is not one that is registered for this client.")

    async def check(self) -> None:
        """Note one token of our own as used: what every call with a token needs.

        Raises:
            ReplayStoreFailed: The store of used tokens cannot be written.
        """
        now = time()
        await self._replays.first_use("readyz", token_hex(16), now + 60, now)

    async def aclose(self) -> None:
        """Close connections and files."""
        self._live.cancel()
        await super().aclose()
        await self._replays.aclose()


class _Origins(Collection[str]):
    """The origins of the current file. An ASGI middleware keeps this object for the life of the process."""

    def __init__(self, live: WatchedTrustFile) -> None:
        self._live = live

    def __contains__(self, origin: object) -> bool:
        return origin in self._live.register().origins

    def __iter__(self) -> Iterator[str]:
        return iter(self._live.register().origins)

    def __len__(self) -> int:
        return len(self._live.register().origins)


def _is_plain(public_url: str) -> bool:
    try:
        url = parse_url(public_url)
    except BadUrl:
        return False
    return url.scheme == "http" and not is_loopback(url)


def _base_url(fhir_server: str) -> Url:
    try:
        url = parse_url(fhir_server)
    except BadUrl as error:
        raise OutboundRefused("malformed", f"The call's fhirServer is not called: {error}.") from error
    if url.query is not None:
        raise OutboundRefused("malformed", "The call's fhirServer is not called: it has a query.")
    return Url(url.scheme, url.host, url.port, url.path.rstrip("/"))
