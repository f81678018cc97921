"""What each published equation gives and reads, and for whom: outputs, features, exclusions and references."""

from itertools import pairwise
from math import exp, log
from typing import Any

import pytest

from models_onnx.equations.calculate import calculate
from models_onnx.equations.declaration import Equation, find_equations
from models_onnx.equations.published.lace import EXPECTED
from models_onnx.errors import EquationRefused
from tests.each import for_rows

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


def _typed_equations() -> dict[str, Equation]:
    """The equations whose declaration is typed a second time in this file."""
    equations = find_equations()
    return {name: equations[name] for name in _OUTPUTS}


def test_the_outputs_of_each_equation() -> None:
    assert {
        name: {item.id: (item.kind, item.unit, item.decimals, item.low, item.high) for item in equation.outputs}
        for name, equation in _typed_equations().items()
    } == _OUTPUTS


def test_for_whom_an_equation_is_at_all_and_which_is_on_no_card() -> None:
    equations = _typed_equations()
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


# The borders of the published equations, typed again from their papers: ranges, bands, and each step of the points.
_NORMAL: dict[str, dict[str, Any]] = {
    "news2": {"respiratory_rate": 16, "spo2": 98, "supplemental_oxygen": False, "sbp": 120, "heart_rate": 70,
              "consciousness": "A", "temperature": 37.0, "spo2_scale_2": False},
    "lace": {"length_of_stay_days": 0, "acute_admission": False, "charlson_lace": 0, "ed_visits_6m": 0},
    "hospital_score": {"hemoglobin_discharge": 13, "oncology_discharge": False, "sodium_discharge": 140,
                       "procedure_in_stay": False, "urgent_admission": False, "admissions_12m": 0,
                       "length_of_stay_days": 1},
}  # fmt: skip
_SCALE_2 = {"spo2_scale_2": True}
_ON_OXYGEN = {"spo2_scale_2": True, "supplemental_oxygen": True}
# Compared on 2026-11-23 with reproductions of the publications (the papers themselves could not be opened):
# - Royal College of Physicians 2017, chart 1: scribd.com/document/584338409 (chart of the College);
# - van Walraven 2010 (CMAJ 182:551), all points: mdcalc.com/lace-index-readmission, manual of the R package cliot;
# - Donzé 2016 (JAMA Intern Med 176:496): admissions 0-1, 2-5, over 5 in a Brazilian validation (shmabstracts.org), the
#   other points in table 1 of rcpjournals.org, bands 0-4, 5-6, 7 and over at evidencio.com/models/show/1002.
# Donzé 2013 gives 2 points from the first admission on: the equation is the one of 2016 and says so.
_POINTS: list[tuple[str, str, dict[str, Any], str]] = [
    ("news2", "respiratory_rate", {}, "8:3 9:1 11:1 12:0 20:0 21:2 24:2 25:3"),
    ("news2", "spo2", {}, "91:3 92:2 93:2 94:1 95:1 96:0"),
    ("news2", "spo2", _SCALE_2, "83:3 84:2 85:2 86:1 87:1 88:0 92:0 93:0 100:0"),
    ("news2", "spo2", _ON_OXYGEN, "83:5 84:4 85:4 86:3 87:3 88:2 92:2 93:3 94:3 95:4 96:4 97:5"),
    ("news2", "sbp", {}, "90:3 91:2 100:2 101:1 110:1 111:0 219:0 220:3"),
    ("news2", "heart_rate", {}, "40:3 41:1 50:1 51:0 90:0 91:1 110:1 111:2 130:2 131:3"),
    ("news2", "temperature", {}, "35:3 35.1:1 36:1 36.1:0 38:0 38.1:1 39:1 39.1:2"),
    ("lace", "length_of_stay_days", {}, "0:0 1:1 1.9:1 2:2 3:3 4:4 6:4 7:5 13:5 14:7 60:7"),
    ("lace", "charlson_lace", {}, "0:0 1:1 2:2 3:3 4:5 9:5"),
    ("lace", "ed_visits_6m", {}, "0:0 1:1 2:2 3:3 4:4 9:4"),
    ("hospital_score", "hemoglobin_discharge", {}, "11.9:1 12:0"),
    ("hospital_score", "sodium_discharge", {}, "134:1 135:0"),
    ("hospital_score", "admissions_12m", {}, "0:0 1:0 2:2 5:2 6:5"),
    ("hospital_score", "length_of_stay_days", {}, "4:0 5:2"),
]


