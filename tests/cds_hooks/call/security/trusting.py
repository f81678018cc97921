"""A site with a trust file, for tests: writes it, opens it, calls it."""

import asyncio
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Any, TypeVar

from cds_hooks.call.security.addresses import Resolver
from cds_hooks.call.security.outbound import OutboundClient
from cds_hooks.call.security.register import FileTrust
from cds_hooks.call.security.replay import SqliteReplayStore
from cds_hooks.call.security.trust import TrustedClient

PUBLIC_URL = "https://cds.example.org"
SERVICE = "/cds-services/order-safety"

CLIENT = """\
version = 1

[[client]]
name = "Example"
issuers = ["https://ehr.example.org"]
jwks_file = "jwks.json"
algorithms = ["ES384", "RS384", "ES256", "RS256", "EdDSA"]
jku = "https://ehr.example.org/jwks"
fhir = ["https://fhir.example.org/r4"]
"""

_T = TypeVar("_T")


def run(coroutine: Coroutine[Any, Any, _T]) -> _T:
    """The coroutine's result, in an event loop of its own."""
    return asyncio.run(coroutine)


class Clock:
    """Seconds that pass only when told."""

    def __init__(self, now: float = 1_795_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


async def nowhere(host: str, port: int) -> Sequence[str]:
    """A resolver for whom every name is this machine: what gets past the list would reach the canary."""
    del host, port
    return ["127.0.0.1"]


class Site:
    """A folder with a trust file."""

    def __init__(self, folder: Path, clock: Clock) -> None:
        self.folder = folder
        self.clock = clock
        self.file = folder / "trust.toml"
        self.write(CLIENT)

    def write(self, text: str) -> None:
        """Replaces the trust file, as an editor does."""
        draft = self.folder / "draft"
        draft.write_text(text)
        draft.replace(self.file)

    def open(self, resolver: Resolver = nowhere) -> FileTrust:
        """A server process that reads the file."""
        replays = SqliteReplayStore(self.folder / "used-tokens.sqlite3")
        return FileTrust(self.file, PUBLIC_URL, replays, clock=self.clock, outbound=OutboundClient(resolver))


async def call(trust: FileTrust, *tokens: str, path: str = SERVICE) -> TrustedClient:
    """Who calls, with these values of Authorization behind `Bearer `."""
    headers = [(b"host", b"cds.example.org"), *((b"authorization", b"Bearer " + each.encode()) for each in tokens)]
    return await trust.client_of(headers, path)
