"""Groups, sums of days and shares that moved, at the places where one more or less decides."""

from datetime import date, timedelta

import pytest

from models_onnx.monitoring.day import DayCounts, _sum_of_buckets, groups_of
from models_onnx.monitoring.shares import Moved, moved

FIRST = date(2026, 9, 1)


@pytest.mark.parametrize(
    ("values", "recorded", "groups"),
    [
        ({"age_years": 64.99}, (), ("all", "under 65")),
        ({"age_years": 65.0}, (), ("all", "65 and over")),
        ({"age_years": 80.0, "sex_male": 1.0}, (), ("all", "men", "65 and over")),
        ({"age_years": 0.0, "sex_male": 0.0}, (), ("all", "women", "under 65")),
        ({"race_asian": 1.0, "race_white": 0.0}, (), ("all", "race asian")),
        ({"race_asian": 1.0}, ("race asian", "ethnicity latino"), ("all", "race asian", "ethnicity latino")),
        ({}, (), ("all",)),
    ],
)
def test_whoever_is_65_is_of_the_older_group(
    values: dict[str, float], recorded: tuple[str, ...], groups: tuple[str, ...]
) -> None:
    assert groups_of(values, recorded) == groups


@pytest.mark.parametrize("apart", [1, 65_535, 65_536, 65_537, 2_000_000])
def test_the_buckets_of_days_are_added_up_however_far_apart_they_are(apart: int) -> None:
    assert _sum_of_buckets([{-5: 1, -5 + apart: 2}, {-5: 10, 0: 4}, {}]) == {-5: 11, -5 + apart: 2, 0: 4}
    assert _sum_of_buckets([{}, {}]) == {}


def _days(*shares: float, calls: int = 1000) -> dict[date, DayCounts]:
    days = {}
    for number, share in enumerate(shares):
        day = days[FIRST + timedelta(days=number)] = DayCounts()
        day.calls, day.errors = calls, round(share * calls)
    return days


def _moved(share: float, comparisons: int, calls: int = 1000, before: tuple[float, ...] = (0.5,)) -> str:
    window, reference = _days(share, calls=calls), list(_days(*before, calls=calls).values())
    sums = Moved("good", calls, share, sum(before) / len(before))
    return moved(window, reference, lambda day: (day.errors, day.calls), comparisons, sums).state


@pytest.mark.parametrize(
    ("share", "comparisons", "calls", "state"),
    [
        (0.549, 1, 100_000, "good"),  # certain, and under 5 points
        (0.55, 1, 100_000, "watch"),
        (0.599, 1, 100_000, "watch"),
        (0.601, 1, 100_000, "act"),
        (0.449, 1, 100_000, "watch"),
        (0.557, 1, 1000, "good"),  # 1 in 100 by chance: 2.576 standard errors of 0.02236 are 0.0576
        (0.558, 1, 1000, "watch"),
        (0.586, 100, 1000, "good"),  # of 100 comparisons 1 in 10,000: 3.891 of them are 0.0870
        (0.588, 100, 1000, "watch"),
        (0.601, 100, 1000, "act"),
    ],
)
def test_a_share_moved_where_it_is_five_points_away_and_that_is_certain(
    share: float, comparisons: int, calls: int, state: str
) -> None:
    assert _moved(share, comparisons, calls) == state


def test_days_that_differ_more_than_by_chance_make_a_change_less_certain() -> None:
    """Twenty points up and down before: a day with eight points more is one like them."""
    assert _moved(0.58, 1, before=(0.5, 0.5)) == "watch"
    assert _moved(0.58, 1, before=(0.3, 0.7)) == "good"
