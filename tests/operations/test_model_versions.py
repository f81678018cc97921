"""A version of a model beside the one in use, over real HTTP: shadow, canary, active, and back."""

import json
from base64 import b64encode
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from onnx import ModelProto

from cds_hooks.call.hold_back.released import State, in_canary
from cds_hooks.call.model_versions import find_model_versions, why_not_comparable
from models_onnx.artifact.folder import load_artifact
from models_onnx.artifact.keys import add_trusted_keys
from models_onnx.artifact.release_file import GateSummary
from models_onnx.serving.registry import load_model
from models_onnx.serving.runtime import Model
from models_onnx.workbench.release.publishing import record_gates
from tests.cds_hooks.calls import PLANNING, request_for
from tests.live import record_in, serving
from tests.models_onnx.workshop import AS_OF, NAME, SIGNER, STRANGER, build
from tests.operations.test_switches import switch
from tests.program import run_program
from tests.recorded import list_decisions
from tests.waiting import until

NEW_VERSION = f"{NAME}@3.0.0"


def _say_version(document: dict[str, Any]) -> None:
    document["version"] = "3.0.0"


def _say_card_version(document: dict[str, Any]) -> None:
    document["model"]["version"] = "3.0.0"


def _say_model_version(model: ModelProto) -> None:
    (said,) = (each for each in model.metadata_props if each.key == "model_version")
    said.value = "3.0.0"


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """A site's folder with version 3.0.0 of the model of the package, validated and signed by the site."""
    folder = tmp_path / "models"
    home = build(folder, manifest=_say_version, card=_say_card_version, model=_say_model_version)
    record_gates(home, b"{}", GateSummary(("file",), ()), AS_OF.isoformat(), SIGNER)
    home.rename(folder / NEW_VERSION)
    key = {"name": SIGNER.public.name, "public_key": b64encode(SIGNER.public.raw).decode()}
    (tmp_path / "keys.json").write_text(json.dumps({"keys": [key]}))
    return folder


@pytest.fixture
def site(models: Path, tmp_path: Path) -> dict[str, Any]:
    """The settings of a server that serves these models."""
    return {"CDS_MODELS_FOLDER": str(models), "CDS_MODEL_KEYS": str(tmp_path / "keys.json")}


@pytest.fixture
def server(tmp_path: Path, site: dict[str, Any]) -> Iterator[httpx.Client]:
    with serving(tmp_path, **site) as address, httpx.Client(base_url=address, timeout=180) as calls:
        yield calls


def version_of(answer: dict[str, Any]) -> str:
    (card,) = answer["cards"]
    version: str = card["extension"]["org.cds-hooks-onnx"]["model"]["version"]
    return version


def _scores(url: str) -> dict[str, Any]:
    scores: dict[str, Any] = json.loads(list_decisions(url, limit=1)[0].basis)["scores"]
    return scores


@pytest.mark.slow
def test_a_version_is_computed_in_shadow_then_answers_some_then_all_and_is_taken_back(
    server: httpx.Client, site: dict[str, Any], tmp_path: Path
) -> None:
    url = record_in(tmp_path)
    view = request_for(PLANNING, "patient-view", "planning-talk", datetime.now(UTC))
    sha256 = json.loads((tmp_path / "models" / NEW_VERSION / "manifest.json").read_text())["file"]["sha256"]

    def answer() -> dict[str, Any]:
        found: dict[str, Any] = server.post(f"/cds-services/{PLANNING}", json=view).raise_for_status().json()
        return found

    in_use = version_of(answer())
    assert "beside" not in _scores(url), "a version that no act names does nothing"

    switch(url, "shadow", "model", NEW_VERSION, version=sha256, salt=_salt_with(view))
    until(lambda: bool(answer()) and "beside" in _scores(url))
    scores = _scores(url)
    assert scores["version"] == in_use, "the version in use answers"
    (beside,) = scores["beside"]
    assert (beside["version"], beside["sha256"], beside["is_due"]) == ("3.0.0", sha256, True)
    assert beside["probability"] == scores["probability"], "the same trees under another number"

    switch(url, "canary", "model", NEW_VERSION, version=sha256, share=99)
    until(lambda: version_of(answer()) == "3.0.0")
    assert [each["version"] for each in _scores(url)["beside"]] == [in_use], "the other one is compared"

    switch(url, "active", "model", NEW_VERSION, version=sha256)
    until(lambda: bool(answer()) and "beside" not in _scores(url))
    assert _scores(url)["version"] == "3.0.0"
    page = server.get(f"/explain/{list_decisions(url, limit=1)[0].id}")
    assert page.is_success
    assert "no longer" not in page.text, "the page knows the version that answered"

    switch(url, "shadow", "model", NEW_VERSION, version=sha256)
    until(lambda: version_of(answer()) == in_use)


def _salt_with(view: dict[str, Any]) -> str:
    """A salt with which this patient is among the 99 in 100."""
    client, patient = "development", view["context"]["patientId"]
    salts = (f"{number:032x}" for number in range(100))
    return next(salt for salt in salts if in_canary(State("canary", share=99, salt=salt), client, patient))


def test_a_version_of_a_stranger_or_for_other_people_is_left_out(tmp_path: Path) -> None:
    def other_people(document: dict[str, Any]) -> None:
        document["population"]["age_low"] = 50
        _say_version(document)

    served, strange, other = load_model(NAME), tmp_path / "strange", tmp_path / "other"
    changes: dict[str, Any] = {"card": _say_card_version, "model": _say_model_version}
    build(strange, manifest=_say_version, signer=STRANGER, **changes).rename(strange / NEW_VERSION)
    home = build(other, manifest=other_people, **changes)
    assert find_model_versions([served], strange).all == ()
    home.rename(other / NEW_VERSION)
    add_trusted_keys({SIGNER.public.id: SIGNER.public})
    assert find_model_versions([served], other).all == ()
    assert why_not_comparable(served, Model(load_artifact(other / NEW_VERSION, signed=True))) == "other population"


def test_a_version_that_no_act_tried_cannot_answer_at_once(site: dict[str, Any], tmp_path: Path) -> None:
    record = {"CDS_DATABASE_URL": record_in(tmp_path)}
    told = run_program("release", "active", "model", NEW_VERSION, "--why", "at once", environment=site | record)
    assert told.returncode == 1
    assert "not tried yet and cannot become active: active comes after canary" in told.stderr
