"""Tries what a trust file names: whether key sets can be fetched and FHIR servers answer, under its own rules."""

import asyncio
from dataclasses import asdict, dataclass
from typing import Any

import httpx

from cds_hooks.security.client import KeySetUrl, RegisteredBase, TrustedClient
from cds_hooks.security.json_object import NotAnObject, read_object
from cds_hooks.security.keys import read_key_set
from cds_hooks.security.outbound import FhirBase, OutboundClient
from cds_hooks.security.refused import Refused
from cds_hooks.security.trust_file import TrustFile


@dataclass(frozen=True, slots=True)
class Reached:
    """One address of a client, and what came of calling it."""

    client: str
    address: str
    reached: bool
    said: str

    def __str__(self) -> str:
        return f"{'ok    ' if self.reached else 'FAILED'} {self.client}: {self.address}: {self.said}"

    def facts(self) -> dict[str, Any]:
        """The same as JSON members."""
        return asdict(self)


def reach_clients(file: TrustFile) -> list[Reached]:
    """Every key set and FHIR base of the file, tried one after the other."""
    return asyncio.run(_reach(file))


async def _reach(file: TrustFile) -> list[Reached]:
    outbound = OutboundClient()
    found: list[Reached] = []
    try:
        for client in file.clients:
            if isinstance(client.key_source, KeySetUrl):
                found.append(await _key_set(outbound, client, client.key_source))
            for base in client.fhir:
                found.append(await _base(outbound, client, base))  # noqa: PERF401 - awaits
    finally:
        await outbound.aclose()
    return found


async def _key_set(outbound: OutboundClient, client: TrustedClient, source: KeySetUrl) -> Reached:
    try:
        keys, left_out = read_key_set(read_object(await outbound.fetch(source)))
    except (httpx.HTTPError, NotAnObject, TimeoutError) as error:
        return Reached(client.name, str(source.url), False, _why(error))
    usable = [key for key in keys.by_kid.values() if not client.algorithms.isdisjoint(key.algorithms)]
    said = f"{len(usable)} usable key{'s' if len(usable) != 1 else ''}" + "".join(
        f"; {sentence}" for sentence in left_out
    )
    return Reached(client.name, str(source.url), bool(usable), said)


async def _base(outbound: OutboundClient, client: TrustedClient, base: RegisteredBase) -> Reached:
    address = str(base.url)
    try:
        async with outbound.open(FhirBase(base.url, base.url, base.reach)) as http:
            answer = await http.get("metadata", timeout=5)
    except httpx.HTTPError as error:
        return Reached(client.name, address, False, _why(error))
    # a server that wants a token for this as well answers 401, and has been reached
    return Reached(client.name, address, answer.status_code < 500, f"GET metadata answers {answer.status_code}")


def _why(error: Exception) -> str:
    if isinstance(error, Refused):
        return error.text
    if isinstance(error, httpx.HTTPStatusError):
        return f"answers {error.response.status_code}"
    return str(error) or type(error).__name__
