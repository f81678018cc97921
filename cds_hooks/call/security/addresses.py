"""Decides what the server may call: URL syntax, network ranges, certificates, registered FHIR servers.

A URL is parsed once, and the connection is made from the parsed parts that were compared with the trust file, so the
address that was checked is the address that is called. URLs are never normalized (escapes are not decoded, dot segments
are not removed): URL parsers differ in how they normalize, and attackers use the difference.

The ranges are those of the IANA special-purpose address registries (RFC 6890 and its updates), and of RFC 5771 and RFC
4291 for multicast. They are kept here because Python's own `is_global` differs between patch releases.
"""

import re
from collections.abc import Awaitable, Callable, Sequence
from ipaddress import AddressValueError, IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final, Literal, NamedTuple

from msgspec import Struct, field
from msgspec.structs import replace

MOST_CHARACTERS: Final = 8192
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}

# re.ASCII: without it, IGNORECASE matches the long s (U+017F) as an s
_FORM = re.compile(
    r"(?P<scheme>https?)://(?P<authority>[^/?#]+)(?P<path>/[^?#]*)?(?:\?(?P<query>[^#]*))?", re.IGNORECASE | re.ASCII
)
_AUTHORITY = re.compile(r"(?P<host>\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+)(?::(?P<port>[1-9][0-9]{0,4}))?")
_NAME = re.compile(r"(?=.{1,253}\Z)(?:[a-z0-9](?:[a-z0-9_-]{0,61}[a-z0-9])?\.)*[a-z0-9](?:[a-z0-9_-]{0,61}[a-z0-9])?")
# WHATWG calls these "ends in a number": browsers and some resolvers read them as IPv4, in whatever base
_NUMBER = re.compile(r"(?:[0-9]+|0x[0-9a-f]*)")
_SEGMENT = re.compile(r"(?:[A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2})*")
# printable, without quotes, angle brackets and the backslash; FHIR's | and servers' { } come as they are
_QUERY = re.compile(r"[!$-;=?-\[\]_a-z{|}~]*")
_CODED = re.compile(r"%([0-9A-Fa-f]{2})")
# a server that decodes these once more would see a path separator, a dot segment or another escape
_NEVER_CODED: Final = frozenset(b"./\\%;") | frozenset(range(0x20)) | {0x7F}


class BadUrl(ValueError):
    """The text is not an address that the server calls; the message is a sentence without the text itself."""


