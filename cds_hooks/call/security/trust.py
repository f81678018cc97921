"""Who calls and which addresses this server may call: registered clients, and the trust that tells them.

A token is for one call, so a copy of a call is refused. A declared proxy (`CDS_TRUSTED_PROXIES`) gives every call an id
of its own in `X-Request-ID`, in place of whatever came in, and sends the same id when it tries the next server. The
store of used tokens holds the id beside the token; only the same token with the same id is a call sent again.
"""

from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, datetime
from hashlib import blake2b
from ipaddress import IPv6Address, ip_address
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

from msgspec import Struct, field
from msgspec.structs import replace

from cds_hooks.call.dialects import DEVELOPMENT, ClientProfile, profile_for
from cds_hooks.call.security.addresses import (
    BadUrl,
    Budgets,
    CountOutbound,
    FhirBase,
    KeySetUrl,
    OutboundRefused,
    Reach,
    Url,
    is_loopback,
    parse_url,
    reach_of,
)
from cds_hooks.call.security.keys import Keys
from cds_hooks.errors import NotAllowed
from cds_hooks.settings import Settings
from cds_hooks.settings.checks import Networks

if TYPE_CHECKING:
    from cds_hooks.call.security.outbound import OutboundClient

ANY: Final = frozenset[str]()
"""The empty set of hooks, services or subjects: no restriction."""
NO_SERVICE: Final = frozenset({""})
"""The services of a client that may call none: no service has the empty id."""

DEFAULT_ALGORITHMS: Final = ("ES384", "RS384")
"""What CDS Hooks recommends (checklist row SEC-22)."""


class RegisteredBase(Struct, frozen=True):
    """A FHIR base URL of the trust file."""

    url: Url
    reach: Reach
    open: bool = False
    """Whether it is read without an access token, as a test server without authorization is."""


class PinnedKeys(Struct, frozen=True):
    """Keys that were exchanged out of band."""

    keys: Keys = field(default_factory=Keys)


PAYER_SERVICES: Final = frozenset({"coverage-requirements"})
"""Services of payers: a client of the trust file has them where it names them."""


class HasId(Protocol):
    """What the trust file names by its id."""

    @property
    def id(self) -> str:
        """The id."""


_Named = TypeVar("_Named", bound=HasId)


class TrustedClient(Struct, frozen=True):
    """One `[[client]]` of the trust file. A set that is empty does not restrict."""

    name: str
    issuers: frozenset[str] = ANY
    subjects: frozenset[str] = ANY
    tenant: str | None = None
    key_source: KeySetUrl | PinnedKeys = field(default_factory=PinnedKeys)
    jku: str | None = None
    """The `jku` that the token's header may name; it is compared and never fetched."""
    algorithms: frozenset[str] = frozenset(DEFAULT_ALGORITHMS)
    audiences: frozenset[str] = ANY
    """Values of `aud` that are accepted in addition to the URL that is called."""
    fhir: tuple[RegisteredBase, ...] = ()
    fhir_client_id: str | None = None
    """Our id at the client's authorization server: `fhirAuthorization.subject` must be it, where it is set."""
    smart_client_id: str | None = None
    """Our id there as a SMART app: an EHR launch from this client's FHIR servers is taken where it is set."""
    smart_origins: frozenset[str] = ANY
    """Origins beside those of `fhir` at which its authorization server may be."""
    hooks: frozenset[str] = ANY
    services: frozenset[str] = ANY
    cors_origins: frozenset[str] = ANY
    profile: ClientProfile = DEVELOPMENT
    """What the client supports: dialect, version of CDS Hooks, hosts of links, override reasons."""
    budgets: Budgets = field(default_factory=Budgets)

    def may_call(self, names: Collection[str], hook: str | None = None) -> bool:
        """Return whether the client is registered for a service, and for a hook where one is given.

        `names` are the id of the service and those of its advisors: the trust file may name either. A payer's service
        does not belong to "all services": the trust file names it.
        """
        if self.issuers and PAYER_SERVICES.intersection(names) and self.services.isdisjoint(names):
            return False
        return (not self.services or not self.services.isdisjoint(names)) and (
            hook is None or not self.hooks or hook in self.hooks
        )

    def permitted(self, service: str, advisors: "tuple[_Named, ...]") -> "tuple[_Named, ...]":
        """Return those of the advisors of a service that the client is registered for."""
        if not self.services or service in self.services:
            return advisors
        return tuple(advisor for advisor in advisors if advisor.id in self.services)

    def require(self, names: Collection[str], hook: str | None = None) -> None:
        """Check that the client is registered for a service and, where one is given, for a hook.

        Raises:
            NotAllowed: it is not (403).
        """
        if not self.may_call(names, hook):
            raise NotAllowed("This client is not registered for this service or hook.")


