"""PREVENT on the people of the NHANES prevention table, against the figures of its README.

Cardiovascular events are not recorded there: this checks the arithmetic and the ranking, and nothing about calibration.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from models_onnx.equations.calculate import calculate
from models_onnx.equations.declaration import get_equation
from models_onnx.errors import EquationRefused

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
