"""Models that were fitted elsewhere, or by an estimator of one's own, become artifacts like those trained here."""

import json
import pathlib
import pickle
import re
import sys
import types
import warnings
from collections.abc import Callable
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import lightgbm
import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
import xgboost
from interpret.glassbox import ExplainableBoostingClassifier
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from models_onnx.errors import CompileRefused, TrainingRefused
from models_onnx.serving.registry import load_model
from models_onnx.spec import Fitted
from models_onnx.workbench.compiler.readers.cox import cox_of
from models_onnx.workbench.training.fitting.own import load
from tests.models_onnx.workbench.compiler.people import compiled, says
from tests.models_onnx.workbench.training.test_template import toy_table
from tests.models_onnx.workbench.training.toy import adopted, adults, declare, elsewhere, inputs, run

__all__ = ["run"]

PIPELINE = "make_pipeline(SimpleImputer(), StandardScaler(), LogisticRegression())"


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


def test_a_pipeline_of_a_skops_file_is_adopted(tmp_path: Path, run: Callable[..., Any]) -> None:
    skops = pytest.importorskip("skops.io")
    fitted = linear()
    declare(tmp_path, "Fitted('toy.skops', trained_on='people of another year')")
    skops.dump(fitted, tmp_path / "toy.skops")
    model = adopted(run, tmp_path, str(tmp_path / "toy.skops"))
    same(model, lambda X: fitted.predict_proba(X)[:, 1])
    assert "another year" in model.manifest.estimator


def test_types_of_a_skops_file_that_nobody_trusts_are_refused_by_name(tmp_path: Path, run: Callable[..., Any]) -> None:
    skops = pytest.importorskip("skops.io")
    path = declare(tmp_path, "Fitted('toy.skops', trained_on='people of another year')")
    strange = FunctionTransformer(pathlib.Path)
    skops.dump(make_pipeline(strange, LogisticRegression()), tmp_path / "toy.skops")
    told = run("import", "toy.skops", "--spec", path, "--data", tmp_path, "--out", tmp_path / "trained")
    assert told.exit_code == 2
    said = " ".join(told.output.split())
    assert "pathlib.Path is of none of sklearn, scipy, numpy: reading the file would run that code" in said
    assert "write into the declaration: estimator=Fitted('toy.skops', trusted=('pathlib.Path',), ...)" in said


def test_a_model_of_trees_says_what_to_declare_and_is_read_then(tmp_path: Path) -> None:
    """The types of trees are not among those that skops trusts, in every version so far."""
    skops = pytest.importorskip("skops.io")
    file = tmp_path / "trees.skops"
    random = np.random.default_rng(1)
    fitted = RandomForestClassifier(3, max_depth=2).fit(random.normal(size=(60, 2)), np.arange(60) % 2)
    skops.dump(fitted, file)
    declared = Fitted(file.name, trained_on="others", folder=tmp_path)
    with pytest.raises(TrainingRefused, match="All are parts of sklearn, scipy, numpy") as refused:
        load(declared)
    (named,) = re.findall(r"trusted=\(([^)]*)\)", str(refused.value))
    trusted = tuple(each.strip(" '") for each in named.split(",") if each.strip())
    assert isinstance(load(replace(declared, trusted=trusted)), RandomForestClassifier)


