"""Models that were fitted elsewhere, or by an estimator of one's own, become artifacts like those trained here."""

import json
import pickle
import sys
import types
import warnings
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import lightgbm
import msgspec
import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
import xgboost
from interpret.glassbox import ExplainableBoostingClassifier
from skl2onnx import to_onnx
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from typer.testing import CliRunner

from cds_hooks.cli import app as program
from cds_hooks.commands.model.main import app
from models_onnx.artifact.folder import read_manifest
from models_onnx.artifact.manifest import Manifest
from models_onnx.errors import CompileRefused
from models_onnx.serving.registry import ARTIFACTS, load_model
from models_onnx.spec import Fitted
from models_onnx.workbench.compiler.readers.cox import cox_of
from models_onnx.workbench.training.fitting.own import load
from models_onnx.workbench.training.pipeline import differences
from tests.models_onnx.workbench.compiler.people import compiled, says
from tests.models_onnx.workbench.training.toy import (
    adopted,
    adults,
    declare,
    elsewhere,
    inputs,
    run,
    toy_table,
    train,
)

__all__ = ["run"]

GATES = ("G1", "G2", "G3", "G4", "G5", "G11", "G17")
LEARNED = {"patient_column=": 'missing_inputs="learned",\n    patient_column='}
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
    model = adopted(run, tmp_path)
    same(model, lambda X: fitted.predict_proba(X)[:, 1])


def test_an_estimator_of_ones_own_is_fitted_on_each_fold(tmp_path: Path, run: Callable[..., Any]) -> None:
    declare(tmp_path, PIPELINE)
    toy_table().to_csv(tmp_path / "toy_30d.csv", index=False)
    options = ["--specs", tmp_path, "--data", tmp_path, "--out", tmp_path / "trained", "--replicates", 0]
    trained = run("train", "toy_30d", *options)
    assert trained.exit_code == 0, trained.output
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


@pytest.mark.parametrize(
    ("estimator", "said"),
    [
        ("AdditiveLogistic(knots=3, C=0.3)", "write estimator=Fitted(SOURCE, trained_on="),
        ("Fitted('toy.txt', trained_on='others')", "is not there"),
        ("Fitted('nowhere:model', trained_on='others')", "nowhere:model cannot be called"),
        ("LogisticRegression", "a classifier with fit and predict_proba"),
    ],
)
def test_a_mistake_in_the_declaration_is_a_sentence(
    estimator: str, said: str, tmp_path: Path, run: Callable[..., Any]
) -> None:
    path = declare(tmp_path, estimator)
    told = run("import", path, "--data", tmp_path, "--out", tmp_path / "trained")
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
    told = run("import", path, "--data", tmp_path, "--out", tmp_path / "trained")
    assert told.exit_code == 2
    assert said in " ".join(told.output.split())
    assert "Smith" not in told.output


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
    told = run("import", path, "--data", tmp_path, "--out", tmp_path / "trained")
    assert told.exit_code == 2
    assert "columns=('Age', 'Male', 'Crea', 'Alb')" in told.output
    text = path.read_text().replace("='others')", "='others', columns=('Age', 'Male', 'Crea', 'Alb'))")
    path.write_text(text)
    same(adopted(run, tmp_path), lambda X: fitted.predict_proba(X.rename(columns=theirs))[:, 1])


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
    same(adopted(run, tmp_path), lambda X: fitted.predict_proba(X)[:, 1], whole=True)


def test_the_functions_of_two_folders_are_two_functions_though_their_files_have_one_name(tmp_path: Path) -> None:
    for number in (1, 2):
        (tmp_path / str(number)).mkdir()
        (tmp_path / str(number) / "_fit_same.py").write_text(f"def model():\n    return {number}\n")
    sources = [Fitted("_fit_same:model", trained_on="x", folder=tmp_path / str(number)) for number in (1, 2, 1)]
    assert [load(source) for source in sources] == [1, 2, 1]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("age_low=18", "age_low=200", "age_low is 200; nobody would be scored"),
        ("capacity=0.10", "capacity=0", "a capacity of 0 is no share of the people between 0 and 1"),
        ("(0.05, 0.10, 0.20)", "(0.10, 10)", "a capacity of 10 is no share"),
        ("horizon_days=30", "horizon_days=-30", "the horizon is -30 days; it must be more than 0"),
        ('table["sex"]}', 'table["gender"]}', "the subgroup 'sex' reads the column 'gender', which toy_30d"),
        ('table["age_years"] < 18', 'table["age"] < 18', "the exclusion 'under-18' reads the column 'age'"),
        ('table["age_years"] < 18', 'table["age_years"] < 180', "no row that the exclusions leave"),
        (
            'table["age_years"] < 18',
            'table["sex"] < 18',
            "the function of the exclusion 'under-18' ended with TypeError (",
        ),
        ('{"male": 1.0', '{"man": 1.0', "its values"),
    ],
)
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


@pytest.mark.parametrize(
    ("outcome", "said", "kind"),
    [
        (lambda table: table["event"].map({1: "yes", 0: "no"}), "holds texts: it must be 0 or 1", "not-trainable"),
        (lambda table: table["event"].where(table.index % 9 > 0), "must be 0 or 1 in each row", "not-trainable"),
        (lambda table: 0 * table["event"], "the outcome event is 0 in all", "few-events"),
    ],
)
def test_an_outcome_that_cannot_be_learned_is_a_sentence_and_an_error_of_the_check(
    outcome: Callable[[pd.DataFrame], pd.Series], said: str, kind: str, tmp_path: Path
) -> None:
    table = toy_table()
    told = train(tmp_path, table.assign(event=outcome(table)))
    assert told.exit_code == 2, told.output
    assert said in " ".join(told.output.split())
    checked = CliRunner().invoke(program, ["data", str(tmp_path / "toy_30d.csv"), "--specs", str(tmp_path), "--json"])
    assert (checked.exit_code, f'"{kind}"' in checked.output) == (1, True), checked.output


