"""One gate's result: passed, failed with all faults, not run, too few data; and which gates of a report run at all."""

import json
from pathlib import Path

import pytest

from models_onnx.errors import ManifestRefused
from models_onnx.workbench.gates.subject import read_subject
from tests.models_onnx.workshop import KEYS, build, good_card, good_manifest

# The folder


def test_a_candidate_is_what_lies_in_its_folder(tmp_path: Path) -> None:
    home = build(tmp_path)
    subject = read_subject(home, KEYS)
    assert (subject.id, subject.groups) == ("mortality_5y", ())
    assert [item.name for item in subject.features] == [item["name"] for item in good_manifest()["features"]]
    assert subject.manifest.evaluation == good_manifest()["evaluation"]
    assert subject.manifest.parity == good_manifest()["parity"]
    assert subject.product == good_card()["product"]
    assert subject.content == (home / "model.onnx").read_bytes()
    assert subject.always == frozenset(good_manifest()["required"]["always"])
    (home / "release.json").unlink()
    (home / "card.json").write_text('["no object"]')
    unsigned = read_subject(home, KEYS)
    assert (unsigned.card, unsigned.product) == ({}, {})
    for content in (b"{", b"\xff\xff"):
        (home / "card.json").write_bytes(content)
        assert read_subject(home, KEYS).card == {}
    (home / "card.json").unlink()
    assert read_subject(home, KEYS).card == {}
    (home / "model.onnx").unlink()
    with pytest.raises(ManifestRefused, match=r"^mortality_5y contains no model that the gates can examine: "):
        read_subject(home, KEYS)


def test_a_folder_without_a_manifest_of_ours_is_no_candidate(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text(json.dumps({"format": "other"}))
    with pytest.raises(ManifestRefused, match=f"^{tmp_path.name} contains no model"):
        read_subject(tmp_path, KEYS)
