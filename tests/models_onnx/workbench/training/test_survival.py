"""The example of a survival model (docs/models/survival) runs: the imported file shows lifelines' risks."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from models_onnx.artifact.folder import load_artifact
from models_onnx.serving.runtime import Model
from models_onnx.workbench.training.commands import no_progress
from models_onnx.workbench.training.renewing import adopt
from tests.conftest import ROOT
from tests.models_onnx.workbench.training.template import write_template
from tests.models_onnx.workbench.training.toy import complete

FILES = ROOT / "docs/models/survival"
pytestmark = pytest.mark.slow  # it fits and adopts a whole model


def test_the_imported_file_shows_the_risks_of_lifelines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = _environment(tmp_path / "theirs")
    monkeypatch.chdir(tmp_path)
    write_template("death_5y", Path("mine"))
    complete(Path("mine/death_5y.card.json"))
    shutil.copy(FILES / "death_5y.py", "mine")
    subprocess.run([theirs, FILES / "fit.py"], check=True, timeout=300)
    artifact = load_artifact(adopt(Path("mine/death_5y.py"), Path("tables"), Path("own"), 1, 0, no_progress))
    table = pd.read_csv("tables/death_5y.csv")
    rows = table[["age_years", "sex_male", "creatinine_mg_dl"]].to_numpy(dtype=np.float64)
    said = Model(artifact).predict_rows(rows).probability
    theirs = pd.read_csv("lifelines.csv").iloc[:, 0].to_numpy()
    assert np.abs(said - theirs).max() < 1e-5
    assert artifact.manifest.evaluation["all"]["observed_expected"]["value"] == pytest.approx(1.0, abs=0.1)


def _environment(folder: Path) -> Path:
    """The Python of a new environment with lifelines; skips where it cannot be fetched."""
    subprocess.run([sys.executable, "-m", "venv", folder], check=True, timeout=300)
    fetched = subprocess.run([folder / "bin" / "pip", "install", "-q", "lifelines", "onnx"], timeout=600, check=False)
    if fetched.returncode:
        pytest.skip("lifelines cannot be fetched here")
    return folder / "bin" / "python"
