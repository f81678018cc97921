"""Which models may show cards here: by their release, its gates, and the state that the site asks for."""

import ast
import asyncio
from datetime import datetime
from pathlib import Path

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from cds_hooks.services._model import NOT_RELEASED, Predictor, estimate
from cds_hooks.settings import ModelState, Settings
from cds_hooks.trusted_models import own_keys, trust_site_keys, why_withheld
from fhir.mapping.features.catalog import features_named
from fhir.mapping.features.feature import FeatureVector
from models_onnx.artifact.folder import Artifact
from models_onnx.artifact.keys import default_keys, key_file
from models_onnx.artifact.release_file import GateSummary
from models_onnx.errors import SignatureRefused
from models_onnx.serving.eligibility import INPUT_MISSING
from models_onnx.serving.registry import load_model
from models_onnx.serving.runtime import Model, Prediction
from tests.cds_hooks.calls import client, ours, request_for
from tests.conftest import ROOT
from tests.models_onnx.workshop import SIGNER, STRANGER

GREEN = GateSummary(green=tuple(f"G{number}" for number in range(1, 19)), red=())


def released(state: str, gates: GateSummary | None = GREEN) -> Model:
    """The committed model as if it stood in that state."""
    artifact = load_model("mortality_5y").artifact
    assert artifact.release is not None
    release = msgspec.structs.replace(artifact.release, state=state, gates=gates)
    return Model(Artifact(artifact.manifest, artifact.content, release))


def test_the_committed_models_of_the_services_show_cards() -> None:
    for name in ("mortality_5y", "mortality_5y_small", "readmission_30d", "readmission_30d_early"):
        assert why_withheld(load_model(name)) is None, name


def test_the_test_bed_is_held_at_draft_by_its_gates() -> None:
    model = load_model("mortality_180d")
    assert model.artifact.release is not None
    assert model.artifact.release.state == "draft"
    assert "held at draft: G12, G13 not green" in str(why_withheld(model))


def test_a_model_nobody_signed_shows_nothing() -> None:
    model = released("validated")
    draft = Model(Artifact(model.manifest, model.artifact.content))
    assert "a draft that nobody signed" in str(why_withheld(draft))


def test_a_score_of_a_model_with_a_red_gate_is_neither_shown_nor_recorded() -> None:
    model = released("validated", GateSummary(green=(), red=("G9",)))
    values = np.array([feature.reference_value for feature in model.manifest.features])
    vector = FeatureVector(features_named(model.features), values, [None] * len(values), [])
    found = asyncio.run(estimate(Predictor().predict, vector, model, model, why_withheld))
    assert found.refused is not None
    assert found.refused.reason == NOT_RELEASED
    assert not found.is_recorded


def test_a_model_does_not_run_for_who_lacks_what_it_needs() -> None:
    async def never(model: Model, values: NDArray[np.float64]) -> Prediction:
        raise AssertionError(f"{model.manifest.id} was run for {values}")

    model = load_model("mortality_5y")
    features = features_named(model.features)
    nothing = FeatureVector(features, np.full(len(features), np.nan), [None] * len(features), [])
    found = asyncio.run(estimate(never, nothing, model, load_model("mortality_5y_small"), lambda _: None))
    assert found.refused is not None
    assert found.refused.reason == INPUT_MISSING
    assert not found.is_recorded
    with pytest.raises(ValueError, match="did not run"):
        _ = found.prediction


def test_a_site_trusts_the_keys_of_its_settings_and_who_trains_their_own(tmp_path: Path) -> None:
    (tmp_path / "keys.json").write_text(key_file(SIGNER.public))
    (tmp_path / "own.pub.json").write_text(key_file(STRANGER.public))
    configured = Settings(model_keys=tmp_path / "keys.json", model_signing_key=tmp_path / "own.pem")
    assert {SIGNER.public.id, STRANGER.public.id} <= set(own_keys(configured))
    trust_site_keys(configured.model_keys)
    assert SIGNER.public.id in default_keys()
    with pytest.raises(SignatureRefused, match="cannot be read"):
        trust_site_keys(tmp_path / "absent.json")


@pytest.mark.parametrize("service", ["planning-conversation"])
def test_a_card_is_withheld_by_the_settings_that_the_app_was_given(
    service: str, tmp_path: Path, as_of: datetime
) -> None:
    """The state is a setting of the app and not of the process: one app shows what the other withholds."""

    async def cards(state: ModelState) -> tuple[int, set[str]]:
        async with client(tmp_path, as_of=as_of, model_state=state) as calls:
            body = request_for(service, "patient-view", "planning-talk", as_of)
            answer = await calls.post(f"/cds-services/{service}", json=body)
        return len(answer.json()["cards"]), {each["reason"] for each in ours(answer).get("silence", [])}

    assert asyncio.run(cards("validated")) == (1, set())
    withheld, reasons = asyncio.run(cards("approved"))
    assert withheld == 0
    assert NOT_RELEASED in reasons


def test_only_the_entry_points_read_the_settings_of_the_process() -> None:
    """`settings()` and the environment are read where the process starts; everyone else is handed what they need."""
    allowed = {
        "cds_hooks/settings/__init__.py",
        "cds_hooks/app.py",
        "cds_hooks/cli.py",
        "cds_hooks/__main__.py",
        "cds_hooks/server.py",
        "cds_hooks/batch/engines.py",  # a worker of Spark or Ray starts there
    }
    # programs of their own: the copilot's server, the commands of the text part, and the tests of packages from outside
    programs = ("cds_hooks/text/", "cds_hooks/package_tests/", "cds_hooks/commands/", "cds_hooks/kit/commands/")
    readers = {
        str(path.relative_to(ROOT))
        for floor in ("cds_hooks", "cards", "models_onnx", "fhir")
        for path in (ROOT / floor).rglob("*.py")
        if reads_settings(ast.parse(path.read_text()))
    }
    assert {path for path in readers - allowed if not path.startswith(programs)} == set()


def reads_settings(tree: ast.AST) -> bool:
    """Whether the code calls `settings()` or `Settings()`, or reads the environment."""
    written = {
        id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("settings", "Settings"):
            return True
        if isinstance(node, ast.Attribute) and node.attr in ("environ", "getenv") and id(node) not in written:
            return True
    return False
