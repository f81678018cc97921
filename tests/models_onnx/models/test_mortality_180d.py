"""The committed test-bed: what it reaches, that nothing of it knows the outcome, that it stays a test-bed."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from models_onnx.models.mortality_180d import SPEC
from models_onnx.serving.registry import load_model
from models_onnx.workbench.training.data.cohort import inputs_of, read_table


@pytest.fixture(scope="module")
def real(data_folder: Path) -> pd.DataFrame:
    """The study's table."""
    return read_table(SPEC, data_folder).rows


def test_the_floor_of_the_issue_holds() -> None:
    evaluation = load_model("mortality_180d").manifest.evaluation
    assert all(floor["passed"] for floor in evaluation["floors"])
    assert evaluation["all"]["auroc"]["value"] >= 0.725


def test_it_says_what_it_is() -> None:
    manifest = load_model("mortality_180d").manifest
    assert "Not for care" in manifest.cautions[0]
    assert manifest.outcome.horizon_days == 180
    assert "the care of any patient" in manifest.not_for


@pytest.mark.outside_data
def test_no_input_reads_a_score_a_cost_an_estimate_or_the_outcome(real: pd.DataFrame) -> None:
    assert {"surv6m", "prg6m", "aps", "charges", "dnr", "hospdead", "d_time", "adlsc"} - set(SPEC.never_inputs) == {
        "adlsc"
    }
    blind = real.drop(columns=[name for name in SPEC.never_inputs if name in real.columns])
    assert np.array_equal(inputs_of(SPEC, real), inputs_of(SPEC, blind), equal_nan=True)


@pytest.mark.outside_data
def test_a_heart_rate_of_0_is_a_gap_and_the_noise_of_the_copy_is_rounded_away(real: pd.DataFrame) -> None:
    place = {name: number for number, name in enumerate(SPEC.feature_names)}
    X = inputs_of(SPEC, real)
    assert np.isnan(X[(real["hrt"] == 0).to_numpy(), place["stay_heart_rate"]]).all()
    bilirubin = X[:, place["stay_bilirubin_mg_dl"]]
    known = bilirubin[~np.isnan(bilirubin)]
    assert np.abs(known - known.round(3)).max() == 0
    assert (real["bili"].dropna() - real["bili"].dropna().round(3)).abs().max() > 0


@pytest.mark.outside_data
def test_interviews_that_are_mostly_missing_are_no_inputs(real: pd.DataFrame) -> None:
    assert real["adlp"].isna().mean() > 0.5
    assert not any(name.startswith("adl") for name in SPEC.feature_names)
