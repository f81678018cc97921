"""From a trained draft to a signed release: card into the file, hashes, report, state."""

import copy
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from models_onnx.artifact.files import encode_json
from models_onnx.artifact.folder import load_artifact
from models_onnx.artifact.release_file import GateSummary, parse_release
from models_onnx.errors import ArtifactRefused, CardIncomplete
from models_onnx.workbench.gates.subject import read_subject
from models_onnx.workbench.release.card import card_words
from models_onnx.workbench.release.embed import embed_card, without_card
from models_onnx.workbench.release.publishing import (
    publish,
    record_gates,
    sign_folder,
    write_artifact,
)
from tests.models_onnx.workbench.gates.judging import judge
from tests.models_onnx.workshop import KEYS, SIGNER, build

ALL = tuple(f"G{number}" for number in range(1, 19))


@pytest.fixture
def draft(tmp_path: Path) -> Path:
    """A model as training writes it: no card, no release."""
    home = build(tmp_path)
    loaded = load_artifact(home, KEYS)
    write_artifact(home, loaded.manifest, loaded.content)
    return home


def test_what_is_still_to_do_in_a_manifest_stops_it(draft: Path) -> None:
    loaded = load_artifact(draft)
    write_artifact(draft, msgspec.structs.replace(loaded.manifest, title="Mortality, TODO: of whom"), loaded.content)
    with pytest.raises(CardIncomplete, match="still to be written: title"):
        publish(draft, SIGNER)
    assert sorted(path.name for path in draft.iterdir()) == ["manifest.json", "model.onnx"]


def test_publishing_again_changes_nothing_but_the_state(draft: Path) -> None:
    first = publish(draft, SIGNER)
    content = (draft / "model.onnx").read_bytes()
    again = publish(draft, SIGNER)
    assert (again.digest, (draft / "model.onnx").read_bytes()) == (first.digest, content)


def test_an_incomplete_card_stops_it_and_nothing_is_signed(draft: Path) -> None:
    words = card_words("mortality_5y")
    words["attributes"]["details.funding"] = ""
    words["attributes"]["fairness.mitigation"] = "TBD"
    with pytest.raises(CardIncomplete, match=r"details\.funding, attribute 2.*attribute 16"):
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
        load_artifact(draft, KEYS, signed=True)


def _faults(home: Path, card: dict[str, Any], content: bytes) -> str:
    """What the gate of the file has against a release of this card beside this file, all of it signed."""
    manifest = json.loads((home / "manifest.json").read_text())
    manifest["file"] |= {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
    (home / "model.onnx").write_bytes(content)
    (home / "card.json").write_bytes(encode_json(card))
    (home / "manifest.json").write_text(json.dumps(manifest))
    sign_folder(home, "mortality_5y", manifest["version"], SIGNER)
    return judge(read_subject(home, KEYS), "file").why


def test_a_release_is_of_one_card_and_of_its_own_file(draft: Path) -> None:
    publish(draft, SIGNER)
    content, card = (draft / "model.onnx").read_bytes(), json.loads((draft / "card.json").read_text())
    faults = ("card.json is not the card inside the model file", "written for another model file (core_sha256)")
    assert not [fault for fault in faults if fault in _faults(draft, card, content)]
    other = copy.deepcopy(card)
    other["purpose"]["users"]["words"] = "Anybody."
    assert faults[0] in _faults(draft, other, content)
    strange = copy.deepcopy(card)
    strange["model"]["core_sha256"] = "0" * 64
    assert faults[1] in _faults(draft, strange, embed_card(without_card(content), strange))
