"""What a missing input counts as is declared, and gate G6 holds the file to it; and where a model comes from."""

import hashlib
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

from models_onnx.artifact.manifest import Manifest
from models_onnx.errors import DeclarationError, TrainingRefused
from models_onnx.model_card.origin import absence_words
from models_onnx.spec import AdditiveLogistic, Fitted, ModelSpec, get_spec
from models_onnx.workbench.gates.checks.explanation import check_explanation
from models_onnx.workbench.gates.gate import NotRun, Verdict
from models_onnx.workbench.gates.subject import Subject
from models_onnx.workbench.training.commands import no_progress
from models_onnx.workbench.training.data.cohort import Table, build_cohort
from models_onnx.workbench.training.lineage import code_version, fitted_with, lineage_of
from models_onnx.workbench.training.pipeline import Trained, imputed_values, train
from tests.models_onnx.workbench.training.template import write_template
from tests.models_onnx.workbench.training.test_template import complete, toy_table
from tests.models_onnx.workshop import KEYS, evidence

NAMES = ("age_years", "sex_male", "creatinine_mg_dl", "albumin_g_dl")


def declared(folder: Path, estimator: Any, **more: Any) -> ModelSpec:
    """The model of the template with this estimator, without limits to its figures."""
    if not (folder / "toy_30d.py").is_file():
        write_template("toy_30d", folder)
    complete(folder / "toy_30d.card.json")
    spec = get_spec("toy_30d", folder)
    inputs = tuple(replace(item) for item in spec.inputs)
    floors = replace(spec.floors, auroc=0.5, slope=(0.0, 9.0), observed_expected=(0.1, 9.0))
    plain = {"subgroups": {}, "panels": {}, "inputs": inputs, "floors": floors}
    return replace(spec, **{**plain, "estimator": estimator, **more})


def trained_and_judged(spec: ModelSpec) -> tuple[Trained, Verdict]:
    """The model trained on the invented table, and what G6 says of it with rows of the table."""
    rows = toy_table()
    told = train(spec, Table("toy_30d.csv", "0" * 64, rows), 1, 0, no_progress)
    subject = Subject(folder=Path(), keys=KEYS, content=told.content, manifest=told.manifest, card={})
    return told, check_explanation(subject, evidence(people=build_cohort(spec, rows).X[:400]))


def test_another_value_than_the_declared_one_fails(tmp_path: Path) -> None:
    told, _ = trained_and_judged(declared(tmp_path, imputing(), missing_inputs="imputed"))
    document = msgspec.to_builtins(told.manifest)
    document["missing_inputs"]["values"]["creatinine_mg_dl"] = 2.9
    del document["missing_inputs"]["values"]["albumin_g_dl"]
    about = msgspec.convert(document, Manifest)
    verdict = check_explanation(
        Subject(folder=Path(), keys=KEYS, content=told.content, manifest=about, card={}), evidence()
    )
    assert any("a missing creatinine_mg_dl counts otherwise than as 2.9" in fault for fault in verdict.faults)
    assert any("no value is declared that stands in for a missing albumin_g_dl" in fault for fault in verdict.faults)


def imputing() -> Any:
    """A pipeline that puts the median in the place of what is missing."""
    return make_pipeline(SimpleImputer(strategy="median"), StandardScaler(), LogisticRegression())


def test_an_imputing_pipeline_fails_undeclared_and_passes_declared(tmp_path: Path) -> None:
    _, verdict = trained_and_judged(declared(tmp_path, imputing()))
    assert any("declare missing_inputs='imputed' or 'learned'" in fault for fault in verdict.faults)
    told, verdict = trained_and_judged(declared(tmp_path, imputing(), missing_inputs="imputed"))
    assert verdict.faults == ()
    values = getattr(told.manifest.missing_inputs, "values", {})
    median = toy_table().query("age_years >= 18")["creatinine_mg_dl"].median()
    assert values["creatinine_mg_dl"] == pytest.approx(median)


@pytest.mark.slow
def test_learned_absence_is_judged_by_who_lacked_the_input(tmp_path: Path) -> None:
    trees = HistGradientBoostingClassifier(max_depth=3, max_iter=60, random_state=0)
    _, verdict = trained_and_judged(declared(tmp_path, trees, missing_inputs="learned"))
    (fault,) = verdict.faults
    assert fault.startswith("0 of 400 people lacked albumin_g_dl, so what its absence contributes")
    always = ("age_years", "sex_male", "albumin_g_dl")
    told, verdict = trained_and_judged(declared(tmp_path, trees, missing_inputs="learned", always_required=always))
    assert verdict.faults == ()
    assert verdict.figures["largest_of_absence"] > 0.01
    assert "its absence raises or lowers the estimate by itself" in absence_words(told.manifest)


