"""How a host of the list is reached: the addresses that are allowed, the certificates that are believed."""

from dataclasses import dataclass, field, replace
from ipaddress import ip_network

from cds_hooks.security.addresses import LOOPBACK, ON_LOOPBACK, AddressRule
from cds_hooks.security.urls import Url, address_of


@dataclass(frozen=True, slots=True)
class Reach:
    """The way to one host."""

    rule: AddressRule = field(default_factory=AddressRule)
    authorities: str | None = None
    """A site's own certificate authorities as PEM, believed beside the public ones."""


def is_loopback(url: Url) -> bool:
    """Whether the host is this machine by its spelling: `localhost`, 127.0.0.0/8 or ::1. No name is looked up."""
    number = address_of(url.host)
    return url.host == "localhost" if number is None else any(number in network for network in LOOPBACK)


def reach_of(url: Url, given: Reach) -> Reach:
    """How the host of a registered URL is reached: `given`, but loopback goes to loopback and nowhere else.

    An address that is spelled out was registered with it, so it needs no network of its own.
    """
    if is_loopback(url):
        return replace(given, rule=ON_LOOPBACK)
    number = address_of(url.host)
    if number is None:
        return given
    return replace(given, rule=AddressRule((*given.rule.networks, ip_network(number))))
