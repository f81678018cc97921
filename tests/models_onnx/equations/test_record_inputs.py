"""Inputs from a record: with their evidence, said to be not found, missing with the reason, or excluded."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pandas as pd
import pytest
from msgspec.structs import replace
from sklearn.metrics import roc_auc_score

from cds_hooks.kit.samples import load_patient
from cds_hooks.kit.simulator.chart import resources_of
from fhir.mapping.features.catalog import FEATURES
from fhir.mapping.features.feature import FeatureValue, Missing
from fhir.record.record import PatientRecord, read_record
from fhir.record.refusals import WhyNot
from fhir.record.resources import decoder
from models_onnx.equations.calculate import (
    EquationResult,
    FeatureReadings,
    Quantity,
    RecordInputs,
    calculate,
    features_of,
    inputs_from_features,
    inputs_from_record,
    limits,
    read_input,
    read_inputs,
    refused_at_once,
)
from models_onnx.equations.card import result_document
from models_onnx.equations.declaration import EquationInput, find_equations, get_equation, measured, sex, yes_no
from models_onnx.errors import EquationRefused
from tests.each import for_rows
from tests.models_onnx.equations.vectors import vectors_of

AS_OF = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)
EQUATIONS = find_equations()


def _record(sample: str) -> PatientRecord:
    resources = resources_of(load_patient(sample, AS_OF))
    patient = next(each["id"] for each in resources if each["resourceType"] == "Patient")
    read = {str(position): decoder.decode(orjson.dumps(each)) for position, each in enumerate(resources)}
    return read_record(read, patient, AS_OF)


def _charted(name: str, sample: str, **site: Any) -> RecordInputs:
    return inputs_from_record(EQUATIONS[name], _record(sample), site)


def test_what_was_looked_for_and_not_found_is_no_and_is_named() -> None:
    charted = _charted("has_bled", "af-no-anticoagulant")
    assert "labile_inr" in {each.name for each in charted.not_found}
    assert charted.given["labile_inr"] is False
    assert charted.calculate().value == 2


def test_a_missing_input_is_refused_with_the_reason_the_record_gives() -> None:
    charted = _charted("ckd_epi_2021_creatinine", "stale-kidney-function")
    assert charted.missing_inputs() == ("creatinine",)
    with pytest.raises(EquationRefused, match="older than 365 days"):
        charted.calculate()


def test_an_exclusion_that_cannot_be_looked_up_excludes() -> None:
    record = _record("diabetes-no-statin")
    record = record.with_requested(frozenset({"Patient", "cholesterol_total", "hdl_cholesterol", "sbp", "creatinine"}))
    with pytest.raises(EquationRefused) as refused:
        inputs_from_record(EQUATIONS["prevent_base"], record).calculate()
    assert refused.value.reason == "excluded"


@for_rows("name", EQUATIONS)
def test_every_feature_of_an_equation_is_declared(name: str) -> None:
    equation = EQUATIONS[name]
    assert {item.feature for item in equation.inputs if item.feature} <= {each.name for each in features_of(equation)}


def test_race_is_never_read_from_a_record() -> None:
    assert EQUATIONS["pooled_cohort"].input("race_group").feature is None
    with pytest.raises(EquationRefused) as refused:
        _charted("pooled_cohort", "diabetes-no-statin").calculate()
    assert refused.value.inputs == ("race_group",)


# What an equation gets from features that are there, missing or a yes, and who is excluded, sentence by sentence.
KFRE = EQUATIONS["kfre_4"]
WELL: dict[str, Any] = {
    "age_years": 70, "sex_male": 1, "egfr_ckd_epi_2021": 30, "uacr_mg_g": 300, "on_dialysis": 0,
    "has_kidney_transplant": 0, "has_acute_kidney_injury": 0,
}  # fmt: skip


def _readings(**values: Any) -> FeatureReadings:
    """Numbers as they were found, None for what is not there, "not found" for a no because nothing says it."""
    readings = FeatureReadings(None, {})  # type: ignore[arg-type]  # nothing is read from a record
    for name, value in values.items():
        feature = FEATURES[name]
        if value is None:
            readings[name] = Missing(feature, "absent", f"No {name}.")
        else:
            is_found = value != "not found"
            number = float(value) if is_found else 0.0
            readings[name] = FeatureValue(feature, number, "", f"O/{name}", "", number, "", is_found=is_found)
    return readings


def _inputs(name: str = "kfre_4", site: Any = None, **values: Any) -> RecordInputs:
    return inputs_from_features(EQUATIONS[name], _readings(**values), site)


AMERICA = {"calibration": "north_america"}


def test_a_missing_input_is_refused_with_the_words_of_the_record() -> None:
    read = _inputs(site=AMERICA, **{**WELL, "uacr_mg_g": None, "age_years": None})
    assert read.missing_inputs("2y") == ("age", "uacr")
    with pytest.raises(EquationRefused) as refused:
        read.calculate("5y")
    assert (refused.value.reason, refused.value.text, refused.value.inputs) == (
        "input-missing", f"{KFRE.title}: No age_years.", ("age",),
    )  # fmt: skip


@pytest.mark.parametrize("value", [0, None])
def test_whom_an_equation_is_not_for_because_nothing_says_the_condition(value: Any) -> None:
    readings: dict[str, Any] = dict.fromkeys((feature.name for feature in features_of(EQUATIONS["has_bled"])), 0)
    readings |= {"age_years": 70, "has_atrial_fibrillation": value}
    words = FEATURES["has_atrial_fibrillation"].words.lower()
    refusal = WhyNot(
        "has_bled",
        "outside-population",
        f"HAS-BLED: for {EQUATIONS['has_bled'].population}; {words} is not found in the chart.",
        ("has_atrial_fibrillation",),
    )
    read = _inputs("has_bled", **readings)
    assert read.excluded == refusal
    assert refused_at_once(EQUATIONS["has_bled"], _readings(**readings)) == {"score": refusal}
    with pytest.raises(EquationRefused) as refused:
        read.calculate()
    assert (refused.value.reason, refused.value.text, refused.value.inputs) == (
        refusal.reason, refusal.text, refusal.about,
    )  # fmt: skip
    assert not read.could_reach("score", lambda _result: True)


def test_the_first_missing_input_is_why_and_what_the_site_gives_is_not_missing() -> None:
    values = {**WELL, "uacr_mg_g": None, "egfr_ckd_epi_2021": None}
    refusal = WhyNot(KFRE.id, "input-missing", f"{KFRE.title}: No egfr_ckd_epi_2021.", ("egfr",))
    assert refused_at_once(KFRE, _readings(**values)) == {"2y": refusal, "5y": refusal}
    later = WhyNot(KFRE.id, "input-missing", f"{KFRE.title}: No uacr_mg_g.", ("uacr",))
    assert refused_at_once(KFRE, _readings(**values), {"egfr": 30.0}) == {"2y": later, "5y": later}
    assert refused_at_once(KFRE, _readings(**values), {"egfr": 30.0, "uacr": 300.0}) == {}
    assert refused_at_once(KFRE, _readings(**WELL)) == {}


def test_whether_a_risk_could_be_reached_whatever_the_missing_inputs_are() -> None:
    """Tried at both ends of the ratio: 0.1 and 25,000 mg/g."""
    read = _inputs(site=AMERICA, **{**WELL, "uacr_mg_g": None})
    tried: list[float] = []

    def over(least: float) -> bool:
        def reaches(result: EquationResult) -> bool:
            tried.append(result.number)
            return result.number > least

        return read.could_reach("5y", reaches)

    assert over(0.5)
    low, high = tried
    assert low < 0.05 < 0.5 < high
    tried.clear()
    assert over(low / 2)
    assert len(tried) == 1, "the first that reaches is enough"
    assert not over(high)
    no_region = _inputs(**WELL)
    assert "calibration" not in no_region.given
    assert not no_region.could_reach("5y", lambda _result: True), "without its region there is no value at all"
    visits = _inputs("lace", length_of_stay_days=3, admitted_as_emergency=1, charlson_lace=None, ed_visits_6m=0)
    assert visits.could_reach("score", lambda _result: False), "points without an upper limit can be anything"
    whole = _inputs(site=AMERICA, **WELL)
    assert whole.could_reach("5y", lambda result: result.number > 0)
    assert not whole.could_reach("5y", lambda result: result.number > 1)


def test_a_feature_of_that_nobody_declared_is_nothing() -> None:
    readings = FeatureReadings(None, {})  # type: ignore[arg-type]
    assert readings["none"] is None
    assert readings[None] is None
    assert set(readings) == {"none", None}


# One input of an equation: what is taken as its value, on and beside its limits, and each refusal in whole.
YEARS = EquationInput(name="age", words="Age", unit="a", low=35, high=65)
SCORE = EquationInput(name="total", words="Total", kind="whole", low=0, high=9)
COUNT = EquationInput(name="count", words="Count", low=0)
CREATININE = measured("creatinine", "creatinine", 0.5, 5.0)
FEMALE = sex()
SMOKES = yes_no("smokes", "Smoking")


@for_rows(
    ("item", "raw", "value"),
    [
        (YEARS, 35, 35.0),
        (YEARS, 65.0, 65.0),
        (YEARS, 35 * (1 - 1e-10), 35 * (1 - 1e-10)),
        (YEARS, 65 * (1 + 1e-10), 65 * (1 + 1e-10)),
        (YEARS, " 40 ", 40.0),
        (YEARS, Quantity("41.5", "a"), 41.5),
        (COUNT, 1e9, 1e9),
        (SCORE, 3, 3.0),
        (SCORE, 3.0, 3.0),
        (CREATININE, Quantity(88.42, "umol/L"), pytest.approx(1.0, rel=1e-3)),
        (CREATININE, Quantity(1.0, "mg/dL"), 1.0),
        (FEMALE, " Female ", "female"),
        (FEMALE, "male", "male"),
        (SMOKES, True, True),
        (SMOKES, 0, False),
        (SMOKES, 1.0, True),
        (SMOKES, " YES ", True),
        (SMOKES, "no", False),
        (SMOKES, "true", True),
        (SMOKES, "false", False),
        (SMOKES, "1", True),
        (SMOKES, "0", False),
    ],
)
def test_a_value_is_read_in_the_unit_of_the_equation(item: EquationInput, raw: Any, value: Any) -> None:
    read = read_input("Index", item, raw)
    assert read == value
    assert isinstance(read, bool) == (item is SMOKES)


@for_rows(
    ("item", "raw", "reason", "sentence"),
    [
        (YEARS, 34.9, "out-of-range", "Index: Age 34.9 a is outside 35 to 65."),
        (YEARS, 65.1, "out-of-range", "Index: Age 65.1 a is outside 35 to 65."),
        (YEARS, 65 * (1 + 1e-8), "out-of-range", "Index: Age 65 a is outside 35 to 65."),
        (YEARS, 35 * (1 - 1e-8), "out-of-range", "Index: Age 35 a is outside 35 to 65."),
        (COUNT, -1, "out-of-range", "Index: Count -1 is outside from 0."),
        (replace(COUNT, low=None, high=9), 10, "out-of-range", "Index: Count 10 is outside up to 9."),
        (SCORE, 2.5, "input-unusable", "Index: Total 2.5 is no whole number."),
        (SCORE, 10, "out-of-range", "Index: Total 10 is outside 0 to 9."),
        *((YEARS, raw, "input-unusable", "Index: Age is no usable number.") for raw in ("x", True, float("nan"), [40])),
        (YEARS, float("inf"), "input-unusable", "Index: Age is no usable number."),
        (YEARS, Quantity(40, "mo"), "input-unusable", "Index: Age in mo cannot be converted to a."),
        (YEARS, Quantity(40, ""), "input-unusable", "Index: Age in no unit cannot be converted to a."),
        (FEMALE, "other", "input-unusable", "Index: Sex must be female or male."),
        (FEMALE, 1, "input-unusable", "Index: Sex must be female or male."),
        *((SMOKES, raw, "input-unusable", "Index: Smoking must be yes or no.") for raw in (2, "maybe", 0.5, [1])),
    ],
)
def test_a_value_that_cannot_be_used_is_refused_in_a_sentence(
    item: EquationInput, raw: Any, reason: str, sentence: str
) -> None:
    with pytest.raises(EquationRefused) as refused:
        read_input("Index", item, raw)
    assert (refused.value.reason, refused.value.text, refused.value.inputs) == (reason, sentence, (item.name,))


def test_limits_are_put_in_words() -> None:
    words = [limits(item) for item in (YEARS, COUNT, replace(COUNT, low=None, high=9), replace(COUNT, low=None))]
    assert words == ["35 to 65", "from 0", "up to 9", "no limits"]


def test_inputs_are_read_by_name_and_those_that_an_output_does_not_need_may_be_absent() -> None:
    fib4 = get_equation("fib4")
    whole = {"age": 55, "ast": 45, "alt": 50, "platelets": 180}
    assert read_inputs(fib4, whole, fib4.output()) == whole
    refusals: dict[str, tuple[dict[str, Any], str, tuple[str, ...]]] = {
        "FIB-4 has no input": ({**whole, "zinc": 1, "b12": 2}, "fib4 has no input b12, zinc.", ("b12", "zinc")),
        "nothing": ({name: value for name, value in whole.items() if name != "ast"},
                    f"{fib4.title}: no {fib4.input('ast').words.lower()}.", ("ast",)),
        "none": ({**whole, "alt": None}, f"{fib4.title}: no {fib4.input('alt').words.lower()}.", ("alt",)),
    }  # fmt: skip
    for inputs, sentence, names in refusals.values():
        with pytest.raises(EquationRefused) as refused:
            read_inputs(fib4, inputs, fib4.output())
        assert (refused.value.text, refused.value.inputs) == (sentence, names)


def test_a_result_has_its_number_its_band_and_what_was_observed() -> None:
    index = calculate(get_equation("fib4"), {"age": 55, "ast": 45, "alt": 50, "platelets": 180})
    assert index.value == index.number == pytest.approx(1.9445436)
    assert index.band is not None
    assert index.table is not None
    assert (index.band.id, index.band in index.table.bands) == ("indeterminate", True)
    band = {"id": "indeterminate", "words": index.band.words, "source": index.table.source}
    assert result_document(index)["band"] == band
    score = get_equation("cha2ds2_vasc")
    values: dict[str, Any] = {item.name: False for item in score.inputs} | {"age": 80, "sex": "female"}
    result = calculate(score, values)
    assert (result.value, result.number) == (3, 3.0)  # two for 75 and over, one for the sex
    assert result.rates() == [(rate, rate.of[3]) for rate in score.rates if 3 in rate.of]
    assert score.rates == () or result.rates()
    clearance = calculate(get_equation("cockcroft_gault"), vectors_of("cockcroft_gault")[0]["inputs"])
    assert (clearance.band, result_document(clearance)["band"]) == (None, None)


PREVENT_TABLE = "nhanes_prevention.csv.gz"
# The table's column of each input; `diabetes` counts self-report, HbA1c or medicine.
PREVENT_COLUMNS = {
    "age": "age_years", "total_cholesterol": "chol_total_mg_dl", "hdl_cholesterol": "hdl_mg_dl", "sbp": "sbp_mmhg",
    "diabetes": "diabetes", "bmi": "bmi_kg_m2", "egfr": "egfr_ckdepi2021", "bp_medication": "bp_medication",
    "statin": "lipid_lowering",
}  # fmt: skip


def _risk(person: dict[Any, Any]) -> float:
    """The 10-year risk of total cardiovascular disease; NaN where the equation refuses."""
    sex = "male" if person["sex"] else "female"
    given = {name: value for name, value in person.items() if value == value}  # NaN is missing
    try:
        return float(calculate(get_equation("prevent_base"), {**given, "sex": sex}, "total_cvd|10y").value)
    except EquationRefused:
        return np.nan


@pytest.mark.outside_data
def test_prevent_gives_the_mean_risk_and_the_ranking_that_are_known_for_these_people(data_folder: Path) -> None:
    table = pd.read_csv(data_folder / "tabular" / PREVENT_TABLE)
    table = table[table["death_10y"].notna()]
    assert len(table) == 10_692
    rows = table[list(PREVENT_COLUMNS.values())].set_axis(list(PREVENT_COLUMNS), axis=1).astype(float)
    rows["sex"] = table["sex"] == "male"
    rows["current_smoker"] = table["smoking"] == "current"  # nine did not answer: not found counts as no
    risk = np.array([_risk(person) for person in rows.to_dict("records")])
    scored = ~np.isnan(risk) & rows["bmi"].notna().to_numpy()
    risk, table = risk[scored], table[scored]
    is_woman = (table["sex"] == "female").to_numpy()
    assert len(risk) == pytest.approx(9130, abs=20)
    assert risk.mean() == pytest.approx(0.062, abs=0.0005)
    assert risk[is_woman].mean() == pytest.approx(0.0526, abs=0.0001)
    assert risk[~is_woman].mean() == pytest.approx(0.0708, abs=0.0001)
    assert roc_auc_score(table["death_heart_10y"] == 1, risk) == pytest.approx(0.826, abs=0.001)
