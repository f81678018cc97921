"""What the watch decides of a feed: when it learns, a downtime, and what is not learned."""

from datetime import UTC

from cds_hooks.events.watch.incidents import Incident, Topology
from cds_hooks.events.watch.signals import Starts
from cds_hooks.events.watch.watching import Calendar, Watch, WatchedFeed
from tests.cds_hooks.events.watch.made import MONDAY, flat, learn_flat, nothing_left_out, watch_over

NETWORK = Topology({"a": "net", "b": "net", "c": "other"})
END = MONDAY + 3 * 288


def test_steps_that_overlap_what_is_left_out_make_it_longer_and_others_are_left_out_beside_it() -> None:
    feed = WatchedFeed("a", UTC, MONDAY, ())
    for start, end in ((10, 20), (12, 15), (20, 30), (31, 40), (5, 7)):
        feed.leave_out(start, end)
    assert feed._left_out == [(10, 30), (31, 40), (5, 7)]
    assert [feed.is_left_out(step) for step in (9, 10, 29, 30, 31, 39, 40, 4, 5, 6, 7)] == [
        False, True, True, False, True, True, False, False, True, True, False
    ]  # fmt: skip


def test_a_planned_downtime_is_not_learned_until_an_hour_and_a_half_after_it() -> None:
    feed = WatchedFeed("a", UTC, MONDAY, ((10, 20), (30, 31)))
    assert [feed.is_planned(step) for step in (9, 10, 19, 20, 30, 31)] == [False, True, True, False, True, False]
    assert [feed.is_left_out(step) for step in (9, 10, 37, 38, 48, 49)] == [False, True, True, True, True, False]


def test_what_came_since_a_step_is_counted_and_of_a_volume_what_was_due() -> None:
    feed = WatchedFeed("a", UTC, MONDAY, ())
    assert feed.weight_since("volume", MONDAY) == 0.0
    learn_flat(feed, flat(10.0))
    for _ in range(5):
        feed.history.append({"messages": 4.0}, nothing_left_out)
    assert [feed.weight_since(group, END) for group in ("late", "volume")] == [20.0, 50.0]
    assert feed.weight_since("volume", END - 1000) == 6050.0  # no further back than is expected
    feed.expected = None
    assert feed.weight_since("volume", END) == 20.0


def test_a_feed_is_learned_after_two_weeks_and_every_week_again() -> None:
    feed = WatchedFeed("a", UTC, MONDAY, ())
    learned: list[int] = []
    for step in range(MONDAY, MONDAY + 22 * 288):
        feed.append({"messages": 2.0}, frozenset())
        if feed._learned and feed._learned not in learned:
            learned.append(feed._learned)
            assert feed._learned == step + 1
        if feed.expected is not None:
            assert feed.expected.start + len(feed.expected.steps) - feed.history.end >= 12
            assert feed.history.end - feed.expected.start >= 600
    assert learned == [MONDAY + 14 * 288, MONDAY + 21 * 288]
    assert feed.starts.first == MONDAY + 14 * 288


def test_a_feed_is_not_learned_again_while_something_is_wrong_with_it() -> None:
    feed = WatchedFeed("a", UTC, MONDAY, ())
    end = MONDAY + 14 * 288
    for _ in range(MONDAY, end):
        feed.append({"messages": 2.0}, frozenset())
    feed.leave_out(end + 7 * 288 - 10, end + 7 * 288 + 10)
    for _ in range(end, end + 7 * 288 + 10):
        feed.append({"messages": 2.0}, frozenset())
    assert feed._learned == end
    feed.append({"messages": 2.0}, frozenset())
    assert feed._learned == end + 7 * 288 + 11


def test_a_feed_of_which_too_little_came_is_not_learned() -> None:
    feed = WatchedFeed("a", UTC, MONDAY, ())
    for step in range(14 * 288 + 2):
        feed.append({"messages": 1.0 if step % 144 == 0 else 0.0}, frozenset())
    assert (feed.baseline, feed.expected, feed.signals()) == (None, None, ())


def test_after_a_downtime_what_waited_may_flood_for_an_hour_and_a_half_but_must_come() -> None:
    def kinds(planned: tuple[int, int], counts: float, steps: int) -> list[str]:
        feed = WatchedFeed("a", UTC, MONDAY, (planned,))
        learn_flat(feed, flat(10.0))
        seen: list[str] = []
        for _ in range(steps):
            feed.append({"messages": counts, "duplicate": counts}, frozenset())
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
    watch = Watch(dict.fromkeys("abcd", UTC), MONDAY, Calendar(planned={"d": ((5, 7),)}), NETWORK, earlier)
    counts = {name: {MONDAY + step: {"messages": 5.0} for step in range(20 * 288)} for name in "abd"}
    watch.load(counts, MONDAY + 14 * 288)
    assert {name: feed._left_out for name, feed in watch.feeds.items()} == {
        "a": [(MONDAY + 100, MONDAY + 201)], "b": [(MONDAY + 100, MONDAY + 14 * 288 + 1)], "c": [], "d": [(5, 25)]
    }  # fmt: skip
    assert {name: (feed.history.first - MONDAY, feed.history.length) for name, feed in watch.feeds.items()} == {
        "a": (0, 4032), "b": (0, 4032), "c": (100, 3932), "d": (0, 4032)
    }  # fmt: skip
    assert [name for name, feed in watch.feeds.items() if feed.baseline is not None] == ["a", "b", "d"]
    assert watch.feeds["a"].starts.first == Starts(MONDAY + 14 * 288).first
    assert watch._weight_since("gone", "late", MONDAY) == float("inf")
    assert watch._weight_since("a", "late", MONDAY + 14 * 288 - 3) == 15.0


def test_a_feed_of_less_than_two_weeks_is_loaded_and_not_learned() -> None:
    counts = {"a": {MONDAY + step: {"messages": 5.0} for step in range(14 * 288)}}
    for steps, is_learned in ((14 * 288 - 1, False), (14 * 288, True)):
        watch = Watch({"a": UTC}, MONDAY)
        watch.load(counts, MONDAY + steps)
        assert (watch.feeds["a"].baseline is not None) == is_learned


def test_what_is_judged_is_left_out_and_not_looked_at_again() -> None:
    watch = watch_over({"a": flat(10.0)}, Topology())
    begun, closed = watch.step({})
    assert (begun, closed) == ([], [])
    begun, closed = watch.step({"a": {"messages": 0.0}})
    assert [(incident.kind, incident.since, incident.opened) for incident in begun] == [("silent", END, END + 1)]
    feed = watch.feeds["a"]
    assert feed.starts.of("volume") == END + 2
    assert [feed.is_left_out(step) for step in (END - 1, END, END + 1, END + 2)] == [False, True, True, False]
    for _ in range(3):
        watch.step({"a": {"messages": 10.0}})
    assert feed.is_left_out(END + 4)
    ended = [incident for _ in range(30) for incident in watch.step({"a": {"messages": 10.0}})[1]]
    # Seen last at the end of the second step, on 20 messages: over after 12 steps, of which 8 bring four times that.
    assert [incident.closed for incident in ended] == [END + 2 + 12 - 1]


def test_a_feed_that_is_silent_over_midnight_is_judged_then_too() -> None:
    """Nothing came yet of a day at its first moment, so it is compared with no Sunday."""
    watch = watch_over({"a": flat(10.0)}, Topology(), MONDAY - 2)
    watch.step({})
    begun, _ = watch.step({})
    assert watch.feeds["a"].history.end == END
    assert [incident.kind for incident in begun] == ["silent"]
