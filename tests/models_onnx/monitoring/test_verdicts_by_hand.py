"""Sketches and verdicts of monitoring on counts that are worked out by hand."""

from datetime import date, timedelta

import numpy as np
import pytest

from models_onnx.monitoring.arrival import clocks
from models_onnx.monitoring.day import DayCounts
from models_onnx.monitoring.labelled import Labelled
from models_onnx.monitoring.performance import area_under_curve
from models_onnx.monitoring.repeated import _finely, coarser
from models_onnx.monitoring.shares import Moved, moved
from models_onnx.monitoring.sketch import Sketch, bucket_of, value_of


@pytest.mark.parametrize("value", [1e-8, 0.004, 0.5, 1.0, 37.2, 1e6])
def test_a_bucket_gives_its_value_back_within_one_percent_on_either_side_of_zero(value: float) -> None:
    assert value_of(bucket_of(value)) == pytest.approx(value, rel=0.0101)
    assert value_of(bucket_of(-value)) == -value_of(bucket_of(value))
    assert bucket_of(-value) < bucket_of(0.0) == bucket_of(1e-10) == 0 < bucket_of(value)


@pytest.mark.parametrize(
    ("many", "state"), [(0, "good"), (4, "good"), (5, "watch"), (19, "watch"), (20, "act"), (1000, "act")]
)
def test_clocks_of_machines_and_values_are_judged_at_five_and_twenty_in_a_thousand(many: int, state: str) -> None:
    now = DayCounts(calls=1000, behind=many, missing={"creatinine future": many, "egfr future": 3, "egfr absent": 999})
    machines, values, _ = clocks(now, DayCounts())
    assert (machines.state, machines.value) == (state, many / 1000)
    assert values.state == ("good" if many < 5 else state)
    assert values.value == max(many, 3) / 1000
    assert f"{many / 10:.1f} in 100 calls" in machines.text
    assert next(clocks(DayCounts(calls=199, behind=199), DayCounts())).state == "insufficient"


@pytest.mark.parametrize(
    ("yes", "no", "area"), [([2, 0], [0, 2], 0.0), ([0, 2], [2, 0], 1.0), ([2, 2], [2, 2], 0.5), ([0, 4], [2, 2], 0.75)]
)
def test_a_tie_counts_half_in_the_area_under_the_curve(yes: list[int], no: list[int], area: float) -> None:
    counts = np.zeros((2, 6))
    counts[:, 0], counts[:, 1] = yes, no
    labelled = Labelled(np.array([-1.0, 1.0]), counts)
    assert (labelled.yes.tolist(), labelled.no.tolist()) == (yes, no)
    interval = area_under_curve(labelled)
    assert interval is not None
    assert interval.value == pytest.approx(area)


def test_values_that_are_rounded_are_found_and_each_is_in_one_bin() -> None:
    then = Sketch({bucket_of(value / 100): 10 for value in range(100, 500)})
    now = Sketch({bucket_of(value): 1000 for value in range(1, 5)})
    reference, window = _finely(then, now)
    assert (sum(reference), sum(window)) == (then.total(), now.total())
    verdict = coarser("creatinine", now, then, 1)
    assert verdict is not None
    assert (verdict.state, verdict.before) == ("act", 0.0)
    assert coarser("creatinine", then, then, 1) is None


@pytest.mark.parametrize(("now", "state"), [(0.0, "good"), (0.04, "good"), (0.06, "watch"), (0.2, "act")])
def test_what_was_never_there_before_and_comes_now_is_noticed(now: float, state: str) -> None:
    day, window, reference = date(2026, 9, 28), DayCounts(calls=1000), [DayCounts(calls=1000) for _ in range(28)]

    def counted(counts: DayCounts) -> tuple[int, int]:
        return (round(1000 * now) if counts is window else 0), 1000

    sums = Moved("good", 1000, now, 0.0)
    assert moved({day + timedelta(days=1): window}, reference, counted, 1, sums).state == state
