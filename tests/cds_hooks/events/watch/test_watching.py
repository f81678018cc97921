"""What the watch decides of feeds over days: a downtime, what is not learned, and when an incident is over."""

from datetime import UTC

from cds_hooks.events.watch.incidents import Incident
from cds_hooks.events.watch.watching import Watch, WatchedFeed
from tests.cds_hooks.events.watch.made import MONDAY

END = MONDAY + 14 * 288


def learned(planned: tuple[tuple[int, int], ...] = (), first: int = MONDAY) -> WatchedFeed:
    """A feed that learned two weeks of ten messages a step."""
    feed = WatchedFeed("a", UTC, first, frozenset(), planned)
    for _ in range(14 * 288):
        feed.append({"messages": 10.0})
    return feed


def test_a_feed_is_judged_after_two_weeks_and_learns_again_each_week_but_from_no_incident() -> None:
    feed = learned()
    (first,) = [feed.judge]
    assert (first is not None, feed.signals()) == (True, [])
    for _ in range(7 * 288 - 1):
        feed.append({"messages": 20.0})
    assert feed.judge is first
    feed.left_out.add(feed.end)
    feed.append({"messages": 20.0})
    assert feed.judge is first
    feed.append({"messages": 20.0})
    assert feed.judge is not None
    assert feed.judge is not first
    assert feed.judge.baseline.hours.mean() > 13


def test_a_feed_of_which_too_little_came_is_not_learned() -> None:
    feed = WatchedFeed("a", UTC, MONDAY, frozenset())
    for step in range(14 * 288 + 2):
        feed.append({"messages": 1.0 if step % 144 == 0 else 0.0})
    assert (feed.judge, feed.signals()) == (None, [])


def test_after_a_downtime_what_waited_may_flood_for_an_hour_and_a_half_but_must_come() -> None:
    def kinds(counts: float, steps: int) -> set[str]:
        feed, seen = learned(((END, END + 6),)), set[str]()
        for _ in range(steps):
            feed.append({"messages": counts, "duplicate": counts})
            seen |= {signal.kind for signal in feed.signals()}
        return seen

    assert kinds(100.0, 24) == set()  # the last step of the time to catch up is the 24th
    assert kinds(100.0, 36) == {"duplicates", "flood"}
    assert kinds(0.0, 6) == set()
    assert kinds(0.0, 8) == {"silent"}


def test_what_an_incident_was_about_is_not_learned_and_a_new_usual_begins_with_it() -> None:
    def incident(feed: str, closed: int | None, is_accepted: bool) -> Incident:
        return Incident("low", [feed, "gone"], "", "high", MONDAY + 100, MONDAY + 110, "volume", closed=closed,
                        number=1, is_accepted=is_accepted)  # fmt: skip

    earlier = [incident("a", MONDAY + 200, False), incident("b", None, False), incident("c", MONDAY + 200, True)]
    watch = Watch(dict.fromkeys("abcd", UTC), MONDAY, earlier=earlier, planned={"d": ((MONDAY + 5, MONDAY + 7),)})
    counts = {name: {MONDAY + step: {"messages": 5.0} for step in range(20 * 288)} for name in "abd"}
    watch.load(counts, END)
    left_out = {name: (len(feed.left_out), min(feed.left_out, default=0)) for name, feed in watch.feeds.items()}
    assert left_out == {"a": (101, MONDAY + 100), "b": (3933, MONDAY + 100), "c": (0, 0), "d": (20, MONDAY + 5)}
    assert [feed.first - MONDAY for feed in watch.feeds.values()] == [0, 0, 100, 0]
    assert [name for name, feed in watch.feeds.items() if feed.judge is not None] == ["a", "b", "d"]
    assert watch.feeds["a"].judged("volume") == 0
