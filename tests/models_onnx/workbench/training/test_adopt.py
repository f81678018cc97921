"""Models that were fitted elsewhere, or by an estimator of one's own, become artifacts like those trained here."""

import json
import pickle
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import lightgbm
import numpy as np
import pytest
import xgboost
from skl2onnx import to_onnx
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from typer.testing import CliRunner

from cds_hooks.call.trusted_models import own_keys
from cds_hooks.cli import app as program
from cds_hooks.settings import Settings
from models_onnx.serving.registry import load_model
from tests.each import each_row
from tests.models_onnx.workbench.training.toy import adopted, adults, declare, elsewhere, inputs, toy_table, train

GATES = ("file", "parity", "speed", "missing-data")
LEARNED = {"patient_column=": 'missing_inputs="learned",\n    patient_column='}


def linear() -> Any:
    """A pipeline that imputes and scales."""
    return make_pipeline(SimpleImputer(), StandardScaler(), LogisticRegression()).fit(*elsewhere())


def same(model: Any, probability: Any, whole: bool = False) -> None:
    """The artifact answers as the library does, for the people of the table."""
    X = inputs(adults(toy_table(700)))
    X = X[~X.isna().any(axis=1)] if whole else X
    told = model.predict_rows(X.to_numpy())
    assert np.abs(told.probability - probability(X)).max() < 1e-6
    assert model.manifest.link == "logit"
    odds = np.log(told.probability / (1 - told.probability))
    assert np.abs(odds - model.manifest.base - told.contributions.sum(axis=1)).max() < 1e-5


def test_a_pipeline_that_skl2onnx_wrote_is_adopted_and_judged(tmp_path: Path, run: Callable[..., Any]) -> None:
    fitted = linear()
    exported = to_onnx(fitted, elsewhere()[0][:1].astype("float32"), options={id(fitted): {"zipmap": False}})
    (tmp_path / "toy.onnx").write_bytes(exported.SerializeToString())
    declare(tmp_path, "Fitted('toy.onnx', trained_on='people of another year')", **LEARNED)
    model = adopted(run, tmp_path)
    X = inputs(adults(toy_table(700)))
    told = model.predict_rows(X.to_numpy())
    assert np.abs(told.probability - fitted.predict_proba(X)[:, 1]).max() < 1e-6
    assert "another year" in model.manifest.estimator
    options = ["--folder", tmp_path / "trained", "--specs", tmp_path, "--data", tmp_path, "--json"]
    judged = json.loads(run("gates", "toy_30d", *options).stdout)
    verdicts = {result["gate"]: result["status"] for result in judged["report"]["results"]}
    assert {name: verdicts[name] for name in GATES} == dict.fromkeys(GATES, "passed")


@pytest.mark.slow
@pytest.mark.parametrize("family", ["lightgbm", "xgboost"])
def test_trees_of_other_libraries_are_adopted_by_their_own_file(
    family: str, tmp_path: Path, run: Callable[..., Any]
) -> None:
    X, y = elsewhere()
    if family == "lightgbm":
        fitted: Any = lightgbm.LGBMClassifier(n_estimators=20, max_depth=3, verbose=-1).fit(X, y)
        source = "model.txt"
        fitted.booster_.save_model(tmp_path / source)
    else:
        fitted = xgboost.XGBClassifier(n_estimators=20, max_depth=3).fit(X, y)
        source = "model.json"
        fitted.save_model(tmp_path / source)
    declare(tmp_path, f"Fitted({source!r}, trained_on='people of another year')")
    model = adopted(run, tmp_path)
    same(model, lambda X: fitted.predict_proba(X)[:, 1])


