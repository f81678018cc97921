"""The committed readmission models: what they reach, and the traps of their data."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from models_onnx.batch import TableDeclaration, load
from models_onnx.models.readmission_30d import DESTINATIONS, SPEC, TWIN, three_digits
from models_onnx.serving.registry import load_model
from models_onnx.workbench.training.data.cohort import Cohort, build_cohort, inputs_of, read_table


@pytest.fixture(scope="module")
def real(data_folder: Path) -> pd.DataFrame:
    """The study's table."""
    return read_table(SPEC, data_folder).rows


@pytest.fixture(scope="module")
def stays(real: pd.DataFrame) -> Cohort:
    """Its cohort."""
    return build_cohort(SPEC, real)


@pytest.mark.parametrize(("name", "least"), [("readmission_30d", 0.655), ("readmission_30d_early", 0.635)])
def test_the_floors_hold_and_are_those_of_the_issue(name: str, least: float) -> None:
    evaluation = load_model(name).manifest.evaluation
    assert all(floor["passed"] for floor in evaluation["floors"])
    assert evaluation["all"]["auroc"]["value"] >= least
    assert 0.9 <= evaluation["all"]["calibration_slope"]["value"] <= 1.1
    assert 0.95 <= evaluation["all"]["observed_expected"]["value"] <= 1.05


def test_it_beats_prior_stays_alone() -> None:
    simple = load_model("readmission_30d").manifest.evaluation["simple"]
    assert simple["auroc"]["value"] == pytest.approx(0.61, abs=0.015)
    assert simple["gain"]["low"] > 0.04


def test_the_dead_and_those_in_hospice_are_left_out_and_counted() -> None:
    cohort = load_model("readmission_30d").manifest.cohort
    assert (cohort.table_rows, cohort.n, cohort.events) == (81086, 79156, 8952)
    assert {step.reason: step.count for step in cohort.exclusions} == {"died": 1303, "hospice": 624, "sex-unknown": 3}


@pytest.mark.outside_data
def test_stays_of_one_patient_are_in_one_fold_and_resampled_together(stays: Cohort) -> None:
    per_patient = pd.Series(stays.fold).groupby(stays.patient).nunique()
    assert (per_patient == 1).all()
    assert len(per_patient) < 0.75 * len(stays)


@pytest.mark.outside_data
def test_no_input_reads_race_payer_or_the_outcome(real: pd.DataFrame) -> None:
    rows = real.head(500)
    blind = rows.drop(columns=list(SPEC.never_inputs))
    assert np.array_equal(inputs_of(SPEC, rows), inputs_of(SPEC, blind), equal_nan=True)


def test_counts_that_depend_on_the_site_are_no_inputs() -> None:
    told = " ".join(SPEC.feature_names)
    assert not any(word in told for word in ("lab", "procedure", "number_of_diagnoses", "specialty", "weight"))


def test_an_icd_9_code_keeps_its_zeros() -> None:
    assert [three_digits(code) for code in ("38", "8", "250.83", "V45", "E932", "428")] == [
        "038", "008", "250.83", "V45", "E932", "428",
    ]  # fmt: skip


def test_no_edge_of_an_age_band_makes_a_step() -> None:
    model = load_model("readmission_30d")
    ages = np.full((2, len(model.features)), np.nan)
    ages[:, 0] = (64.9, 65.1)
    first, second = model.predict_rows(ages).margin
    assert abs(first - second) < 0.01


def row(**changed: str) -> pd.DataFrame:
    """One invented stay in the study's columns."""
    told = {
        "encounter_id": "007", "patient_nbr": "1", "gender": "Female", "age": "[70-80)",
        "discharge_disposition_id": "1", "time_in_hospital": "3", "number_outpatient": "0", "number_emergency": "0",
        "number_inpatient": "1", "diag_1": "428", "diag_2": "250.4", "diag_3": "?", "insulin": "Steady",
        "metformin": "No", "diabetesMed": "Yes",
    }  # fmt: skip
    return pd.DataFrame([told | changed])


def score(table: pd.DataFrame) -> pd.DataFrame:
    """The scores of these rows of the study."""
    inputs = pd.DataFrame(inputs_of(SPEC, table), columns=list(SPEC.feature_names))
    for exclusion in SPEC.exclusions:
        name = "deceased" if exclusion.at_score == "deceased" else exclusion.reason
        inputs[name] = exclusion.leaves_out(table).astype(int)
    declared = TableDeclaration(exclude=("hospice",))
    scored: pd.DataFrame = load("readmission_30d").score(inputs, declared).to_pandas()
    return scored


@pytest.mark.parametrize("unknown", ["18", "25", "26"])
def test_an_unknown_disposition_is_missing_and_the_twin_takes_over(unknown: str) -> None:
    scored = score(row(discharge_disposition_id=unknown))
    assert scored.model.tolist() == [TWIN.id]
    assert 0 < scored.probability[0] < 1


def test_a_known_disposition_is_scored_by_the_model_itself_and_keeps_its_key() -> None:
    scored = score(row())
    assert scored.model.tolist() == [SPEC.id]


@pytest.mark.parametrize(("disposition", "reason"), [("11", "deceased"), ("13", "outside-population")])
def test_who_died_or_went_to_hospice_has_no_score(disposition: str, reason: str) -> None:
    scored = score(row(discharge_disposition_id=disposition))
    assert np.isnan(scored.probability[0])
    assert str(scored.reason[0]).startswith(reason)


def test_every_destination_of_the_study_has_a_place_in_the_feature() -> None:
    codes = [code for codes in DESTINATIONS for code in codes]
    assert len(set(codes)) == len(codes)
    (column,) = (n for n, item in enumerate(SPEC.inputs) if item.name == "discharge_destination")
    places = [inputs_of(SPEC, row(discharge_disposition_id=code))[0, column] for code in (*codes, "7")]
    assert sorted(set(places)) == [float(place) for place in range(11)]