def test_learned_absence_that_is_not_there_fails_and_without_rows_nothing_is_judged(tmp_path: Path) -> None:
    regression = make_pipeline(StandardScaler(), LogisticRegression())
    rows = toy_table().dropna()
    spec = declared(tmp_path, regression, missing_inputs="learned")
    told = train(spec, Table("toy_30d.csv", "0" * 64, rows), 1, 0, no_progress)
    subject = Subject(folder=Path(), keys=KEYS, content=told.content, manifest=told.manifest, card={})
    verdict = check_explanation(subject, evidence(people=build_cohort(spec, rows).X[:400]))
    assert verdict.faults == (
        "it declares that absence was learned, and no absence contributes: leave the declaration out",
    )
    with pytest.raises(NotRun, match="without the rows it cannot be seen from whom"):
        check_explanation(subject, evidence())


def test_an_input_that_counts_for_few_people_contributes_rightly(tmp_path: Path) -> None:
    rows = toy_table()
    rows["event"] = ((rows["creatinine_mg_dl"] > 2.85) & (rows["sex"] == "male")).astype(int)
    spec = declared(tmp_path, DecisionTreeClassifier(max_depth=2, random_state=0), missing_inputs="learned")
    told = train(spec, Table("toy_30d.csv", "0" * 64, rows), 1, 0, no_progress)
    subject = Subject(folder=Path(), keys=KEYS, content=told.content, manifest=told.manifest, card={})
    verdict = check_explanation(subject, evidence(people=build_cohort(spec, rows).X[:400]))
    assert not [fault for fault in verdict.faults if "sex_male" in fault]


@pytest.mark.parametrize(
    ("estimator", "value", "said"),
    [
        (imputing(), "guessed", "must be one of average, imputed, learned"),
        (AdditiveLogistic(knots=2, C=0.1), "learned", "is settled for additive logistic regression"),
    ],
)
def test_a_declaration_that_cannot_be_is_refused(estimator: Any, value: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(DeclarationError, match=said):
        declared(tmp_path, estimator, missing_inputs=value)


def test_imputed_without_an_imputer_is_refused_with_what_to_declare(tmp_path: Path) -> None:
    trees = HistGradientBoostingClassifier(max_depth=2, max_iter=5)
    with pytest.raises(TrainingRefused, match="no SimpleImputer before the model says by which value"):
        trained_and_judged(declared(tmp_path, trees, missing_inputs="imputed"))


@pytest.mark.slow
def test_values_are_found_behind_columns_and_calibration_and_not_beside_an_indicator() -> None:
    rows = toy_table().assign(sex_male=1.0)
    X, y = rows[list(NAMES)], rows["event"]
    labs = ColumnTransformer([("labs", SimpleImputer(), ["creatinine_mg_dl"])], remainder="passthrough")
    inside = CalibratedClassifierCV(make_pipeline(labs, LogisticRegression(max_iter=1000)), ensemble=False).fit(X, y)
    assert imputed_values(inside, NAMES) == {"creatinine_mg_dl": pytest.approx(X["creatinine_mg_dl"].mean())}
    told = make_pipeline(SimpleImputer(add_indicator=True), LogisticRegression(max_iter=1000)).fit(X, y)
    assert imputed_values(told, NAMES) == {}


def test_a_fitted_file_is_part_of_the_lineage_and_so_is_what_fitted_it(tmp_path: Path) -> None:
    (tmp_path / "m.txt").write_text("tree")
    spec = declared(tmp_path, Fitted("m.txt", trained_on="others", folder=tmp_path))
    assert lineage_of(spec, tmp_path).fitted_sha256 == hashlib.sha256(b"tree").hexdigest()
    assert "statsmodels" not in fitted_with(declared(tmp_path, AdditiveLogistic(knots=2, C=0.1)))


def test_the_commit_is_named_and_changes_that_are_not_in_it(tmp_path: Path) -> None:
    def git(*words: str) -> None:
        who = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
        subprocess.run(["git", "-C", str(tmp_path), *who, *words], check=True, capture_output=True)

    assert code_version(tmp_path).endswith("installed")
    git("init", "-q")
    (tmp_path / "a.py").write_text("1")
    git("add", "a.py")
    git("commit", "-qm", "a")
    commit = code_version(tmp_path)
    assert len(commit) == len("commit ") + 40
    (tmp_path / "a.py").write_text("2")
    assert code_version(tmp_path) == f"{commit}, with changes that are not in it"
