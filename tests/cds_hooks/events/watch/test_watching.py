"""What the watch decides of feeds together: a storm, a downtime, and what is not learned."""

from datetime import UTC
from math import log
from typing import Any

import numpy as np
import pytest

from cds_hooks.events.watch.baseline import Baseline, Feed, Signal, expect
from cds_hooks.events.watch.incidents import FEWER, Incident, Topology
from cds_hooks.events.watch.watching import Calendar, Watch, WatchedFeed, _is_dead, batch, growth, volume
from tests.cds_hooks.events.watch.made import MONDAY, flat, history_of, learn_flat, watch_over

NETWORK = Topology({"a": "net", "b": "net", "c": "other"})
END = MONDAY + 3 * 288


def low(feed: str = "a", kind: str = "low", subject: str = "") -> Signal:
    return Signal(feed, kind, subject, 0.5, END, 200.0, "volume", is_strong=True)


def came(shares: dict[str, float]) -> Watch:
    """Feeds of ten messages in a step, of which only a share came in the last steps; z comes through nothing."""
    watch = watch_over({name: flat(10.0) for name in shares}, NETWORK)
    for name, share in shares.items():
        for _ in range(20):
            watch.feeds[name].history.append({"messages": 10 * share})
    return watch


def judged(watch: Watch, signal: Signal, end: int = END + 20) -> tuple[str, str, bool]:
    told = watch._with_siblings(signal, end)
    return told.kind, told.subject, told.is_strong


def spread_of(feed: WatchedFeed, spread: float) -> None:
    assert feed.expected is not None
    feed.expected.baseline.spread = spread


def test_what_is_as_likely_as_the_bound_is_not_told_yet() -> None:
    """The spread is what makes the evidence exactly three, or six."""
    evidence = 100 * log(0.5) + 100
    for share, number, spread in ((0.5, 3.0, evidence / 3), (1.0, -6.0, -(200 * log(0.5) + 100) / 6)):
        watch = came({"a": 0.5, "b": share})
        spread_of(watch.feeds["b"], spread)
        assert watch.feeds["b"].fits(END, 0.5) == number
        assert judged(watch, low()) == ("", "", True)
    watch = came({"a": 0.5})
    spread_of(watch.feeds["a"], evidence / 3)
    watch.incidents.all.append(Incident(FEWER, ["c"], "", "information", END, END, 0.5))
    assert watch.feeds["a"].fits(END, 0.5) == 3.0
    assert judged(watch, low(kind="silent"))[0] == FEWER


def test_a_sibling_of_which_nothing_is_due_decides_nothing_and_one_that_hardly_fits_is_enough() -> None:
    network = Topology(dict.fromkeys("abc", "net"))
    for mean, kind in ((0.0, ""), (0.2, FEWER)):
        watch = watch_over({"a": flat(10.0), "b": flat(10.0), "c": flat(mean)}, network)
        for name, count in {"a": 5.0, "b": 5.0, "c": mean / 2}.items():
            for _ in range(20):
                watch.feeds[name].history.append({"messages": count})
        assert judged(watch, low())[0] == kind


def test_only_stops_of_a_whole_feed_are_compared_with_its_siblings() -> None:
    watch = came({"a": 0.5, "b": 0.5})
    for signal in (low(kind="late"), low(subject="batch"), low(kind="silent"), low(kind="flapping")):
        assert watch._with_siblings(signal, END + 20) is signal
    assert watch._low == {}


@pytest.mark.parametrize(
    ("signal", "share", "feeds", "kind"),
    [
        (low(), 0.75, ["c"], FEWER),  # halfway between one and the incident's half
        (low(), 0.76, ["c"], "low"),
        (low(), 0.9, ["a"], FEWER),
        (low(kind="silent"), 0.5, ["c"], FEWER),
        (low(kind="flapping"), 0.5, ["c"], FEWER),
        (low(kind="silent"), 0.36, ["c"], FEWER),  # at most 72 of 100 is likelier than 1e-5
        (low(kind="silent"), 0.28, ["c"], "silent"),
        (low(kind="silent"), 0.72, ["c"], "silent"),  # 0.2: not sure that it has as few
    ],
)
def test_a_feed_goes_on_in_an_incident_of_several_where_it_has_as_few(
    signal: Signal, share: float, feeds: list[str], kind: str
) -> None:
    watch = came({"a": share})
    watch.incidents.all.append(Incident(FEWER, feeds, "", "information", END, END, 0.5))
    assert judged(watch, signal)[0] == kind
    watch.incidents.all[0].closed = END
    assert judged(watch, signal)[0] == signal.kind
    watch.incidents.all[0] = Incident("low", feeds, "", "medium", END, END, 0.5)
    assert judged(watch, signal)[0] == signal.kind


