"""From a trained draft to a signed release: card into the file, hashes, report, state."""

import copy
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from models_onnx.artifact.folder import load_artifact
from models_onnx.artifact.release_file import RELEASE_FORMAT, GateSummary, ReleaseStep, parse_release
from models_onnx.errors import ArtifactRefused, CardIncomplete
from models_onnx.model_card.embed import embed_card, read_card, without_card
from models_onnx.workbench.release.card import card_words
from models_onnx.workbench.release.publishing import (
    encode_card,
    publish,
    record_gates,
    sign_folder,
    verify_release,
    write_artifact,
)
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


def test_a_draft_becomes_a_release_with_its_card_inside(draft: Path) -> None:
    release = publish(draft, SIGNER)
    assert (release.state, release.key) == ("draft", SIGNER.public.id)
    loaded = load_artifact(draft, KEYS, signed=True)
    assert read_card(loaded.content) == json.loads((draft / "card.json").read_text())
    assert loaded.manifest.file.bytes == len(loaded.content)


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


def test_what_holds_is_said_to_hold_and_what_does_not_by_its_sentence(draft: Path) -> None:
    publish(draft, SIGNER)
    assert verify_release(draft, KEYS).key == SIGNER.public.id
    with pytest.raises(ArtifactRefused, match="not trusted here"):
        verify_release(draft, {})
    card = json.loads((draft / "card.json").read_text())
    card["purpose"]["users"]["words"] = "Anybody at all."
    (draft / "card.json").write_text(json.dumps(card))
    with pytest.raises(ArtifactRefused, match=r"card\.json has sha256"):
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
