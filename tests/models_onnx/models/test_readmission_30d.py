"""The committed readmission models: what they reach, and the traps of their data."""

import numpy as np
import pandas as pd
import pytest

from models_onnx.batch import load
from models_onnx.models.readmission_30d import SPEC, TWIN
from models_onnx.serving.registry import load_model
from models_onnx.workbench.training.data.cohort import inputs_of

pytestmark = pytest.mark.slow  # They go through the training table.


def test_the_dead_and_those_in_hospice_are_left_out_and_counted() -> None:
    cohort = load_model("readmission_30d").manifest.cohort
    assert (cohort.table_rows, cohort.n, cohort.events) == (81086, 79156, 8952)
    assert {step.reason: step.count for step in cohort.exclusions} == {"died": 1303, "hospice": 624, "sex-unknown": 3}


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
    scored: pd.DataFrame = load("readmission_30d").score(inputs, exclude=("hospice",)).to_pandas()
    return scored


@pytest.mark.parametrize("unknown", ["18", "25", "26"])
def test_an_unknown_disposition_is_missing_and_the_twin_takes_over(unknown: str) -> None:
    scored = score(row(discharge_disposition_id=unknown))
    assert scored.model.tolist() == [TWIN.id]
    assert 0 < scored.probability[0] < 1


@pytest.mark.parametrize(("disposition", "reason"), [("11", "deceased"), ("13", "outside-population")])
def test_who_died_or_went_to_hospice_has_no_score(disposition: str, reason: str) -> None:
    scored = score(row(discharge_disposition_id=disposition))
    assert np.isnan(scored.probability[0])
    assert str(scored.reason[0]).startswith(reason)


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
