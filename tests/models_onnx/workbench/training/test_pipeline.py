"""From table to file: the same every time, proven, small, and judged by its floors."""

import hashlib
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pandas as pd
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

from models_onnx.artifact.folder import Artifact
from models_onnx.artifact.manifest import Manifest
from models_onnx.errors import DeclarationError, TrainingRefused
from models_onnx.model_card.origin import absence_words
from models_onnx.models.mortality_5y import SPEC
from models_onnx.serving.registry import ARTIFACTS, load_model
from models_onnx.serving.runtime import Model
from models_onnx.spec import AdditiveCox, AdditiveLogistic, Fitted, ModelSpec, get_spec
from models_onnx.workbench.compiler.reference import build_reference
from models_onnx.workbench.gates.checks.explanation import check_explanation
from models_onnx.workbench.gates.gate import NotRun, Verdict
from models_onnx.workbench.gates.subject import Subject
from models_onnx.workbench.release.documentation import model_page
from models_onnx.workbench.training.commands import (
    code_version,
    evaluate_rows,
    fitted_with,
    lineage_of,
    no_progress,
    train_model,
)
from models_onnx.workbench.training.crossvalidate import Folds
from models_onnx.workbench.training.data.cohort import Cohort, Table, build_cohort
from models_onnx.workbench.training.pipeline import BIN_PERCENTILES, Trained, imputed_values, train
from tests.models_onnx.invented import INVENTED, as_table
from tests.models_onnx.workbench.training.template import write_template
from tests.models_onnx.workbench.training.toy import complete, toy_table
from tests.models_onnx.workshop import KEYS, evidence

pytestmark = pytest.mark.slow  # They train and judge whole models.


def test_training_twice_gives_the_same_file_for_any_number_of_samples(trained: Trained, rows: pd.DataFrame) -> None:
    again = train(INVENTED, as_table(rows.copy()), 1, 20, no_progress)
    assert again.content == trained.content
    assert again.manifest.file == trained.manifest.file


def test_another_table_gives_another_file(trained: Trained, rows: pd.DataFrame) -> None:
    other = train(INVENTED, as_table(rows.iloc[:-100]), 1, 0, no_progress)
    assert other.manifest.file.sha256 != trained.manifest.file.sha256


def test_a_model_of_times_becomes_a_file_that_explains_itself(rows: pd.DataFrame) -> None:
    estimator = AdditiveCox(knots=2, penalty=5.0, horizons_years=(1, 2))
    spec = replace(INVENTED, estimator=estimator, subgroups={}, panels={}, standardise_by=None)
    told = train(spec, as_table(rows), 1, 0, no_progress)
    model = Model(Artifact(told.manifest, told.content))
    cohort = build_cohort(spec, rows)
    found = model.predict_rows(cohort.X)
    assert told.manifest.estimator == estimator.words
    assert (told.manifest.link, told.manifest.horizons_years) == ("cloglog", (1.0, 2.0, 5.0))
    by_time = told.manifest.evaluation["horizons"]
    assert [row["years"] for row in by_time["rows"]] == [1.0, 2.0, 5.0]
    assert by_time["rows"][2]["brier"] == told.manifest.evaluation["all"]["brier"]
    assert all(0.7 < row["observed_expected"]["value"] < 1.4 for row in by_time["rows"]), by_time
    assert f"integrated) is {by_time['integrated_brier']}" in model_page(told.manifest, folder=None)
    assert ((found.probability > 0) & (found.probability < 1)).all()
    assert np.abs(found.margin - model.manifest.base - found.contributions.sum(axis=1)).max() <= 1e-5
    assert told.manifest.evaluation["all"]["auroc"]["value"] > 0.6


def test_evaluation_says_n_and_events_of_every_group_and_marks_the_small_ones(trained: Trained) -> None:
    groups = trained.manifest.evaluation["subgroups"]
    assert {group["axis"] for group in groups} == set(INVENTED.subgroups)
    for group in groups:
        assert group["sufficient"] == (group["events"] >= 100 and "insufficient" not in group)
    by_sex = [group for group in groups if group["axis"] == "sex"]
    # The cycle of whom nobody was followed to the horizon counts in no figure.
    assert sum(group["n"] for group in by_sex) == trained.manifest.evaluation["all"]["n"] < trained.manifest.cohort.n


