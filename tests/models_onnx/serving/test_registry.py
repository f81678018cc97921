"""Models and versions are found by id, version or digest, and only by one that is there."""

import shutil
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from models_onnx.artifact.release_file import GateSummary, parse_release, reason_cards_withheld
from models_onnx.errors import ManifestRefused, UnknownModel
from models_onnx.serving.registry import load_model, model_ids
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


def test_the_committed_model_is_listed_and_signed() -> None:
    assert "mortality_5y" in model_ids()
    release = load_model("mortality_5y").artifact.release
    assert release is not None
    assert release.id == "mortality_5y"


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
