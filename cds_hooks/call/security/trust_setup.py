"""Creates a trust file, adds clients to it, and tests the addresses that it names."""

import asyncio
import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import httpx

from cds_hooks.call.security.addresses import FhirBase, KeySetUrl, OutboundRefused
from cds_hooks.call.security.keys import NotAnObject, read_key_set, read_object
from cds_hooks.call.security.outbound import OutboundClient
from cds_hooks.call.security.trust import ANY_NAME, RegisteredBase, RegistrableNames, TrustedClient
from cds_hooks.call.security.trust_file import TrustFile, TrustFileError, read_trust_file
from fhir.terminology.plain_file import why_unreadable

BEGINNING: Final = """\
# Who may call this CDS Hooks server, and which FHIR servers it may read for them (docs/operations/trust.md).
# The server reads this file again within a second of a change. Write a new version beside it and rename it
# (mv trust.toml.new trust.toml): the server then never sees half of one. cds-hooks trust says what is wrong.
version = 1

# Whether GET /cds-services needs a token too.
discovery_needs_token = true

# Key sets that are fetched: how often again, and how long the old one is used while that fails.
[jwks]
refresh_seconds = 900
outage_seconds = 86400
"""


def add_client(path: Path, settings: Mapping[str, Any], registrable: RegistrableNames = ANY_NAME) -> TrustFile:
    """Add one client at the end of the file, which is made where there is none, for its owner only.

    Raises:
        TrustFileError: the file would then be wrong, or cannot be written; it is left as it was.
    """
    is_new = not path.exists()
    if not path.parent.is_dir():
        raise TrustFileError(path, "unreadable", f"the folder {path.parent} is not there")
    try:
        before = BEGINNING if is_new else path.read_text(encoding="utf-8")
    except OSError as error:
        raise TrustFileError(path, "unreadable", f"the file {why_unreadable(path, error)}") from error
    # beside the file, because paths in it are relative to its folder, and a rename has to stay on one disk
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    draft = Path(name)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(f"{before.rstrip()}\n\n{client_table(settings)}")
        if not is_new:
            draft.chmod(path.stat().st_mode & 0o777)
        trust_file = read_trust_file(draft, registrable)
        draft.replace(path)
    except TrustFileError as error:
        raise TrustFileError(path, error.kind, *error.problems) from error
    finally:
        draft.unlink(missing_ok=True)
    return trust_file


def client_table(settings: Mapping[str, Any]) -> str:
    """Return a `[[client]]` in TOML; what is None or empty is left out."""
    lines = [f"{name} = {_toml(value)}" for name, value in settings.items() if value not in (None, [], ())]
    return "\n".join(["[[client]]", *lines]) + "\n"


def _toml(value: object) -> str:
    # JSON's strings, numbers, truth values and lists of these are TOML as well, but for one character
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


@dataclass(frozen=True, slots=True)
class AddressTrial:
    """One address of a client, and the result of calling it."""

    client: str
    address: str
    reached: bool
    result: str

    def __str__(self) -> str:
        return f"{'ok    ' if self.reached else 'FAILED'} {self.client}: {self.address}: {self.result}"

    def facts(self) -> dict[str, Any]:
        """Return the result as JSON members."""
        return asdict(self)


def try_addresses(file: TrustFile) -> list[AddressTrial]:
    """Call every key set and FHIR base of the file, one after the other."""
    return asyncio.run(_reach(file))


async def _reach(file: TrustFile) -> list[AddressTrial]:
    outbound = OutboundClient()
    reach: list[AddressTrial] = []
    try:
        for client in file.clients:
            if isinstance(client.key_source, KeySetUrl):
                reach.append(await _key_set(outbound, client, client.key_source))
            for base in client.fhir:
                reach.append(await _base(outbound, client, base))  # noqa: PERF401 - awaits
    finally:
        await outbound.aclose()
    return reach


async def _key_set(outbound: OutboundClient, client: TrustedClient, source: KeySetUrl) -> AddressTrial:
    try:
        keys, left_out = read_key_set(read_object(await outbound.fetch(source)))
    except (httpx.HTTPError, NotAnObject, TimeoutError) as error:
        return AddressTrial(client.name, str(source.url), False, _why(error))
    usable = [key for key in keys.by_kid.values() if not client.algorithms.isdisjoint(key.algorithms)]
    text = f"{len(usable)} usable key{'s' if len(usable) != 1 else ''}" + "".join(
        f"; {sentence}" for sentence in left_out
    )
    return AddressTrial(client.name, str(source.url), bool(usable), text)


async def _base(outbound: OutboundClient, client: TrustedClient, base: RegisteredBase) -> AddressTrial:
    address = str(base.url)
    try:
        async with outbound.open(FhirBase(base.url, base.url, base.reach)) as http:
            answer = await http.get("metadata", timeout=5)
    except httpx.HTTPError as error:
        return AddressTrial(client.name, address, False, _why(error))
    # a server that wants a token for this as well answers 401, and has been reached
    return AddressTrial(client.name, address, answer.status_code < 500, f"GET metadata answers {answer.status_code}")


def _why(error: Exception) -> str:
    if isinstance(error, OutboundRefused):
        return error.text
    if isinstance(error, httpx.HTTPStatusError):
        return f"answers {error.response.status_code}"
    return str(error) or type(error).__name__
