"""What each published equation gives and reads, and for whom: outputs, features, exclusions and references."""

from math import exp
from typing import Any

import pytest

from models_onnx.equations.calculate import calculate
from models_onnx.equations.declaration import find_equations
from models_onnx.errors import EquationRefused
from tests.models_onnx.equations.declared import confirmed_rows, first_equations, rows

_RISK = ("probability", "1", 3, None, None)
_OUTPUTS: dict[str, dict[str, tuple[Any, ...]]] = {
    "cha2ds2_vasc": {"score": ("integer", "1", 0, 0, 9)},
    "ckd_epi_2021_creatinine": {"egfr": ("quantity", "mL/min/{1.73_m2}", 0, None, None)},
    "cockcroft_gault": {"clearance": ("quantity", "mL/min", 1, None, None)},
    "fib4": {"index": ("quantity", "1", 2, None, None)},
    "gad7": {"severity": ("code", "1", 0, None, None)},
    "has_bled": {"score": ("integer", "1", 0, 0, 9)},
    "hospital_score": {"score": ("integer", "1", 0, 0, 13)},
    "kfre_4": {"2y": _RISK, "5y": _RISK},
    "lace": {"score": ("integer", "1", 0, 0, 19)},
    "meld3": {"score": ("integer", "1", 0, 6, 40)},
    "news2": {"score": ("integer", "1", 0, 0, 20)},
    "phq9": {"severity": ("code", "1", 0, None, None)},
    "pooled_cohort": {"ascvd|10y": _RISK},
    "prevent_base": {
        f"{outcome}|{years}y": _RISK for years in (10, 30) for outcome in ("total_cvd", "ascvd", "heart_failure")
    },
}
_HORIZONS = {"kfre_4": {2, 5}, "pooled_cohort": {10}, "prevent_base": {10, 30}}


def test_the_outputs_of_each_equation() -> None:
    assert {
        name: {item.id: (item.kind, item.unit, item.decimals, item.low, item.high) for item in equation.outputs}
        for name, equation in first_equations().items()
    } == _OUTPUTS


def test_the_horizon_of_an_output_is_that_of_its_name() -> None:
    horizons: dict[str, set[float]] = {}
    for name, equation in first_equations().items():
        for output in equation.outputs:
            if output.horizon_years is not None:
                horizons.setdefault(name, set()).add(output.horizon_years)
                assert output.id.endswith(f"{output.horizon_years:g}y")
                assert output.words.endswith(f"within {output.horizon_years:g} years")
    assert horizons == _HORIZONS


def test_the_risks_of_prevent_in_words() -> None:
    words = [output.words for output in find_equations()["prevent_base"].outputs]
    assert words == [
        f"have {what} within {years} years"
        for years in (10, 30)
        for what in ("a heart attack, a stroke or heart failure", "a heart attack or a stroke", "heart failure")
    ]


# The input, then the feature of the record that fills it; inputs that are typed by hand stand in the second table.
_FEATURES = {
    "cha2ds2_vasc": "age_years sex_male has_heart_failure has_hypertension has_diabetes has_had_ischaemic_stroke "
    "has_vascular_disease",
    "ckd_epi_2021_creatinine": "age_years sex_male creatinine_mg_dl",
    "cockcroft_gault": "age_years sex_male weight_kg creatinine_mg_dl",
    "fib4": "age_years ast_u_l alt_u_l platelets_10e3_ul",
    "gad7": "gad7_total",
    "has_bled": "age_years has_uncontrolled_pressure has_abnormal_kidneys has_abnormal_liver has_had_stroke_tia "
    "has_bled_or_may takes_antiplatelet_or_nsaid has_alcohol_use",
    "hospital_score": "hemoglobin_g_dl sodium_mmol_l procedure_in_stay admitted_as_emergency admissions_12m "
    "length_of_stay_days",
    "kfre_4": "age_years sex_male egfr_ckd_epi_2021 uacr_mg_g",
    "lace": "length_of_stay_days admitted_as_emergency charlson_lace ed_visits_6m",
    "meld3": "sex_male bilirubin_total_mg_dl sodium_mmol_l inr creatinine_mg_dl albumin_g_dl on_dialysis",
    "news2": "",
    "phq9": "phq9_total",
    "pooled_cohort": "sex_male age_years cholesterol_total_mg_dl hdl_cholesterol_mg_dl sbp_mmhg takes_bp_medication "
    "smokes has_diabetes",
    "prevent_base": "sex_male age_years cholesterol_total_mg_dl hdl_cholesterol_mg_dl sbp_mmhg has_diabetes smokes "
    "bmi_kg_m2 egfr_ckd_epi_2021 takes_bp_medication takes_statin",
}
_BY_HAND = {
    "has_bled": ["labile_inr"], "hospital_score": ["oncology_discharge"], "kfre_4": ["calibration"],
    "news2": ["respiratory_rate", "spo2", "supplemental_oxygen", "sbp", "heart_rate", "consciousness", "temperature",
              "spo2_scale_2"],
    "pooled_cohort": ["race_group"],
}  # fmt: skip


def test_which_features_of_the_record_fill_the_inputs() -> None:
    features, by_hand = {}, {}
    for name, equation in first_equations().items():
        features[name] = " ".join(item.feature for item in equation.inputs if item.feature)
        if typed := [item.name for item in equation.inputs if item.feature is None]:
            by_hand[name] = typed
    assert (features, by_hand) == (_FEATURES, _BY_HAND)