def test_boosted_trees_of_scikit_learn_are_trained_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    estimator, table = "HistGradientBoostingClassifier(max_depth=3, max_iter=20)", toy_table(3000)
    imported = "from sklearn.ensemble import HistGradientBoostingClassifier\n\nfrom models_onnx.spec import ("
    changed = {"AdditiveLogistic(knots=3, C=0.3)": estimator, "from models_onnx.spec import (": imported}
    told = train(tmp_path, table, changed)
    assert told.exit_code == 0, told.output
    people = adults(table)
    fitted = HistGradientBoostingClassifier(max_depth=3, max_iter=20).fit(inputs(people), people["event"])
    same(load_model("toy_30d", tmp_path / "trained", own_keys(Settings())), lambda X: fitted.predict_proba(X)[:, 1])


def test_a_pickle_is_never_read_and_the_sentence_says_what_to_do(tmp_path: Path, run: Callable[..., Any]) -> None:
    path = declare(tmp_path, "Fitted('toy.pkl', trained_on='people of another year')")
    (tmp_path / "toy.pkl").write_bytes(pickle.dumps(Bomb(str(tmp_path / "went-off"))))
    told = run("import", path, "--data", tmp_path, "--out", tmp_path / "trained")
    assert told.exit_code == 2
    assert "or as an ONNX file (skl2onnx.to_onnx)" in told.output
    assert not (tmp_path / "went-off").exists()


class Bomb:
    """Writes a file when it is unpickled."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return open, (self.path, "w")


@each_row(("estimator", "said"))
def test_a_mistake_in_the_declaration_is_a_sentence(
    estimator: str, said: str, tmp_path: Path, run: Callable[..., Any]
) -> None:
    path = declare(tmp_path, estimator)
    told = run("import", path, "--data", tmp_path, "--out", tmp_path / "trained")
    assert told.exit_code == 2
    assert said in told.output
    assert "Traceback" not in told.output


def _zipped(name: str, content: str) -> bytes:
    packed = BytesIO()
    with ZipFile(packed, "w") as file:
        file.writestr(name, content)
    return packed.getvalue()


@pytest.mark.parametrize("name", ["toy.joblib", "toy.txt", "toy.json", "toy.ubj"])
@pytest.mark.parametrize(
    "content",
    [b"", b"junk", b"PK\5\6" + bytes(18), b"PK\3\4" + bytes(99), b"[" * 100_000, b"tree\nversion=v4\n"]
    + [_zipped("schema.json", text) for text in ("[", "{}", "[" * 100_000, '{"__loader__": "x", "protocol": 9}')],
)
def test_a_file_that_holds_no_model_is_a_sentence(
    name: str, content: bytes, tmp_path: Path, run: Callable[..., Any]
) -> None:
    path = declare(tmp_path, f"Fitted('{name}', trained_on='others')")
    (tmp_path / name).write_bytes(content)
    told = run("import", path, "--data", tmp_path, "--out", tmp_path / "trained")
    assert (told.exit_code, type(told.exception)) == (2, SystemExit), told.exception
    assert told.output.strip()


@each_row(("old", "new", "said"))
def test_a_wrong_declaration_is_a_sentence(old: str, new: str, said: str, tmp_path: Path) -> None:
    if said == "its values":
        table, said = (
            toy_table().assign(sex="F"),
            "no row has a number for sex_male, all are blank; leave it out of the inputs",
        )
    else:
        table = toy_table()
    told = train(tmp_path, table, {old: new})
    assert told.exit_code == 2, told.output
    assert said in told.output


def test_a_column_in_another_unit_is_refused_with_what_to_do(tmp_path: Path) -> None:
    table = toy_table()
    table["creatinine_mg_dl"] *= 88.42
    told = train(tmp_path, table)
    assert told.exit_code == 2
    assert "Have derived['creatinine_mg_dl'] give its values in mg/dL, or convert the column" in told.output
    checked = CliRunner().invoke(program, ["data", str(tmp_path / "toy_30d.csv"), "--specs", str(tmp_path), "--json"])
    assert checked.exit_code == 1
    assert '"not-trainable"' in checked.output
