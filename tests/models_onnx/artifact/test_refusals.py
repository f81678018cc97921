"""A release of another model, a file that is too large, and errors of other files, each in its sentence."""

from pathlib import Path

import pytest

from models_onnx.artifact import folder as folders
from models_onnx.artifact.files import whole_file, write_whole
from models_onnx.artifact.folder import load_artifact
from models_onnx.errors import ManifestRefused, UnsafeModel
from models_onnx.workbench.release.publishing import sign_folder
from tests.models_onnx.workshop import KEYS, SIGNER, build


@pytest.mark.parametrize(("name", "version"), [("other", None), (None, "9.9.9")])
def test_a_release_of_another_model_or_version_is_refused(
    tmp_path: Path, name: str | None, version: str | None
) -> None:
    home = build(tmp_path)
    manifest = load_artifact(home, KEYS).manifest
    sign_folder(home, name or manifest.id, version or manifest.version, SIGNER)
    with pytest.raises(ManifestRefused) as refused:
        load_artifact(home, KEYS)
    assert str(refused.value) == (
        f"mortality_5y: the release is of {name or 'mortality_5y'} {version or manifest.version}, the manifest of "
        f"mortality_5y {manifest.version}"
    )


def test_a_model_is_read_up_to_the_largest_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = build(tmp_path)
    size = (home / "model.onnx").stat().st_size
    monkeypatch.setattr(folders, "LARGEST_BYTES", max(size, (home / "card.json").stat().st_size))
    assert load_artifact(home, KEYS).manifest.id == "mortality_5y"
    monkeypatch.setattr(folders, "LARGEST_BYTES", size - 1)
    with pytest.raises(UnsafeModel, match=r"is larger than 0 MB$"):
        load_artifact(home, KEYS)


def test_an_error_of_another_file_stays_what_it_is_and_leaves_the_file_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_whole(path, "before")
    for other in ("elsewhere", str(tmp_path / "b.txt")):
        error = OSError(2, "No such file or directory", other)
        with pytest.raises(OSError, match="No such file") as raised, whole_file(path):
            raise error
        assert raised.value is error
    with pytest.raises(OSError, match="full") as named, whole_file(path):
        raise OSError(28, "full")
    assert (named.value.errno, named.value.strerror, named.value.filename) == (28, "full", str(path))
    with pytest.raises(OSError, match="full") as named, whole_file(path) as draft:
        raise OSError(28, "full", str(draft))
    assert named.value.filename == str(path)
    assert path.read_text() == "before"
    assert [each.name for each in tmp_path.iterdir()] == ["a.txt"]
