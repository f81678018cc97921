"""From a trained draft to a signed release: card into the file, hashes, report, state."""

import copy
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from models_onnx.artifact.folder import load_artifact
from models_onnx.artifact.manifest import Manifest
from models_onnx.artifact.release_file import RELEASE_FORMAT, GateSummary, Release, ReleaseStep, parse_release
from models_onnx.errors import ArtifactRefused, CardIncomplete, TrainingRefused
from models_onnx.model_card.embed import embed_card, without_card
from models_onnx.serving.registry import model_ids
from models_onnx.workbench.release import card, publishing
from models_onnx.workbench.release.card import card_words
from models_onnx.workbench.release.publishing import (
    encode_card,
    publish,
    record_gates,
    sign_folder,
    verify_release,
    write_artifact,
)
from tests.conftest import ROOT
from tests.each import for_rows
from tests.models_onnx.workshop import KEYS, SIGNER, build, good_manifest

ALL = tuple(f"G{number}" for number in range(1, 19))


@pytest.fixture
def draft(tmp_path: Path) -> Path:
    """A model as training writes it: no card, no release."""
    home = build(tmp_path)
    loaded = load_artifact(home, KEYS)
    write_artifact(home, loaded.manifest, loaded.content)
    (home / "card.json").unlink()
    return home


def test_publishing_again_changes_nothing_but_the_state(draft: Path) -> None:
    first = publish(draft, SIGNER)
    content = (draft / "model.onnx").read_bytes()
    again = publish(draft, SIGNER)
    assert (again.digest, (draft / "model.onnx").read_bytes()) == (first.digest, content)


def test_an_incomplete_card_stops_it_and_nothing_is_signed(draft: Path) -> None:
    words = card_words("mortality_5y")
    words["attributes"]["details.funding"] = ""
    words["attributes"]["fairness.mitigation"] = "TBD"
    with pytest.raises(CardIncomplete, match=r"attribute 2 .*details\.funding.*attribute 16 "):
        publish(draft, SIGNER, words)
    assert not (draft / "release.json").exists()


def _an_axis(words: dict[str, Any]) -> None:
    words["product"]["fairness_axes"] = {"sex": "all", "banana": "all"}


def _an_axis_of_the_audit(words: dict[str, Any]) -> None:
    words["product"]["label"]["audit"]["axis"] = "banana"


def _an_axis_of_a_waiver(words: dict[str, Any]) -> None:
    words["product"]["waivers"][0]["covers"] = ["sex", "banana"]


@pytest.mark.parametrize("change", [_an_axis, _an_axis_of_the_audit, _an_axis_of_a_waiver])
def test_an_axis_by_which_there_are_no_figures_stops_it(draft: Path, change: Callable[[dict[str, Any]], None]) -> None:
    words = copy.deepcopy(card_words("mortality_5y"))
    change(words)
    with pytest.raises(CardIncomplete, match="names banana, by which there are no figures"):
        publish(draft, SIGNER, words)
    assert not (draft / "release.json").exists()


def test_a_report_without_red_validates_a_draft_and_is_part_of_what_is_signed(draft: Path) -> None:
    publish(draft, SIGNER)
    release = record_gates(draft, b"{}", GateSummary(green=ALL, red=()), "2026-11-20", SIGNER)
    assert release.state == "validated"
    assert [step.state for step in release.history] == ["validated"]
    assert "gates.json" in parse_release(draft).files
    (draft / "gates.json").write_bytes(b"{ }")
    with pytest.raises(ArtifactRefused, match=r"gates\.json"):
        verify_release(draft, KEYS)


