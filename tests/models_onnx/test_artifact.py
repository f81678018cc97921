"""An artifact that was changed, is incomplete or unsafe is not loaded, and the error says why."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from onnx import load_from_string

from models_onnx.artifact import load_artifact
from models_onnx.errors import HashMismatch, ManifestRefused, UnsafeModel


@pytest.fixture
def artifact(folder: Path) -> Path:
    """The folder of one artifact."""
    return folder / "mortality_5y"


def change(artifact: Path, edit: Callable[[dict[str, Any]], object]) -> None:
    """Edits the manifest on disk."""
    path = artifact / "manifest.json"
    document = json.loads(path.read_text())
    edit(document)
    path.write_text(json.dumps(document))


def replace_model(artifact: Path, content: bytes) -> None:
    """Puts another model file there, with the right hash in the manifest."""
    (artifact / "model.onnx").write_bytes(content)
    change(artifact, lambda document: document["file"].update(sha256=hashlib.sha256(content).hexdigest()))


def test_what_was_written_is_loaded(artifact: Path) -> None:
    loaded = load_artifact(artifact)
    assert loaded.manifest.id == "mortality_5y"
    assert loaded.content == (artifact / "model.onnx").read_bytes()


def test_one_changed_bit_of_the_model_is_refused(artifact: Path) -> None:
    content = bytearray((artifact / "model.onnx").read_bytes())
    content[len(content) // 2] ^= 1
    (artifact / "model.onnx").write_bytes(content)
    with pytest.raises(HashMismatch, match="changed after training"):
        load_artifact(artifact)


def test_a_missing_model_file_is_refused(artifact: Path) -> None:
    (artifact / "model.onnx").unlink()
    with pytest.raises(HashMismatch, match=r"no model\.onnx"):
        load_artifact(artifact)


def test_a_missing_manifest_is_refused(artifact: Path) -> None:
    (artifact / "manifest.json").unlink()
    with pytest.raises(ManifestRefused, match=r"no manifest\.json"):
        load_artifact(artifact)


def test_a_manifest_that_is_not_json_is_refused(artifact: Path) -> None:
    (artifact / "manifest.json").write_text("{")
    with pytest.raises(ManifestRefused, match="not JSON"):
        load_artifact(artifact)


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (lambda d: d.pop("cautions"), "cautions"),
        (lambda d: d.update(cautions=[]), "cautions"),
        (lambda d: d.update(intended_use=""), "intended_use"),
        (lambda d: d.update(decision_role="replaces"), "decision_role"),
        (lambda d: d["file"].update(name="../../elsewhere.onnx"), "name"),
        (lambda d: d["features"][0].pop("trained_high"), "trained_high"),
        (lambda d: d["parity"].update(probability=2e-5), "parity"),
        (lambda d: d.update(surprise=1), "surprise"),
        (lambda d: d["evaluation"].pop("subgroups"), "subgroups"),
    ],
)
def test_an_invalid_manifest_is_refused_by_the_place_that_is_wrong(
    artifact: Path, edit: Callable[[dict[str, Any]], object], said: str
) -> None:
    change(artifact, edit)
    with pytest.raises(ManifestRefused, match=said):
        load_artifact(artifact)


def test_a_model_with_foreign_operators_is_refused_though_its_hash_is_right(artifact: Path) -> None:
    proto = load_from_string((artifact / "model.onnx").read_bytes())
    proto.graph.node[0].domain = "com.example"
    replace_model(artifact, proto.SerializeToString())
    with pytest.raises(UnsafeModel, match=r"com\.example"):
        load_artifact(artifact)


def test_a_model_with_external_data_is_refused_though_its_hash_is_right(artifact: Path) -> None:
    proto = load_from_string((artifact / "model.onnx").read_bytes())
    entry = proto.graph.initializer[0].external_data.add()
    entry.key, entry.value = "location", "weights.bin"
    replace_model(artifact, proto.SerializeToString())
    with pytest.raises(UnsafeModel, match="external data"):
        load_artifact(artifact)
