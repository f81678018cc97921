"""The committed 5-year mortality model: what it reaches, that it can be made again, and that it is small."""

from pathlib import Path

import pytest

from models_onnx.models.mortality_5y import SPEC
from models_onnx.registry import ARTIFACTS
from models_onnx.runtime import Model
from models_onnx.training.commands import Comparison, check_model


@pytest.fixture(scope="module")
def comparison(data_folder: Path) -> Comparison:
    """The model trained again from the table, beside the committed one."""
    return check_model("mortality_5y", data_folder)


@pytest.mark.outside_data
def test_training_again_gives_the_committed_model(comparison: Comparison) -> None:
    assert comparison.same_data
    assert comparison.probability <= 1e-4
    assert comparison.auroc <= 0.002


def test_the_floors_hold_and_are_those_of_the_issue(mortality: Model) -> None:
    evaluation = mortality.manifest.evaluation
    assert all(floor["passed"] for floor in evaluation["floors"])
    assert evaluation["all"]["auroc"]["value"] >= 0.855
    assert 0.9 <= evaluation["all"]["calibration_slope"]["value"] <= 1.1
    for block in (evaluation["all"], evaluation["latest"]):
        assert block["observed_expected"]["low"] <= 1.05
        assert block["observed_expected"]["high"] >= 0.95


def test_the_gain_over_age_and_sex_is_there_and_above_nothing(mortality: Model) -> None:
    simple = mortality.manifest.evaluation["simple"]
    assert simple["inputs"] == ["age_years", "sex_male"]
    assert 0.79 <= simple["auroc"]["value"] <= 0.82
    assert simple["gain"]["low"] > 0.03


def test_the_cohort_is_counted(mortality: Model) -> None:
    cohort = mortality.manifest.cohort
    assert (cohort.table_rows, cohort.n, cohort.events) == (59148, 27692, 2900)
    assert {step.reason: step.count for step in cohort.exclusions} == {
        "under-40": 20931,
        "pregnant": 31,
        "not-followed": 6233,
        "few-labs": 4261,
    }


def test_the_default_threshold_alerts_a_tenth_at_a_ppv_that_may_be_shown(mortality: Model) -> None:
    default = mortality.manifest.thresholds.default
    assert default.capacity == 0.10
    assert default.percentile == 90.0
    assert default.alert_rate == pytest.approx(0.10, abs=0.01)
    # responsible-ai 4.2: a new clinical card needs a PPV of 0.2
    assert default.ppv >= 0.2


def test_the_artifact_is_small_and_of_the_declared_version(mortality: Model) -> None:
    folder = ARTIFACTS / SPEC.id
    assert sum(path.stat().st_size for path in folder.iterdir()) < 300_000
    assert mortality.manifest.version == SPEC.version
    assert mortality.features == SPEC.feature_names


def test_the_caution_about_the_top_is_true(mortality: Model) -> None:
    top = mortality.manifest.reference.bins[-1]
    assert top.probability_low > 0.65
    assert top.predicted > top.rate
