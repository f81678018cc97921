"""Reads an address from outside into parts that mean one thing only; whatever could mean two is refused.

The parts are what a connection is made from: what was compared with the list is what is called. Nothing is repaired on
the way (no decoding, no removed dots): readers of URLs differ in how they repair, and that difference is the attack.
"""

import re
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from typing import Final

MOST_CHARACTERS: Final = 8192
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}

# ASCII: without it IGNORECASE takes the long s (U+017F) for an s
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
# decoded once more by a server these would end a segment, leave it or start a new reading
_NEVER_CODED: Final = frozenset(b"./\\%;") | frozenset(range(0x20)) | {0x7F}


class BadUrl(ValueError):
    """The text is no address that is called from here; the message is a sentence without the text itself."""


@dataclass(frozen=True, slots=True)
class Url:
    """An http or https address: lower-case scheme and host, the port always there, path from `/`, query without `?`."""

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
    """The parts of an absolute http or https URL; BadUrl for everything that two readers could read differently."""
    if len(text) > MOST_CHARACTERS:
        raise BadUrl(f"it is longer than {MOST_CHARACTERS} characters")
    match = _FORM.fullmatch(text)
    if match is None:
        raise BadUrl("it is not an absolute http or https address without fragment")
    authority = _AUTHORITY.fullmatch(match["authority"])
    if authority is None:
        raise BadUrl("its host and port are not plain (no user, no escapes, no other characters than a name's)")
    scheme = match["scheme"].lower()
    port = int(authority["port"] or _DEFAULT_PORTS[scheme])
    if port > 65535:
        raise BadUrl("its port is not one")
    if match["query"] is not None and not _QUERY.fullmatch(match["query"]):
        raise BadUrl("its query has characters that have to be escaped")
    return Url(scheme, _host(authority["host"]), port, _path(match["path"] or "/"), match["query"])


def address_of(host: str) -> IPv4Address | IPv6Address | None:
    """The address that a host of a `Url` spells out; None for a name."""
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
