"""Which models may show cards here: by their release, its gates, and the state that the site asks for."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np
import pytest

from cds_hooks.estimating import NOT_RELEASED, Estimated, estimate
from cds_hooks.predictor import Predictor
from cds_hooks.settings import settings
from cds_hooks.trusted_models import held_back, is_in_shadow, own_keys, trust_site_keys
from fhir.mapping.feature import FeatureVector
from fhir.mapping.features import features_named
from models_onnx.artifact import Artifact
from models_onnx.errors import SignatureRefused
from models_onnx.registry import load_model
from models_onnx.runtime import Model
from models_onnx.signing.keys import default_keys, key_file
from models_onnx.signing.release import GateSummary
from tests.models_onnx.workshop import SIGNER, STRANGER

GREEN = GateSummary(green=tuple(f"G{number}" for number in range(1, 19)), red=())


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """A site whose settings a test may change."""
    settings.cache_clear()
    yield monkeypatch
    settings.cache_clear()


def released(state: str, gates: GateSummary | None = GREEN) -> Model:
    """The committed model as if it stood in that state."""
    artifact = load_model("mortality_5y").artifact
    assert artifact.release is not None
    release = msgspec.structs.replace(artifact.release, state=state, gates=gates)
    return Model(Artifact(artifact.manifest, artifact.content, release))


def test_the_committed_models_of_the_services_show_cards() -> None:
    for name in ("mortality_5y", "mortality_5y_small", "readmission_30d", "readmission_30d_early"):
        assert held_back(load_model(name)) is None, name


def test_the_test_bed_is_held_at_validated_by_its_gates() -> None:
    model = load_model("mortality_180d")
    assert model.artifact.release is not None
    assert model.artifact.release.state == "validated"
    assert "held at validated: G12" in str(held_back(model))


@pytest.mark.parametrize(
    ("state", "asked", "said"),
    [
        ("validated", "validated", None),
        ("validated", "active", "is validated; cards are shown from active on"),
        ("active", "active", None),
        ("shadow", "validated", "not in shadow"),
        ("retired", "validated", "is retired"),
        ("draft", "validated", "is draft"),
    ],
)
def test_a_state_below_what_the_site_asks_for_shows_nothing(
    site: pytest.MonkeyPatch, state: str, asked: str, said: str | None
) -> None:
    site.setenv("CDS_MODEL_STATE", asked)
    reason = held_back(released(state))
    assert reason is None if said is None else said in str(reason)


def test_a_model_nobody_signed_shows_nothing() -> None:
    model = released("active")
    draft = Model(Artifact(model.manifest, model.artifact.content))
    assert "a draft that nobody signed" in str(held_back(draft))


@pytest.mark.parametrize(("state", "recorded"), [("shadow", True), ("retired", False)])
def test_in_shadow_a_score_is_recorded_and_never_shown(state: str, recorded: bool) -> None:
    model = released(state)
    assert is_in_shadow(model) is recorded
    values = np.array([feature.reference_value for feature in model.manifest.features])
    vector = FeatureVector(features_named(model.features), values, [None] * len(values), [])
    found = asyncio.run(_estimate(model, vector))
    assert found.refused is not None
    assert found.refused.reason == NOT_RELEASED
    assert found.is_recorded is recorded


async def _estimate(model: Model, vector: FeatureVector) -> Estimated:
    return await estimate(Predictor().predict, vector, model, model)


def test_a_site_trusts_the_keys_of_its_settings_and_who_trains_their_own(
    site: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "keys.json").write_text(key_file(SIGNER.public))
    (tmp_path / "own.pub.json").write_text(key_file(STRANGER.public))
    site.setenv("CDS_MODEL_KEYS", str(tmp_path / "keys.json"))
    site.setenv("CDS_MODEL_SIGNING_KEY", str(tmp_path / "own.pem"))
    assert {SIGNER.public.id, STRANGER.public.id} <= set(own_keys())
    trust_site_keys()
    assert SIGNER.public.id in default_keys()
    site.setenv("CDS_MODEL_KEYS", str(tmp_path / "absent.json"))
    settings.cache_clear()
    with pytest.raises(SignatureRefused, match="cannot be read"):
        trust_site_keys()
