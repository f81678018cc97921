"""Models are found by id, and only by an id that is there."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from models_onnx.errors import ManifestRefused, UnknownModel
from models_onnx.registry import load_model, model_ids

ROOT = Path(__file__).resolve().parents[2]


def test_loading_and_predicting_needs_nothing_that_trains() -> None:
    program = (
        "import sys, numpy; from models_onnx.registry import load_model; model = load_model('mortality_5y'); "
        "model.predict(numpy.zeros(len(model.features))); "
        "print(*sorted({'sklearn', 'onnx', 'pandas', 'scipy', 'skl2onnx'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_the_committed_model_is_listed() -> None:
    assert "mortality_5y" in model_ids()


def test_an_empty_folder_holds_no_model(tmp_path: Path) -> None:
    assert model_ids(tmp_path) == model_ids(tmp_path / "absent") == ()


@pytest.mark.parametrize("name", ["absent", "../mortality_5y", ""])
def test_an_id_that_is_not_there_is_refused(folder: Path, name: str) -> None:
    with pytest.raises(UnknownModel, match="mortality_5y"):
        load_model(name, folder)


def test_a_folder_under_a_wrong_name_is_refused(folder: Path) -> None:
    shutil.move(folder / "mortality_5y", folder / "readmission_30d")
    with pytest.raises(ManifestRefused, match="mortality_5y"):
        load_model("readmission_30d", folder)
