"""Models and versions are found by id, version or digest, and only by one that is there."""

import shutil
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from models_onnx.artifact.folder import MANIFEST
from models_onnx.artifact.release_file import (
    RELEASE_FORMAT,
    GateSummary,
    Release,
    encode_release,
    parse_release,
    reason_cards_withheld,
)
from models_onnx.errors import ManifestRefused, UnknownModel
from models_onnx.serving.registry import Version, find_version, load_model, model_ids, version_ids, versions
from models_onnx.workbench.release.publishing import write_release
from tests.models_onnx.workshop import KEYS, SIGNER, build

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def shelf(tmp_path: Path) -> Path:
    """A folder of artifacts with one model in two versions."""
    older = build(
        tmp_path,
        manifest=lambda d: d.update(version="0.9.0"),
        card=lambda d: d["model"].update(version="0.9.0"),
        model=lambda proto: setattr(
            next(entry for entry in proto.metadata_props if entry.key == "model_version"), "value", "0.9.0"
        ),
    )
    shutil.move(older, tmp_path / "mortality_5y@0.9.0")
    build(tmp_path)
    return tmp_path


def test_loading_and_predicting_needs_nothing_that_trains() -> None:
    program = (
        "import sys, numpy; from models_onnx.serving.registry import load_model; model = load_model('mortality_5y'); "
        "model.predict(numpy.zeros(len(model.features))); "
        "print(*sorted({'sklearn', 'onnx', 'pandas', 'scipy', 'skl2onnx', 'jsonschema'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_an_empty_folder_holds_no_model(tmp_path: Path) -> None:
    assert model_ids(tmp_path) == model_ids(tmp_path / "absent") == ()


def test_the_content_address_follows_the_content(tmp_path: Path) -> None:
    one = parse_release(build(tmp_path / "a"))
    same = parse_release(build(tmp_path / "b"))
    other = parse_release(build(tmp_path / "c", manifest=lambda d: d.update(title="Another title")))
    assert one.digest == same.digest != other.digest


def test_a_folder_under_a_wrong_name_is_refused(shelf: Path) -> None:
    shutil.move(shelf / "mortality_5y", shelf / "readmission_30d")
    with pytest.raises(ManifestRefused, match="mortality_5y"):
        load_model("readmission_30d", shelf, KEYS)


def why_withheld(shelf: Path) -> str | None:
    """Why the model that is loaded from there shows no cards."""
    release = load_model("mortality_5y", shelf, KEYS).artifact.release
    assert release is not None
    return reason_cards_withheld(release)


def test_for_cards_a_loaded_model_needs_its_gates(shelf: Path) -> None:
    assert "no gate report" in str(why_withheld(shelf))
    home = shelf / "mortality_5y"
    red = GateSummary(green=("G1",), red=("G9",))
    write_release(home, msgspec.structs.replace(parse_release(home), gates=red, state="validated"), SIGNER)
    assert "held at validated: G9 not green" in str(why_withheld(shelf))
    green = GateSummary(green=("G1", "G9"), red=())
    write_release(home, msgspec.structs.replace(parse_release(home), gates=green), SIGNER)
    assert why_withheld(shelf) is None


@pytest.mark.parametrize("name", ["absent", "../mortality_5y", "", "mortality_5y/", "@"])
def test_an_id_that_is_not_there_is_refused(shelf: Path, name: str) -> None:
    with pytest.raises(UnknownModel, match="mortality_5y"):
        load_model(name, shelf, KEYS)


A, B = "a" * 64, "ab" + "b" * 62


def _put(shelves: Path, name: str, version: str = "", digest: str = "", state: str = "validated") -> Path:
    """A folder with a manifest that nobody reads here, and a release where a version is given."""
    folder = shelves / name
    folder.mkdir(parents=True)
    (folder / MANIFEST).write_text("{}")
    if version:
        release = Release(format=RELEASE_FORMAT, id="m", version=version, state=state, digest=digest, files={},
                          gates=None, history=(), key="")  # fmt: skip
        (folder / "release.json").write_bytes(encode_release(release))
    return folder


def _refusal(reference: str, shelves: Path) -> str:
    with pytest.raises(UnknownModel) as refused:
        find_version(reference, shelves)
    return str(refused.value)


@pytest.fixture
def shelves(tmp_path: Path) -> Path:
    """Two versions of `m`, a draft of another, and what is no model."""
    _put(tmp_path, "m", "1.1.0", A, "active")
    _put(tmp_path, "m@1.0.0", "1.0.0", B)
    _put(tmp_path, "n")
    (tmp_path / "empty").mkdir()
    (tmp_path / "m@0.1.0").mkdir()
    return tmp_path


def test_the_models_and_the_versions_that_are_there(shelves: Path) -> None:
    assert (model_ids(shelves), version_ids(shelves)) == (("m", "n"), ("m@1.0.0",))
    assert versions("m", shelves) == (
        Version("m", "1.1.0", shelves / "m", A, "active"), Version("m", "1.0.0", shelves / "m@1.0.0", B, "validated"),
    )  # fmt: skip
    assert versions("n", shelves) == (Version("n", "draft", shelves / "n", "", "draft"),)
    assert versions("empty", shelves) == versions("other", shelves) == ()
    (shelves / "m" / "release.json").write_text("{")
    assert versions("m", shelves)[0] == Version("m", "?", shelves / "m", "", "unreadable")
    _put(shelves, "n@2.0.0")
    _put(shelves, "n@1.5.0")
    assert [version.version for version in versions("n", shelves)] == ["draft", "2.0.0", "1.5.0"]


def test_what_no_reference_means_is_refused_with_what_there_is(shelves: Path, tmp_path: Path) -> None:
    there = f"there are: 1.1.0 ({A[:12]}), 1.0.0 ({B[:12]})"
    assert _refusal("m@1.2.0", shelves) == f"m has no version '1.2.0'; {there}"
    assert _refusal(f"m@{A[:7]}", shelves) == f"m has no version 'aaaaaaa'; {there}", "seven digits are too few"
    assert _refusal("m@sha256:0000000000", shelves) == f"m has no version '0000000000'; {there}"
    assert _refusal("x", shelves) == "no artifact is called 'x'; there are: m, n"
    assert _refusal("x@1", shelves) == "no artifact is called 'x'; there are: m, n"
    assert _refusal("empty", shelves) == "no artifact is called 'empty'; there are: m, n"
    assert _refusal("n@1.0.0", shelves) == "n has no version '1.0.0'; there are: draft (draft)"
    assert _refusal("m", tmp_path / "none") == "no artifact is called 'm'; there are: none"


def test_a_version_that_is_there_with_several_digests_is_named_by_its_digest(shelves: Path) -> None:
    _put(shelves, "m@1.0.0+x", "1.0.0", "c" * 64)
    assert _refusal("m@1.0.0", shelves) == (
        f"m has several versions '1.0.0', name its digest; there are: 1.1.0 ({A[:12]}), 1.0.0 ({'c' * 12}), "
        f"1.0.0 ({B[:12]})"
    )
    assert find_version("m@1.0.0+x", shelves).digest == "c" * 64
    assert find_version(f"m@{'c' * 8}", shelves).folder.name == "m@1.0.0+x"
    (shelves / "m" / MANIFEST).unlink()
    assert find_version(f"m@{B[:8]}", shelves).version == "1.0.0", "a version may lie there without one in use"
    assert _refusal("m", shelves) == "no artifact is called 'm'; there are: n"