def test_a_feed_of_which_nothing_is_learned_goes_on_in_no_incident() -> None:
    watch = came({"a": 0.5})
    watch.incidents.all.append(Incident(FEWER, ["c"], "", "information", END, END, 0.5))
    watch.feeds["a"].expected = None
    assert judged(watch, low(kind="silent"))[0] == "silent"


def test_what_came_since_a_step_is_counted_and_of_a_volume_what_was_due() -> None:
    feed = WatchedFeed("a", UTC, MONDAY, Calendar())
    assert feed.came_and_due(MONDAY) == (0.0, 0.0)
    learn_flat(feed, flat(10.0))
    for _ in range(5):
        feed.history.append({"messages": 4.0})
    assert feed.came_and_due(END) == (20.0, 50.0)
    assert feed.came_and_due(END - 1000)[1] == 6050.0  # no further back than is expected
    feed.expected = None
    assert feed.came_and_due(END) == (20.0, 20.0)


def test_a_feed_of_which_too_little_came_is_not_learned() -> None:
    feed = WatchedFeed("a", UTC, MONDAY, Calendar())
    for step in range(14 * 288 + 2):
        feed.append({"messages": 1.0 if step % 144 == 0 else 0.0})
    assert (feed.expected, feed.signals()) == (None, ())


def test_after_a_downtime_what_waited_may_flood_for_an_hour_and_a_half_but_must_come() -> None:
    def kinds(planned: tuple[int, int], counts: float, steps: int) -> list[str]:
        feed = WatchedFeed("a", UTC, MONDAY, Calendar(planned={"a": (planned,)}))
        learn_flat(feed, flat(10.0, shares={"duplicate": 0.001}))
        seen: list[str] = []
        for _ in range(steps):
            feed.append({"messages": counts, "duplicate": counts})
            seen += [signal.kind for signal in feed.signals()]
        return seen

    assert kinds((END, END + 6), 100.0, 24) == []  # the last step of the time to catch up is the 24th
    assert set(kinds((END, END + 6), 100.0, 36)) == {"duplicates", "flood"}
    assert kinds((END, END + 6), 0.0, 6) == []
    assert kinds((END, END + 6), 0.0, 8) == ["silent"]


def test_what_an_incident_was_about_is_not_learned_and_a_new_usual_begins_with_it() -> None:
    def incident(feed: str, closed: int | None, is_accepted: bool) -> Incident:
        return Incident("low", [feed, "gone"], "", "high", MONDAY + 100, MONDAY + 110, closed=closed, number=1,
                        is_accepted=is_accepted)  # fmt: skip

    earlier = [incident("a", MONDAY + 200, False), incident("b", None, False), incident("c", MONDAY + 200, True)]
    watch = Watch(
        dict.fromkeys("abcd", UTC), MONDAY, Calendar(planned={"d": ((MONDAY + 5, MONDAY + 7),)}), NETWORK, earlier
    )
    counts = {name: {MONDAY + step: {"messages": 5.0} for step in range(20 * 288)} for name in "abd"}
    watch.load(counts, MONDAY + 14 * 288)
    left_out = {name: np.flatnonzero(feed.history.left_out(MONDAY, feed.end)) for name, feed in watch.feeds.items()}
    assert {name: (len(steps), *steps[:1].tolist()) for name, steps in left_out.items()} == {
        "a": (101, 100), "b": (14 * 288 - 100, 100), "c": (0,), "d": (20, 5)
    }  # fmt: skip
    assert {name: (feed.history.first - MONDAY, feed.history.length) for name, feed in watch.feeds.items()} == {
        "a": (0, 4032), "b": (0, 4032), "c": (100, 3932), "d": (0, 4032)
    }  # fmt: skip
    assert [name for name, feed in watch.feeds.items() if feed.expected is not None] == ["a", "b", "d"]
    assert watch.feeds["a"].judged_from == MONDAY + 14 * 288
    assert watch._weight_since("gone", "late", MONDAY) == float("inf")
    assert watch._weight_since("a", "late", MONDAY + 14 * 288 - 3) == 15.0


