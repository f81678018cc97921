"""The figures of ten people, worked out by hand, and the floors they are judged by."""

import math
import statistics
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from models_onnx.spec import Floors
from models_onnx.workbench.metrics import Estimate
from models_onnx.workbench.training.data.follow_up import c_index
from models_onnx.workbench.training.evaluate import Evaluator, judge, rounded
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


EVERYBODY = np.ones(10, dtype=bool)


def test_of_rows_that_nobody_followed_there_are_people_and_events_and_no_figure() -> None:
    unknown = {"value": None, "low": None, "high": None}
    assert evaluator().unfollowed(np.arange(10) < 2, ("auroc", "ppv")) == {
        "n": 2,
        "events": 1,
        "insufficient": "insufficient: fewer than a tenth of them were followed for the whole horizon",
        "auroc": unknown,
        "ppv": unknown,
    }


def test_harrells_c_has_an_interval_of_so_many_samples_and_not_more_than_twenty() -> None:
    # of the first death 0 of 8 pairs rank rightly, then 6 of 8, 3 of 6, 6 of 6 and 3 of 5
    assert evaluator().c_index(EVERYBODY) == point(0.5455)
    assert evaluator(replicates=1).c_index(EVERYBODY) == point(0.5455)
    assert evaluator().c_index(np.arange(10) > 0) == point(0.72)
    generator, cohort = np.random.default_rng(5), ten_people()
    samples = [np.arange(1, 10)[generator.integers(0, 9, 9)] for _ in range(20)]
    drawn = [c_index(predicted().logit[rows], cohort.observed.part(rows), 5.0) for rows in samples]
    for replicates in (2, 20, 21, 40):
        spread = 1.96 * statistics.stdev(drawn[:replicates])
        ends = {"value": 0.72, "low": round(0.72 - spread, 4), "high": round(0.72 + spread, 4)}
        assert evaluator(replicates=replicates).c_index(np.arange(10) > 0) == ends


def groups(**changed: Any) -> tuple[list[dict[str, Any]], list[Any]]:
    """The subgroups with calls of the progress, alerted from 0.2 on."""
    calls: list[Any] = []
    return evaluator(0.2, **changed).subgroups(lambda *call: calls.append(call)), calls


def test_error_rates_of_a_group_may_be_told_as_with_the_ages_of_everybody() -> None:
    blocks, _ = groups(standardise_by="half")
    names = ("sensitivity_standardised", "false_positive_rate_standardised")
    # With the event 5 of 9 are early and 4 late, without it 3 of 4 early. Women: none early, all of the late alerted.
    # Men have no late event, and their late one without it is alerted.
    assert [[block.get(name) for name in names] for block in blocks] == [
        [point(0.4444), point(0.0)],
        [point(0.0), point(0.25)],
        *[[None, None]] * 3,
    ]
    assert not set(names) & set(groups()[0][0])


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


@pytest.mark.parametrize(
    ("figures", "passed"),
    [
        (block(auroc=0.7999), [False, True, True]),
        (block(auroc=0.8001), [True, True, True]),
        (block(slope=0.9), [True, True, True]),
        (block(slope=0.8999), [True, False, True]),
        (block(slope=1.1), [True, True, True]),
        (block(slope=1.1001), [True, False, True]),
        (block(low=1.05, high=1.2), [True, True, True]),
        (block(low=1.0501, high=1.2), [True, True, False]),
        (block(low=0.8, high=0.95), [True, True, True]),
        (block(low=0.8, high=0.9499), [True, True, False]),
    ],
)
def test_a_floor_holds_on_its_limit_and_not_beyond_it(figures: dict[str, Any], passed: list[bool]) -> None:
    assert [floor["passed"] for floor in judge(FLOORS, figures, figures)] == passed


def test_a_floor_of_an_interval_with_one_end_does_not_hold() -> None:
    for ends in ({"low": None, "high": 1.0}, {"low": 1.0, "high": None}):
        figures = {**block(), "observed_expected": {"value": 1.0, **ends}}
        assert judge(FLOORS, figures, figures)[2]["passed"] is False
    figures = {**block(), "observed_expected": {"value": None, "low": 0.9, "high": 1.1}}
    assert judge(FLOORS, figures, figures)[2]["passed"] is False


def test_figures_are_written_to_four_decimals_and_those_that_are_not_there_as_nothing() -> None:
    assert rounded(Estimate(0.123449, float("nan"), 2.0)) == {"value": 0.1234, "low": None, "high": 2.0}
