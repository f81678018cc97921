"""What departs from what is usual: few and many messages, gaps, and what messages bring."""

from collections import Counter
from typing import Any

import pytest

from cds_hooks.events.watch.baseline import Baseline
from cds_hooks.events.watch.departures import volume
from cds_hooks.events.watch.history import Signal
from tests.cds_hooks.events.watch.made import MONDAY, RARE, flat, judge_of
from tests.each import for_rows

Row = tuple[str, float, int, str]
"""Kind, ratio, first step counted back from the end, and severity."""
HIGH, MEDIUM, INFORMATION = "high", "medium", "information"
END = MONDAY + 3 * 288


def rows_of(signals: Any, end: int) -> list[Row]:
    return [(signal.kind, round(signal.ratio, 4), end - signal.since, signal.severity) for signal in signals]


def volumes(
    baseline: Baseline, newest: list[float], starts: dict[str, int] | None = None, before: int = 864
) -> list[Row]:
    """What is told of messages; `starts` counts back from the end."""
    feed = judge_of(baseline, [{"messages": count} for count in newest], before)._feed
    for group, back in (starts or {}).items():
        feed.judge_from(feed.end - back, group)
    return rows_of(volume(feed, baseline), feed.end)


def gaps(count: float, *lengths: int) -> list[float]:
    """Thirteen steps with gaps, with a step of messages before and after a gap at the least."""
    steps = [count]
    for length in lengths:
        steps += [0.0] * length + [count]
    return [count] * (13 - len(steps)) + steps


@for_rows(
    ("baseline", "newest", "rows"),
    [
        (flat(10.0), [], []),
        (flat(10.0), [0], []),  # exp(-10) is more than 1e-5
        (flat(10.0), [0, 0], [("silent", 0.0, 2, HIGH)]),
        (flat(11.5), [0], []),
        (flat(11.6), [0], [("silent", 0.0, 1, HIGH)]),
        (flat(1000.0), [110], [("silent", 0.11, 1, HIGH)]),
        (flat(1000.0), [690], [("low", 0.69, 1, HIGH)]),
        (flat(1000.0), [710], [("low", 0.71, 1, MEDIUM)]),
        (flat(1000.0), [855, 855, 855], [("low", 0.855, 2, MEDIUM)]),
        (flat(1000.0), [865, 865, 865], []),
        # Of 72 fifteen came, and nothing since 54 were due, which are 11 at that share; or since 18, which are four.
        (flat(18.0), [15, 0, 0, 0], [("silent", 0.0, 1, HIGH)]),
        (flat(10.0), [2, 4, 4, 2, 2, 4, 0], [("low", 0.2, 3, HIGH)]),
        (flat(1.7), [0] * 9, [("silent", 0.0, 9, MEDIUM)]),  # fewer than 1.8 in a step are not urgent
        # Where days vary by a fifth, the chance of n empty steps is (1 + 0.9 n) ** -11.
        (flat(10.0, variance=0.09), [0, 0], []),
        (flat(10.0, variance=0.09), [0, 0, 0], [("silent", 0.0, 3, HIGH)]),
        # Where counts vary three times as much as by chance, it is 3 ** (-10 n / 2).
        (flat(10.0, spread=3.0), [0, 0], []),
        (flat(10.0, spread=3.0), [0, 0, 0], [("silent", 0.0, 3, HIGH)]),
        # Of so many messages the bound must be less than 1e-7.
        (flat(10.0), [30], []),
        (flat(10.0), [40], [("flood", 4.0, 1, HIGH)]),
        (flat(0.5), [20], [("flood", 40.0, 1, HIGH)]),
        (flat(100.0), [245], []),
        (flat(100.0), [255], [("flood", 2.55, 1, HIGH)]),
        (flat(0.3), [1.5] * 18, []),  # after an hour it is no flood any more
        (flat(10.0, spread=3.0), [40], []),
        (flat(5.0), gaps(5.0, 2, 2), [("flapping", 0.6923, 13, HIGH)]),
        (flat(5.0), gaps(5.0, 2), []),
        (flat(5.0), gaps(5.0, 1, 1), []),
        (flat(3.5), gaps(3.5, 2, 2), [("flapping", 0.6923, 13, HIGH)]),  # exp(-7) for each gap
        (flat(3.4), gaps(3.4, 2, 2), []),
        (flat(5.0, variance=0.5), gaps(2.1, 2, 2), []),  # exp(-20 * 0.29) is more than 0.1 %: fewer all the time
        (flat(5.0, variance=0.5), gaps(2.7, 2, 2), [("flapping", 0.3738, 13, HIGH)]),
        (flat(5.0, spread=2.1), gaps(5.0, 2, 2), []),  # 2.1 ** -9.1 is 1.2e-3
    ],
)
def test_what_is_told_of_few_and_of_many_messages_and_of_gaps_that_come_again(
    baseline: Baseline, newest: list[float], rows: list[Row]
) -> None:
    assert volumes(baseline, newest) == rows