class Url(Struct, frozen=True):
    """An http or https address: lower-case scheme and host, explicit port, path from `/`, query without `?`."""

    scheme: str
    host: str
    port: int
    path: str
    query: str | None = None

    @property
    def origin(self) -> tuple[str, str, int]:
        """Scheme, host and port."""
        return self.scheme, self.host, self.port

    @property
    def authority(self) -> str:
        """Host and, unless it is the scheme's own, port: the Host header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def target(self) -> str:
        """Path and query, as they stand in a request line."""
        return self.path if self.query is None else f"{self.path}?{self.query}"

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}{self.target}"


def parse_url(text: str) -> Url:
    """Return the parts of an absolute http or https URL.

    Raises:
        BadUrl: the text is not such a URL, or two URL parsers could read it differently.
    """
    if len(text) > MOST_CHARACTERS:
        raise BadUrl(f"it is longer than {MOST_CHARACTERS} characters")
    match = _FORM.fullmatch(text)
    if match is None:
        raise BadUrl("it is not an absolute http or https address without fragment")
    authority = _AUTHORITY.fullmatch(match["authority"])
    if authority is None:
        raise BadUrl("its host or port has characters that are not allowed (no user name, no escapes)")
    scheme = match["scheme"].lower()
    port = int(authority["port"] or _DEFAULT_PORTS[scheme])
    if port > 65535:
        raise BadUrl("its port is larger than 65535")
    if match["query"] is not None and not _QUERY.fullmatch(match["query"]):
        raise BadUrl("its query has characters that have to be escaped")
    return Url(scheme, _host(authority["host"]), port, _path(match["path"] or "/"), match["query"])


def address_of(host: str) -> IPv4Address | IPv6Address | None:
    """Return the IP address where the host of a `Url` is written as one; None where it is a name."""
    try:
        return IPv6Address(host) if ":" in host else IPv4Address(host)
    except AddressValueError:
        return None


def _host(text: str) -> str:
    try:
        if text.startswith("["):
            return str(IPv6Address(text[1:-1]))
        host = text.lower()
        if _NUMBER.fullmatch(host.rpartition(".")[2]):
            return str(IPv4Address(host))
    except AddressValueError as error:
        raise BadUrl("its host is a number that is not an address in its usual form") from error
    if not _NAME.fullmatch(host):
        raise BadUrl("its host is not a name in its usual form (a dot at the end is not)")
    return host


def _path(text: str) -> str:
    segments = text[1:].split("/")
    if "" in segments[:-1]:
        raise BadUrl("its path has an empty segment")
    for segment in segments:
        if not _SEGMENT.fullmatch(segment):
            raise BadUrl("its path has characters that have to be escaped")
        if segment.partition(";")[0] in (".", ".."):
            raise BadUrl("its path has dot segments")
    if any(int(code, 16) in _NEVER_CODED for code in _CODED.findall(text)):
        raise BadUrl("its path has escaped dots, slashes, percent signs or control characters")
    return text


Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

LOOPBACK: Final = (ip_network("127.0.0.0/8"), ip_network("::1/128"))

NEVER: Final = tuple(
    ip_network(text)
    for text in (
        "0.0.0.0/8",  # this network
        "169.254.0.0/16",  # link-local: 169.254.169.254 is the metadata service of most clouds
        "100.100.100.200/32",  # metadata, Alibaba Cloud
        "168.63.129.16/32",  # host service, Azure: a public address that only the host answers
        "192.0.0.192/32",  # metadata, Oracle Cloud (classic)
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, and the broadcast address
        "::/128",  # unspecified
        "fe80::/10",  # link-local
        "fec0::/10",  # site-local, abandoned by RFC 3879
        "ff00::/8",  # multicast
        "fd00:ec2::/32",  # metadata, AWS
        "fd20:ce::/32",  # metadata, Google Cloud
    )
)
"""Ranges in which no FHIR server can be registered, not even by configuration."""

_SPECIAL: Final = (
    *LOOPBACK,
    *NEVER,
    *(
        ip_network(text)
        for text in (
            "10.0.0.0/8",
            "172.16.0.0/12",
            "192.168.0.0/16",  # private, RFC 1918
            "100.64.0.0/10",  # shared by carriers, RFC 6598
            "192.0.0.0/24",
            "192.0.2.0/24",
            "198.51.100.0/24",
            "203.0.113.0/24",  # documentation
            "192.88.99.0/24",  # 6to4 relays, RFC 7526
            "198.18.0.0/15",  # benchmarks
            "64:ff9b:1::/48",  # local translation, RFC 8215
            "100::/64",  # discarded
            "2001::/23",  # protocols: Teredo, ORCHID, benchmarks
            "2001:db8::/32",
            "3fff::/20",  # documentation
            "5f00::/16",  # segment routing
            "fc00::/7",  # private, RFC 4193
        )
    ),
)
_TRANSLATED: Final = IPv6Network("64:ff9b::/96")
_SIX_TO_FOUR: Final = IPv6Network("2002::/16")
_COMPATIBLE: Final = IPv6Network("::/96")


class AddressRule(Struct, frozen=True):
    """The addresses that connections to one host may use. Without networks: public addresses."""

    networks: tuple[Network, ...] = ()
    """Special ranges that the operator named for this client."""
    only: tuple[Network, ...] = ()
    """Where not empty, only these networks are allowed."""

    def allows(self, address: str) -> bool:
        """Return whether a connection may use this address; False for a text that is not an IP address."""
        try:
            number = ip_address(address)
        except ValueError:
            return False
        if isinstance(number, IPv6Address) and number.scope_id is not None:
            return False
        if self.only:
            return _within(number, self.only)
        return all(self._allows(meaning) for meaning in _meanings(number))

    def _allows(self, number: Address) -> bool:
        if _within(number, NEVER):
            return False
        return not _within(number, _SPECIAL) or _within(number, self.networks)


ON_LOOPBACK: Final = AddressRule(only=LOOPBACK)


def overlaps_never(network: Network) -> bool:
    """Return whether a network holds addresses that no client can be given."""
    return any(network.overlaps(never) for never in NEVER)


def _meanings(number: Address) -> list[Address]:
    """Return the address itself and the IPv4 address that routers or systems may make of it."""
    if isinstance(number, IPv4Address):
        return [number]
    if number.ipv4_mapped is not None:  # the system connects to the IPv4 address
        return [number.ipv4_mapped]
    if number in _TRANSLATED or (number in _COMPATIBLE and int(number) > 1):
        return [number, IPv4Address(int(number) & 0xFFFF_FFFF)]
    if number in _SIX_TO_FOUR:
        return [number, IPv4Address(int(number) >> 80 & 0xFFFF_FFFF)]
    return [number]


def _within(number: Address, networks: tuple[Network, ...]) -> bool:
    return any(number in network for network in networks)


class Reach(Struct, frozen=True):
    """How one host is reached: which networks are allowed and which certificates are trusted."""

    rule: AddressRule = field(default_factory=AddressRule)
    authorities: str | None = None
    """The site's own certificate authorities as PEM, trusted in addition to the public ones."""


