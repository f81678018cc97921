"""CatBoost's own default, fitted here, is compiled to what it says itself: where CatBoost is installed."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from models_onnx.workbench.compiler import compile_model
from models_onnx.workbench.compiler.readers.source import read_file
from tests.models_onnx.workbench.compiler.people import by_coalitions, says

pytestmark = pytest.mark.slow
# CatBoost chooses 1,000 trees of depth 6 itself; fewer trees are as deep, and the file is made in seconds.
FITTING = """
import json, sys
import numpy as np
from catboost import CatBoostClassifier

draw = np.random.default_rng(4)
X = draw.normal(size=(3000, 5)).round(2)
X[draw.random(X.shape) < 0.1] = np.nan
y = draw.random(3000) < 1 / (1 + np.exp(-np.nan_to_num(X) @ [0.8, -0.5, 0.3, 0, 0.6]))
model = CatBoostClassifier(iterations=60, verbose=False, allow_writing_files=False, random_seed=1).fit(X, y)
model.save_model(sys.argv[1], format="json")
json.dump({"X": np.nan_to_num(X, nan=1e9).tolist(), "p": model.predict_proba(X)[:, 1].tolist()}, open(sys.argv[2], "w"))
"""


@pytest.fixture
def python() -> str:
    """A Python that has CatBoost: this one, as in .ci/run, or that beside MLflow on the PATH; else it is skipped."""
    mlflow = shutil.which("mlflow")
    for candidate in (sys.executable, *([str(Path(mlflow).parent / "python")] if mlflow is not None else [])):
        if subprocess.run([candidate, "-c", "import catboost"], capture_output=True).returncode == 0:
            return candidate
    pytest.skip("CatBoost is not installed: install requirements/mlops.txt into an environment on the PATH")


def test_the_default_of_catboost_is_compiled_to_what_it_says(python: str, tmp_path: Path) -> None:
    model, answers = tmp_path / "model.json", tmp_path / "answers.json"
    subprocess.run([python, "-c", FITTING, model, answers], check=True, cwd=tmp_path)
    document = json.loads(answers.read_text())
    X = np.array(document["X"], dtype=np.float64)
    X[X == 1e9] = np.nan
    compiled = compile_model(model, X[:500], name="m", deepest=6)
    told = says(compiled.content, X)
    assert np.abs(told["probability"] - document["p"]).max() < 1e-6
    expected = by_coalitions(read_file(model).margin, X[7], X[:500])
    assert np.abs(told["contributions"][7] - expected).max() < 1e-6
