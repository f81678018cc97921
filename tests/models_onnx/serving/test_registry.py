"""Models and versions are found by id, version or digest, and only by one that is there."""

import shutil
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from models_onnx.artifact.files import encode_json
from models_onnx.artifact.folder import MANIFEST
from models_onnx.artifact.release_file import (
    RELEASE_FORMAT,
    GateSummary,
    Release,
    parse_release,
    reason_cards_withheld,
)
from models_onnx.errors import ManifestRefused, UnknownModel
from models_onnx.serving.registry import find_version, load_model
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


@pytest.mark.slow
def test_loading_and_predicting_needs_nothing_that_trains() -> None:
    program = (
        "import sys, numpy; from models_onnx.serving.registry import load_model; model = load_model('mortality_5y'); "
        "model.predict(numpy.zeros(len(model.features))); "
        "print(*sorted({'sklearn', 'onnx', 'pandas', 'scipy', 'skl2onnx', 'jsonschema'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


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
    red = GateSummary(green=("file",), red=("fairness",))
    write_release(home, msgspec.structs.replace(parse_release(home), gates=red, state="validated"), SIGNER)
    assert "held at validated: fairness not green" in str(why_withheld(shelf))
    green = GateSummary(green=("file", "fairness"), red=())
    write_release(home, msgspec.structs.replace(parse_release(home), gates=green), SIGNER)
    assert why_withheld(shelf) is None


A, B = "a" * 64, "ab" + "b" * 62


def _put(shelves: Path, name: str, version: str = "", digest: str = "", state: str = "validated") -> Path:
    """A folder with a manifest that nobody reads here, and a release where a version is given."""
    folder = shelves / name
    folder.mkdir(parents=True)
    (folder / MANIFEST).write_text("{}")
    if version:
        release = Release(format=RELEASE_FORMAT, id="m", version=version, state=state, digest=digest, files={},
                          gates=None, history=(), key="")  # fmt: skip
        (folder / "release.json").write_bytes(encode_json(release))
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


def test_what_no_reference_means_is_refused_with_what_there_is(shelves: Path, tmp_path: Path) -> None:
    there = f"there are: 1.1.0 ({A[:12]}), 1.0.0 ({B[:12]})"
    assert _refusal("m@1.2.0", shelves) == f"m has no version '1.2.0'; {there}"
    assert _refusal(f"m@{A[:7]}", shelves) == f"m has no version 'aaaaaaa'; {there}", "seven digits are too few"
    assert _refusal("m@sha256:0000000000", shelves) == f"m has no version '0000000000'; {there}"
    assert _refusal("x", shelves) == "no model is called 'x'; there are: m, n"
    assert _refusal("x@1", shelves) == "no model is called 'x'; there are: m, n"
    assert _refusal("empty", shelves) == "no model is called 'empty'; there are: m, n"
    assert _refusal("n@1.0.0", shelves) == "n has no version '1.0.0'; there are: draft (draft)"
    assert _refusal("m", tmp_path / "none") == "no model is called 'm'; there are: none"
