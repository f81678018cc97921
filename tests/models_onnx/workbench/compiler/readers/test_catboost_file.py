"""A CatBoost model file gives CatBoost's own margins; what is not compiled is refused by name.

`catboost.json` has two models that CatBoost 1.2.10 was fitted with on invented people, and what it says of rows: forty
of them, each border with its float32 neighbours, and each input missing.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models_onnx.errors import CompileRefused
from models_onnx.workbench.compiler import compile_model
from models_onnx.workbench.compiler.readers.source import read_file
from tests.models_onnx.workbench.compiler.people import by_coalitions, says

SAMPLES = json.loads(Path(__file__).with_name("catboost.json").read_text())


def write(folder: Path, name: str, **changes: Any) -> Path:
    path = folder / "model.json"
    path.write_text(json.dumps({**SAMPLES[name]["model"], **changes}))
    return path


@pytest.mark.parametrize("name", sorted(SAMPLES))
def test_a_catboost_file_says_what_catboost_says_on_every_border(name: str, tmp_path: Path) -> None:
    rows, path = np.array(SAMPLES[name]["rows"], dtype=np.float64), write(tmp_path, name)
    assert read_file(path).features == ("age", "bun", "albumin", "male")
    assert np.abs(read_file(path).margin(rows) - SAMPLES[name]["margins"]).max() < 1e-12
    compiled = compile_model(path, rows[:40], name="m")
    told = says(compiled.content, rows)
    assert np.abs(told["margin"] - SAMPLES[name]["margins"]).max() < 1e-9
    expected = by_coalitions(read_file(path).margin, rows[50], rows[:40])
    assert np.abs(told["contributions"][50] - expected).max() < 1e-9


def test_what_a_catboost_file_may_not_be_is_refused_by_name(tmp_path: Path) -> None:
    model = SAMPLES["oblivious"]["model"]
    categories = {**model["features_info"], "categorical_features": [{"feature_id": "ward"}]}
    several = [{**model["oblivious_trees"][0], "leaf_values": [0.0] * 48}]
    for changes, word in (
        ({"model_info": {"params": {"loss_function": {"type": "RMSE"}}}}, "the loss 'RMSE'"),
        ({"features_info": categories}, "categorical_features.*one-hot"),
        ({"oblivious_trees": several}, "several values in a leaf"),
        ({"oblivious_trees": [{}]}, "not a whole CatBoost model"),
    ):
        with pytest.raises(CompileRefused, match=word):
            read_file(write(tmp_path, "oblivious", **changes))
    (tmp_path / "model.json").write_bytes(b"CBM1\0\0")
    with pytest.raises(CompileRefused, match="format='json'"):
        read_file(tmp_path / "model.json")
