"""What the watch decides of feeds together: a storm, a downtime, and what is not learned."""

from datetime import UTC
from math import log

import numpy as np
import pytest

from cds_hooks.events.watch.baseline import Signal
from cds_hooks.events.watch.incidents import FEWER, Incident, Topology
from cds_hooks.events.watch.watching import Calendar, Watch, WatchedFeed
from tests.cds_hooks.events.watch.made import MONDAY, flat, learn_flat, watch_over

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
