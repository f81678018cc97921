"""The committed readmission models: what they reach, and the traps of their data."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from models_onnx.batch import TableDeclaration, load
from models_onnx.models import mortality_5y, readmission_30d
from models_onnx.models.readmission_30d import DESTINATIONS, SPEC, TWIN, three_digits
from models_onnx.serving.registry import load_model
from models_onnx.spec import AdditiveLogistic, Floors, ModelSpec, Period
from models_onnx.workbench.training.data.cohort import Cohort, build_cohort, inputs_of, read_table

pytestmark = pytest.mark.slow  # They go through the training table.


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


SPECS = (mortality_5y.SPEC, mortality_5y.TWIN, readmission_30d.SPEC, readmission_30d.TWIN)


def _left_out(spec: ModelSpec, rows: pd.DataFrame) -> dict[str, list[bool]]:
    return {step.reason: [bool(is_out) for is_out in step.leaves_out(rows)] for step in spec.exclusions}


def _input(spec: ModelSpec, name: str, **columns: list[Any]) -> list[float | None]:
    values = pd.Series(spec.derived[name](pd.DataFrame(columns))).astype(float)
    return [None if np.isnan(value) else value for value in values]


@pytest.mark.parametrize(
    ("spec", "column", "bands"),
    [
        (mortality_5y.SPEC, "age_years", {40: "40-49", 49.9: "40-49", 50: "50-59", 59: "50-59", 60: "60-69",
                                          69: "60-69", 70: "70-79", 79.9: "70-79", 80: "80 and over",
                                          90: "80 and over"}),
        (readmission_30d.SPEC, "age", {"[30-40)": "under 40", "[40-50)": "40-49", "[50-60)": "50-59",
                                       "[60-70)": "60-69", "[70-80)": "70-79", "[80-90)": "80 and over",
                                       "[0-10)": "under 40"}),
    ],
    ids=lambda value: getattr(value, "id", None),
)  # fmt: skip
def test_an_age_is_in_the_band_that_it_begins(spec: ModelSpec, column: str, bands: dict[Any, str]) -> None:
    assert spec.subgroups["age band"](pd.DataFrame({column: list(bands)})).tolist() == list(bands.values())


def test_a_cycle_of_the_survey_has_two_years_and_the_third_survey_seven() -> None:
    years = pd.DataFrame({"cycle_start": [1988, 1999, 2013]})
    assert mortality_5y.SPEC.subgroups["survey cycle"](years).tolist() == ["1988-1994", "1999-2000", "2013-2014"]
    rows = pd.DataFrame({"sex": ["male", "female"], "race_ethnicity": ["hispanic", "other"]})
    assert mortality_5y.SPEC.subgroups["sex"](rows).tolist() == ["male", "female"]
    assert mortality_5y.SPEC.subgroups["race and ethnicity (fairness only)"](rows).tolist() == ["hispanic", "other"]


def _participants(**columns: list[Any]) -> pd.DataFrame:
    rows = len(next(iter(columns.values())))
    usual = {"age_years": 50, "pregnant": 0, "linked": 1, "followup_months": 60, **dict.fromkeys(mortality_5y.LABS, 1)}
    return pd.DataFrame({**{name: [value] * rows for name, value in usual.items()}, **columns})


@pytest.mark.parametrize(
    ("spec", "labs", "most", "words"),
    [
        (mortality_5y.SPEC, mortality_5y.LABS, 3, "fewer than 8 of the 11 laboratory values"),
        (mortality_5y.TWIN, mortality_5y.SMALL_LABS, 2, "fewer than 4 of the 6 laboratory values"),
    ],
)
def test_so_many_laboratory_values_may_be_missing(
    spec: ModelSpec, labs: tuple[str, ...], most: int, words: str
) -> None:
    rows = _participants(age_years=[50, 50])
    rows.loc[1, list(labs[:most])] = np.nan
    assert _left_out(spec, rows)["few-labs"] == [False, False]
    rows.loc[1, labs[most]] = np.nan
    assert _left_out(spec, rows)["few-labs"] == [False, True]
    assert spec.exclusions[-1].words == words
    (group,) = spec.required_groups
    assert (group.name, group.words, group.members, group.at_least) == (
        "labs", "laboratory values", labs, len(labs) - most,
    )  # fmt: skip


def test_columns_of_the_study_of_readmissions() -> None:
    spec = readmission_30d.SPEC
    assert _input(spec, "sex_male", gender=["Male", "Female", "Unknown/Invalid"]) == [1, 0, None]
    for name in ("insulin", "metformin", "diabetesMed"):
        feature = {"diabetesMed": "takes_diabetes_medicine"}.get(name, f"takes_{name}")
        assert _input(spec, feature, **{name: ["No", "Steady", "Up", "Yes"]}) == [0, 1, 1, 1]
    for feature, column in (
        ("length_of_stay_days", "time_in_hospital"),
        ("admissions_12m", "number_inpatient"),
        ("ed_visits_12m", "number_emergency"),
        ("outpatient_visits_12m", "number_outpatient"),
    ):
        assert _input(spec, feature, **{column: [3, 0]}) == [3, 0]
    codes = ["1", "6", "8", "3", "15", "24", "4", "22", "2", "9", "5", "30", "23", "28", "7", "18", "10"]
    places = [0, 1, 2, 3, 3, 3, 4, 5, 6, 6, 7, 7, 8, 9, 10, None, None]
    assert _input(spec, "discharge_destination", discharge_disposition_id=codes) == places
    assert "discharge_destination" not in readmission_30d.TWIN.derived


def test_a_diagnosis_of_the_stay_is_there_where_any_of_the_three_says_so() -> None:
    columns = {
        "diag_1": ["428", "250.4", "250.4", "?", "?", "38"],
        "diag_2": ["?", "428.1", "401", "?", "401", "?"],
        "diag_3": ["?", "?", "428", "?", "?", "?"],
    }
    heart_failure = _input(readmission_30d.SPEC, "stay_heart_failure", **columns)
    assert heart_failure == [1, 1, 1, None, 0, 0]
    twice = {"diag_1": ["428"], "diag_2": ["428"], "diag_3": ["428"]}
    assert _input(readmission_30d.SPEC, "stay_heart_failure", **twice) == [1]
    assert _input(readmission_30d.SPEC, "stay_copd", **twice) == [0]


def test_outcome_needs_groups_and_exclusions_of_readmissions() -> None:
    spec = readmission_30d.SPEC
    rows = pd.DataFrame(
        {
            "readmitted": ["<30", ">30", "NO"],
            "discharge_disposition_id": ["11", "13", "1"],
            "gender": ["Male", "Female", "Unknown/Invalid"],
            "race": ["?", "AfricanAmerican", "Caucasian"],
            "payer_code": ["MC", "MD", "?"],
        }
    )
    assert spec.outcome.of is not None
    assert spec.outcome.of(rows).tolist() == [1, 0, 0]
    assert spec.needs["readmitted_at_all"](rows).tolist() == [1, 1, 0]
    assert _left_out(spec, rows) == {
        "died": [True, False, False], "hospice": [False, True, False], "sex-unknown": [False, False, True],
    }  # fmt: skip
    assert spec.subgroups["sex"](rows).tolist()[:2] == ["male", "female"]
    assert spec.subgroups["race"](rows).tolist() == ["not recorded", "African American", "Caucasian"]
    payer = spec.subgroups["payer (fairness only)"]
    assert payer(rows).tolist() == ["Medicare", "Medicaid", "not recorded"]
    assert payer(pd.DataFrame({"payer_code": ["BC"]})).tolist() == ["other"]
    for codes, reason in ((readmission_30d.DIED, "died"), (readmission_30d.HOSPICE, "hospice")):
        others = rows.iloc[[2] * len(codes)].assign(discharge_disposition_id=list(codes))
        assert _left_out(spec, others)[reason] == [True] * len(codes)


_SHAPES: dict[str, dict[str, tuple[float | None, tuple[float, ...] | None]]] = {
    "mortality_5y": {"age_years": (80, None)}, "mortality_5y_small": {"age_years": (80, None)},
    "readmission_30d": {"age_years": (95, (25, 35, 45, 55, 65, 75, 85)),
                        "length_of_stay_days": (None, (2, 3, 4, 6, 9)), "admissions_12m": (8, (1, 2, 3, 5)),
                        "ed_visits_12m": (6, (1, 2, 4)), "outpatient_visits_12m": (8, (1, 3)),
                        "discharge_destination": (None, (0, 1, 2, 3, 4, 5, 6, 7, 8, 9))},
}  # fmt: skip
_SHAPES["readmission_30d_early"] = {
    name: shape for name, shape in _SHAPES["readmission_30d"].items() if name != "discharge_destination"
}


def test_which_inputs_are_clipped_or_have_knots_of_their_own() -> None:
    shapes = {spec.id: {item.name: (item.clip_high, item.knots) for item in spec.inputs} for spec in SPECS}
    plain = (None, None)
    assert {
        name: {feature: shape for feature, shape in by_input.items() if shape != plain}
        for name, by_input in shapes.items()
    } == _SHAPES


def _floors(auroc: float, c_index: float | None = None) -> Floors:
    return Floors(auroc=auroc, slope=(0.9, 1.1), observed_expected=(0.95, 1.05), c_index=c_index)


@pytest.mark.parametrize(
    ("spec", "estimator", "floors", "days", "age_low", "alerts", "bands"),
    [
        (mortality_5y.SPEC, AdditiveLogistic(knots=5, C=0.3), _floors(0.85, 0.815), 1826.25, 40, 5,
         (40, 50, 60, 70, 80)),
        (mortality_5y.TWIN, AdditiveLogistic(knots=5, C=0.3), _floors(0.825), 1826.25, 40, 5, (40, 50, 60, 70, 80)),
        (readmission_30d.SPEC, AdditiveLogistic(knots=3, C=0.1), _floors(0.655), 30, 0, None, ()),
        (readmission_30d.TWIN, AdditiveLogistic(knots=3, C=0.1), _floors(0.635), 30, 0, None, ()),
    ],
    ids=[spec.id for spec in SPECS],
)  # fmt: skip
def test_the_numbers_of_each_declaration(
    spec: ModelSpec, estimator: object, floors: Floors, days: float, age_low: int, alerts: float | None,
    bands: tuple[float, ...],
) -> None:  # fmt: skip
    assert (spec.estimator, spec.floors, spec.outcome.horizon_days) == (estimator, floors, days)
    assert (spec.population.age_low, spec.alerts_per_event, spec.age_bands) == (age_low, alerts, bands)
    shares = (0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3)
    assert (spec.capacity, spec.capacities) == (0.1, shares)
    assert spec.text is spec.id.startswith("readmission")


def test_the_years_that_the_model_of_five_years_is_recalibrated_on() -> None:
    newest = Period("cycle_start", 2011, 2013, "2011-2014")
    for spec, first in ((mortality_5y.SPEC, 2003), (mortality_5y.TWIN, 1999)):
        assert spec.recalibration == Period("cycle_start", first, 2013, f"{first}-2014")
        assert spec.newest == newest
    follow_up = mortality_5y.SPEC.outcome.follow_up
    assert follow_up is not None
    assert follow_up.per_year == 12
    table = pd.DataFrame({"followup_months": [60], "death": [1], "cycle_start": [2003]})
    assert follow_up.strata is not None
    assert [column(table).tolist() for column in (follow_up.time, follow_up.event, follow_up.strata)] == [
        [60], [1], [2003],
    ]  # fmt: skip


def test_the_inputs_of_mortality_in_five_years_and_which_panels_go() -> None:
    assert mortality_5y.SPEC.feature_names == ("age_years", "sex_male", *mortality_5y.LABS, *mortality_5y.BODY)
    small = ("age_years", "sex_male", *mortality_5y.SMALL_LABS, *mortality_5y.BODY)
    assert sorted(mortality_5y.TWIN.feature_names) == sorted(small)
    panels = mortality_5y.SPEC.panels
    assert panels["without the blood count (5 labs missing: the small panel takes over)"] == (
        "wbc_10e3_ul", "rbc_10e6_ul", "mcv_fl", "rdw_pct", "lymphocytes_pct",
    )  # fmt: skip
    assert panels["without the metabolic panel (6 labs missing: not scored)"] == (
        "albumin_g_dl", "alp_u_l", "bun_mg_dl", "creatinine_mg_dl", "glucose_mg_dl", "bilirubin_total_mg_dl",
    )  # fmt: skip
    assert mortality_5y.SPEC.derived["sex_male"](pd.DataFrame({"sex": ["male", "female"]})).tolist() == [1.0, 0.0]


def test_the_early_model_of_readmissions_is_the_other_one_without_the_destination() -> None:
    spec, twin = readmission_30d.SPEC, readmission_30d.TWIN
    assert (*twin.feature_names, "discharge_destination") == spec.feature_names
    assert (*twin.always_required, "discharge_destination") == spec.always_required
    assert twin.always_required == ("age_years", "sex_male", "length_of_stay_days", "admissions_12m")
    assert set(spec.derived) - set(twin.derived) == {"discharge_destination"}
    assert set(spec.panels) - set(twin.panels) == {"without the destination (its twin takes over)"}
    assert (spec.twin, twin.twin) == ("readmission_30d_early", None)
