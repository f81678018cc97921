"""What departs from what is usual: few and many messages, gaps, and what messages bring."""

from collections import Counter

import pytest

from cds_hooks.events.watch.baseline import Baseline
from cds_hooks.events.watch.history import Signal
from tests.cds_hooks.events.watch.made import MONDAY, RARE, flat, judge_of
from tests.each import for_rows

HIGH, MEDIUM, INFORMATION = "high", "medium", "information"
END = MONDAY + 3 * 288


def gaps(count: float, *lengths: int) -> list[float]:
    """Thirteen steps with gaps, with a step of messages before and after a gap at the least."""
    steps = [count]
    for length in lengths:
        steps += [0.0] * length + [count]
    return [count] * (13 - len(steps)) + steps


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
