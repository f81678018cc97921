"""A client as the trust file registers it: its identity, its keys, its rights and its FHIR servers.

A token is for one call, so a copy of a call is refused. A declared proxy (`CDS_TRUSTED_PROXIES`) gives every call an id
of its own in `X-Request-ID`, in place of whatever came in, and sends the same id when it tries the next server. The
store of used tokens holds the id beside the token; only the same token with the same id is a call sent again.
"""

from collections.abc import Mapping
from hashlib import blake2b
from ipaddress import IPv6Address, ip_address
from typing import Any, Final

from msgspec import Struct, field
from msgspec.structs import replace

from cds_hooks.dialects import DEVELOPMENT, ClientProfile, profile_for
from cds_hooks.errors import NotAllowed
from cds_hooks.security.addresses import Budgets, KeySetUrl, Reach, Url
from cds_hooks.security.keys import Keys
from cds_hooks.settings import Settings
from cds_hooks.settings.checks import Networks

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

    def may_call(self, service: str, hook: str | None = None) -> bool:
        """Return whether the client is registered for a service, and for a hook where one is given.

        A payer's service is no part of "all services": the trust file names it.
        """
        if service in PAYER_SERVICES and self.issuers and service not in self.services:
            return False
        return (not self.services or service in self.services) and (
            hook is None or not self.hooks or hook in self.hooks
        )

    def require(self, service: str, hook: str | None = None) -> None:
        """Check that the client is registered for a service and, where one is given, for a hook.

        Raises:
            NotAllowed: it is not (403).
        """
        if not self.may_call(service, hook):
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
