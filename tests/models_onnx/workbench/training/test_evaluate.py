"""The figures of ten people, worked out by hand, and the floors they are judged by."""

import math
from dataclasses import replace
from typing import Any

from models_onnx.spec import Floors
from models_onnx.workbench.training.evaluate import WHOLE, Evaluator, judge
from tests.models_onnx.workbench.training.ten_people import MARGINS, SPEC, WEIGHTS, predicted, ten_people


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


def test_a_group_without_events_has_the_exact_interval_of_a_count() -> None:
    rows = ten_people().y == 0
    figures = evaluator(replicates=20).block(rows, {"observed_expected": WHOLE["observed_expected"]})
    assert figures["events"] == 0
    assert figures["observed_expected"]["low"] == 0.0
    # Garwood 1936: of a count of 0 the interval ends at 3.689, whatever samples are drawn
    assert figures["observed_expected"]["high"] == round(3.6889 / expected(*rows.nonzero()[0]), 4)


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
