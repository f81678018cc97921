"""Checks of settings: addresses, hosts, lists in one text."""

import re
from collections.abc import Collection, Iterator, Mapping
from difflib import get_close_matches
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, TypeAlias
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator

from fhir.terminology.plain_file import looks_like_a_key, no_folder

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

Networks: TypeAlias = tuple[IPv4Network | IPv6Network, ...]
HOST: Final = re.compile(r"(?!-)[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63})*\.?|\[[0-9A-Fa-f:.]+\]")


def address_fault(text: str, *, origin: bool = False) -> str | None:
    """Return what is wrong with an http address, in a few words; None for a good one. An origin has no path."""
    try:
        parts = urlsplit(text)
        port_fits = parts.port is None or parts.port > 0
    except ValueError:
        return "this is not an address"
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return "an address must begin with http:// or https:// and a host"
    if not port_fits or not HOST.fullmatch(_host_of(parts)):
        return "the host or port of the address is none"
    if "@" in parts.netloc or parts.query or parts.fragment or any(sign.isspace() for sign in text):
        return "an address here has no user name, query, fragment or space"
    return "an origin has no path" if origin and parts.path else None


def plain_http_fault(text: str) -> str | None:
    """Say what is wrong where an address is http and not of this machine; what is sent could be read or changed."""
    parts = urlsplit(text)
    if parts.scheme == "https" or is_loopback(parts.hostname or ""):
        return None
    return "http is for this machine only, another one is reached by https"


def _safe_address(value: str | None) -> str | None:
    if value is not None and (fault := address_fault(value) or plain_http_fault(value)):
        raise ValueError(f"{fault}; write it as https://host.example.org/path")
    return value


SafeAddress = Annotated[str | None, AfterValidator(_safe_address)]
"""An address to which something is sent: https, or http on this machine; or none."""


def parts_of(text: str) -> list[str]:
    """Return the parts of a text that are separated by commas, without spaces around them and without empty ones."""
    return [part for part in map(str.strip, text.split(",")) if part]


def networks_of(text: str) -> Networks:
    """Return the networks that commas divide; ValueError for what is none."""
    return tuple(ip_network(part) for part in parts_of(text))


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches the host."""
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


_KINDS: Final = {
    "missing": "is required and missing",
    "extra_forbidden": "is not a known setting",
    "int_parsing": "must be a whole number",
    "float_parsing": "must be a number",
    "bool_parsing": "must be true or false",
    "greater_than": "must be over {gt:.10g}",
    "greater_than_equal": "must be {ge:.10g} or more",
    "less_than_equal": "must be {le:.10g} or less",
}
_SHOWN: Final = ("literal_error", "date", "int_parsing", "float_parsing", "bool_parsing", "greater", "less")
_UNITS: Final = (("entry", "entries"), ("character", "characters"))


def words_of(fault: "ErrorDetails", *, with_value: bool = False) -> str:
    """Return what a value must be, in the words of this program.

    `with_value`: what came is named as well where a number, a time, one of several words or a folder was expected, and
    it looks like no secret.
    """
    kind, limits = fault["type"], fault.get("ctx", {})
    if kind.endswith("too_short"):
        least, (one, more) = limits["min_length"], _UNITS[isinstance(fault["input"], str)]
        return f"must have at least {least} {one if least == 1 else more}"
    if kind == "path_not_directory" and with_value:
        return no_folder(Path(fault["input"]))
    if kind.startswith("date"):
        text = "must be a date or a time, as 2026-11-20 or 2026-11-20T14:00:00Z"
    elif kind in _KINDS:
        text = _KINDS[kind].format_map(limits)
    else:
        text = fault["msg"].removeprefix("Value error, ").replace("Input should be", "must be", 1)
    is_shown = with_value and kind.startswith(_SHOWN) and not looks_like_a_key(str(fault["input"]))
    return f"{text}; received {str(fault['input'])[:40]!r}" if is_shown else text


# A key, token or password that was pasted where its file's path, or something else, is expected


KEY_FILES: Final = frozenset({"content_keys", "model_keys", "oidc_file", "seal_key", "trust_file", "user_keys"})
"""The settings that name a file with keys or a client's secret."""


