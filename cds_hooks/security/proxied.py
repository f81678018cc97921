"""The call that a proxy sends again, because the server that it had sent it to ended: known by the proxy's own call id.

A token is for one call, so a copy of a call is refused. A declared proxy (`CDS_TRUSTED_PROXIES`) gives every call an id
of its own in `X-Request-ID`, in place of whatever came in, and sends the same id when it tries the next server. The
store of used tokens holds the id beside the token; only the same token with the same id is a call sent again.
"""

from collections.abc import Mapping
from hashlib import blake2b
from ipaddress import IPv6Address, ip_address
from typing import Any, Final

from cds_hooks.settings.checks import Networks

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