def is_loopback(url: Url) -> bool:
    """Whether the host is this machine by its spelling: `localhost`, 127.0.0.0/8 or ::1. No name is looked up."""
    number = address_of(url.host)
    return url.host == "localhost" if number is None else any(number in network for network in LOOPBACK)


def reach_of(url: Url, given: Reach) -> Reach:
    """Return how the host of a registered URL is reached: as `given`, but a loopback host only through loopback.

    A host that is written as an IP address was registered with it, so it needs no network of its own.
    """
    if is_loopback(url):
        return replace(given, rule=ON_LOOPBACK)
    number = address_of(url.host)
    if number is None:
        return given
    return replace(given, rule=AddressRule((*given.rule.networks, ip_network(number))))


class KeySetUrl(Struct, frozen=True):
    """Where a client publishes its keys."""

    url: Url
    reach: Reach


class Budgets(Struct, frozen=True):
    """The limits that apply to one client."""

    max_lifetime_seconds: int = 3600
    """Longest accepted `exp` − `iat` (checklist row SEC-25: no more than about an hour)."""
    skew_seconds: int = 30
    """How far the client's clock may differ from ours."""
    fetch_milliseconds: int = 400
    """Time limit for everything that one call fetches from the FHIR server, together."""
    concurrency: int = 64
    """Most calls at the same time, per server process."""
    max_response_bytes: int = 10 * 1024 * 1024
    """Largest response of the FHIR server that is read."""
    max_pages: int = 20
    """Most pages of one search that are read."""
    max_requests: int = 100
    """Most requests to the FHIR server for one call."""
    calls_per_second: int = 1000
    """Most calls that begin within a second, per server process."""


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

OutboundEvent = Literal["timeout"]
CountOutbound = Callable[[str, str, OutboundEvent], None]
"""Counts an event: the client's name, `fhir` or `keys`, and what happened."""


class PoolKey(NamedTuple):
    """Identifies a pool: client, base and rules of the connection; a pool is used for no other."""

    client: str
    purpose: Literal["fhir", "keys", "login", "text"]
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
    purpose: Literal["fhir", "keys", "login", "text"] = "fhir"
    open: bool = False
    """Whether it is read without an access token."""

    @property
    def pool_key(self) -> PoolKey:
        """The key of the connection pool that is used."""
        return PoolKey(self.client, self.purpose, str(self.registered), self.reach)

    def check(self, address: str) -> Url:
        """Return the parts of an absolute address below the registered base; `next` links are checked in the same way.

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
    """Return whether the URL has the base's scheme, host and port, and the base's path or one below it."""
    prefix = base.path.rstrip("/")
    return url.origin == base.origin and (url.path == prefix or url.path.startswith(prefix + "/"))
