"""An artifact that was changed, is incomplete, unsafe or signed by a stranger is not loaded, and the error says why."""

import json
import os
import resource
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from models_onnx.artifact.files import whole_file, write_whole
from models_onnx.artifact.folder import load_artifact, read_manifest
from models_onnx.artifact.manifest import Manifest
from models_onnx.artifact.release_file import FileDigest, parse_release
from models_onnx.errors import (
    ArtifactRefused,
    HashMismatch,
    ManifestRefused,
    SignatureRefused,
    TrainingRefused,
    UnsafeModel,
)
from models_onnx.workbench.release.publishing import write_artifact, write_release
from tests.models_onnx.workshop import KEYS, SIGNER, STRANGER, build, sign
from tests.program import run_program


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
        (lambda d: d.update(gates={"green": ["G1"], "red": []}), "changed after it was signed"),
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


def test_a_strangers_signature_under_a_trusted_keys_id_is_refused(artifact: Path) -> None:
    mine = parse_release(artifact).key
    sign(artifact, STRANGER)
    change(artifact / "release.json", lambda d: d.update(key=mine))
    with pytest.raises(SignatureRefused, match="the signature is not by the tests"):
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


def test_a_missing_manifest_is_refused(artifact: Path) -> None:
    (artifact / "manifest.json").unlink()
    with pytest.raises(ManifestRefused, match=r"no manifest\.json"):
        load_artifact(artifact, KEYS)


def test_a_release_that_names_a_file_elsewhere_is_refused(artifact: Path) -> None:
    release = parse_release(artifact)
    files = {**release.files, "../../elsewhere.onnx": release.files["model.onnx"]}
    _rewrite(artifact, files)
    with pytest.raises(SignatureRefused, match="not a file of its folder"):
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


def test_a_signed_manifest_of_another_form_is_refused(tmp_path: Path) -> None:
    home = build(tmp_path, manifest=lambda d: d.update(features="none"))
    with pytest.raises(ManifestRefused, match="features"):
        load_artifact(home, KEYS)


def test_a_manifest_that_is_not_json_is_refused(artifact: Path) -> None:
    (artifact / "manifest.json").write_text("{")
    with pytest.raises(ManifestRefused, match="not JSON"):
        read_manifest(artifact)


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


@pytest.mark.parametrize("state", ["validated", "approved", "shadow", "active", "retired"])
def test_a_new_version_lies_beside_the_released_one_which_stays_in_use(artifact: Path, state: str) -> None:
    _state(artifact, state)
    before = {path.name: path.read_bytes() for path in artifact.iterdir()}
    loaded = load_artifact(artifact, KEYS)
    written = write_artifact(artifact, _version(loaded.manifest, "99.0.0"), loaded.content)
    assert written.name == "mortality_5y@99.0.0"
    assert read_manifest(written).version == "99.0.0"
    assert {path.name: path.read_bytes() for path in artifact.iterdir()} == before


def test_a_draft_beside_the_released_version_is_written_over(artifact: Path) -> None:
    _state(artifact, "validated")
    loaded = load_artifact(artifact, KEYS)
    for _ in range(2):
        assert write_artifact(artifact, _version(loaded.manifest, "99.0.0"), loaded.content).name.endswith("@99.0.0")


def test_a_released_version_never_changes(artifact: Path) -> None:
    _state(artifact, "validated")
    loaded = load_artifact(artifact, KEYS)
    with pytest.raises(TrainingRefused, match="a released version never changes"):
        write_artifact(artifact, loaded.manifest, loaded.content)


def test_a_draft_is_written_over(artifact: Path) -> None:
    loaded = load_artifact(artifact, KEYS)
    write_artifact(artifact, _version(loaded.manifest, "99.0.0"), loaded.content)
    assert [path.name for path in artifact.parent.iterdir()] == ["mortality_5y"]
    assert read_manifest(artifact).version == "99.0.0"


def _version(manifest: Manifest, version: str) -> Manifest:
    return msgspec.structs.replace(manifest, version=version)


def _state(home: Path, state: str) -> None:
    write_release(home, msgspec.structs.replace(parse_release(home), state=state), SIGNER)


def _rewrite(home: Path, files: dict[str, FileDigest]) -> None:
    write_release(home, msgspec.structs.replace(parse_release(home), files=files), SIGNER)


@contextmanager
def full_disk(most_bytes: int) -> Iterator[None]:
    """No file grows beyond so many bytes, as on a disk that is nearly full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    keeps_bytecode, sys.dont_write_bytecode = sys.dont_write_bytecode, True  # Python would keep half of a module
    resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        sys.dont_write_bytecode = keeps_bytecode


def test_an_interrupt_leaves_what_was_there(tmp_path: Path) -> None:
    file = tmp_path / "page.md"
    file.write_text("as it was")

    def interrupted() -> None:
        with whole_file(file) as draft:
            draft.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert [each.read_text() for each in tmp_path.iterdir()] == ["as it was"]


def test_a_pipe_is_written_as_it_is(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    write_whole(pipe, "text")
    assert os.read(reader, 10) == b"text"
    os.close(reader)


def test_a_command_on_a_full_disk_keeps_the_file_that_was_there_and_names_it(tmp_path: Path) -> None:
    (tmp_path / "kept.md").write_text("as it was")
    with full_disk(1000):
        done = run_program("model", "card", "mortality_5y", "--out", "kept.md", folder=tmp_path)
    assert done.returncode in (1, 2)
    assert "kept.md" in done.stderr
    assert "File too large" in done.stderr
    assert [(each.name, each.read_text()) for each in tmp_path.iterdir()] == [("kept.md", "as it was")]
