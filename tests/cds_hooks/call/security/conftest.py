"""Fixtures of the trust tests: keys made once, a trust file with one client, servers on loopback."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from cds_hooks.tools.kit.simulator.signing import SigningKey, new_key
from tests.cds_hooks.call.security.servers import Canary, Seen, answering, fhir
from tests.cds_hooks.call.security.trusting import Clock, Site

DATA = Path(__file__).resolve().parents[3] / "data" / "security"


@pytest.fixture(scope="session")
def signing_keys() -> dict[str, SigningKey]:
    """One key pair for each algorithm that tests sign with, all of the same client."""
    issuer = "https://ehr.example.org"
    return {name: new_key(issuer, name, f"key-{name}") for name in ("ES384", "RS384", "ES256", "RS256", "EdDSA")}


@pytest.fixture(scope="session")
def attacker() -> SigningKey:
    """Somebody else's key, under the name of the client's."""
    return new_key("https://ehr.example.org", "ES384", "key-ES384")


@pytest.fixture
def clock() -> Clock:
    """A clock that stands still until it is moved."""
    return Clock()


@pytest.fixture
def site(tmp_path: Path, signing_keys: dict[str, SigningKey], clock: Clock) -> Site:
    """A trust file with the client of `signing_keys`, and the server that reads it."""
    return make_site(tmp_path, signing_keys, clock)


def make_site(folder: Path, signing_keys: dict[str, SigningKey], clock: Clock) -> Site:
    """The same for a fixture of another scope."""
    key_set = {"keys": [key for each in signing_keys.values() for key in each.key_set()["keys"]]}
    (folder / "jwks.json").write_text(json.dumps(key_set))
    return Site(folder, clock)


@pytest.fixture(scope="session")
def canary() -> Iterator[Canary]:
    """Whoever connects to it has left the list."""
    listening = Canary()
    yield listening
    listening.close()


@pytest.fixture(scope="session")
def running_fhir_server() -> Iterator[Seen]:
    """A FHIR server on loopback, shared."""
    with answering(fhir) as seen:
        yield seen


@pytest.fixture
def fhir_server(running_fhir_server: Seen) -> Seen:
    """The FHIR server, with nothing asked yet."""
    running_fhir_server.requests.clear()
    return running_fhir_server
