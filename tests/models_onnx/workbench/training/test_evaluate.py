"""The figures of ten people, worked out by hand."""

import math
from dataclasses import replace
from typing import Any

from models_onnx.workbench.training.evaluate import WHOLE, Evaluator
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
