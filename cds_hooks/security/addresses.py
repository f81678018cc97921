"""Which network addresses a connection may go to: the public ones, and of the others only what a client was given.

Ranges from the IANA special-purpose address registries (RFC 6890 and its updates) and from RFC 5771 and RFC 4291 for
multicast. Carried here because Python's own `is_global` differs from one patch release to the next.
"""

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

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
"""Nobody's FHIR server: not to be had by configuration either."""

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


@dataclass(frozen=True, slots=True)
class AddressRule:
    """Where connections for one host may go. Without networks: to public addresses."""

    networks: tuple[Network, ...] = ()
    """Special ranges that the operator named for this client."""
    only: tuple[Network, ...] = ()
    """Where not empty: nowhere else than here."""

    def allows(self, address: str) -> bool:
        """Whether a connection may go to this address; what is no address is not allowed."""
        try:
            number = ip_address(address)
        except ValueError:
            return False
        if isinstance(number, IPv6Address) and number.scope_id is not None:
            return False
        if self.only:
            return _within(number, self.only)
        return all(self._allows(each) for each in _meanings(number))

    def _allows(self, number: Address) -> bool:
        if _within(number, NEVER):
            return False
        return not _within(number, _SPECIAL) or _within(number, self.networks)


ON_LOOPBACK: Final = AddressRule(only=LOOPBACK)


def overlaps_never(network: Network) -> bool:
    """Whether a network holds addresses that no client can be given."""
    return any(network.overlaps(never) for never in NEVER)


def _meanings(number: Address) -> list[Address]:
    """The address itself and the IPv4 address that routers or systems may make of it."""
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