def refuse_pasted_key(name: str, value: str) -> None:
    """Raise ValueError where the value of this setting looks like a secret itself; the message does not repeat it.

    A password may be short: what names a file of keys is a path, so that it has a slash or a dot, or is a file.
    """
    try:
        is_file = Path(value).exists()
    except (OSError, ValueError):  # longer than a path may be, or with a null character
        is_file = False
    is_bare = name in KEY_FILES and "/" not in value and "." not in value
    if not is_file and (is_bare or looks_like_a_key(value)):
        expected = "must be the path of a file, such as /etc/cds-hooks/NAME; " if name in KEY_FILES else ""
        raise ValueError(f"{expected}what stands there looks like a key or a password, and is not shown")


AGE_BAND: Final = "age-band"
_SHARE = re.compile(r"(?:(?P<model>[a-z][a-z0-9_-]{1,63})=)?(?P<share>0?\.[0-9]{1,4})")
_LARGEST_SHARE = 0.5


def read_shares(text: str) -> dict[str, float]:
    """Read the share of each model in a text such as "0.1,mortality_5y=0.05"; the share of all models is under "".

    The word `age-band`, which is no share, may stand among them.

    Raises:
        ValueError: A part is no share, a share is not over 0 and at most 0.5, or a model is given twice.
    """
    shares: dict[str, float] = {}
    for part in parts_of(text):
        if part == AGE_BAND:
            continue
        match = _SHARE.fullmatch(part)
        share = float(match["share"]) if match is not None else 0.0
        if match is None or not 0 < share <= _LARGEST_SHARE:
            raise ValueError(
                "a share must be over 0 and up to 0.5, such as 0.1, or mortality_5y=0.05 for one model; "
                f"received {part[:80]}"
            )
        model = match["model"] or ""
        if model in shares:
            raise ValueError(f"{model or 'the share of all models'} is given twice")
        shares[model] = share
    return shares


CONSENT: Final = "consent"
"""In the list of codes: ask for Consents, without a code of a Flag."""
_CODE = re.compile(r"(?P<system>[^\s|,]{1,200})\|(?P<code>[^\s|,]{1,80})")


def read_codes(text: str) -> frozenset[tuple[str, str]]:
    """Return the codes in a text such as "https://example.org/flags|no-cds", separated by commas, each with its system.

    Raises:
        ValueError: A part is no system and code.
    """
    parts = [(part, _CODE.fullmatch(part)) for part in parts_of(text) if part != CONSENT]
    for part, match in parts:
        if match is None:
            raise ValueError(f"{part[:80]} must be a system with a code; write it as https://example.org/flags|no-cds")
    return frozenset((match["system"], match["code"]) for _, match in parts if match is not None)


# Variables of the environment that look like settings and are none: misspelt ones, with the nearest right name


PREFIX: Final = "CDS_"
_WITHOUT_FIELD: Final = frozenset(
    {"CDS_METRICS_DIR", "CDS_DATA_DIR", "CDS_SANDBOX_DIR", "CDS_SPEC_DIR"}
)  # read by workers and by tests
# Kubernetes sets these in every container for a Service whose name begins with "cds".
_OF_KUBERNETES: Final = re.compile(
    r"CDS_(\w{1,63}_)?(SERVICE_HOST|SERVICE_PORT(_\w{1,63})?|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)"
)
_ADDRESS_OF_KUBERNETES: Final = ("tcp://", "udp://", "sctp://")


def ignored_settings(environment: Mapping[str, str], fields: Collection[str]) -> Iterator[str]:
    """Yield a sentence for each variable that begins with CDS_ and is no setting, so that none is ignored in silence.

    `fields` are the names of the settings without their prefix.
    """
    names = {PREFIX + field.upper() for field in fields}
    for name, value in sorted(environment.items()):
        if not name.upper().startswith(PREFIX) or name.upper() in names | _WITHOUT_FIELD:
            continue
        if not (_OF_KUBERNETES.fullmatch(name) or value.startswith(_ADDRESS_OF_KUBERNETES)):
            yield _misspelt(name, names)


def _misspelt(name: str, names: Collection[str]) -> str:
    written = name.upper().removeprefix(PREFIX)
    near = get_close_matches(written, [setting.removeprefix(PREFIX) for setting in names], n=1, cutoff=0.6)
    advice = f"did you mean {PREFIX}{near[0]}?" if near else "cds-hooks settings lists all settings."
    return f"{name} is not a setting and was ignored; {advice}"