ANONYMOUS: Final = TrustedClient(name=DEVELOPMENT.name, budgets=Budgets(concurrency=10_000, calls_per_second=100_000))
"""Every caller in the development profile."""


def development_client(configured: Settings) -> TrustedClient:
    """Return the one client of a server without a trust file."""
    profile = profile_for(
        DEVELOPMENT.name,
        configured.dialect,
        version=configured.protocol_version,
        link_hosts=configured.link_hosts,
        action_selection_behavior=configured.action_selection_behavior,
    )
    return replace(ANONYMOUS, profile=profile)


_HEADER: Final = b"x-request-id"
_LONGEST: Final = 200


class ProxiedCall:
    """The id that a declared proxy gave a call, and whether the call was sent before."""

    __slots__ = ("fingerprint", "id", "is_repeated")

    def __init__(self, call_id: str, authorization: bytes) -> None:
        self.id = call_id
        self.is_repeated = False
        self.fingerprint = blake2b(call_id.encode() + b"\n" + authorization, digest_size=6).digest()
        """Six bytes of the id and the token, by which the decision of the call is found."""


def proxied_call(scope: Mapping[str, Any], proxies: Networks) -> ProxiedCall | None:
    """Return the call by the id of its proxy; None where it came from no declared proxy, or with no id or several."""
    peer = scope.get("client")
    if not proxies or not peer or not is_proxy(peer[0], proxies):
        return None
    headers = scope["headers"]
    ids = [value.decode("latin-1") for name, value in headers if name == _HEADER]
    if len(ids) != 1 or not 0 < len(ids[0]) <= _LONGEST:
        return None
    return ProxiedCall(ids[0], dict(headers).get(b"authorization", b""))


def is_proxy(address: str, proxies: Networks) -> bool:
    """Return whether the address is in one of these networks; IPv4 counts in the form of IPv6, too."""
    try:
        number = ip_address(address)
    except ValueError:
        return False
    if isinstance(number, IPv6Address) and number.ipv4_mapped is not None:
        number = number.ipv4_mapped
    return any(number in network for network in proxies)


Headers = Iterable[tuple[bytes, bytes]]


class RegistrableNames(Struct, frozen=True):
    """The hooks and services that a client can be registered for; an empty collection is not checked."""

    services: Collection[str] = ()
    hooks: Collection[str] = ()


ANY_NAME: Final = RegistrableNames()


class TrustFileState(Struct, frozen=True):
    """Which version of the trust file is in force, and whether a newer one has mistakes. Times are epoch seconds."""

    in_force_since: float
    refused_at: float = 0.0
    problems: tuple[str, ...] = ()
    clients: tuple[str, ...] = ()
    """The clients whose new entries have mistakes: they keep what is left of their last good ones."""

    @property
    def sentence(self) -> str:
        """What an operator has to know; "" where the file is in force as it is."""
        if not self.problems:
            return ""
        refused, good = (datetime.fromtimestamp(at, UTC) for at in (self.refused_at, self.in_force_since))
        at, since = refused.strftime("%H:%M:%S"), good.strftime("%Y-%m-%d %H:%M:%S")
        if self.clients:
            return (
                f"The trust file of {at} UTC has mistakes in {len(self.clients)} of its clients: they keep what is "
                f"left of their entries of {since} UTC, and all other entries are in force. `cds-hooks trust` "
                "lists the mistakes."
            )
        return (
            f"The trust file of {at} UTC is refused; that of {since} UTC is in force. "
            "`cds-hooks trust` lists the mistakes."
        )


