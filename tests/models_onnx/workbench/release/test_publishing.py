"""From a trained draft to a signed release: card into the file, hashes, report, state."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from models_onnx.artifact.folder import load_artifact
from models_onnx.artifact.release_file import GateSummary, parse_release
from models_onnx.errors import CardIncomplete, NotReleased
from models_onnx.model_card.embed import read_card
from models_onnx.serving.registry import versions
from models_onnx.workbench.release.card import card_words
from models_onnx.workbench.release.publishing import move_release, publish, record_gates, verify_version, write_artifact
from tests.models_onnx.workshop import KEYS, SIGNER, build

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
    assert "gates.json" in str(verify_version(versions("mortality_5y", draft.parent)[0], KEYS).problem)


def test_a_move_is_signed_and_one_that_is_not_allowed_writes_nothing(draft: Path) -> None:
    publish(draft, SIGNER)
    release = record_gates(draft, b"{}", GateSummary(green=ALL, red=()), "2026-11-20", SIGNER)
    people = [("Ann", "owner"), ("Ben", "clinician")]
    approved = move_release(draft, release, "approved", "2026-11-21", people, "pilot", SIGNER)
    assert approved.state == parse_release(draft).state == "approved"
    with pytest.raises(NotReleased, match="--by NAME --role ROLE"):
        move_release(draft, approved, "active", "2026-11-21", [], "", SIGNER)
    with pytest.raises(NotReleased, match="not to draft"):
        move_release(draft, approved, "draft", "2026-11-21", [("Ann", "owner")], "", SIGNER)
    assert parse_release(draft).state == "approved"


def test_what_holds_is_said_to_hold_and_what_does_not_by_its_sentence(draft: Path) -> None:
    publish(draft, SIGNER)
    version = versions("mortality_5y", draft.parent)[0]
    assert verify_version(version, KEYS).problem is None
    assert verify_version(version, KEYS).signed_by == "the tests"
    assert "not trusted here" in str(verify_version(version, {}).problem)
    card = json.loads((draft / "card.json").read_text())
    card["purpose"]["users"]["words"] = "Anybody at all."
    (draft / "card.json").write_text(json.dumps(card))
    assert "card.json has sha256" in str(verify_version(version, KEYS).problem)