@for_rows(("equation", "name", "others", "steps"), _POINTS)
def test_the_points_change_where_the_paper_says(equation: str, name: str, others: dict[str, Any], steps: str) -> None:
    declared = find_equations()[equation]
    values = [step.split(":")[0] for step in steps.split()]
    points = {
        value: calculate(declared, {**_NORMAL[equation], **others, name: float(value)}, "score").value
        for value in values
    }
    assert " ".join(f"{value}:{point:g}" for value, point in points.items()) == steps


@for_rows(
    ("equation", "changed", "points"),
    [
        *(("news2", {"consciousness": letter}, 3) for letter in "CVPU"),
        ("news2", {"supplemental_oxygen": True}, 2),
        ("lace", {"acute_admission": True}, 3),
        ("hospital_score", {"oncology_discharge": True}, 2),
        ("hospital_score", {"procedure_in_stay": True}, 1),
        ("hospital_score", {"urgent_admission": True}, 1),
    ],
)
def test_what_is_there_or_not_has_its_points(equation: str, changed: dict[str, Any], points: int) -> None:
    assert calculate(find_equations()[equation], {**_NORMAL[equation], **changed}, "score").value == points


# Lip 2010 (Chest 137:263) and Pisters 2010 (Chest 138:1093): the points of each item of a man of 50 who has none
_ITEMS = {
    "cha2ds2_vasc": "heart_failure:1 hypertension:1 diabetes:1 stroke_tia_te:2 vascular_disease:1 sex:1 age 64:0 "
    "age 65:1 age 74:1 age 75:2",
    "has_bled": "hypertension_uncontrolled:1 abnormal_renal:1 abnormal_liver:1 stroke:1 bleeding_or_predisposition:1 "
    "labile_inr:1 drugs_antiplatelet_nsaid:1 alcohol_excess:1 age 65:0 age 66:1",
}


@pytest.mark.parametrize("name", _ITEMS)
def test_each_item_of_a_score_of_strokes_and_bleeding_has_its_points(name: str) -> None:
    declared = find_equations()[name]
    nobody = {item.name: {"age": 50, "sex": "male"}.get(item.name, False) for item in declared.inputs}
    for item in _ITEMS[name].split():
        key, _, points = item.partition(":")
        if key == "age":
            continue
        changed = {"age": int(key)} if key.isdigit() else {key: "female" if key == "sex" else True}
        assert calculate(declared, {**nobody, **changed}, "score").value == int(points), item
    assert calculate(declared, nobody, "score").value == 0


_RANGES: dict[str, dict[str, tuple[float | None, float | None]]] = {
    "cha2ds2_vasc": {"age": (18, 120)}, "ckd_epi_2021_creatinine": {"age": (18, 120), "creatinine": (0.1, 20)},
    "cockcroft_gault": {"age": (18, 120), "weight": (30, 300), "creatinine": (0.1, 20)},
    "fib4": {"age": (35, 120), "ast": (1, 5000), "alt": (1, 5000), "platelets": (5, 1500)}, "gad7": {"total": (0, 21)},
    "has_bled": {"age": (18, 120)},
    "hospital_score": {"hemoglobin_discharge": (3, 25), "sodium_discharge": (100, 180), "admissions_12m": (0, None),
                       "length_of_stay_days": (0, None)},
    "kfre_4": {"age": (18, 100), "egfr": (10, 60), "uacr": (0.1, 25000)},
    "lace": {"length_of_stay_days": (0, None), "charlson_lace": (0, None), "ed_visits_6m": (0, None)},
    "meld3": {"bilirubin": (0.1, 60), "sodium": (100, 180), "inr": (0.5, 15), "creatinine": (0.1, 20),
              "albumin": (0.5, 6)},
    "news2": {"respiratory_rate": (4, 60), "spo2": (50, 100), "sbp": (40, 280), "heart_rate": (20, 250),
              "temperature": (30, 43)},
    "phq9": {"total": (0, 27)},
    "pooled_cohort": {"age": (40, 79), "total_cholesterol": (130, 320), "hdl_cholesterol": (20, 100), "sbp": (90, 200)},
    "prevent_base": {"age": (30, 79), "total_cholesterol": (130, 320), "hdl_cholesterol": (20, 100), "sbp": (90, 200),
                     "bmi": (18.5, 39.9), "egfr": (15, 140)},
}  # fmt: skip


def test_every_range_of_an_input_is_the_one_that_was_typed_again() -> None:
    ranges = {
        name: {item.name: (item.low, item.high) for item in equation.inputs if (item.low, item.high) != (None, None)}
        for name, equation in _typed_equations().items()
    }
    assert ranges == _RANGES


