"""Who may call and where this server may call: with a trust file, or without one in the development profile."""

from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path
from time import time
from typing import Final, Protocol

from cds_hooks.errors import Untrusted
from cds_hooks.logs import log
from cds_hooks.security.addresses import BadUrl, Reach, Url, is_loopback, parse_url, reach_of
from cds_hooks.security.client import ANONYMOUS, PinnedKeys, TrustedClient
from cds_hooks.security.connections import OutboundRefused
from cds_hooks.security.outbound import FhirBase, OutboundClient, is_below
from cds_hooks.security.register import WatchedTrustFile
from cds_hooks.security.replay import ReplayStore, open_replay_store
from cds_hooks.security.token import Token, bearer, claimed_client, endpoints_of, read_token
from cds_hooks.security.trust_file import ANY_NAME, RegistrableNames

Headers = Iterable[tuple[bytes, bytes]]
_DISCOVERY: Final = "/cds-services"


class Trust(Protocol):
    """What the server asks, for each call and each address."""

    development: bool
    """Whether there is no trust file: then only loopback addresses are listened on."""
    outbound: OutboundClient

    @property
    def origins(self) -> Collection[str]:
        """Origins whose browsers may call; it stays the same object and follows the file. `*` in it: any."""

    async def client_of(self, headers: Headers, path: str) -> TrustedClient:
        """Who calls this path; Untrusted (401) where the headers of the ASGI scope do not show it."""

    def may_fetch(self, client: TrustedClient, fhir_server: str) -> FhirBase:
        """The FHIR server that a call names, to be opened with `outbound`; Refused where it is not this client's."""

    async def aclose(self) -> None:
        """Closes connections and files."""


def open_trust(
    file: Path | None,
    public_url: str,
    database_url: str,
    *,
    known: RegistrableNames = ANY_NAME,
    development: TrustedClient = ANONYMOUS,
) -> Trust:
    """The trust of a file; without one the development profile, in which everyone is the client `development`.

    TrustFileError (sentences for the operator) for a file that cannot be used, ReplayStoreFailed where the store of
    used tokens cannot be opened. `public_url` is the address that tokens name; `known` is what clients can be
    registered for.
    """
    if file is None:
        return DevelopmentTrust(development)
    return FileTrust(file, public_url, open_replay_store(database_url), known)


class DevelopmentTrust:
    """Everyone on this machine is trusted, and nothing beyond this machine is called."""

    development = True

    def __init__(self, client: TrustedClient = ANONYMOUS, outbound: OutboundClient | None = None) -> None:
        """`outbound` is given by tests that resolve names themselves."""
        self._client = client
        self.outbound = outbound or OutboundClient()

    @property
    def origins(self) -> Collection[str]:
        """Any."""
        return ("*",)

    async def client_of(self, headers: Headers, path: str) -> TrustedClient:
        """The same for every call, token or not."""
        del headers, path
        return self._client

    def may_fetch(self, client: TrustedClient, fhir_server: str) -> FhirBase:
        """Any address on loopback, spelled as such; Refused for every other."""
        url = _base_url(fhir_server)
        if not is_loopback(url):
            raise OutboundRefused("not-registered", "Without a trust file only FHIR servers on loopback are read.")
        return FhirBase(url, url, reach_of(url, Reach()), client.budgets, client.name, open=True)

    async def aclose(self) -> None:
        """Closes connections."""
        await self.outbound.aclose()


class FileTrust:
    """The clients of a trust file, each call shown by a signed token."""

    development = False

    def __init__(
        self,
        file: Path,
        public_url: str,
        replays: ReplayStore,
        known: RegistrableNames = ANY_NAME,
        clock: Callable[[], float] = time,
        outbound: OutboundClient | None = None,
    ) -> None:
        """TrustFileError where the file cannot be used; `clock` gives seconds since the epoch."""
        self.outbound = outbound or OutboundClient()
        self._live = WatchedTrustFile(file, known, self.outbound.fetch)
        self._public_url = public_url
        if _is_plain(public_url):
            # checklist row GEN-02; where a proxy speaks https in front, it is its address that tokens should name
            log().warning("tokens name a plain http address", reason="public-url")
        self._replays = replays
        self._clock = clock
        self._origins = _Origins(self._live)

    @property
    def origins(self) -> Collection[str]:
        """Those of all clients, as the file has them at the moment."""
        return self._origins

    async def client_of(self, headers: Headers, path: str) -> TrustedClient:
        """The client whose key signed the one token, which is for this path and was not used before."""
        register = self._live.register()
        if path == _DISCOVERY and not self._live.discovery_needs_token:
            return ANONYMOUS
        token = read_token(bearer(headers))
        now = self._clock()
        client = claimed_client(token, register, endpoints_of(self._public_url, path), now)
        await self._check_signature(token, client)
        claims = token.claims
        if not await self._replays.first_use(claims.iss, claims.jti, claims.exp + client.budgets.skew_seconds, now):
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
            if key is None and not remote.usable:
                raise Untrusted("keys-away", client.name)
        if key is None:
            raise Untrusted("key", client.name)
        if not key.verifies(token.header.alg, token.signed, token.signature):
            raise Untrusted("signature", client.name)

    def may_fetch(self, client: TrustedClient, fhir_server: str) -> FhirBase:
        """The registered base that the address is, or is below; Refused for every other."""
        url = _base_url(fhir_server)
        for base in client.fhir:
            if is_below(url, base.url):
                return FhirBase(url, base.url, base.reach, client.budgets, client.name, open=base.open)
        raise OutboundRefused("not-registered", "The call's fhirServer is not one that is registered for this client.")

    async def aclose(self) -> None:
        """Closes connections and files."""
        self._live.cancel()
        await self.outbound.aclose()
        await self._replays.aclose()


class _Origins(Collection[str]):
    """The origins of the file as it is now; an ASGI middleware keeps the object for the life of the process."""

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
