"""What messages bring that departs: shares, parts, codes and units, in the shortest window that tells."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest

from cds_hooks.events.watch.baseline import Baseline, Feed, Level, Part, Signal
from cds_hooks.events.watch.contents import Columns, _kind_of_shift, is_conversion
from tests.cds_hooks.events.watch.made import MONDAY, flat, history_of

Counts = dict[str, float]
USUAL: Counts = {"messages": 10.0, "results": 10.0}
RARE = {"duplicate": 0.001, "ahead": 0.001, "no-offset": 0.001}


def columns(
    baseline: Baseline, *newest: Counts, usual: Counts = USUAL, steps: int = 60
) -> tuple[Columns, list[Signal]]:
    """The sums after some usual steps and the newest, and what departs then."""
    made = columns_of(baseline, [*[usual] * (steps - len(newest)), *newest])
    return made, made.departures()


def columns_of(baseline: Baseline, steps: Sequence[Counts]) -> Columns:
    feed = Feed("lab", MONDAY)
    feed.history = history_of(steps)
    return Columns(feed, baseline)


def departs(baseline: Baseline, *newest: Counts, usual: Counts = USUAL, steps: int = 60) -> list[Signal]:
    return columns(baseline, *newest, usual=usual, steps=steps)[1]


def test_a_raised_share_is_strong_but_for_duplicates_and_times_without_an_offset() -> None:
    end = MONDAY + 60
    names = {"duplicate": "duplicates", "no-offset": "clock", "state:dead": "errors"}
    for name, kind in names.items():
        expected = Signal("lab", kind, "", 0.4, end - 1, 10.0, kind, is_strong=name == "state:dead")
        assert departs(flat(10.0, shares=RARE | {"state:dead": 0.001}), USUAL | {name: 4.0}) == [expected]
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
    renamed = [USUAL | {"result:N": 5.0}] * 6
    assert [signal.kind for signal in departs(parts(result_X=0.5), *renamed, usual=usual)] == ["code-gone"]
    stayed = flat(10.0, shares=RARE, parts={"sender:A": Part(0.5, 14.0)})
    assert departs(stayed, *steps[:6], usual=usual) == []  # it stayed away for 14 before: 35 must be due
    assert [signal.since for signal in departs(stayed, *steps, usual=usual)] == [end - 9]


def test_a_new_unit_is_told_when_it_came_twice_in_a_day() -> None:
    baseline = flat(10.0, shares=RARE, units={"X": {"mg/dL"}})
    once, twice = USUAL | {"value:X|g/L:5": 1.0}, USUAL | {"value:X|g/L:5": 1.0, "value:X|g/L:6": 1.0}
    other = USUAL | {"value:X|mg/dL:5": 3.0, "value:Y|g/L:5": 3.0}
    assert columns(baseline, once)[0].new_units() == []
    assert columns(baseline, other)[0].new_units() == []
    label = Signal("lab", "unit-label", "X in g/L", 1.0, MONDAY, 1e9, "unit-label")
    assert columns(baseline, twice)[0].new_units() == [label]
    old = columns(baseline, once, once, *[USUAL] * 287, steps=289)[0]
    assert old.new_units() == []  # one of them is more than a day old


def test_codes_that_are_not_mapped_are_raised_or_new() -> None:
    end, baseline = MONDAY + 60, flat(10.0, shares=RARE | {"unmapped": 0.001}, results={"X": 500})
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


def level(median: float = 100.0, scale: float = 2.0, **more: float) -> Level:
    """Values of which half lie at the median, and a quarter each one deviation to both sides."""
    weights = np.array([0.25, 0.5, 0.25])
    shares = {100: more.pop("share", 0.05)}
    return Level(median, scale, 0.0, 1.0, 1000.0, shares, np.array([-1.0, 0.0, 1.0]), weights)


@pytest.mark.parametrize(
    ("subject", "ratio", "expected"),
    [
        # 180.16 g/mol: of a value in mg/dL one in mmol/L is 0.0555, and a quarter on the scale of logarithms is 1.284.
        ("2345-7|mg/dL", 0.0555, True), ("2345-7|mg/dL", 0.0712, True), ("2345-7|mg/dL", 0.0714, False),
        ("2345-7|mg/dL", 0.0433, True), ("2345-7|mg/dL", 0.0431, False),
        ("2345-7|mmol/L", 18.0, True), ("2345-7|mmol/L", 0.0555, False),
        ("2345-7|furlong", 18.0, False), ("nothing|mmol/L", 18.0, False),
    ],
)  # fmt: skip
def test_a_ratio_is_that_of_two_units_of_an_analyte(subject: str, ratio: float, *, expected: bool) -> None:
    assert is_conversion(subject, ratio) is expected


@pytest.mark.parametrize(
    ("moved", "is_value", "kind", "ratio"),
    [
        (29, True, "shift", 1.786), (30, True, "unit", 1.822),
        (-29, True, "shift", 0.5599), (-30, True, "unit", 0.5488),
        (7, False, "late", 4.768), (0, False, "", 1.0), (-1, False, "", 0.8),
    ],
)  # fmt: skip
def test_a_shift_is_one_of_unit_from_a_factor_of_1_8_on(moved: int, is_value: bool, kind: str, ratio: float) -> None:
    window = Counter({100 + moved: 5})
    found, factor = _kind_of_shift(level(), window, is_value=is_value)
    assert found == kind
    assert factor == pytest.approx(ratio, rel=1e-3)


def _of_values(bucket: int, count: float, steps: int = 12) -> list[Signal]:
    baseline = flat(10.0, shares=RARE, values={"X|u": level()})
    usual = USUAL | {"value:X|u:100": 10.0}
    return departs(baseline, *[USUAL | {f"value:X|u:{bucket}": count}] * steps, usual=usual, steps=61)


@pytest.mark.parametrize(
    ("bucket", "kind", "ratio", "is_strong"),
    [
        (140, "unit", 2.2256, True), (60, "unit", 0.44932, True), (105, "shift", 1.1052, True),
        (102, "shift", 1.0408, True), (101, "shift", 1.0202, False), (99, "shift", 0.9802, False),
    ],
)  # fmt: skip
def test_values_that_moved_are_told_by_their_factor(bucket: int, kind: str, ratio: float, is_strong: bool) -> None:
    (signal,) = _of_values(bucket, 10.0)
    assert (signal.feed, signal.kind, signal.subject, signal.group) == ("lab", kind, "X", "values:X|u")
    assert signal.ratio == pytest.approx(ratio, rel=1e-4)
    assert signal.is_strong == is_strong


def _of_latency(steps: int, count: float = 10.0) -> list[Signal]:
    baseline = flat(10.0, shares=RARE, latency=level(median=5.0, scale=1.0))
    usual = USUAL | {"latency:5": 10.0}
    return departs(baseline, *[USUAL | {f"latency:{steps}": count}] * 12, usual=usual, steps=61)


@pytest.mark.parametrize(("steps", "ratio", "is_strong"), [(12, 4.7684, True), (11, 3.8147, False), (7, 1.5625, False)])
def test_results_that_come_late_are_told_with_how_much_longer_they_take(
    steps: int, ratio: float, is_strong: bool
) -> None:
    (signal,) = _of_latency(steps)
    assert (signal.kind, signal.subject, signal.group) == ("late", "", "late")
    assert signal.ratio == pytest.approx(ratio, rel=1e-4)
    assert signal.is_strong == is_strong


def test_results_that_come_sooner_are_no_departure() -> None:
    assert _of_latency(3) == []
    assert _of_latency(5) == []


@pytest.mark.parametrize(
    ("stuck", "others", "share", "expected"),
    [
        (10, 0, 0.05, True), (9, 0, 0.05, False),
        (20, 30, 0.05, True), (19, 31, 0.05, False),  # two fifths of all
        (100, 10, 0.3, True), (99, 11, 0.3, False),  # three times 0.303, the share before
    ],
)  # fmt: skip
def test_one_value_that_comes_again_and_again_is_stuck(stuck: int, others: int, share: float, expected: bool) -> None:
    values = {"value:X|u:100": float(stuck)} | {f"value:X|u:{101 + at}": 1.0 for at in range(others)}
    baseline = flat(10.0, shares=RARE, values={"X|u": level(share=share)})
    made = columns_of(baseline, [*[USUAL] * 30, USUAL | values | {"value:Y|u:9": 50.0}, *[USUAL] * 23])
    signal = Signal("lab", "stuck", "X", 1.0, MONDAY + 30, 240.0, "values:X|u")
    assert made.stuck() == ([signal] if expected else [])
    made._feed.start_at(MONDAY + 31, "values:X|u")
    assert made.stuck() == []
    later = columns_of(baseline, [*[USUAL] * 30, USUAL | values, *[USUAL] * 24])
    assert later.stuck() == []


def test_a_time_ahead_of_the_clock_is_counted_as_a_share() -> None:
    for steps, ahead in ((-26, 1.0), (-27, 1.0), (-25, 0.0)):
        made = columns(flat(10.0, shares=RARE, latency=level()), {f"latency:{steps}": 1.0})[0]
        assert made.windows()[0, 3] == ahead
