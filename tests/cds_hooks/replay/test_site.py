"""Which model and which client of a site a replay asks, and a site on which rules are tried."""

from pathlib import Path

import pytest

from cds_hooks.replay.site import ReplaySite, open_site
from cds_hooks.settings import Settings
from tests.cds_hooks.replay import answered
from tests.live import record_in


@pytest.fixture(scope="module")
def plain() -> ReplaySite:
    """The site of a server without files of its own."""
    return answered.site()


def test_the_only_client_of_a_server_in_development_is_known_by_its_name(plain: ReplaySite) -> None:
    (name,) = plain.clients
    assert plain.client_of(name) is plain.clients[name]
    assert plain.client_of("gone") is None


TRUST = """version = 1

[[client]]
name = "north"
issuers = ["https://north.example.org"]
jwks_url = "https://north.example.org/jwks.json"

[[client]]
name = "south"
issuers = ["https://south.example.org"]
jwks_url = "https://south.example.org/jwks.json"
"""


@pytest.fixture
def trusting(tmp_path: Path) -> ReplaySite:
    """A site with two clients in its trust file, at which one rule is tried and another one is off."""
    (tmp_path / "trust.toml").write_text(TRUST)
    configured = Settings(
        trust_file=tmp_path / "trust.toml", database_url=record_in(tmp_path), public_url="https://cds.example.org"
    )
    return open_site(configured, tried={"renal-metformin": True, "other": False})


def test_a_site_has_the_clients_of_its_trust_file_and_the_rules_that_are_tried(trusting: ReplaySite) -> None:
    assert sorted(trusting.clients) == ["north", "south"]
    assert trusting.governance.tried == {"renal-metformin": True, "other": False}
    assert trusting.candidates == {}
    assert trusting.in_force is trusting.components.in_force.content
