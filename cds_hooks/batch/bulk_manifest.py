"""What a Bulk Data server answers: its list of files, the files themselves, refusals; each fault as a sentence."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import urljoin, urlsplit

import httpx
import orjson

from models_onnx.errors import BatchRefused

# What is no part of a chart has a name that `score --fhir` does not read.
ENDS = {"output": "ndjson", "error": "ndjson.txt", "deleted": "ndjson.txt"}
# Statuses of an address of a file that had an end, as signed ones of a storage have.
EXPIRED = frozenset({401, 403, 404, 410})
OF_KICK_OFF = MappingProxyType(
    {
        400: "The server does not take the question: look at --type, --group and --since.",
        401: "The server asks for a token: give --client-id and --key of a client that is registered there.",
        403: "This client may not export: its registration needs a scope as system/*.rs.",
        404: "The server offers no such export, or has no such Group: look at the address and at --group.",
    }
)
OF_FILE = MappingProxyType(
    dict.fromkeys(
        EXPIRED,
        "A fresh list of files did not help. What is here stays: type the command again later.",
    )
)


class BulkRefused(BatchRefused):
    """An export that cannot be had: the sentence says which step failed, and what to do. It holds no token."""


def read_manifest(answer: httpx.Response, status: str) -> dict[str, Any]:
    """Read the list of files that came from the status's address, with whole addresses; BulkRefused for no list."""
    try:
        manifest = dict(orjson.loads(answer.content))
        for member in ENDS:
            entries = manifest[member] if member == "output" else manifest.get(member) or ()
            manifest[member] = [{**entry, "url": absolute(status, entry["url"])} for entry in entries if entry["type"]]
        return manifest
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError):
        pass
    raise BulkRefused("The server's list of files cannot be read: each of its output needs type and url.")


def absolute(base: str, address: Any) -> str:
    """Return an address that may be written from this base on; what is none stays as it is, for `refuse_address`."""
    try:
        return urljoin(base, str(address))
    except ValueError:
        return str(address)


def is_whole(part: Path, count: Any) -> bool:
    """Return whether the last line is complete, and there are as many as the list of files says, where it says it.

    Raises:
        BulkRefused: what came is no NDJSON, as the page of a login.
    """
    lines, last = 0, b"}"
    with part.open("rb") as file:
        for line in file:
            if not line.strip():
                continue
            if not lines and not line.lstrip(b"\xef\xbb\xbf \t").startswith(b"{"):
                raise BulkRefused(
                    f"What the server sent for {part.name.removesuffix('.part')} is no NDJSON, perhaps the page of a "
                    "login: ask its operators whether the files need a token, or another address."
                )
            lines, last = lines + 1, line
    return last.rstrip().endswith(b"}") and (not isinstance(count, int) or lines == count)


def errors_in(path: Path) -> int:
    """How many OperationOutcomes of this file say that something was not exported; what is no JSON says so, too."""
    errors = 0
    with path.open("rb") as file:
        for line in file:
            if line.strip():
                errors += _is_error(line)
    return errors


def _is_error(line: bytes) -> bool:
    try:
        issues = orjson.loads(line)["issue"]
        return any(issue["severity"] in ("error", "fatal") for issue in issues)
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return True


def refuse_status(
    answer: httpx.Response, allowed: tuple[int, ...], hints: Mapping[int, str] = MappingProxyType({})
) -> None:
    """Raise BulkRefused for a status that is not allowed, with what to do where the hints say it."""
    if answer.status_code not in allowed:
        step = f"{answer.request.method} {answer.request.url.path}"
        hint = hints.get(answer.status_code, "")
        raise BulkRefused(f"{step} was answered with {answer.status_code}: the export ends here.{hint and f' {hint}'}")


def refuse_address(url: str, base: str) -> None:
    """Https alone, and http only to where the base itself is http on this machine: a token never goes in the clear."""
    try:
        parts, of_base = urlsplit(url), urlsplit(base)
        httpx.URL(url).copy_with(port=parts.port)  # also a port over 65535 is none
        (parts.hostname or "").encode("idna")
    except (ValueError, httpx.InvalidURL) as error:  # as for "https://["
        raise BulkRefused("An address that this server names is none: the export ends here.") from error
    is_local = parts.hostname in ("localhost", "127.0.0.1", "::1")
    is_like_base = (parts.scheme, parts.hostname) == (of_base.scheme, of_base.hostname)
    is_safe = parts.scheme == "https" or (parts.scheme == "http" and is_local and is_like_base)
    if "@" in parts.netloc or not parts.hostname or not is_safe:
        where = f"{parts.scheme}://{parts.hostname}" if parts.hostname else "no address"
        raise BulkRefused(f"{where} is not called: an export needs https (http only on this machine).")
