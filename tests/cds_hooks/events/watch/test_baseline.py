"""What is learned of a feed, by hand from a few counts."""

from collections import Counter
from datetime import UTC, date

import numpy as np
import pytest

from cds_hooks.events.watch.baseline import learn, rarity
from cds_hooks.events.watch.history import Feed
from tests.cds_hooks.events.watch.made import MONDAY, feed_of, flat
from tests.each import for_rows


@for_rows(
    ("count", "mean", "spread", "bound"),
    [
        (0, 9.0, 1.0, 1.2341e-4),  # exp(-9)
        (0, 4.0, 2.0, 0.0625),  # of size 4 and one half
        (0, 4.0, 3.0, 1 / 9),  # of size 2 and one third
        (7, 0.35, 0.95, 0.05**7),  # seven of seven
        (2, 1.0, 0.5, 0.25),  # two of two
        (3, 1.0, 1.0, 0.27361),  # exp(2) / 27: the chance is 0.08
        (10, 10.0, 1.7, 1.0),
        (20, 0.0, 1.0, 0.0),
    ],
)
def test_the_bound_of_counts_is_exact_where_nothing_or_everything_came(
    count: float, mean: float, spread: float, bound: float
) -> None:
    assert float(rarity(count, mean, spread)) == pytest.approx(bound, rel=2e-3, abs=1e-50)


def test_on_a_holiday_anything_between_four_fifths_of_a_sunday_and_the_weekday_is_due() -> None:
    baseline = flat(4.0, variance=0.5)
    baseline.hours[6] = 1.0
    baseline.holidays = frozenset({date(2026, 5, 4)})
    low, high = baseline.due(MONDAY - 1, MONDAY + 2)
    assert (low.tolist(), high.tolist()) == ([1.0, 0.8, 0.8], [1.0, 4.0, 4.0])
    assert baseline.due(MONDAY + 288, MONDAY + 289)[0].tolist() == [4.0]
    assert baseline.spread_of(np.array([0.0, 4.0])).tolist() == [1.0, 3.0]


def test_shares_values_units_and_parts_are_learned_of_the_contents() -> None:
    names: dict[str, float] = {
        "messages": 999, "duplicate": 9, "unmapped:A": 3, "unmapped:B": 4, "state:dead": 1, "sender:A": 200,
        "sender:B": 199, "type:ORU": 980, "ward:W": 300, "other:O": 500, "latency:3": 90, "latency:-26": 6,
        "latency:-25": 4, "value:X|mg/dL:7": 91, "value:X|mg/dL:2": 5, "value:X|mg/dL:9": 4, "value:X|g/L:7": 2,
        "value:Y|mg/dL:7": 3,
    }  # fmt: skip
    baseline = learn(feed_of([names, {}]), UTC, frozenset())
    assert baseline is not None
    rare = 0.5 / 1000
    shares = {"duplicate": 0.0095, "state:dead": 0.0015, "ahead": 0.0065, "unmapped": 0.0075}
    shares |= dict.fromkeys(("out-of-order", "unknown-patients", "no-offset", "refused"), rare)
    tails = {">X|mg/dL": 4.5 / 101, "<X|mg/dL": 0.5 / 101, ">": 0.5 / 101}
    parts = {"sender:A": 200 / 990, "ward:W": 300 / 990}
    assert baseline.rates == pytest.approx(shares | tails | parts)
    assert set(baseline.values) == {"X|mg/dL", "Y|mg/dL", ""}
    assert learn(feed_of([{"messages": 39.0}]), UTC, frozenset()) is None


def test_a_batch_is_what_comes_in_few_hours_of_the_week_and_a_holiday_is_not_learned() -> None:
    def night(step: int) -> dict[str, float]:
        return {"messages": 400.0 if step % 288 < 12 else 0.0}

    steps = [night(step) for step in range(14 * 288)]
    steps[288:576] = [{"messages": 77.0}] * 288
    holiday = frozenset({date(2026, 5, 5)})
    baseline = learn(feed_of(steps), UTC, holiday)
    assert baseline is not None
    assert (baseline.is_batch, baseline.variance < 0.001) == (True, True)
    assert baseline.hours[1, :2].round(6).tolist() == [400, 0]
    even = learn(feed_of([{"messages": 5.0}] * 14 * 288), UTC, frozenset())
    assert even is not None
    assert not even.is_batch
    assert even.spread == pytest.approx(1.05 * 17 / 14)


def test_what_is_learned_is_all_days_and_the_newest_two_without_what_is_left_out() -> None:
    feed = Feed("lab", MONDAY, [(MONDAY + 3, MONDAY + 4)])
    for step in range(600):
        if step == 100:
            feed.left_out |= {MONDAY + 1, MONDAY + 599}
        feed.take({"a": 1.0} if step < 30 or step > 597 else {})
    # of the first thirty one is left out, and one of a downtime with eighteen in which what waited comes
    assert feed.learned() == Counter(a=30 - 1 - 19 + 1)
    assert feed.total(3) == Counter(a=2)


@pytest.mark.parametrize(("names", "new"), [(5000, 3), (5001, 0)])
def test_a_sender_that_invents_a_name_for_each_message_does_not_fill_the_memory(names: int, new: int) -> None:
    feed = feed_of([{f"n{number}": 1.0 for number in range(names)}, {"n7": 2.0, "new": 3.0}, *[{}] * 576])
    assert (feed.learned()["n7"], feed.learned()["new"]) == (3, new)