def test_a_table_in_another_form_is_told_how_to_be_saved(tmp_path: Path) -> None:
    table = toy_table()
    train(tmp_path, table)
    file = tmp_path / "toy_30d.csv"
    options = ["train", "toy_30d", "--specs", str(tmp_path), "--data", str(tmp_path), "--out", str(tmp_path / "x")]
    for content, said in (
        (table.to_csv(index=False, sep=";", decimal=",").encode(), "its columns are separated by ';'"),
        (table.assign(place="Zürich").to_csv(index=False).encode("latin1"), "is not in UTF-8: save it as CSV in UTF-8"),
    ):
        file.write_bytes(content)
        told = CliRunner().invoke(app, options)
        assert (told.exit_code, said in " ".join(told.output.split())) == (2, True), told.output


def test_a_column_in_another_unit_is_refused_with_what_to_do(tmp_path: Path) -> None:
    table = toy_table()
    table["creatinine_mg_dl"] *= 88.42
    told = train(tmp_path, table)
    assert told.exit_code == 2
    assert "Have derived['creatinine_mg_dl'] give its values in mg/dL, or convert the column" in told.output
    checked = CliRunner().invoke(program, ["data", str(tmp_path / "toy_30d.csv"), "--specs", str(tmp_path), "--json"])
    assert checked.exit_code == 1
    assert '"not-trainable"' in checked.output


def test_a_derived_input_in_another_unit_or_of_no_column_is_told_in_the_words_of_the_declaration(
    tmp_path: Path,
) -> None:
    table = toy_table().rename(columns={"creatinine_mg_dl": "Crea"})
    table["Crea"] *= 88.4
    derived = '"creatinine_mg_dl": lambda table: table["Crea"], "sex_male":'
    told = train(tmp_path, table, {'"sex_male":': derived})
    assert told.exit_code == 2
    assert "Have derived['creatinine_mg_dl'] give its values in mg/dL" in told.output
    (tmp_path / "other").mkdir()
    told = train(tmp_path / "other", table, {'"sex_male":': derived.replace("Crea", "Creatinine")})
    assert told.exit_code == 2
    assert "creatinine_mg_dl is read from the column 'Creatinine', which toy_30d.csv does not have" in told.output


def test_a_model_of_ones_own_has_its_figures_on_other_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CDS_MODEL_SIGNING_KEY", str(tmp_path / "key.pem"))
    assert train(tmp_path, toy_table()).exit_code == 0
    run, trained = CliRunner(), str(tmp_path / "trained")
    toy_table(400).drop(columns="fold").to_csv(tmp_path / "others.csv", index=False)
    options = ["--rows", str(tmp_path / "others.csv"), "--folder", trained, "--specs", str(tmp_path)]
    told = run.invoke(app, ["evaluate", "toy_30d", *options, "--replicates", "0"])
    assert told.exit_code == 0, told.output


STORED = read_manifest(ARTIFACTS / "mortality_5y")


def changed(**members: Any) -> Manifest:
    """The committed manifest with these members."""
    return msgspec.structs.replace(STORED, **members)


def evaluated(**figures: Any) -> Manifest:
    """The committed manifest with these figures."""
    return changed(evaluation={**STORED.evaluation, **figures})


def test_a_number_differs_by_more_than_two_thousandths_of_itself_or_of_one() -> None:
    for stored, trained, expected in (
        (10.02, 10.0, []),
        (9.979, 10.0, ["base is 9.979 and should be 10"]),
        (-10.021, -10.0, ["base is -10.021 and should be -10"]),
        (0.502, 0.5003, []),
        (0.503, 0.5, ["base is 0.503 and should be 0.5"]),
    ):
        assert differences(changed(base=stored), changed(base=trained)) == expected


def test_texts_lists_and_members_differ_where_they_stand_and_five_are_enough() -> None:
    assert differences(STORED, STORED) == []
    long = "x" * 70
    assert differences(changed(title=long), changed(title="y")) == [f"title is {long[:60]!r} and should be 'y'"]
    (not_for,) = differences(changed(not_for=("a", "b")), changed(not_for=("a",)))
    assert not_for.startswith("not_for is ")
    groups: list[dict[str, Any]] = [{"group": "f", "n": 5}, {"name": "m", "n": 6}, {"n": 7}]
    moved = [{**group, "n": group["n"] + 1} for group in groups]
    assert differences(evaluated(x=groups), evaluated(x=moved)) == [
        "evaluation.x[f].n is 5 and should be 6",
        "evaluation.x[m].n is 6 and should be 7",
        "evaluation.x[2].n is 7 and should be 8",
    ]
    assert len(differences(evaluated(x=list(range(9))), evaluated(x=list(range(1, 10))))) == 5
    assert differences(evaluated(x=1), evaluated(y=1)) == [
        "evaluation.x is '1' and should be 'None'",
        "evaluation.y is 'None' and should be '1'",
    ]


def test_a_figure_that_groups_of_older_manifests_lack_is_no_difference() -> None:
    older, newer = [{"group": "f", "n": 1}], [{"group": "f", "n": 1, "calibration_slope": 1.0}]
    assert differences(evaluated(subgroups=older), evaluated(subgroups=newer)) == []
    expected = "evaluation.subgroups[f].calibration_slope is '1.0' and should be 'None'"
    assert differences(evaluated(subgroups=newer), evaluated(subgroups=older)) == [expected]
    expected = "evaluation.x[f].calibration_slope is 'None' and should be '1.0'"
    assert differences(evaluated(x=older), evaluated(x=newer)) == [expected]