def test_the_manifest_says_which_panels_are_still_scored(trained: Trained) -> None:
    scored = {panel["words"]: panel["scored"] for panel in trained.manifest.evaluation["panels"]}
    assert scored["without RDW and lymphocytes"]
    assert not scored["without any of the 11 labs (not scored)"]


# Bins of the reference cohort: everyone once, rates that rise, limits that are nobody's own value.


def test_a_bin_in_which_fewer_had_the_event_is_joined_with_the_one_below() -> None:
    margin = np.linspace(-4, 2, 1000)
    y = np.zeros(1000, dtype=np.int64)
    y[300:400] = 1
    rates = [each.rate for each in build_reference(margin, margin, y, np.ones(1000), percentiles=BIN_PERCENTILES).bins]
    assert rates == sorted(rates)
    assert len(rates) < 13


@pytest.fixture
def invented_folder(rows: pd.DataFrame, tmp_path: Path) -> Path:
    """A data folder whose training table is the invented one."""
    (tmp_path / "tabular").mkdir()
    rows.to_csv(tmp_path / "tabular" / SPEC.table, index=False)
    return tmp_path


def test_a_model_whose_floors_do_not_hold_is_not_written(invented_folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    trained = train_model("mortality_5y", invented_folder, out, replicates=0)
    assert isinstance(trained, Trained)
    assert out.exists() == trained.passed


def test_other_rows_are_scored_by_the_committed_file_and_need_no_folds(rows: pd.DataFrame, tmp_path: Path) -> None:
    path = tmp_path / "others.csv.gz"
    rows.drop(columns="fold").to_csv(path, index=False)
    other = evaluate_rows("mortality_5y", path, replicates=5)
    assert other.whole["n"] == int((~other.cohort.unfollowed).sum())
    assert other.manifest == load_model("mortality_5y", ARTIFACTS).manifest
    assert {group["axis"] for group in other.subgroups} == set(SPEC.subgroups)


def test_rows_that_are_not_there_are_refused(tmp_path: Path) -> None:
    with pytest.raises(TrainingRefused, match="not there"):
        evaluate_rows("mortality_5y", tmp_path / "absent.csv")


def margins(cohort: Cohort) -> np.ndarray:
    """Out-of-fold margins of everyone."""
    return Folds(INVENTED, cohort, INVENTED.feature_names).out_of_fold(no_progress, "").margin


def test_a_folds_own_outcomes_do_not_move_its_predictions(cohort: Cohort) -> None:
    mine = cohort.fold == 2
    lied = replace(cohort, observed=replace(cohort.observed, y=np.where(mine, 1 - cohort.y, cohort.y)))
    before, after = margins(cohort), margins(lied)
    assert (before[mine] == after[mine]).all()
    assert not np.allclose(before[~mine], after[~mine], atol=1e-3)


def test_a_folds_own_values_do_not_move_knots_or_scaling_of_its_model(cohort: Cohort) -> None:
    mine = cohort.fold == 0
    X = cohort.X.copy()
    X[mine] = X[mine] * 3 + 1
    changed = Folds(INVENTED, replace(cohort, X=X), INVENTED.feature_names).recalibrated_without(0)
    same = Folds(INVENTED, cohort, INVENTED.feature_names).recalibrated_without(0)
    assert changed.model.edges == same.model.edges
    assert (changed.model.contributions(cohort.X) == same.model.contributions(cohort.X)).all()


def test_a_table_without_folds_cannot_be_cross_validated(cohort: Cohort) -> None:
    with pytest.raises(TrainingRefused, match="folds"):
        Folds(INVENTED, replace(cohort, fold=np.full(len(cohort), -1)), INVENTED.feature_names)
    with pytest.raises(TrainingRefused, match="folds"):
        Folds(INVENTED, replace(cohort, fold=cohort.fold % 2), INVENTED.feature_names)


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
