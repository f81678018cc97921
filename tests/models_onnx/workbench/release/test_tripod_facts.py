"""What the statement's list is filled with, whole, of a model whose manifest is a few lines long."""

from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest

from models_onnx.artifact.manifest import Manifest, Provenance
from models_onnx.workbench.release import tripod

Json = dict[str, Any]


def _manifest(auroc: float | None = 0.75, **members: Any) -> Manifest:
    sodium = SimpleNamespace(words="Sodium", unit="mmol/L", loinc=("2951-2", "2947-0"), fhir="Observation.value",
                             trained_low=120.0, trained_high=160.5, reference_value=139.25)  # fmt: skip
    age = SimpleNamespace(words="Age", unit="a", loinc=(), fhir="Patient.birthDate", trained_low=18.0,
                          trained_high=90.0, reference_value=61.0)  # fmt: skip
    facts: Json = {
        "title": "Falls", "estimator": "additive logistic", "row_words": "stays",
        "cohort": SimpleNamespace(n=12_345, events=1_234, words="adults of a ward"),
        "outcome": SimpleNamespace(words="fell", column="fall", horizon_days=30.0, horizon_years=0.0821),
        "population": SimpleNamespace(words="adults"), "features": (sodium, age),
        "period": SimpleNamespace(training="2019 to 2024", recalibration="2024"),
        "evaluation": {"how": "By folds.", "all": {"n": 1, "events": 1, "auroc": {"value": auroc}, "alert_rate": {}}},
        "file": SimpleNamespace(bytes=54_321), "data": SimpleNamespace(name="falls.csv", sha256="ab12"),
        "reference": SimpleNamespace(n=2_000), "provenance": msgspec.UNSET, "lineage": msgspec.UNSET,
        "required": SimpleNamespace(always=("age",), groups=(
            SimpleNamespace(at_least=2, members=("a", "b", "c"), words="labs"),
        )),
        "missing_kind": "average", "missing_inputs": msgspec.UNSET,
    }  # fmt: skip
    return cast(Manifest, SimpleNamespace(**{**facts, **members}))


def test_what_is_reported_of_a_model_that_was_trained_here() -> None:
    facts = tripod._facts(_manifest())
    expected = {
        "title": "Development, with internal validation of Falls: adults who fell.",
        "kind": "Development, with internal validation.",
        "period": "2019 to 2024; reference cohort and latest figures: 2024.",
        "outcome": "fell (column fall, horizon 30 days).",
        "choice": "2 inputs were declared before the fit, which drops none.",
        "inputs": "Sodium (mmol/L, 2951-2, 2947-0; 120 to 160.5, mean 139.25); Age (a, Patient.birthDate; 18 to 90, "
        "mean 61).",
        "how": "By folds.",
        "estimator": "additive logistic. Its settings are those of the declaration.",
        "measures": "auroc, alert rate; curves of ROC, precision and recall, calibration, net benefit and thresholds, "
        "on the model's page.",
        "recalibrated": "Recalibrated on 2024.",
        "file": "model.onnx (54,321 bytes) computes probability and contributions for anybody who has the file: "
        "cds-hooks score, or any ONNX runtime.",
        "imbalance": "None was used.",
        "data": "falls.csv, sha256 ab12; the table is not part of the model.",
        "counts": "12,345 stays, 1,234 with the outcome. 2,000 of them are the reference cohort.",
        "required": "Needed for a score: age; at least 2 of the 3 labs. Without them, or outside the trained ranges, "
        "there is no score, and the reason is said.",
    }
    assert {name: facts[name] for name in expected} == expected


def test_what_is_open_of_a_model_that_was_fitted_elsewhere_or_by_an_estimator_of_ones_own() -> None:
    facts = tripod._facts(_manifest(provenance=Provenance("", "people here", "")))
    assert facts["title"].startswith("Evaluation of a model that was fitted elsewhere of Falls")
    assert (facts["choice"], facts["imbalance"], facts["estimator"]) == ("", "", "additive logistic.")
    assert facts["recalibrated"] == "It was not updated."
    assert tripod._facts(_manifest(estimator="an estimator of scikit-learn"))["imbalance"] == ""


def test_an_outcome_in_years_has_its_days() -> None:
    outcome = SimpleNamespace(words="died", column="death", horizon_days=None, horizon_years=2.0)
    assert tripod._facts(_manifest(outcome=outcome))["outcome"] == "died (column death, horizon 730.5 days)."


@pytest.mark.parametrize(
    ("auroc", "is_asked"),
    [(0.75, True), (0.5, False), (0.501, True), (0.9949, True), (0.995, False), (1.0, False), (None, False)],
)
def test_how_many_people_the_criteria_ask_for_where_there_is_discrimination(
    auroc: float | None, is_asked: bool
) -> None:
    sentence = tripod._sample_size(_manifest(auroc))
    counts = "12,345 stays with 1,234 events for 2 inputs"
    assert sentence.startswith(f"{counts}; Riley's criteria ask for " if is_asked else f"{counts}.")
    assert is_asked == (sentence != f"{counts}.")