def _signed(home: Path, card: dict[str, Any], content: bytes) -> str | None:
    """What does not hold of a release of this card beside this file, all of it signed."""
    manifest = json.loads((home / "manifest.json").read_text())
    manifest["file"] |= {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
    (home / "model.onnx").write_bytes(content)
    (home / "card.json").write_bytes(encode_card(card))
    (home / "manifest.json").write_text(json.dumps(manifest))
    sign_folder(home, "mortality_5y", manifest["version"], SIGNER)
    try:
        verify_release(home, KEYS)
    except ArtifactRefused as problem:
        return str(problem)
    return None


def test_a_release_is_of_one_card_and_of_its_own_file(draft: Path) -> None:
    publish(draft, SIGNER)
    content, card = (draft / "model.onnx").read_bytes(), json.loads((draft / "card.json").read_text())
    assert _signed(draft, card, content) is None
    other = copy.deepcopy(card)
    other["purpose"]["users"]["words"] = "Anybody."
    assert _signed(draft, other, content) == "mortality_5y/card.json is not the card inside the model file"
    strange = copy.deepcopy(card)
    strange["model"]["core_sha256"] = "0" * 64
    assert _signed(draft, strange, embed_card(without_card(content), strange)) == (
        "the card of mortality_5y was written for another model file (core_sha256)"
    )


def test_what_is_signed_are_the_files_of_a_release_and_nothing_beside_them(draft: Path) -> None:
    (draft / "notes.txt").write_text("mine")
    (draft / "gates.json").write_text("{}")
    (draft / "comparison.json").write_text("{}")
    release = publish(draft, SIGNER)
    assert sorted(release.files) == ["card.json", "comparison.json", "manifest.json", "model.onnx"]
    assert (release.format, release.id, release.version) == (RELEASE_FORMAT, "mortality_5y", good_manifest()["version"])
    assert (release.gates, release.history, (draft / "gates.json").exists()) == (None, (), False)


@pytest.mark.parametrize(
    ("red", "state", "why"),
    [((), "validated", "gates: all green or waived"), (("G9", "G12"), "draft", None),
     (("G1",), "draft", None)],
)  # fmt: skip
def test_a_step_says_what_the_gates_said(draft: Path, red: tuple[str, ...], state: str, why: str | None) -> None:
    publish(draft, SIGNER)
    summary = GateSummary(green=tuple(name for name in ALL if name not in red), red=red)
    release = record_gates(draft, b"{}", summary, "2026-11-20", SIGNER)
    step = ReleaseStep(state, "2026-11-20", "cds-hooks model gates", "gates", why or "")
    assert (release.state, release.history, release.gates) == (state, (step,) if why else (), summary)
    again = record_gates(draft, b"{}", summary, "2026-11-21", SIGNER)
    assert again.history == release.history, "the state did not change"


# Where a new version is written, whose words a card has, and what is joined: on folders of a few files.
def _release(folder: Path, version: str, state: str) -> None:
    folder.mkdir()
    release = Release(format=RELEASE_FORMAT, id="m", version=version, state=state, digest="", files={}, gates=None,
                      history=(), key="")  # fmt: skip
    publishing.write_release(folder, release, SIGNER)


def _folder_of(shelf: Path, version: str) -> str:
    return publishing._folder_of_new(shelf / "m", cast(Manifest, SimpleNamespace(id="m", version=version))).name


def test_a_released_version_never_changes(tmp_path: Path) -> None:
    _release(tmp_path / "m", "1.0.0", "validated")
    assert _folder_of(tmp_path, "1.1.0") == "m@1.1.0"
    refusal = "m {} is validated already, and a released version never changes: give the declaration another version"
    with pytest.raises(TrainingRefused) as problem:
        _folder_of(tmp_path, "1.0.0")
    assert str(problem.value) == refusal.format("1.0.0")
    _release(tmp_path / "m@1.1.0", "1.1.0", "validated")
    with pytest.raises(TrainingRefused) as problem:
        _folder_of(tmp_path, "1.1.0")
    assert str(problem.value) == refusal.format("1.1.0")
    assert _folder_of(tmp_path, "1.2.0") == "m@1.2.0"


COMPUTED = {"words": "Computed.", "from": "computed", "figures": 1}


@for_rows(
    ("computed", "declared", "joined"),
    [
        (None, None, {"words": "", "from": "declared"}),
        (None, "Own words.", {"words": "Own words.", "from": "declared"}),
        (COMPUTED, None, COMPUTED),
        (COMPUTED, "", COMPUTED),
        (COMPUTED, "Own words.", {"words": "Computed. Own words.", "from": "computed and declared", "figures": 1}),
        (COMPUTED, {"words": "x"}, {"words": "x"}),
    ],
)
def test_declared_words_come_after_computed_ones(computed: Any, declared: Any, joined: Any) -> None:
    assert card._joined(computed, declared) == joined


def test_what_a_card_says_beyond_its_attributes() -> None:
    row = SimpleNamespace(capacity=0.1, probability=0.25, ppv=0.3, sensitivity=0.4, alerts=9)
    facts = {
        "outcome": SimpleNamespace(horizon_years=30 / 365.25),
        "reference": SimpleNamespace(words="stays of 2024", n=12_345),
        "data": SimpleNamespace(name="t.csv", sha256="ab"),
        "table_period": "2019 to 2024",
        "thresholds": SimpleNamespace(table=(row,), default=row),
        "population": SimpleNamespace(exclude_conditions=()),
    }
    manifest = cast(Manifest, SimpleNamespace(**facts))
    assert card._product(manifest) == {
        "horizon_hours": 720.0,
        "reference_cohort": "stays of 2024 (12,345 people)",
        "training_data": {"name": "t.csv", "sha256": "ab", "period": "2019 to 2024"},
        "thresholds": [{"capacity": 0.1, "probability": 0.25, "ppv": 0.3, "sensitivity": 0.4}],
    }
    hour = SimpleNamespace(**{**facts, "outcome": SimpleNamespace(horizon_years=0.00015)})
    assert card._product(cast(Manifest, hour))["horizon_hours"] == 1.3
    assert card._threshold(manifest) == (
        "A card by default for the top 10 in 100 of the reference cohort (from 25 in 100); of those, 30 in 100 had the "
        "outcome."
    )
    assert card._conditions(manifest) == ""
    ill = SimpleNamespace(population=SimpleNamespace(exclude_conditions=("pregnancy", "dialysis")))
    assert card._conditions(cast(Manifest, ill)) == ", with pregnancy or dialysis on record"


VERSION, TITLE = good_manifest()["version"], good_manifest()["title"]
AUROC = good_manifest()["evaluation"]["all"]["auroc"]["value"]


@for_rows("name", model_ids())
def test_the_page_is_linked_from_the_list_of_models(name: str) -> None:
    assert f"({name}.md)" in (ROOT / "docs" / "models" / "README.md").read_text(encoding="utf-8")
