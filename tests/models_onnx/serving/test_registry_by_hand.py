"""References to versions: by folder, by the beginning of a digest, and each sentence where there is none."""

from pathlib import Path

import pytest

from models_onnx.artifact.folder import MANIFEST
from models_onnx.artifact.release_file import RELEASE_FORMAT, Release, encode_release
from models_onnx.errors import UnknownModel
from models_onnx.serving.registry import Version, find_version, model_ids, version_ids, versions

A, B = "a" * 64, "ab" + "b" * 62


def _put(shelf: Path, name: str, version: str = "", digest: str = "", state: str = "validated") -> Path:
    """A folder with a manifest that nobody reads here, and a release where a version is given."""
    folder = shelf / name
    folder.mkdir(parents=True)
    (folder / MANIFEST).write_text("{}")
    if version:
        release = Release(format=RELEASE_FORMAT, id="m", version=version, state=state, digest=digest, files={},
                          gates=None, history=(), key="")  # fmt: skip
        (folder / "release.json").write_bytes(encode_release(release))
    return folder


def _refusal(reference: str, shelf: Path) -> str:
    with pytest.raises(UnknownModel) as refused:
        find_version(reference, shelf)
    return str(refused.value)


@pytest.fixture
def shelf(tmp_path: Path) -> Path:
    """Two versions of `m`, a draft of another, and what is no model."""
    _put(tmp_path, "m", "1.1.0", A, "active")
    _put(tmp_path, "m@1.0.0", "1.0.0", B)
    _put(tmp_path, "n")
    (tmp_path / "empty").mkdir()
    (tmp_path / "m@0.1.0").mkdir()
    return tmp_path


def test_the_models_and_the_versions_that_are_there(shelf: Path) -> None:
    assert (model_ids(shelf), version_ids(shelf)) == (("m", "n"), ("m@1.0.0",))
    assert versions("m", shelf) == (
        Version("m", "1.1.0", shelf / "m", A, "active"), Version("m", "1.0.0", shelf / "m@1.0.0", B, "validated"),
    )  # fmt: skip
    assert versions("n", shelf) == (Version("n", "draft", shelf / "n", "", "draft"),)
    assert versions("empty", shelf) == versions("other", shelf) == ()
    (shelf / "m" / "release.json").write_text("{")
    assert versions("m", shelf)[0] == Version("m", "?", shelf / "m", "", "unreadable")
    _put(shelf, "n@2.0.0")
    _put(shelf, "n@1.5.0")
    assert [version.version for version in versions("n", shelf)] == ["draft", "2.0.0", "1.5.0"]


def test_what_no_reference_means_is_refused_with_what_there_is(shelf: Path, tmp_path: Path) -> None:
    there = f"there are: 1.1.0 ({A[:12]}), 1.0.0 ({B[:12]})"
    assert _refusal("m@1.2.0", shelf) == f"m has no version '1.2.0'; {there}"
    assert _refusal(f"m@{A[:7]}", shelf) == f"m has no version 'aaaaaaa'; {there}", "seven digits are too few"
    assert _refusal("m@sha256:0000000000", shelf) == f"m has no version '0000000000'; {there}"
    assert _refusal("x", shelf) == "no artifact is called 'x'; there are: m, n"
    assert _refusal("x@1", shelf) == "no artifact is called 'x'; there are: m, n"
    assert _refusal("empty", shelf) == "no artifact is called 'empty'; there are: m, n"
    assert _refusal("n@1.0.0", shelf) == "n has no version '1.0.0'; there are: draft (draft)"
    assert _refusal("m", tmp_path / "none") == "no artifact is called 'm'; there are: none"


def test_a_version_that_is_there_with_several_digests_is_named_by_its_digest(shelf: Path) -> None:
    _put(shelf, "m@1.0.0+x", "1.0.0", "c" * 64)
    assert _refusal("m@1.0.0", shelf) == (
        f"m has several versions '1.0.0', name its digest; there are: 1.1.0 ({A[:12]}), 1.0.0 ({'c' * 12}), "
        f"1.0.0 ({B[:12]})"
    )
    assert find_version("m@1.0.0+x", shelf).digest == "c" * 64
    assert find_version(f"m@{'c' * 8}", shelf).folder.name == "m@1.0.0+x"
    (shelf / "m" / MANIFEST).unlink()
    assert find_version(f"m@{B[:8]}", shelf).version == "1.0.0", "a version may lie there without one in use"
    assert _refusal("m", shelf) == "no artifact is called 'm'; there are: n"
