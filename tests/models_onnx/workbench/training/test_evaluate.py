"""The figures of ten people, worked out by hand, and the floors they are judged by."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from models_onnx.spec import Floors, FollowUp, ModelSpec
from models_onnx.workbench.compiler.link import Link
from models_onnx.workbench.training.crossvalidate import OutOfFold
from models_onnx.workbench.training.evaluate import Evaluator, at_horizons, judge
from models_onnx.workbench.training.fitting.fit import Fit
from tests.models_onnx.workbench.training.ten_people import MARGINS, MODEL, SPEC, WEIGHTS, predicted, ten_people


def evaluator(threshold: float = 1.0, replicates: int = 0, **changed: Any) -> Evaluator:
    """The figures of the ten people; alerted are those from that margin on."""
    return Evaluator(replace(SPEC, **changed), ten_people(), predicted(), threshold, replicates, 5)


def point(value: float) -> dict[str, float]:
    """A figure that nothing was resampled for."""
    return {"value": value, "low": value, "high": value}


def expected(*rows: int) -> float:
    """How many events the model expects of these people, as many as they stand for."""
    return sum(WEIGHTS[row] / (1 + math.exp(-MARGINS[row])) for row in rows)


def test_a_panel_taken_away_says_who_is_still_scored_and_how_well() -> None:
    whole = point(round(9 / expected(2, 3, 4, 5, 7, 8, 9), 4))
    seen = {"auroc": point(0.7778), "observed_expected": whole}
    none = {"auroc": point(0.5), "observed_expected": point(round(9 * (1 + math.e) / 12, 4))}
    assert evaluator().panels() == [
        {"words": "without creatinine", "missing": ["creatinine_mg_dl"], "scored": False, **seen},
        {"words": "without age", "missing": ["age_years"], "scored": False, **none},
        {"words": "with all", "missing": [], "scored": True, **seen},
    ]


def block(auroc: float = 0.8, slope: float = 1.0, low: float = 0.9, high: float = 1.1) -> dict[str, Any]:
    """Figures of all people, or of the latest."""
    observed_expected = {"value": 0.97, "low": low, "high": high}
    return {"auroc": point(auroc), "calibration_slope": point(slope), "observed_expected": observed_expected}


FLOORS = Floors(auroc=0.8, slope=(0.9, 1.1), observed_expected=(0.95, 1.05))


def test_every_floor_is_judged_with_its_figure_and_its_limit() -> None:
    overall, latest = {**block(), "c_index": point(0.71)}, block(slope=1.2, low=1.06)
    assert judge(replace(FLOORS, c_index=0.7), overall, latest) == [
        {"name": "AUROC, all", "value": 0.8, "limit": "at least 0.8", "passed": True},
        {"name": "C-index, all", "value": 0.71, "limit": "at least 0.7", "passed": True},
        {"name": "calibration slope, all", "value": 1.0, "limit": "0.9 to 1.1", "passed": True},
        {"name": "O/E, all", "value": 0.97, "limit": "interval meets 0.95 to 1.05", "passed": True},
        {"name": "calibration slope, latest", "value": 1.2, "limit": "0.9 to 1.1", "passed": False},
        {"name": "O/E, latest", "value": 0.97, "limit": "interval meets 0.95 to 1.05", "passed": False},
    ]
    assert [floor["name"] for floor in judge(FLOORS, overall, overall)] == [
        "AUROC, all",
        "calibration slope, all",
        "O/E, all",
    ]


# In months. The seventh left before the first horizon: the others stand for that one, all alike.
MONTHS = (12, 70, 70, 70, 24, 36, 8, 12, 70, 24)
DEATHS = {1.0: {0, 7}, 2.0: {0, 4, 7, 9}, 5.0: {0, 4, 5, 7, 9}}
FOLLOWED = [row for row in range(10) if row != 6]
HAZARDS = {1.0: 0.1, 2.0: 0.25, 5.0: 0.6}
OTHER_HAZARDS = {1.0: 0.3, 2.0: 0.35, 5.0: 0.5}
"""Of the model of the third fold, which predicts the third, sixth and ninth."""


def followed(**changed: Any) -> ModelSpec:
    """The declaration, followed in months."""
    times = FollowUp(lambda table: table["months"], lambda table: table["death"], per_year=12, **changed)
    return replace(SPEC, outcome=replace(SPEC.outcome, follow_up=times))


def figures(links: tuple[Link, ...], spec: ModelSpec | None = None, replicates: int = 0) -> Any:
    """The figures of the ten, each fold predicted through its link."""
    cohort = ten_people()
    deaths = [float(row in DEATHS[5.0]) for row in range(10)]
    cohort = replace(cohort, rows=pd.DataFrame({"months": MONTHS, "death": deaths}), recent=np.ones(10, dtype=bool))
    models = {number: Fit(replace(MODEL, link=link), lambda rows: (rows, rows)) for number, link in enumerate(links)}
    margins = np.array(MARGINS)
    return at_horizons(spec or followed(), cohort, OutOfFold(margins, margins, models), replicates, 1)


def risk(row: int, years: float) -> float:
    """The estimate of that person, who is predicted by the model of the own fold."""
    hazards = OTHER_HAZARDS if row % 3 == 2 else HAZARDS
    return 1 - math.exp(-math.exp(MARGINS[row]) * hazards[years] / hazards[5.0])


def auroc(years: float) -> float:
    """Of all pairs of one who had died by then and one who had not, how many rank rightly."""
    pairs = [(a, b) for a in DEATHS[years] for b in FOLLOWED if b not in DEATHS[years]]
    return sum(risk(a, years) > risk(b, years) for a, b in pairs) / len(pairs)
