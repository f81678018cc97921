"""What each published equation gives and reads, and for whom: outputs, features, exclusions and references."""

from typing import Any

import pytest

from models_onnx.equations.calculate import calculate
from models_onnx.equations.declaration import Equation, find_equations
from models_onnx.errors import EquationRefused

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


# The borders of the published equations, typed again from their papers: ranges, bands, and each step of the points.
_NORMAL: dict[str, dict[str, Any]] = {
    "news2": {"respiratory_rate": 16, "spo2": 98, "supplemental_oxygen": False, "sbp": 120, "heart_rate": 70,
              "consciousness": "A", "temperature": 37.0, "spo2_scale_2": False},
    "lace": {"length_of_stay_days": 0, "acute_admission": False, "charlson_lace": 0, "ed_visits_6m": 0},
    "hospital_score": {"hemoglobin_discharge": 13, "oncology_discharge": False, "sodium_discharge": 140,
                       "procedure_in_stay": False, "urgent_admission": False, "admissions_12m": 0,
                       "length_of_stay_days": 1},
}  # fmt: skip


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
