"""Checks of settings: names that are none, addresses, hosts, lists in one text."""

import re
from collections.abc import Collection, Mapping
from difflib import get_close_matches
from ipaddress import ip_address
from typing import Annotated, Final
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator

PREFIX: Final = "CDS_"
HOST: Final = re.compile(r"(?!-)[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63})*\.?|\[[0-9A-Fa-f:.]+\]")

_OF_TESTS: Final = frozenset({"CDS_SANDBOX_DIR"})
# Kubernetes sets these in every container for a Service whose name begins with "cds".
_OF_KUBERNETES: Final = re.compile(
    r"CDS_(\w+_)?(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)"
)
_ADDRESS_OF_KUBERNETES: Final = ("tcp://", "udp://", "sctp://")


class UnknownSetting(Exception):
    """The environment has CDS_ variables that are no settings; the message names each, and the nearest right one."""


def refuse_unknown(environment: Mapping[str, str], fields: Collection[str]) -> None:
    """UnknownSetting where a variable begins with CDS_ and is no setting: no misspelt name is ignored in silence."""
    known = {PREFIX + field.upper() for field in fields}
    unknown = sorted(name for name in environment if _is_unknown(name, environment[name], known))
    if unknown:
        raise UnknownSetting("\n".join(_sentence(name, known) for name in unknown))


def address_fault(text: str, *, origin: bool = False) -> str | None:
    """What is wrong with an http address, in a few words; None for a good one. An origin has no path."""
    try:
        parts = urlsplit(text)
        port_fits = parts.port is None or parts.port > 0
    except ValueError:
        return "this is not an address"
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return "an address begins with http:// or https:// and a host"
    if not port_fits or not HOST.fullmatch(_host_of(parts)):
        return "the host or port of the address is none"
    if "@" in parts.netloc or parts.query or parts.fragment or any(sign.isspace() for sign in text):
        return "an address here has no user name, query, fragment or space"
    return "an origin has no path" if origin and parts.path else None


def plain_http_fault(text: str) -> str | None:
    """What is wrong where an address is http and not of this machine; what is sent there could be read or changed."""
    parts = urlsplit(text)
    if parts.scheme == "https" or _is_loopback(parts.hostname or ""):
        return None
    return "http is for this machine only, another one is reached by https"


def _safe_address(value: str | None) -> str | None:
    if value is not None and (fault := address_fault(value) or plain_http_fault(value)):
        raise ValueError(f"{fault}; write it as https://host.example.org/path")
    return value


SafeAddress = Annotated[str | None, AfterValidator(_safe_address)]
"""An address to which something is sent: https, or http on this machine; or none."""


def parts_of(text: str) -> list[str]:
    """The parts of a text that are separated by commas, without spaces around them and without empty ones."""
    return [part for part in map(str.strip, text.split(",")) if part]


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def listen_address(text: str) -> tuple[str, int | None] | None:
    """Host and port of `127.0.0.1:9085`, path and None of `unix:/run/x.sock`; None for anything else."""
    if text.startswith("unix:/"):
        return text.removeprefix("unix:"), None
    host, _, port = text.rpartition(":")
    try:
        address = ip_address(host.removeprefix("[").removesuffix("]"))
    except ValueError:
        return None
    return (str(address), int(port)) if port.isascii() and port.isdigit() and 0 < int(port) < 65536 else None


def _host_of(parts: SplitResult) -> str:
    host = parts.hostname or ""
    return f"[{host}]" if ":" in host else host


def _is_unknown(name: str, value: str, known: Collection[str]) -> bool:
    if not name.upper().startswith(PREFIX) or name.upper() in known or name in _OF_TESTS:
        return False
    return not (_OF_KUBERNETES.fullmatch(name) or value.startswith(_ADDRESS_OF_KUBERNETES))


def _sentence(name: str, known: Collection[str]) -> str:
    near = get_close_matches(name.upper(), known, n=1, cutoff=0.6)
    meant = f"; did you mean {near[0]}?" if near else "; cds-hooks settings lists those there are."
    return f"{name} is no setting{meant}"


_SHARE = re.compile(r"(?P<model>[a-z][a-z0-9_-]{1,63})=(?P<share>0?\.[0-9]{1,4})")
_LARGEST_SHARE = 0.5


def read_shares(text: str) -> dict[str, float]:
    """The share of each model in a text such as "mortality_5y=0.05,readmission_30d=0.1".

    Raises:
        ValueError: A part is no model and share, a share is not over 0 and at most 0.5, or a model comes twice.
    """
    shares: dict[str, float] = {}
    for part in parts_of(text):
        found = _SHARE.fullmatch(part)
        share = float(found["share"]) if found is not None else 0.0
        if found is None or not 0 < share <= _LARGEST_SHARE:
            raise ValueError(f"{part[:80]} is no model with a share up to 0.5; write it as mortality_5y=0.05")
        if found["model"] in shares:
            raise ValueError(f"{found['model']} is named twice")
        shares[found["model"]] = share
    return shares


_CODE = re.compile(r"(?P<system>[^\s|,]{1,200})\|(?P<code>[^\s|,]{1,80})")


def read_codes(text: str) -> frozenset[tuple[str, str]]:
    """The codes in a text such as "https://example.org/flags|no-cds", separated by commas, each with its system.

    Raises:
        ValueError: A part is no system and code.
    """
    found = [(part, _CODE.fullmatch(part)) for part in parts_of(text)]
    for part, match in found:
        if match is None:
            raise ValueError(f"{part[:80]} is no system with a code; write it as https://example.org/flags|no-cds")
    return frozenset((match["system"], match["code"]) for _, match in found if match is not None)
