"""The committed 5-year mortality models: what they reach and the traps of their data."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from models_onnx.batch import load
from models_onnx.errors import BatchRefused
from models_onnx.models.mortality_5y import LABS, SPEC, TWIN
from models_onnx.serving.registry import ARTIFACTS, load_model
from models_onnx.workbench.training.data.cohort import Cohort, build_cohort, inputs_of, read_table


@pytest.fixture(scope="module")
def real(data_folder: Path) -> pd.DataFrame:
    """The study's table."""
    return read_table(SPEC, data_folder).rows


@pytest.fixture(scope="module")
def people(real: pd.DataFrame) -> Cohort:
    """Its cohort."""
    return build_cohort(SPEC, real)


# The traps of README-nhanes.md


@pytest.mark.parametrize("name", ["mortality_5y", "mortality_5y_small"])
def test_the_waiver_gives_the_rates_that_were_measured_also_at_equal_ages(name: str) -> None:
    groups = {each["group"]: each for each in load_model(name).manifest.evaluation["subgroups"]}
    (waiver,) = json.loads((ARTIFACTS / name / "card.json").read_bytes())["product"]["waivers"]
    for group in ("female", "male", "non-hispanic white", "non-hispanic black", "hispanic"):
        for rate in ("sensitivity", "sensitivity_standardised"):
            assert f"{groups[group][rate]['value']:.2f}" in waiver["reason"], (group, rate)


@pytest.mark.slow
@pytest.mark.outside_data
def test_nobody_without_any_lab_is_trained_on(people: Cohort, real: pd.DataFrame) -> None:
    bare = real[list(LABS)].isna().all(axis=1) & (real["age_years"] >= 40)
    assert bare.sum() > 3000
    assert real.loc[bare, "death_5y"].mean() > 1.5 * real.loc[~bare & (real["age_years"] >= 40), "death_5y"].mean()
    assert not set(people.rows.index) & set(real.index[bare])


@pytest.mark.outside_data
def test_a_creatinine_in_the_wrong_unit_is_refused_for_the_whole_column(real: pd.DataFrame) -> None:
    rows = real[(real["age_years"] >= 40) & real["creatinine_mg_dl"].notna()].head(400)
    wrong = rows.assign(creatinine_mg_dl=rows["creatinine_mg_dl"].where(np.arange(400) % 5 > 0, other=88.4))
    with pytest.raises(BatchRefused, match="80 of 400 values of the column creatinine_mg_dl"):
        load("mortality_5y").score(wrong)


@pytest.mark.outside_data
def test_the_small_panel_takes_over_and_does_not_underpredict(real: pd.DataFrame) -> None:
    gone = [name for name in LABS if name not in TWIN.feature_names]
    rows = real[(real["age_years"] >= 40) & real["death_5y"].notna()].assign(**dict.fromkeys(gone, np.nan))
    scored = load("mortality_5y").score(rows).to_pandas()
    by_twin = (scored["model"] == TWIN.id).to_numpy()
    assert by_twin.sum() > 25_000
    assert not (scored["model"] == SPEC.id).any()
    ratio = rows["death_5y"].to_numpy()[by_twin].sum() / scored["probability"][by_twin].sum()
    assert 0.95 < ratio < 1.15
    # The full model without those labs would say a fifth too little.
    X = inputs_of(SPEC, rows)[by_twin]
    alone = load_model("mortality_5y").predict_rows(X).probability
    assert rows["death_5y"].to_numpy()[by_twin].sum() / alone.sum() > ratio + 0.05
