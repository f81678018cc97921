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


@pytest.mark.outside_data
def test_no_input_reads_a_score_a_cost_an_estimate_or_the_outcome(real: pd.DataFrame) -> None:
    assert {"surv6m", "prg6m", "aps", "charges", "dnr", "hospdead", "d_time", "adlsc"} - set(SPEC.never_inputs) == {
        "adlsc"
    }
    blind = real.drop(columns=[name for name in SPEC.never_inputs if name in real.columns])
    assert np.array_equal(inputs_of(SPEC, real), inputs_of(SPEC, blind), equal_nan=True)


@pytest.mark.outside_data
def test_interviews_that_are_mostly_missing_are_no_inputs(real: pd.DataFrame) -> None:
    assert real["adlp"].isna().mean() > 0.5
    assert not any(name.startswith("adl") for name in SPEC.feature_names)
