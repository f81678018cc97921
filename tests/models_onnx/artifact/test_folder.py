"""An artifact that was changed, is incomplete, unsafe or signed by a stranger is not loaded, and the error says why."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from models_onnx.artifact.folder import load_artifact
from models_onnx.artifact.release_file import parse_release
from models_onnx.errors import ArtifactRefused, HashMismatch, SignatureRefused, TrainingRefused, UnsafeModel
from models_onnx.workbench.release.publishing import write_artifact, write_release
from tests.models_onnx.workshop import KEYS, SIGNER, STRANGER, build, sign


@pytest.fixture
def artifact(tmp_path: Path) -> Path:
    """The folder of one signed artifact."""
    return build(tmp_path)


def change(path: Path, edit: Callable[[dict[str, Any]], object]) -> None:
    """Edits a JSON file on disk."""
    document = json.loads(path.read_text())
    edit(document)
    path.write_text(json.dumps(document))


@pytest.mark.parametrize("name", ["model.onnx", "manifest.json", "card.json"])
@pytest.mark.parametrize("place", [0.0, 0.3, 0.7, 0.999])
def test_one_changed_bit_of_any_signed_file_is_refused(artifact: Path, name: str, place: float) -> None:
    content = bytearray((artifact / name).read_bytes())
    content[int(place * len(content))] ^= 1
    (artifact / name).write_bytes(content)
    with pytest.raises(HashMismatch, match=rf"{name} has sha256 .* changed after training"):
        load_artifact(artifact, KEYS)


@pytest.mark.parametrize("place", [0.1, 0.3, 0.5, 0.7, 0.9])
def test_one_changed_bit_of_the_release_is_refused(artifact: Path, place: float) -> None:
    content = bytearray((artifact / "release.json").read_bytes())
    content[int(place * len(content))] ^= 1
    (artifact / "release.json").write_bytes(content)
    with pytest.raises(ArtifactRefused, match="release"):
        load_artifact(artifact, KEYS)


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (lambda d: d.update(signature=""), "changed after it was signed"),
        (lambda d: d.update(signature="x" * 88), "changed after it was signed"),
        (lambda d: d.update(state="active"), "changed after it was signed"),
        (lambda d: d.update(gates={"green": ["file"], "red": []}), "changed after it was signed"),
        (lambda d: d["history"].append({"state": "a", "at": "b", "by": "c", "role": "d", "why": "e"}), "changed after"),
        (lambda d: d.update(digest="0" * 64), "changed after it was signed"),
        (lambda d: d.update(key="0" * 16), "not trusted here"),
        (lambda d: d.update(format="cds-hooks-onnx/release/9"), "has the format"),
        (lambda d: d.pop("files"), "is not a release"),
    ],
)
def test_a_release_changed_by_hand_is_refused_by_what_was_changed(
    artifact: Path, edit: Callable[[dict[str, Any]], object], said: str
) -> None:
    change(artifact / "release.json", edit)
    with pytest.raises(SignatureRefused, match=said):
        load_artifact(artifact, KEYS)


def test_a_signature_of_a_stranger_is_refused_and_named(artifact: Path) -> None:
    sign(artifact, STRANGER)
    with pytest.raises(SignatureRefused, match=rf"{STRANGER.public.id}, which is not trusted here.*CDS_MODEL_KEYS"):
        load_artifact(artifact, KEYS)


def test_the_release_of_another_model_is_refused(artifact: Path, tmp_path: Path) -> None:
    other = build(tmp_path / "other", manifest=lambda d: d.update(version="9.9.9"))
    shutil.copy(other / "release.json", artifact / "release.json")
    with pytest.raises(HashMismatch):
        load_artifact(artifact, KEYS)


@pytest.mark.parametrize("name", ["model.onnx", "card.json"])
def test_a_missing_file_is_refused(artifact: Path, name: str) -> None:
    (artifact / name).unlink()
    with pytest.raises(HashMismatch, match=f"no {name}"):
        load_artifact(artifact, KEYS)


def test_without_a_release_it_is_a_draft_and_a_server_does_not_take_it(artifact: Path) -> None:
    (artifact / "release.json").unlink()
    assert load_artifact(artifact, KEYS).release is None
    with pytest.raises(SignatureRefused, match="never published"):
        load_artifact(artifact, KEYS, signed=True)


def test_a_draft_whose_model_was_changed_is_refused(artifact: Path) -> None:
    (artifact / "release.json").unlink()
    content = bytearray((artifact / "model.onnx").read_bytes())
    content[len(content) // 2] ^= 1
    (artifact / "model.onnx").write_bytes(content)
    with pytest.raises(HashMismatch, match="its manifest says"):
        load_artifact(artifact)


def test_a_model_with_foreign_operators_is_refused_though_it_is_signed(tmp_path: Path) -> None:
    home = build(tmp_path, model=lambda proto: setattr(proto.graph.node[0], "domain", "com.example"))
    with pytest.raises(UnsafeModel, match=r"com\.example"):
        load_artifact(home, KEYS)


def test_a_model_with_external_data_is_refused_though_it_is_signed(tmp_path: Path) -> None:
    def outside(proto: Any) -> None:
        entry = proto.graph.initializer[0].external_data.add()
        entry.key, entry.value = "location", "weights.bin"

    with pytest.raises(UnsafeModel, match="external data"):
        load_artifact(build(tmp_path, model=outside), KEYS)


def test_a_released_version_never_changes(artifact: Path) -> None:
    _state(artifact, "validated")
    loaded = load_artifact(artifact, KEYS)
    with pytest.raises(TrainingRefused, match="a released version never changes"):
        write_artifact(artifact, loaded.manifest, loaded.content)


def _state(home: Path, state: str) -> None:
    write_release(home, msgspec.structs.replace(parse_release(home), state=state), SIGNER)
