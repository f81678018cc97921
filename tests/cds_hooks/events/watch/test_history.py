"""Counts of one feed: what is kept of the newest two days, what of each day is learned, and what a bound drops."""

from collections import Counter

import pytest

from cds_hooks.events.watch.history import History, parts_of
from tests.cds_hooks.events.watch.made import MONDAY, history_of, nothing_left_out

DAY = MONDAY // 288


def test_messages_are_given_by_their_step_and_outside_of_what_is_there_there_are_none() -> None:
    history = history_of([{"messages": 1.0}, {"x": 5.0}, {"messages": 3.0}])
    assert (history.first, history.length, history.end) == (MONDAY, 3, MONDAY + 3)
    assert history.messages(MONDAY, MONDAY + 3).tolist() == [1.0, 0.0, 3.0]
    assert history.messages(MONDAY + 2, MONDAY + 3).tolist() == [3.0]
    assert history.messages(MONDAY - 5, MONDAY + 1).tolist() == [1.0]
    assert history.messages(MONDAY - 5, MONDAY - 1).tolist() == []


def test_messages_are_kept_for_longer_than_a_month() -> None:
    history = history_of([{"messages": float(step)} for step in range(8066)])
    assert history.messages(MONDAY + 8062, MONDAY + 8066).tolist() == [8062.0, 8063.0, 8064.0, 8065.0]
    assert history.messages(MONDAY, MONDAY + 2).tolist() == [0.0, 1.0]
    assert len(history.recent) == 576


def test_what_was_counted_since_a_step_is_that_of_the_newest_two_days() -> None:
    history = history_of([{"a": 1.0}, {"a": 2.0, "b": 7.0}, {"a": 4.0}])
    for start, a, b in ((MONDAY - 9, 7.0, 7.0), (MONDAY, 7.0, 7.0), (MONDAY + 1, 6.0, 7.0), (MONDAY + 2, 4.0, 0.0)):
        assert history.total(start) == Counter({"a": a, "b": b})
        assert (history.total(start)["a"], history.total(start)["b"]) == (a, b)
    assert history.total(MONDAY + 3) == Counter()
    assert history.total(MONDAY + 3)["a"] == 0
    long = history_of([{"a": 1.0}] * 600)
    assert long.total(MONDAY) == Counter({"a": 576.0})
    assert long.total(MONDAY + 598)["a"] == 2


def test_a_step_is_learned_of_its_day_when_it_is_two_days_old() -> None:
    history = history_of([{"a": 1.0}] * 576)
    assert history.days == {}
    for _ in range(289):
        history.append({"b": 1.0}, lambda step: step in (MONDAY + 3, MONDAY + 288))
    assert history.days == {DAY: Counter({"a": 287})}
    assert history.recent[0] == {"a": 1.0}
    history.append({}, nothing_left_out)
    assert history.days == {DAY: Counter({"a": 287}), DAY + 1: Counter({"a": 1})}


def test_what_is_learned_is_all_days_and_the_newest_two_without_what_is_left_out() -> None:
    history = history_of([{"a": 1.0}, {"a": 10.0}, {"b": 5.0}])
    history.add_to_day(DAY - 9, {"a": 100.0})
    history.add_to_day(DAY - 8, {"a": 200.0})
    assert history.learned(nothing_left_out) == Counter({"a": 311, "b": 5})
    assert history.learned(lambda step: step == MONDAY + 1) == Counter({"a": 301, "b": 5})


def test_a_day_is_learned_from_for_four_weeks() -> None:
    history = History(MONDAY)
    for day in (DAY, DAY + 1, DAY + 28):
        history.add_to_day(day, {"a": 1.9})
    history.add_to_day(DAY + 28, {"a": 1.0, "b": 2.0})
    assert history.days == {DAY + 1: Counter({"a": 1}), DAY + 28: Counter({"a": 2, "b": 2})}


@pytest.mark.parametrize(("names", "new"), [(5000, 3), (5001, 0)])
def test_a_sender_that_invents_a_name_for_each_message_does_not_fill_the_memory(names: int, new: int) -> None:
    history = History(MONDAY)
    history.add_to_day(DAY, {f"n{number}": 1.0 for number in range(names)})
    history.add_to_day(DAY, {"n7": 2.0, "new": 3.0})
    assert history.days[DAY]["n7"] == 3
    assert history.days[DAY]["new"] == new


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("messages", ("messages", "", 0)),
        ("sender:G1:x", ("sender", "G1:x", 0)),
        ("latency:-36", ("latency", "", -36)),
        ("value:2823-3|mmol/L:1048648", ("value", "2823-3|mmol/L", 1048648)),
        ("value:a:b:-5", ("value", "a:b", -5)),
    ],
)
def test_the_parts_of_a_name(name: str, parts: tuple[str, str, int]) -> None:
    assert parts_of(name) == parts