class Trust(Protocol):
    """The decisions that the server asks for: who calls, and whether an address may be called."""

    development: bool
    """Whether there is no trust file: the server then listens on loopback addresses only."""

    @property
    def outbound(self) -> "OutboundClient":
        """The client for requests to other servers, made with the first of them."""

    def count_outbound_with(self, count: CountOutbound) -> None:
        """Set the function that counts timeouts of outbound requests."""

    @property
    def origins(self) -> Collection[str]:
        """The origins whose browsers may call; `*` among them means any. The same object follows the file."""

    @property
    def clients(self) -> tuple[TrustedClient, ...]:
        """The clients that are registered now."""

    @property
    def state(self) -> TrustFileState | None:
        """Which version of the trust file is in force; None where there is no trust file."""

    @property
    def key_set_fault(self) -> str:
        """A sentence where key sets of clients cannot be fetched, else ""."""

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
        """Follows the file also where nobody calls, so that the log says at once what became of it; until canceled."""

    async def check(self) -> None:
        """ReplayStoreFailed where no call with a token could be answered."""

    async def aclose(self) -> None:
        """Close connections and files."""


class OutboundTrust:
    """Holds the client for outbound requests. httpx takes 0.03 s and 4 MB, and many calls read nothing."""

    def __init__(self, outbound: "OutboundClient | None") -> None:
        """`outbound` is given by tests that resolve names themselves."""
        self._outbound = outbound
        self._count: CountOutbound = lambda _client, _purpose, _event: None

    @property
    def outbound(self) -> "OutboundClient":
        """The client, made with the first request."""
        if self._outbound is None:
            from cds_hooks.call.security.outbound import OutboundClient

            self._outbound = OutboundClient()
            self._outbound.count_with(self._count)
        return self._outbound

    def count_outbound_with(self, count: CountOutbound) -> None:
        """Set the function that counts timeouts of outbound requests."""
        self._count = count

    async def aclose(self) -> None:
        """Close connections."""
        if self._outbound is not None:
            await self._outbound.aclose()


class DevelopmentTrust(OutboundTrust):
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

    @property
    def state(self) -> None:
        """Nothing: there is no trust file."""
        return

    @property
    def key_set_fault(self) -> str:
        """Nothing: no key is asked for."""
        return ""

    def may_fetch(self, client: TrustedClient, fhir_server: str) -> FhirBase:
        """Return the FHIR server at a loopback address.

        Raises:
            OutboundRefused: the host is not written as a loopback address or `localhost`.
        """
        url = base_url(fhir_server)
        if not is_loopback(url):
            raise OutboundRefused("not-registered", "Without a trust file only FHIR servers on loopback are read.")
        return FhirBase(url, url, reach_of(url, Reach()), client.budgets, client.name, open=True)

    async def keep_looking(self) -> None:
        """There is no file to follow."""

    async def check(self) -> None:
        """Call need no token."""


def base_url(fhir_server: str) -> Url:
    """Return the address of a call's FHIR server without a slash at its end; OutboundRefused where it is none."""
    try:
        url = parse_url(fhir_server)
    except BadUrl as error:
        raise OutboundRefused("malformed", f"The call's fhirServer is not called: {error}.") from error
    if url.query is not None:
        raise OutboundRefused("malformed", "The call's `fhirServer` must not have a query; nothing was read from it.")
    return Url(url.scheme, url.host, url.port, url.path.rstrip("/"))
