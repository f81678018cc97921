"""A person as a row of a table, and the answers of a model as columns of numpy."""

from typing import Any

import numpy as np

from models_onnx.batch import BatchModel


def score(model: BatchModel, table: Any, view: str = "") -> dict[str, Any]:
    """The columns of the answer: numbers with NaN where there is none, texts with nothing."""
    answers = model.score(table, view=view)
    return {
        name: answers.column(name).to_numpy() if str(answers.schema.field(name).type) == "double"
        else np.array(answers.column(name).to_pylist(), dtype=object)
        for name in answers.schema.names
    }  # fmt: skip


def typical() -> dict[str, Any]:
    """A person in the study's columns."""
    measured = {
        "albumin_g_dl": 4.1,
        "alp_u_l": 80.0,
        "bun_mg_dl": 18.0,
        "creatinine_mg_dl": 1.1,
        "glucose_mg_dl": 110.0,
        "bilirubin_total_mg_dl": 0.6,
        "wbc_10e3_ul": 7.5,
        "rbc_10e6_ul": 4.4,
        "mcv_fl": 91.0,
        "rdw_pct": 13.9,
        "lymphocytes_pct": 27.0,
        "sbp_mmhg": 138.0,
        "dbp_mmhg": 76.0,
        "bmi_kg_m2": 28.4,
    }
    return {"participant_id": "p1", "age_years": 71, "sex": "male", "pregnant": 0, **measured}
