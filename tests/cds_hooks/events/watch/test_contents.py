"""What messages bring that departs: shares, parts, codes and units, in the shortest window that tells."""

import pytest

from cds_hooks.events.watch.baseline import Baseline, Part
from cds_hooks.events.watch.contents import Columns, is_raised
from cds_hooks.events.watch.signals import Signal, Starts
from tests.cds_hooks.events.watch.made import MONDAY, flat, history_of

Counts = dict[str, float]
USUAL: Counts = {"messages": 10.0, "results": 10.0}
RARE = {"duplicate": 0.001, "ahead": 0.001, "no-offset": 0.001}


def columns(
    baseline: Baseline, *newest: Counts, usual: Counts = USUAL, steps: int = 60
) -> tuple[Columns, list[Signal]]:
    """The sums after some usual steps and the newest, and what departs then."""
    history = history_of([*[usual] * (steps - len(newest)), *newest])
    made = Columns("lab", history, baseline)
    return made, made.departures(history, history.end, Starts(MONDAY))


def departs(baseline: Baseline, *newest: Counts, usual: Counts = USUAL, steps: int = 60) -> list[Signal]:
    return columns(baseline, *newest, usual=usual, steps=steps)[1]


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


def test_a_raised_share_is_strong_but_for_duplicates_and_times_without_an_offset() -> None:
    end = MONDAY + 60
    names = {"duplicate": "duplicates", "no-offset": "clock", "missing:labs": "missing"}
    for name, kind in names.items():
        baseline = flat(10.0, shares=RARE | {"missing:labs": 0.001})
        step = USUAL | {name: 4.0}
        subject = "labs" if name == "missing:labs" else ""
        expected = Signal("lab", kind, subject, 0.4, end - 1, 10.0, kind, is_strong=name == "missing:labs")
        assert departs(baseline, step) == [expected]
    assert departs(flat(10.0, shares=RARE), USUAL | {"duplicate": 3.0}) == []


def test_a_part_is_gone_when_twenty_five_of_it_were_due_and_the_rest_came() -> None:
    end = MONDAY + 60
    steps = [USUAL] * 9

    def parts(**shares: float) -> Baseline:
        return flat(
            10.0, shares=RARE, parts={name.replace("_", ":"): Part(share, 0.0) for name, share in shares.items()}
        )

    usual = USUAL | {"sender:A": 5.0, "ward:W": 5.0, "result:X": 5.0}
    baseline = parts(sender_A=0.5)
    assert departs(baseline, *steps[:5], usual=usual) == []
    gone = Signal("lab", "sender", "A", 0.0, end - 6, 60.0, "sender:A")
    assert departs(baseline, *steps[:6], usual=usual) == [gone]
    assert departs(baseline, *steps[:6], usual=usual, steps=61) == []  # every third step is looked at
    assert departs(parts(ward_W=0.5), *steps[:6], usual=usual) == [
        Signal("lab", "sender", "ward W", 0.0, end - 6, 60.0, "ward:W")
    ]
    assert departs(parts(result_X=0.5), *steps[:6], usual=usual) == [
        Signal("lab", "code-gone", "X", 0.0, end - 6, 60.0, "result:X")
    ]
    renamed = [USUAL | {"result:N": 2.0}] * 6
    assert departs(parts(result_X=0.5), *renamed, usual=usual) == []  # two fifths of what was due
    assert len(departs(parts(result_X=0.5), *renamed[1:], USUAL | {"result:N": 1.0}, usual=usual)) == 1
    stayed = flat(10.0, shares=RARE, parts={"sender:A": Part(0.5, 14.0)})
    assert departs(stayed, *steps[:6], usual=usual) == []  # it stayed away for 14 before: 35 must be due
    assert [signal.since for signal in departs(stayed, *steps, usual=usual)] == [end - 9]


def test_a_new_unit_is_told_when_it_came_twice_in_a_day() -> None:
    baseline = flat(10.0, shares=RARE, units={"X": {"mg/dL"}})
    once, twice = USUAL | {"value:X|g/L:5": 1.0}, USUAL | {"value:X|g/L:5": 1.0, "value:X|g/L:6": 1.0}
    other = USUAL | {"value:X|mg/dL:5": 3.0, "value:Y|g/L:5": 3.0}
    starts = Starts(MONDAY)
    assert columns(baseline, once)[0]._new_units(starts) == []
    assert columns(baseline, other)[0]._new_units(starts) == []
    label = Signal("lab", "unit-label", "X in g/L", 1.0, MONDAY, 1e9, "unit-label")
    assert columns(baseline, twice)[0]._new_units(starts) == [label]
    old = columns(baseline, once, once, *[USUAL] * 287, steps=289)[0]
    assert old._new_units(starts) == []  # one of them is more than a day old


def test_sums_are_those_of_the_last_two_days_however_long_they_run() -> None:
    made, _ = columns(flat(10.0, shares=RARE), steps=10)
    for step in range(5000):
        made.append({"messages": 1.0 + step % 2, "results": 3.0, "duplicate": 1.0})
    sums = made.windows(576)
    assert sums.shape == (18, 8)
    assert sums[-1, :4].tolist() == [864.0, 1728.0, 0.0, 576.0]
    assert sums[0, :4].tolist() == [2.0, 3.0, 0.0, 1.0]
    assert made.windows(5).shape == (4, 8)


def test_codes_that_are_not_mapped_are_raised_or_new() -> None:
    end, baseline = MONDAY + 60, flat(10.0, shares=RARE, unmapped=0.001, results={"X": 500.0})
    usual = USUAL | {"result:X": 10.0}
    step = {"messages": 10.0, "results": 10.0, "result:X": 6.0, "unmapped:N": 4.0}
    assert departs(baseline, step, usual=usual) == [
        Signal("lab", "unmapped", "N in place of X", 0.4, end - 1, 10.0, "unmapped", is_strong=True)
    ]
    rare = usual | {"unmapped:A": 1.0}
    assert departs(baseline, *[rare, usual] * 3, usual=usual) == []  # 3 log 200 is 15.9
    assert departs(baseline, *[rare, usual] * 2, rare, rare, usual=usual, steps=240) == [
        Signal("lab", "unmapped", "A", 1.0, MONDAY, 2400.0, "unmapped")
    ]
