"""What messages bring that departs: shares of them, values, latencies and parts, in the shortest window that tells."""

from typing import Any

import pytest

from cds_hooks.events.watch.baseline import Baseline, Part
from cds_hooks.events.watch.contents import Contents, is_raised
from cds_hooks.events.watch.signals import Signal, Starts
from tests.cds_hooks.events.watch.made import MONDAY, flat, history_of

Counts = dict[str, float]
USUAL: Counts = {"messages": 10.0, "results": 10.0, "latency:5": 10.0, "value:X|u:100": 10.0}
END = MONDAY + 60


def learned(**more: Any) -> Baseline:
    """A feed of which values lie from 90 to 110 and latencies up to 8."""
    baseline = flat(10.0, ranges={"": (-40, 8), "X|u": (90, 110)}, **more)
    baseline.rates["outside:X|u"] = 0.01
    return baseline


def contents(baseline: Baseline, *newest: Counts, usual: Counts = USUAL, steps: int = 60) -> Contents:
    """The sums after some usual steps and the newest."""
    return Contents("lab", history_of([*[usual] * (steps - len(newest)), *newest]), baseline)


def departs(baseline: Baseline, *newest: Counts, usual: Counts = USUAL, steps: int = 60) -> list[Signal]:
    """What departs after some usual steps and the newest."""
    history = history_of([*[usual] * (steps - len(newest)), *newest])
    return Contents("lab", history, baseline).departures(history, history.end, Starts(MONDAY))


@pytest.mark.parametrize(
    ("count", "total", "share", "expected"),
    [
        (4, 4, 0.0005, True), (3, 3, 0.0005, False), (4, 0, 0.1, False), (4, -1, 0.1, False),
        (4, 1000, 0.0, True), (4, 1001, 0.0, False),  # at least 0.4 % more
        (250, 1000, 0.1, True), (249, 1000, 0.1, False),  # at least two and a half times
        (10, 20, 0.1, False),  # by chance 4.6e-5, of two that are due
    ],
)  # fmt: skip
def test_a_share_is_raised_beyond_chance_and_by_enough_to_matter(
    count: float, total: float, share: float, expected: bool
) -> None:
    assert is_raised(count, total, share) == expected


@pytest.mark.parametrize(
    ("step", "kind", "subject", "share", "is_strong"),
    [
        ({"duplicate": 4.0}, "duplicates", "", 0.4, False),
        ({"no-offset": 4.0}, "clock", "", 0.4, False),
        ({"state:dead": 4.0}, "errors", "", 0.4, True),
        ({"refused": 4.0}, "refusals", "", 0.4, True),
        ({"unmapped:N": 3.0, "unmapped:M": 2.0}, "unmapped", "N", 0.5, True),
        ({"value:X|u:100": 5.0, "value:X|u:300": 5.0}, "values", "X", 0.5, True),
        ({"value:X|u:100": 5.0, "value:X|u:20": 4.0}, "values", "X", 4 / 9, False),
        ({"latency:5": 5.0, "latency:9": 5.0}, "late", "", 0.5, True),
        ({"latency:5": 6.0, "latency:-26": 4.0}, "clock", "", 0.4, True),
    ],
)
def test_a_share_that_rose_is_told_with_its_kind(
    step: Counts, kind: str, subject: str, share: float, is_strong: bool
) -> None:
    baseline = learned()
    baseline.rates["outside:X|u"] = 0.001
    group = "values:value:X|u" if kind == "values" else kind
    expected = Signal("lab", kind, subject, share, END - 1, 10.0, group, is_strong)
    assert departs(baseline, USUAL | step) == [expected]


@pytest.mark.parametrize(
    ("step", "steps"),
    [
        ({"duplicate": 3.0}, 1),
        ({"value:X|u:100": 9.0, "value:X|u:300": 0.4}, 50),  # 4.3 in a hundred: less than four more than before
        ({"latency:5": 9.0, "latency:9": 0.3}, 50),
        ({"latency:2": 10.0}, 50),  # sooner
        ({"value:X|other:300": 10.0}, 50),  # another unit, of which nothing was learned
    ],
)
def test_what_is_rare_or_nothing_to_act_on_is_no_departure(step: Counts, steps: int) -> None:
    assert departs(learned(), *[USUAL | step] * steps) == []


def test_what_was_judged_before_is_not_looked_at_again() -> None:
    history = history_of([*[USUAL] * 59, USUAL | {"state:dead": 4.0}])
    starts = Starts(MONDAY)
    starts.set("errors", history.end)
    assert Contents("lab", history, learned()).departures(history, history.end, starts) == []


def test_a_part_is_gone_when_twenty_five_of_it_were_due_and_the_rest_came() -> None:
    steps = [USUAL] * 9

    def parts(name: str, longest: float = 0.0) -> Baseline:
        return learned(parts={name: Part(0.5, longest)})

    usual = USUAL | {"sender:A": 5.0, "ward:W": 5.0}
    assert departs(parts("sender:A"), *steps[:5], usual=usual) == []
    gone = Signal("lab", "sender", "A", 0.0, END - 6, 60.0, "sender:A")
    assert departs(parts("sender:A"), *steps[:6], usual=usual) == [gone]
    assert departs(parts("sender:A"), *steps[:6], usual=usual, steps=61) == []  # every third step is looked at
    ward = Signal("lab", "sender", "ward W", 0.0, END - 6, 60.0, "ward:W")
    assert departs(parts("ward:W"), *steps[:6], usual=usual) == [ward]
    stayed = parts("sender:A", 14.0)
    assert departs(stayed, *steps[:6], usual=usual) == []  # it stayed away for 14 before: 35 must be due
    assert [signal.since for signal in departs(stayed, *steps, usual=usual)] == [END - 9]


def test_sums_are_those_of_the_last_two_days_however_long_they_run() -> None:
    made = contents(flat(10.0), steps=10)
    for step in range(5000):
        made.append({"messages": 1.0 + step % 2, "results": 3.0, "duplicate": 1.0})
    sums = made.windows()
    columns = [made._columns[name] for name in ("messages", "results", "unmapped", "duplicate")]
    assert sums.shape == (18, len(made._columns))
    assert sums[-1, columns].tolist() == [864.0, 1728.0, 0.0, 576.0]
    assert sums[0, columns].tolist() == [2.0, 3.0, 0.0, 1.0]
    assert contents(flat(10.0), steps=5).windows().shape[0] == 4