@pytest.mark.parametrize(
    "family", ["hist", *(pytest.param(each, marks=pytest.mark.slow) for each in ("lightgbm", "xgboost", "ebm"))]
)
def test_other_families_are_adopted_by_code_or_by_their_own_file(
    family: str, tmp_path: Path, run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    X, y = elsewhere()
    source = f"of_{family}:model"
    if family == "lightgbm":
        fitted: Any = lightgbm.LGBMClassifier(n_estimators=20, max_depth=3, verbose=-1).fit(X, y)
        source = "model.txt"
        fitted.booster_.save_model(tmp_path / source)
    elif family == "xgboost":
        fitted = xgboost.XGBClassifier(n_estimators=20, max_depth=3).fit(X, y)
        source = "model.json"
        fitted.save_model(tmp_path / source)
    elif family == "ebm":
        ebm: Any = ExplainableBoostingClassifier
        fitted = ebm(interactions=2, outer_bags=2, max_rounds=30, n_jobs=1)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that its plots show nothing missing
            fitted.fit(X, y)
    else:
        fitted = HistGradientBoostingClassifier(max_depth=3, max_iter=20).fit(X, y)
    declare(tmp_path, f"Fitted({source!r}, trained_on='people of another year')")
    module = types.ModuleType(f"of_{family}")
    module.model = lambda: fitted  # type: ignore[attr-defined]  # a module of the test
    monkeypatch.setitem(sys.modules, f"of_{family}", module)
    model = adopted(run, tmp_path, source)
    same(model, lambda X: fitted.predict_proba(X)[:, 1])


def test_an_estimator_of_ones_own_is_fitted_on_each_fold(tmp_path: Path, run: Callable[..., Any]) -> None:
    declare(tmp_path, PIPELINE)
    toy_table().to_csv(tmp_path / "toy_30d.csv", index=False)
    options = ["--specs", tmp_path, "--data", tmp_path, "--out", tmp_path / "trained", "--replicates", 0]
    trained = run("train", "toy_30d", *options)
    assert trained.exit_code == 0, trained.output
    again = run("train", "toy_30d", *options[:6], "--check", "--json")
    assert json.loads(again.stdout)["same_hash"]
    table = adults(toy_table())
    own = make_pipeline(SimpleImputer(), StandardScaler(), LogisticRegression()).fit(inputs(table), table["event"])
    model = load_model("toy_30d", tmp_path / "trained")
    assert (
        np.abs(model.predict_rows(inputs(table).to_numpy()).probability - own.predict_proba(inputs(table))[:, 1]).max()
        < 1e-6
    )
    assert "LogisticRegression" in model.manifest.estimator


def test_a_pickle_is_never_read_and_the_sentence_says_what_to_do(tmp_path: Path, run: Callable[..., Any]) -> None:
    path = declare(tmp_path, "Fitted('toy.pkl', trained_on='people of another year')")
    (tmp_path / "toy.pkl").write_bytes(pickle.dumps(Bomb(str(tmp_path / "went-off"))))
    told = run("import", "toy.pkl", "--spec", path, "--data", tmp_path, "--out", tmp_path / "trained")
    assert told.exit_code == 2
    assert "skops.io.dump(model, 'model.skops')" in told.output
    assert not (tmp_path / "went-off").exists()


class Bomb:
    """Writes a file when it is unpickled."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return open, (self.path, "w")


@pytest.mark.parametrize(
    ("estimator", "source", "said"),
    [
        ("AdditiveLogistic(knots=3, C=0.3)", "toy.skops", "write estimator=Fitted('toy.skops', trained_on="),
        ("Fitted('other.txt', trained_on='others')", "toy.txt", "declares Fitted('other.txt')"),
        ("Fitted('toy.txt', trained_on='others')", "toy.txt", "is not there"),
        ("Fitted('nowhere:model', trained_on='others')", "nowhere:model", "nowhere:model cannot be called"),
        ("Fitted('toy.txt', trained_on='others')", "toy.onnx", "the command names 'toy.onnx'"),
        ("LogisticRegression", "toy.txt", "a classifier with fit and predict_proba"),
    ],
)
def test_a_mistake_in_the_declaration_is_a_sentence(
    estimator: str, source: str, said: str, tmp_path: Path, run: Callable[..., Any]
) -> None:
    path = declare(tmp_path, estimator)
    told = run("import", source, "--spec", path, "--data", tmp_path, "--out", tmp_path / "trained")
    assert told.exit_code == 2
    assert said in told.output
    assert "Traceback" not in told.output


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("def model():\n    raise RuntimeError('Ann Smith')\n", "ended with RuntimeError (_fit_bad.py, line 2)"),
        ("def model():\n    return 1 / 0\n", "ended with ZeroDivisionError (_fit_bad.py, line 2)"),
        ("import sys\nsys.exit(0)\n", "ended with SystemExit (_fit_bad.py, line 2)"),
        ("x = 1\ndef model(:\n", "ended with SyntaxError (_fit_bad.py, line 2)"),
        ("import nothing_like_this\n", "cannot be called: No module named 'nothing_like_this'"),
        ("def model():\n    return None\n", "NoneType is no fitted model"),
    ],
)
def test_a_function_that_returns_no_model_is_told_with_its_line(
    code: str, said: str, tmp_path: Path, run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "_fit_bad", raising=False)
    path = declare(tmp_path, "Fitted('_fit_bad:model', trained_on='others')")
    (tmp_path / "_fit_bad.py").write_text(code)
    told = run("import", "_fit_bad:model", "--spec", path, "--data", tmp_path, "--out", tmp_path / "trained")
    assert told.exit_code == 2
    assert said in " ".join(told.output.split())
    assert "Smith" not in told.output


def _zipped(name: str, content: str) -> bytes:
    packed = BytesIO()
    with ZipFile(packed, "w") as file:
        file.writestr(name, content)
    return packed.getvalue()


@pytest.mark.parametrize("name", ["toy.skops", "toy.txt", "toy.json", "toy.ubj"])
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
    told = run("import", tmp_path / name, "--spec", path, "--data", tmp_path, "--out", tmp_path / "trained")
    assert (told.exit_code, type(told.exception)) == (2, SystemExit), told.exception
    assert told.output.strip()


def test_inputs_in_another_order_are_refused_and_other_names_are_declared(
    tmp_path: Path, run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    X, y = elsewhere()
    theirs = {"age_years": "Age", "sex_male": "Male", "creatinine_mg_dl": "Crea", "albumin_g_dl": "Alb"}
    fitted = HistGradientBoostingClassifier(max_depth=2, max_iter=10).fit(X.rename(columns=theirs), y)
    module = types.ModuleType("of_names")
    module.model = lambda: fitted  # type: ignore[attr-defined]  # a module of the test
    monkeypatch.setitem(sys.modules, "of_names", module)
    path = declare(tmp_path, "Fitted('of_names:model', trained_on='others')")
    told = run("import", "of_names:model", "--spec", path, "--data", tmp_path, "--out", tmp_path / "trained")
    assert told.exit_code == 2
    assert "columns=('Age', 'Male', 'Crea', 'Alb')" in told.output
    text = path.read_text().replace("='others')", "='others', columns=('Age', 'Male', 'Crea', 'Alb'))")
    path.write_text(text)
    same(adopted(run, tmp_path, "of_names:model"), lambda X: fitted.predict_proba(X.rename(columns=theirs))[:, 1])


def test_a_cox_model_of_statsmodels_gives_its_risk_at_the_horizon() -> None:
    draw = np.random.default_rng(4)
    rows = pd.DataFrame({"age": draw.normal(60, 10, 400), "crp": draw.lognormal(1, 1, 400)}).astype(np.float32)
    rows = rows.astype(float)
    months = np.asarray(draw.exponential(40 / np.exp(0.03 * (rows["age"] - 60)))).round()
    event = np.asarray(months < 48)
    months = np.minimum(months, 48) + 1
    fitted: Any = sm.PHReg(months, rows, status=event.astype(int), ties="breslow").fit()
    sums = [np.exp(rows.to_numpy() @ fitted.params)[months >= time].sum() for time in sorted(set(months[event]))]
    counts = [int((months[event] == time).sum()) for time in sorted(set(months[event]))]
    times = np.array(sorted(set(months[event])))
    hazard = (np.array(counts) / np.array(sums))[times <= 24].sum()
    expected = 1 - np.exp(-hazard * np.exp(rows.to_numpy() @ fitted.params))
    with pytest.raises(CompileRefused, match="unit of its time"):
        cox_of(fitted, (2.0,))
    with pytest.raises(CompileRefused, match="followed for at most 49, and the horizon is 60 in its unit"):
        cox_of(fitted, (2.0, 5.0), 12.0)
    told = says(compiled(cox_of(fitted, (2.0,), 12.0), rows).content, rows.to_numpy())
    assert np.abs(told["probability"] - expected).max() < 1e-6


def test_a_function_of_a_file_beside_the_declaration_returns_the_fitted_model(
    tmp_path: Path, run: Callable[..., Any]
) -> None:
    declare(tmp_path, "Fitted('_fit_toy:model', trained_on='people of another year')")
    X, y = elsewhere()
    X.fillna(1.5).assign(event=y).to_csv(tmp_path / "others.csv", index=False)
    (tmp_path / "_fit_toy.py").write_text(
        "from pathlib import Path\n\nimport pandas as pd\nfrom sklearn.linear_model import LogisticRegression\n\n\n"
        "def model():\n    rows = pd.read_csv(Path(__file__).with_name('others.csv'))\n"
        "    return LogisticRegression(max_iter=1000).fit(rows.drop(columns='event'), rows['event'])\n"
    )
    fitted = LogisticRegression(max_iter=1000).fit(X.fillna(1.5), y)
    same(adopted(run, tmp_path, "_fit_toy:model"), lambda X: fitted.predict_proba(X)[:, 1], whole=True)


def test_the_functions_of_two_folders_are_two_functions_though_their_files_have_one_name(tmp_path: Path) -> None:
    for number in (1, 2):
        (tmp_path / str(number)).mkdir()
        (tmp_path / str(number) / "_fit_same.py").write_text(f"def model():\n    return {number}\n")
    sources = [Fitted("_fit_same:model", trained_on="x", folder=tmp_path / str(number)) for number in (1, 2, 1)]
    assert [load(source) for source in sources] == [1, 2, 1]