def test_an_input_that_is_not_needed_for_every_output() -> None:
    needed = {
        (name, item.name): item.for_outputs
        for name, equation in first_equations().items()
        for item in equation.inputs
        if item.for_outputs
    }
    assert needed == {("prevent_base", "bmi"): ("heart_failure|10y", "heart_failure|30y")}


def test_for_whom_an_equation_is_at_all_and_which_is_on_no_card() -> None:
    equations = first_equations()
    assert {name: equation.only_with for name, equation in equations.items() if equation.only_with} == {
        "cha2ds2_vasc": ("has_atrial_fibrillation",),
        "has_bled": ("has_atrial_fibrillation",),
        "meld3": ("has_cirrhosis",),
    }
    assert {name for name, equation in equations.items() if equation.not_on_cards} == {"news2", "pooled_cohort"}
    assert {name: [step.features for step in equation.exclusions if step.features]
            for name, equation in equations.items() if any(step.features for step in equation.exclusions)} == {
        "cha2ds2_vasc": [("has_mechanical_valve",), ("has_mitral_stenosis",)],
        "ckd_epi_2021_creatinine": [("has_acute_kidney_injury",), ("on_dialysis",), ("is_pregnant",)],
        "cockcroft_gault": [("has_acute_kidney_injury",), ("on_dialysis",)],
        "kfre_4": [("on_dialysis", "has_kidney_transplant"), ("has_acute_kidney_injury",)],
        "meld3": [("takes_warfarin",)], "news2": [("is_pregnant",)],
        "pooled_cohort": [("has_coronary_disease", "has_had_stroke_tia", "has_peripheral_artery_disease")],
        "prevent_base": [("has_coronary_disease", "has_had_stroke_tia", "has_heart_failure"),
                         ("has_peripheral_artery_disease",)],
    }  # fmt: skip


_PREVENT: dict[str, Any] = {
    "sex": "female", "age": 55, "total_cholesterol": 4.8 / 0.02586, "hdl_cholesterol": 1.3 / 0.02586, "sbp": 130,
    "diabetes": False, "current_smoker": False, "bmi": 25, "egfr": 90, "bp_medication": False, "statin": False,
}  # fmt: skip


def test_the_reference_of_prevent_is_where_every_term_is_nothing() -> None:
    equation = find_equations()["prevent_base"]
    for sex in ("female", "male"):
        working = calculate(equation, {**_PREVENT, "sex": sex}, "ascvd|10y").working
        assert {part.input: part.contribution for part in working.contributions if abs(part.contribution) > 1e-12} == (
            {} if sex == "female" else {"sex": pytest.approx(sum(part.contribution for part in working.contributions))}
        )


@pytest.mark.parametrize(
    ("name", "values", "inside", "beyond", "output"),
    [
        ("prevent_base", _PREVENT, {"age": 59}, {"age": 60}, "ascvd|30y"),
        ("kfre_4", {"age": 70, "sex": "male", "egfr": 36, "uacr": 170, "calibration": "north_america"},
         {"egfr": 59.9}, {"egfr": 60}, "2y"),
    ],
)  # fmt: skip
def test_an_output_for_fewer_people_is_refused_for_the_others(
    name: str, values: dict[str, Any], inside: dict[str, float], beyond: dict[str, float], output: str
) -> None:
    equation = find_equations()[name]
    calculate(equation, {**values, **inside}, output)
    with pytest.raises(EquationRefused, match=r"30-year risk is for ages 30 to 59|for an eGFR under 60"):
        calculate(equation, {**values, **beyond}, output)
    if name == "prevent_base":
        calculate(equation, {**values, **beyond}, "ascvd|10y")


def test_the_centre_of_the_kidney_failure_equation_is_its_baseline() -> None:
    """Tangri 2016: baseline survival of 0.9750 in 2 and 0.9240 in 5 years, 0.9832 and 0.9365 outside North America."""
    equation = find_equations()["kfre_4"]
    values = {"age": 70.36, "sex": "male", "egfr": 36.11, "uacr": 170.2, "calibration": "north_america"}
    for region, output, survival in (
        ("north_america", "2y", 0.9750),
        ("north_america", "5y", 0.9240),
        ("non_north_america", "2y", 0.9832),
        ("non_north_america", "5y", 0.9365),
    ):
        man = calculate(equation, {**values, "calibration": region}, output)
        shift = sum(part.contribution for part in man.working.contributions if part.input == "sex")
        assert shift == pytest.approx(0.2467 * (1 - 0.5642), abs=1e-3)
        assert 1 - survival < float(man.value) < 1 - survival**1.15
        parts = {part.input: part.value for part in man.working.contributions}
        assert parts["sex"] == "male"


def test_the_value_at_the_reference_of_prevent_is_that_of_its_constants() -> None:
    equation = find_equations()["prevent_base"]
    for output, linear in equation.linear.items():
        for chosen in linear.sets:
            values = {**_PREVENT, **chosen.choice}
            constant = 1 / (1 + exp(-chosen.constant))
            assert calculate(equation, values, output).value == pytest.approx(constant, rel=1e-9), output


def test_observed_rates_begin_at_no_points_and_have_no_gap() -> None:
    last = {"cha2ds2_vasc": 9, "has_bled": 5, "lace": 19}
    for name, highest in last.items():
        (rates,) = find_equations()[name].rates
        assert list(rates.of) == list(range(highest + 1)), name


def test_every_equation_declares_what_was_confirmed() -> None:
    assert list(rows()) == confirmed_rows(), "python -m tests.renew equations; then read what changed"
