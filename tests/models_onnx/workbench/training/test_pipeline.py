"""From table to file: the same every time, proven, small."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from models_onnx.artifact.folder import Artifact
from models_onnx.artifact.manifest import Manifest
from models_onnx.spec import ModelSpec, get_spec
from models_onnx.workbench.gates.checks.explanation import check_explanation
from models_onnx.workbench.gates.gate import NotRun, Verdict
from models_onnx.workbench.gates.subject import Subject
from models_onnx.workbench.training.commands import no_progress
from models_onnx.workbench.training.data.cohort import Table, build_cohort
from models_onnx.workbench.training.pipeline import train
from tests.models_onnx.invented import INVENTED
from tests.models_onnx.workbench.compiler.people import exported
from tests.models_onnx.workbench.training.toy import declare, elsewhere, toy_table
from tests.models_onnx.workshop import KEYS, evidence

pytestmark = pytest.mark.slow  # They train and judge whole models.


def test_evaluation_says_n_and_events_of_every_group_and_marks_the_small_ones(trained: Artifact) -> None:
    groups = trained.manifest.evaluation["subgroups"]
    assert {group["axis"] for group in groups} == set(INVENTED.subgroups)
    for group in groups:
        assert group["sufficient"] == (group["events"] >= 100 and "insufficient" not in group)
    by_sex = [group for group in groups if group["axis"] == "sex"]
    # The cycle of whom nobody was followed to the horizon counts in no figure.
    assert sum(group["n"] for group in by_sex) == trained.manifest.evaluation["all"]["n"] < trained.manifest.cohort.n


def declared(folder: Path, *steps: Any, more: str = "") -> ModelSpec:
    """The declaration of a pipeline of these steps, fitted on other people."""
    X, y = elsewhere()
    present = X.notna().all(axis=1)
    fitted = make_pipeline(*steps).fit(X[present], y[present])
    (folder / "toy.onnx").write_bytes(exported(fitted).content)
    declare(folder, more=more)
    return get_spec("toy_30d", folder)


IMPUTING = (SimpleImputer(strategy="median"), StandardScaler(), LogisticRegression())


def trained_and_judged(spec: ModelSpec) -> tuple[Artifact, Verdict]:
    """The model trained on the invented table, and what the gate explanation says of it with rows of the table."""
    rows = toy_table()
    told = train(spec, Table("toy_30d.csv", "0" * 64, rows), 1, 0, no_progress)
    subject = Subject(folder=Path(), keys=KEYS, content=told.content, manifest=told.manifest, card={})
    return told, check_explanation(subject, evidence(people=build_cohort(spec, rows).X[:400]))


def test_an_imputing_file_passes_and_another_value_than_it_puts_in_fails(tmp_path: Path) -> None:
    told, verdict = trained_and_judged(declared(tmp_path, *IMPUTING))
    assert verdict.faults == ()
    document = msgspec.to_builtins(told.manifest)
    values = document["missing_inputs"]["values"]
    assert values["creatinine_mg_dl"] == pytest.approx(elsewhere()[0].dropna()["creatinine_mg_dl"].median())
    values["creatinine_mg_dl"] = 2.9
    del values["albumin_g_dl"]
    about = msgspec.convert(document, Manifest)
    verdict = check_explanation(
        Subject(folder=Path(), keys=KEYS, content=told.content, manifest=about, card={}), evidence()
    )
    assert any("a missing creatinine_mg_dl counts otherwise than as 2.9" in fault for fault in verdict.faults)
    assert any("no value is declared that stands in for a missing albumin_g_dl" in fault for fault in verdict.faults)


def test_learned_absence_that_is_not_there_fails_and_without_rows_nothing_is_judged(tmp_path: Path) -> None:
    spec = declared(tmp_path, StandardScaler(), LogisticRegression(), more='missing_inputs = "learned"')
    rows = toy_table().dropna()
    told = train(spec, Table("toy_30d.csv", "0" * 64, rows), 1, 0, no_progress)
    subject = Subject(folder=Path(), keys=KEYS, content=told.content, manifest=told.manifest, card={})
    verdict = check_explanation(subject, evidence(people=build_cohort(spec, rows).X[:400]))
    assert verdict.faults == (
        "it declares that absence was learned, and no absence contributes: leave the declaration out",
    )
    with pytest.raises(NotRun, match="without the rows it cannot be seen from whom"):
        check_explanation(subject, evidence())