def test_only_steps_since_the_last_signal_are_judged() -> None:
    assert volumes(flat(10.0), [0] * 6, {"volume": 2}) == [("silent", 0.0, 2, HIGH)]
    assert volumes(flat(10.0), [0] * 6, {"volume": 1}) == []
    assert volumes(flat(10.0), [40], {"flood": 0}) == []
    assert volumes(flat(5.0), gaps(5.0, 2, 2), {"volume": 8}) == [("flapping", 0.5, 8, HIGH)]
    assert volumes(flat(5.0), gaps(5.0, 2, 2), {"volume": 5}) == []


def nightly(**more: Any) -> Baseline:
    baseline = flat(0.0, is_batch=True, **more)
    baseline.hours[:, 2] = 60.0
    return baseline


@for_rows(
    ("steps", "wait", "rows"),
    [
        ([60.0] * 12, 288, []),
        ([0.0] * 12, 2, []),  # it may come an hour and ten minutes later
        ([0.0] * 12, 3, [("silent", 0.0, 18, HIGH)]),
        ([0.0] * 14 + [60.0] * 12, 0, []),
        ([0.0] * 14 + [60.0] * 12, 200, []),
        ([30.0] * 12, 10, [("low", 0.6, 24, MEDIUM)]),
        ([60.0] * 9, 30, [("low", 0.75, 36, MEDIUM)]),
    ],
)
def test_a_batch_is_missed_an_hour_and_a_quarter_after_it_was_due(
    steps: list[float], wait: int, rows: list[Row]
) -> None:
    told = volumes(nightly(), [*steps, *[0.0] * wait], before=864 + 24)
    assert [(kind, severity) for kind, _, _, severity in told] == [(row[0], row[3]) for row in rows]


USUAL = {"messages": 10.0, "results": 10.0}


def departs(baseline: Baseline, *newest: dict[str, float], before: int = 864) -> list[Signal]:
    """What departs in contents after the newest steps."""
    usual = [USUAL] * (before - len(newest))
    return [*judge_of(baseline, [*usual, *newest], 0).departures()]


@for_rows(
    ("name", "kind", "severity"),
    [
        ("duplicate", "duplicates", MEDIUM), ("no-offset", "clock", MEDIUM), ("state:dead", "errors", HIGH),
        ("out-of-order", "order", HIGH), ("unknown-patients", "identifiers", HIGH), ("refused", "refusals", HIGH),
        ("latency:-26", "clock", HIGH), ("unmapped:N", "unmapped", HIGH),
    ],
)  # fmt: skip
def test_a_raised_share_is_told(name: str, kind: str, severity: str) -> None:
    (signal,) = departs(flat(10.0), USUAL | {name: 5.0}, before=865)
    subject = "N" if kind == "unmapped" else ""
    assert signal == Signal("lab", kind, subject, 0.5, END, kind, severity)
    assert departs(flat(10.0), USUAL | {name: 3.0}, before=865) == []  # fewer than four are chance
    often = flat(10.0, rates=RARE | {"ahead" if kind == "clock" else name.partition(":")[0]: 0.3})
    assert departs(often, USUAL | {name: 5.0}, before=865) == [] or name in ("state:dead", "no-offset")


def test_a_part_is_gone_when_twenty_five_of_it_were_due_and_the_rest_came() -> None:
    for name, kind, subject, severity in (
        ("sender:A", "sender", "A", MEDIUM),
        ("ward:W", "sender", "ward W", MEDIUM),
        ("result:X", "code-gone", "X", INFORMATION),
    ):
        baseline = flat(10.0, rates=RARE | {name: 0.5})
        usual = [USUAL | {name: 5.0}] * 60
        gone = [*judge_of(baseline, [*usual, *[USUAL] * 6], 0).departures()]
        assert gone == [Signal("lab", kind, subject, 0.0, MONDAY + 60, name, severity)]
        assert [*judge_of(baseline, [*usual, *[USUAL] * 4], 0).departures()] == []
        again = [{"messages": 20.0, "duplicate": 10.0, name: 5.0}] * 60  # what is sent again is no part
        assert {signal.kind for signal in judge_of(baseline, again, 0).departures()} == {"duplicates"}


