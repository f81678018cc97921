"""Which model and which client of a site a replay asks, and a site on which rules are tried."""

import asyncio
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from cds_hooks.replay.site import ReplaySite, _NothingRecorded, open_site
from cds_hooks.settings import Settings
from cds_hooks.trusted_models import AbsentModel
from models_onnx.artifact.folder import Artifact
from models_onnx.serving.registry import load_model
from models_onnx.serving.runtime import Model
from tests.cds_hooks.replay import answered
from tests.live import record_in

MAIN, TWIN = "mortality_5y", "mortality_5y_small"


@pytest.fixture(scope="module")
def plain() -> ReplaySite:
    """The site of a server without files of its own."""
    return answered.site()


@pytest.fixture(scope="module")
def beside() -> Model:
    """Another model with the id of the one in use, as a version of it has."""
    artifact = load_model(MAIN).artifact
    return Model(Artifact(artifact.manifest, artifact.content))


def test_a_model_that_could_not_be_loaded_is_not_served(plain: ReplaySite, beside: Model) -> None:
    absent = AbsentModel(MAIN, ValueError("no"), ())
    services: Any = {"a": SimpleNamespace(models=(absent,)), "b": SimpleNamespace(models=(absent, beside))}
    assert replace(plain, services=services).served_model(MAIN) is beside
    assert replace(plain, services={"a": services["a"]}).served_model(MAIN) is None


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


def test_a_replay_records_nothing() -> None:
    log = _NothingRecorded()
    items: Any = ["a", "b"]
    assert asyncio.run(log.append_feedback(items)) == items
    assert asyncio.run(log.append(None)) is asyncio.run(log.check()) is asyncio.run(log.close()) is None  # type: ignore[arg-type]
