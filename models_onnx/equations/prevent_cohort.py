"""PREVENT over a table of real people: the NHANES prevention table, as a check of the arithmetic and the ranking.

Cardiovascular events are not recorded there (README-nhanes.md), so nothing is said about calibration.
"""

import csv
import gzip
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models_onnx.equations.compiled import load_compiled

PREVENT_TABLE = Path("tabular") / "nhanes_prevention.csv.gz"
_OUTPUT = "total_cvd|10y"
# The table's column of each input; `diabetes` counts self-report, HbA1c or medicine.
COLUMNS = {
    "age": "age_years",
    "total_cholesterol": "chol_total_mg_dl",
    "hdl_cholesterol": "hdl_mg_dl",
    "sbp": "sbp_mmhg",
    "diabetes": "diabetes",
    "bmi": "bmi_kg_m2",
    "egfr": "egfr_ckdepi2021",
    "bp_medication": "bp_medication",
    "statin": "lipid_lowering",
}


@dataclass(frozen=True, slots=True)
class PreventCohortFigures:
    """What came out: how many were followed for ten years, how many had a value, mean risks, the ranking of deaths."""

    followed: int
    scored: int
    mean: float
    mean_women: float
    mean_men: float
    heart_deaths: int
    auroc_heart_death: float


def prevent_on_people(table: Path) -> PreventCohortFigures:
    """PREVENT total cardiovascular disease over those followed for ten years and inside its ranges, BMI too."""
    rows = [row for row in _rows(table) if row["death_10y"] != ""]
    values = load_compiled("prevent_base", _OUTPUT).rows(np.array([_inputs(row) for row in rows])).value
    is_scored = ~np.isnan(values) & np.array([row["bmi_kg_m2"] != "" for row in rows])
    kept = [row for row, scored in zip(rows, is_scored, strict=True) if scored]
    risk = values[is_scored]
    is_woman = np.array([row["sex"] == "female" for row in kept])
    died = np.array([row["death_heart_10y"] == "1" for row in kept])
    return PreventCohortFigures(
        len(rows),
        len(kept),
        float(risk.mean()),
        float(risk[is_woman].mean()),
        float(risk[~is_woman].mean()),
        int(died.sum()),
        auroc(risk, died),
    )


def auroc(score: NDArray[np.float64], event: NDArray[np.bool_]) -> float:
    """The share of pairs in which the one with the event has the higher score; ties count half."""
    values, place, counts = np.unique(score, return_inverse=True, return_counts=True)
    rank = (np.cumsum(counts) - (counts - 1) / 2)[place]
    events = int(event.sum())
    above = float(rank[event].sum()) - events * (events + 1) / 2
    return above / (events * (len(values[place]) - events))


def _rows(table: Path) -> Iterator[dict[str, str]]:
    with gzip.open(table, "rt", encoding="utf-8", newline="") as lines:
        yield from csv.DictReader(lines)


def _inputs(row: dict[str, str]) -> list[float]:
    given = {name: float(row[column]) if row[column] else float("nan") for name, column in COLUMNS.items()}
    given["sex"] = float(row["sex"] == "male")
    given["current_smoker"] = float(row["smoking"] == "current")  # nine did not answer: not found counts as no
    return [given[item.name] for item in load_compiled("prevent_base", _OUTPUT).inputs]