VALUES = Counter(dict.fromkeys(range(90, 110), 100))


@for_rows(
    ("bucket", "kind", "ratio", "severity"),
    [
        (140, "unit", 2.2706, HIGH), (60, "unit", 0.45839, HIGH), (112, "shift", 1.2969, MEDIUM),
        (88, "shift", 0.80251, MEDIUM), (99, "", 1.0, ""),
    ],
)  # fmt: skip
def test_values_that_moved_are_told_by_their_factor(bucket: int, kind: str, ratio: float, severity: str) -> None:
    rates = RARE | {">X|u": 0.05, "<X|u": 0.05}
    baseline = flat(10.0, rates=rates, values={"X|u": VALUES})
    signals = departs(baseline, USUAL | {f"value:X|u:{bucket}": 7.0}, before=865)
    assert departs(baseline, USUAL | {f"value:X|u:{bucket}": 5.0}, before=865) == []  # 0.05 ** 5 is more than 1e-7
    if not kind:
        assert signals == []
        return
    assert signals[0] == Signal("lab", kind, "X", signals[0].ratio, END, "values:X|u", severity)
    assert signals[0].ratio == pytest.approx(ratio, rel=1e-3)


@pytest.mark.parametrize(("steps", "severity"), [(12, HIGH), (10, MEDIUM), (3, "")])
def test_results_that_come_late_are_told_and_those_that_come_sooner_are_not(steps: int, severity: str) -> None:
    baseline = flat(10.0, rates=RARE | {">": 0.05}, values={"": Counter({5: 90, 6: 10})})
    signals = departs(baseline, USUAL | {f"latency:{steps}": 10.0}, before=865)
    assert [(s.kind, s.group, s.severity) for s in signals] == ([("late", "late", severity)] if severity else [])


@for_rows(
    ("stuck", "others", "learned", "is_told"),
    [(12, 0, 100, True), (7, 0, 100, False), (30, 40, 100, True), (30, 50, 100, False), (100, 10, 900, False)],
)
def test_one_value_that_comes_again_and_again_is_stuck(stuck: int, others: int, learned: int, is_told: bool) -> None:
    values = {"value:X|u:100": float(stuck)} | {f"value:X|u:{101 + at}": 1.0 for at in range(others)}
    baseline = flat(10.0, values={"X|u": VALUES | Counter({100: learned})})
    signals = departs(baseline, USUAL | values | {"value:Y|u:9": 50.0}, *[USUAL] * 23)
    assert [(s.kind, s.subject, s.group) for s in signals] == ([("stuck", "X", "values:X|u")] if is_told else [])
    assert departs(baseline, USUAL | values, *[USUAL] * 24, before=870) == []


def test_a_new_unit_and_codes_that_are_not_mapped_any_more_are_told_once_an_hour() -> None:
    baseline = flat(10.0, rates=RARE | {"unmapped": 0.01}, values={"X|mg/dL": VALUES})
    new = {"value:X|g/L:5": 1.0, "value:X|mg/dL:99": 3.0, "value:Y|g/L:5": 3.0}
    (label,) = departs(baseline, USUAL | new, USUAL | new)
    assert label == Signal("lab", "unit-label", "X in g/L", 1.0, END - 288, "unit-label", INFORMATION)
    assert departs(baseline, USUAL | new) == []  # once
    assert departs(baseline, USUAL | new, USUAL | new, before=865) == []  # every twelfth step is looked at
    assert departs(baseline, USUAL | new, *[USUAL] * 287, USUAL | new) == []
    rare = USUAL | {"unmapped:A": 1.0, "result:A": 1.0, "unmapped:B": 1.0, "result:B": 2.0}
    spaced = [rare, *[USUAL] * 50]
    (unmapped,) = departs(baseline, *spaced * 5)
    assert (unmapped.kind, unmapped.subject, unmapped.ratio) == ("unmapped", "A", 1.0)
    assert departs(baseline, *spaced * 4) == []  # 4 log 100 is 18.4