Row = tuple[str, float, int, float, bool]
"""Kind, ratio, first step counted back from the end, weight, and whether it is strong."""


def volumes_judged(
    baseline: Baseline, newest: list[float], starts: dict[str, int] | None = None, at: int = 0
) -> list[Row]:
    """What is judged of a feed after three days that were as expected; `starts` counts back from the end."""
    end = MONDAY + 3 * 288 + at
    weekdays = baseline.hours[0]
    usual = [{"messages": float(weekdays[step % 288 // 12])} for step in range(end - MONDAY)]
    history = history_of([*usual[: len(usual) - len(newest)], *({"messages": count} for count in newest)])
    expected = expect(baseline, end - 600, end + 24, frozenset())
    feed = Feed("lab", MONDAY)
    feed.history = history
    for group, back in (starts or {}).items():
        feed.start_at(end - back, group)
    signals = (batch if baseline.is_batch else volume)(feed, expected)
    assert {(signal.feed, signal.group) for signal in signals} <= {("lab", "volume"), ("lab", "flood")}
    return [
        (f"{signal.kind} {signal.subject}".strip(), round(signal.ratio, 4), end - signal.since,
         round(signal.weight, 4), signal.is_strong)
        for signal in signals
    ]  # fmt: skip


def varying(**more: float) -> dict[str, Any]:
    """Days or hours that vary by more than chance."""
    shapes = {"day_variance": np.ones(7), "hour_variance": np.ones((7, 24))}
    return {name: shapes[name] * value for name, value in more.items()}


@pytest.mark.parametrize(
    ("counts", "means", "is_dead"),
    [
        ([0.0, 0.0, 15.0], [2.0, 5.0, 20.0], True),
        ([0.0, 0.0, 15.0], [2.0, 4.9, 19.9], False),
        ([0.0, 0.0, 30.0], [2.0, 4.9, 20.0], False),  # more than was due before does not count as more
        ([0.0, 0.0, 9.5], [2.0, 8.0, 23.0], True),  # 8 * 9.5 / 15
        ([0.0, 0.0, 9.3], [2.0, 8.0, 23.0], False),
        ([0.0, 1.0, 15.0], [5.0, 6.0, 20.0], True),
        ([1.0, 2.0, 15.0], [5.0, 6.0, 20.0], False),
    ],
)
def test_a_feed_is_dead_when_nothing_came_since_five_were_due(
    counts: list[float], means: list[float], is_dead: bool
) -> None:
    assert _is_dead(np.array(counts), np.array(means), 2) == is_dead


def gaps(count: float, *lengths: int) -> list[float]:
    """Thirteen steps with gaps, with a step of messages before and after a gap at the least."""
    steps = [count]
    for length in lengths:
        steps += [0.0] * length + [count]
    return [count] * (13 - len(steps)) + steps


TWO = [0.0] * 6 + [7.0] + [0.0] * 6
WIDE = varying(day_variance=0.5)


@pytest.mark.parametrize(
    ("baseline", "newest", "rows"),
    [
        (flat(10.0), [], []),
        (flat(10.0), [0], []),  # exp(-10) is more than 2e-7
        (flat(10.0), [0, 0], [("silent", 0.0, 2, 20.0, True)]),
        (flat(15.4), [0], []),
        (flat(15.5), [0], [("silent", 0.0, 1, 15.5, True)]),
        (flat(1000.0), [110], [("silent", 0.11, 1, 1000.0, True)]),
        (flat(1000.0), [130], [("low", 0.13, 1, 1000.0, True)]),
        (flat(1000.0), [690], [("low", 0.69, 1, 1000.0, True)]),
        (flat(1000.0), [710], [("low", 0.71, 1, 1000.0, False)]),
        (flat(1000.0), [855, 855, 855], [("low", 0.855, 2, 2000.0, False)]),
        (flat(1000.0), [865, 865, 865], []),
        (flat(1.85), [0] * 12, [("silent", 0.0, 9, 16.65, True)]),  # fewer than 1.8 in a step are not urgent
        (flat(1.75), [0] * 12, [("silent", 0.0, 9, 15.75, False)]),
        # Six steps of nothing after two full ones: 8 of 32 came, and nothing since 24 were due.
        (flat(4.0), [4, 4, 4, 0, 0, 0, 0], [("silent", 0.0, 4, 16.0, True)]),
        # Where days vary by a fifth, the chance of n empty steps is (1 + 0.4 n) ** -25.
        (flat(10.0, **varying(day_variance=0.04)), [0, 0], []),
        (flat(10.0, **varying(day_variance=0.04)), [0, 0, 0], [("silent", 0.0, 3, 30.0, True)]),
        # Where hours vary by a tenth, it is 2.2 ** (-10 n / 1.2).
        (flat(10.0, **varying(hour_variance=0.01)), [0, 0], []),
        (flat(10.0, **varying(hour_variance=0.01)), [0, 0, 0], [("silent", 0.0, 3, 30.0, True)]),
        # Where counts vary three times as much as by chance, it is 3 ** (-10 n / 2).
        (flat(10.0, spread=3.0), [0, 0], []),
        (flat(10.0, spread=3.0), [0, 0, 0], [("silent", 0.0, 3, 30.0, True)]),
        # The bound is exp(-(mean - count + count * log(count / mean)) / 2), and must be less than 1e-9.
        (flat(10.0), [50], []),
        (flat(10.0), [51], [("flood", 5.1, 1, 51.0, True)]),
        (flat(0.5), [19], []),
        (flat(0.5), [20], [("flood", 40.0, 1, 20.0, True)]),
        (flat(100.0), [245], []),
        (flat(100.0), [255], [("flood", 2.55, 1, 255.0, True)]),
        (flat(0.5), [4] * 9, [("flood", 8.0, 9, 36.0, True)]),
        (flat(10.0, spread=1.5), [60], []),  # exp(-57.5 / 3) is more
        (flat(10.0, spread=1.5), [65], [("flood", 6.5, 1, 65.0, True)]),
        (flat(0.0), [20], [("flood", 2e10, 1, 20.0, True)]),
        # After an hour it is no flood any more.
        (flat(0.3), [2] * 18, [("more", 6.6667, 18, 5.4, False)]),
        (flat(100.0), [134] * 36, []),
        (flat(100.0), [136] * 36, [("more", 1.36, 18, 1800.0, False)]),
        # Five standard errors of the likelihood ratio: 2 * (288 * log(1.6) - 108) is 54.7, and a tenth of it 5.5.
        (flat(10.0), [16] * 18, [("more", 1.6, 18, 180.0, False)]),
        (flat(10.0, spread=3.0), [16] * 18, []),
        (flat(10.0, **varying(day_variance=0.01)), [16] * 18, []),
        (flat(5.0), gaps(5.0, 2, 2), [("flapping", 0.6923, 13, 65.0, True)]),
        (flat(5.0), gaps(5.0, 2), []),
        (flat(5.0), gaps(5.0, 1, 1), []),
        (flat(5.0), gaps(5.0, 1, 2), []),
        (flat(14.0), gaps(14.0, 1, 1), [("flapping", 0.8462, 13, 182.0, True)]),  # exp(-14) is less than 1e-6
        (flat(13.5), gaps(13.5, 1, 1), []),
        (flat(14.0), gaps(14.1, 1, 1), []),  # 155.1 of 182 are 0.852
        (flat(3.5), gaps(3.5, 2, 2), [("flapping", 0.6923, 13, 45.5, True)]),  # exp(-14) for both gaps
        (flat(3.4), gaps(3.4, 2, 2), []),
        (flat(1.2), TWO, [("flapping", 0.4487, 13, 15.6, True)]),
        (flat(5.0, spread=2.0), gaps(5.0, 2, 2), [("flapping", 0.6923, 13, 65.0, True)]),  # 2 ** -20 for both
        (flat(5.0, spread=2.1), gaps(5.0, 2, 2), []),  # 2.1 ** -18.2 is 1.4e-6
        (flat(10.0, **WIDE), gaps(8.2, 5, 5), []),  # 0.19 of what was due is no flapping any more
        (flat(10.0, **WIDE), gaps(9.0, 5, 5), [("flapping", 0.2077, 13, 130.0, True)]),
        (flat(5.0, **WIDE), gaps(2.2, 2, 2), []),  # 19.8 of 45 between the gaps: fewer all the time
        (flat(5.0, **WIDE), gaps(2.3, 2, 2), [("flapping", 0.3185, 13, 65.0, True)]),
        (flat(5.0, **WIDE), [1.0, *gaps(2.3, 2, 2)[1:]], []),  # 19.4
        (flat(3.5, **WIDE), gaps(2.2, 2, 2), []),  # exp(-14 * 0.435) is more than 0.2 %
        (flat(3.5, **WIDE), gaps(2.3, 2, 2), [("flapping", 0.4549, 13, 45.5, True)]),
        (flat(3.5, **WIDE), gaps(2.6, 2, 2, 2), []),  # 18.2 of 45.5, and the two longest gaps are looked at
        (flat(3.5, **WIDE), gaps(3.5, 2, 2, 2), [("flapping", 0.5385, 13, 45.5, True)]),
    ],
)
def test_what_is_told_of_few_and_of_many_messages_and_of_gaps_that_come_again(
    baseline: Baseline, newest: list[float], rows: list[Row]
) -> None:
    assert volumes_judged(baseline, newest) == rows


def test_gaps_are_looked_at_since_the_last_stop_and_beside_the_hours_before_and_after() -> None:
    assert volumes_judged(flat(5.0), gaps(5.0, 2, 2), {"volume": 8}) == [("flapping", 0.5, 8, 40.0, True)]
    assert volumes_judged(flat(5.0), gaps(5.0, 2, 2), {"volume": 5}) == []
    hours = flat(0.5)
    hours.hours[:, 8:13] = 5.0
    rows = {hour: volumes_judged(hours, gaps(5.0, 2, 2), at=12 * hour + 12 - 288) for hour in range(8, 13)}
    assert {hour: [row[0] for row in of_hour] for hour, of_hour in rows.items()} == {
        8: [], 9: ["flapping"], 10: ["flapping"], 11: ["flapping"], 12: []
    }  # fmt: skip


SINCE_MIDNIGHT = [0.0, 1.0] * 48
"""As many as on a Sunday, until eight in the morning."""


@pytest.mark.parametrize(
    ("sunday", "newest", "rows"),
    [
        (0.5, SINCE_MIDNIGHT, [("low", 0.05, 2, 20.0, False)]),
        (
            0.5,
            [*[10.0] * 90, *SINCE_MIDNIGHT[:6]],
            [("low", 0.05, 2, 20.0, True)],
        ),  # it came as usual until half past
        (0.5, [0.0] * 96, [("silent", 0.0, 2, 20.0, True)]),  # not even the 48 of a Sunday
        (9.0, SINCE_MIDNIGHT, [("low", 0.05, 2, 20.0, True)]),  # Sundays are as other days
    ],
)
def test_a_feed_that_is_as_on_a_sunday_since_the_day_began_may_have_a_holiday(
    sunday: float, newest: list[float], rows: list[Row]
) -> None:
    kinds = {"low": "silent" if rows[0][-1] else "low"}
    assert volumes_judged(flat(10.0, sunday), newest, at=96) == [(kinds.get(kind, kind), *rest) for kind, *rest in rows]


@pytest.mark.parametrize(
    ("daily", "days", "later", "more", "ratio"),
    [
        (1.025, 7, 0, {}, 1.1185),
        (1.025, 7, 1, {}, None),  # once an hour
        (1.025, 2, 0, {}, None),
        (1.006, 7, 0, {}, None),  # a rise of three in a hundred
        (1.025, 7, 0, varying(day_variance=0.01), None),  # 2.6 standard errors
        (1.04, 7, 0, varying(day_variance=0.01), 1.1957),
        (1.0, 7, 0, {}, None),
    ],
)
def test_messages_that_rise_from_day_to_day_grow(
    daily: float, days: int, later: int, more: dict[str, Any], ratio: float | None
) -> None:
    baseline, end = flat(10.0, **more), MONDAY + 14 * 288 + later
    counts = [10.0 * daily ** max((step - 7 * 288) / 288, 0.0) for step in range(end - MONDAY)]
    history = history_of([{"messages": count} for count in counts])
    expected = expect(baseline, MONDAY, end + 24, frozenset())
    feed = Feed("lab", end - days * 288)
    feed.history = history
    signals = growth(feed, expected)
    history.leave_out(end - 288 * 7 + 5, end - 288 * 2 + 1)  # of the last two days alone nothing is told
    assert growth(feed, expected) == []
    assert [(signal.kind, round(signal.ratio, 4)) for signal in signals] == ([("more", ratio)] if ratio else [])


def nightly(count: float, **more: Any) -> Baseline:
    baseline = flat(0.0, is_batch=True, **more)
    baseline.hours[:, 2] = count
    return baseline


def volumes_came(count: float, wait: int, *newest: float) -> tuple[list[float], int]:
    """The steps since the batch began, and where they end; `newest` are the last of those after it."""
    return [count] * 12 + [0.0] * (wait - len(newest)) + list(newest), 36 + wait - 288


@pytest.mark.parametrize(
    ("baseline", "steps", "rows"),
    [
        (nightly(6.0), volumes_came(6.0, 9), []),
        (nightly(6.0), volumes_came(0.0, 8), []),
        (nightly(6.0), volumes_came(0.0, 9), [("silent batch", 0.0, 21, 24.0, False)]),
        (nightly(6.0), volumes_came(0.71, 9), [("silent batch", 0.1183, 21, 24.0, False)]),
        (nightly(6.0), volumes_came(0.73, 9), [("low batch", 0.1217, 21, 24.0, False)]),
        # Six standard errors of 1 / sqrt(72) are 0.707.
        (nightly(6.0), volumes_came(1.75, 9), [("low batch", 0.2917, 21, 24.0, False)]),
        (nightly(6.0), volumes_came(1.77, 9), []),
        (nightly(6.0, spread=1.5), volumes_came(1.0, 9), []),  # 0.866
        (nightly(6.0, spread=1.5), volumes_came(0.75, 9), [("low batch", 0.125, 21, 24.0, False)]),
        (
            nightly(6.0, **varying(day_variance=0.005)),
            volumes_came(1.0, 9),
            [("low batch", 0.1667, 21, 24.0, False)],
        ),  # 0.825
        (nightly(6.0, **varying(day_variance=0.005)), volumes_came(1.1, 9), []),
        (nightly(600.0), volumes_came(479.0, 9), [("low batch", 0.7983, 21, 2400.0, False)]),
        (nightly(600.0), volumes_came(481.0, 9), []),
        (nightly(6.0), volumes_came(0.0, 9, 0.61), []),  # it is coming now
        (nightly(6.0), volumes_came(0.0, 9, 0.61, 0.0, 0.0), []),
        (nightly(6.0), volumes_came(0.0, 9, 0.59), [("silent batch", 0.0082, 21, 24.0, False)]),
        (nightly(6.0), volumes_came(0.0, 9, 0.72, 0.0, 0.0, 0.0), [("silent batch", 0.01, 21, 24.0, False)]),
        (nightly(6.0), volumes_came(10.0, 9), []),
        (nightly(6.0), volumes_came(10.5, 9), [("more", 1.75, 21, 24.0, False)]),
        (nightly(600.0), volumes_came(809.0, 9), []),
        (nightly(600.0), volumes_came(811.0, 9), [("more", 1.3517, 21, 2400.0, False)]),
        (nightly(6.0), volumes_came(0.0, 47), [("silent batch", 0.0, 59, 24.0, False)]),
        (nightly(6.0), volumes_came(0.0, 48), []),  # its beginning is an hour before what is in view
    ],
)
def test_a_batch_is_missed_three_quarters_of_an_hour_after_its_end(
    baseline: Baseline, steps: tuple[list[float], int], rows: list[Row]
) -> None:
    newest, at = steps
    assert volumes_judged(baseline, newest, at=at) == rows


def test_a_batch_of_which_the_beginning_was_judged_before_is_not_judged_again() -> None:
    newest, at = volumes_came(0.0, 9)
    assert volumes_judged(nightly(6.0), newest, {"volume": 21}, at) == []
    assert volumes_judged(nightly(6.0), newest, {"volume": 22}, at) == [("silent batch", 0.0, 21, 24.0, False)]