def test_a_value_at_the_end_of_its_range_is_taken_and_one_beyond_it_is_refused() -> None:
    declared = find_equations()["news2"]
    for name, (low, high) in _RANGES["news2"].items():
        for border, beyond in ((low, -0.1), (high, 0.1)):
            assert border is not None
            calculate(declared, {**_NORMAL["news2"], name: border}, "score")
            with pytest.raises(EquationRefused, match=f"is outside {low} to {high}"):
                calculate(declared, {**_NORMAL["news2"], name: border + beyond}, "score")
    with pytest.raises(EquationRefused, match="is outside from 0"):
        calculate(find_equations()["lace"], {**_NORMAL["lace"], "length_of_stay_days": -1}, "score")


_BANDS = {
    "cha2ds2_vasc score": "low treat:2", "ckd_epi_2021_creatinine egfr": "G5 G4:15 G3b:30 G3a:45 G2:60 G1:90",
    "fib4 index": "low indeterminate:1.3 high>2.67 | low indeterminate:2 high>2.67",
    "gad7 severity": "minimal mild:5 moderate:10 severe:15", "has_bled score": "not-high high:3",
    "hospital_score score": "low intermediate:5 high:7", "kfre_4 5y": "below refer:0.03",
    "kfre_4 2y": "below team>0.1 prepare>0.4", "lace score": "low moderate:5 high:10",
    "news2 score": "low medium:5 high:7", "phq9 severity": "minimal mild:5 moderate:10 moderately severe:15 severe:20",
    "pooled_cohort ascvd|10y": "low borderline:0.05 intermediate:0.075 high:0.2",
    "prevent_base ascvd|10y": "low borderline:0.03 intermediate:0.05 high:0.1",
    "prevent_base total_cvd|10y": "below treat:0.075",
}  # fmt: skip


def test_every_band_begins_where_it_was_typed_again() -> None:
    bands: dict[str, list[str]] = {}
    for name, equation in _typed_equations().items():
        for table in equation.bands:
            words = [
                band.id if band.low is None else f"{band.id}{'>' if band.strictly else ':'}{band.low:g}"
                for band in table.bands
            ]
            bands.setdefault(f"{name} {table.output}", []).append(" ".join(words))
    assert {key: " | ".join(tables) for key, tables in bands.items()} == _BANDS


_RATES: dict[str, list[float]] = {
    "cha2ds2_vasc": [0.2, 0.6, 2.2, 3.2, 4.8, 7.2, 9.7, 11.2, 10.8, 12.2],
    "has_bled": [1.13, 1.02, 1.88, 3.74, 8.7, 12.5],
    "lace": [2.0, 2.4, 2.9, 3.5, 4.2, 5.0, 6.0, 7.2, 8.6, 10.3, 12.2, 14.4, 16.9, 19.7, 23.0, 26.5, 30.4, 34.6, 39.1,
             43.7],
}  # fmt: skip


def test_the_rates_by_points_are_those_that_were_typed_again() -> None:
    rates = {
        name: [rate for table in equation.rates for rate in table.of.values()]
        for name, equation in _typed_equations().items()
    }
    assert {name: values for name, values in rates.items() if values and name != "meld3"} == _RATES
    assert [table.of for table in find_equations()["meld3"].rates] == [{14: 0.981, 15: 0.977, 26: 0.855, 28: 0.791}]


def test_the_reference_of_a_product_adds_nothing() -> None:
    """The share of an input is told against these values (a person of 50, 70 kg, 1.0 mg/dL)."""
    reference = {"age": 50, "sex": "male", "weight": 70, "creatinine": 1.0}
    working = calculate(find_equations()["cockcroft_gault"], reference, "clearance").working
    assert [item.input for item in working.contributions if item.contribution] == []


def test_the_ages_that_change_the_band_of_fib4() -> None:
    def band(age: float, platelets: float) -> str:
        result = calculate(
            find_equations()["fib4"], {"age": age, "ast": 40, "alt": 36, "platelets": platelets}, "index"
        )
        return result.band.id if result.band else ""

    assert band(64, 64 * 40 / (1.31 * 6)) == "indeterminate"
    assert band(65, 65 * 40 / (1.99 * 6)) == "low", "from 65 on the lower step is 2.0 (McPherson 2017)"


def test_the_expected_risks_of_lace_are_those_of_a_line_on_the_logit_scale() -> None:
    """In 100, with one decimal: 2.0 at 0 points and 43.7 at 19 (van Walraven 2010)."""
    risks = [EXPECTED[points] for points in range(20)]
    assert (len(EXPECTED), risks[0], risks[-1]) == (20, 2.0, 43.7)
    assert [round(risk, 1) for risk in risks] == risks
    odds = [log(risk / (100 - risk)) for risk in risks]
    assert [high - low for low, high in pairwise(odds)] == pytest.approx([(odds[-1] - odds[0]) / 19] * 19, abs=0.05)
