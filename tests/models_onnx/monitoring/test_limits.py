"""Each verdict of monitoring at its limits: from which count on it is "watch" or "act", and what the figure says.

The limits are those of docs/operations/monitoring.md, "Figures and limits"; they stand here as literals.
"""

from collections.abc import Callable, Iterable
from datetime import date, datetime, timedelta

from models_onnx.monitoring.day import DayCounts
from models_onnx.monitoring.figure import Figure
from models_onnx.monitoring.judging import Compared
from models_onnx.monitoring.sketch import bucket_of

MONDAY = date(2026, 9, 28)
Change = tuple[float, str]


def _day(calls: int = 100, **more: object) -> DayCounts:
    return DayCounts(calls=calls, **more)  # type: ignore[arg-type]  # counts by their name


def _figure(family: str, subject: str, window: DayCounts, before: DayCounts, at: datetime | None = None) -> Figure:
    """A figure of a Monday after four weeks of days that were all alike."""
    reference = {MONDAY - timedelta(days=back): before for back in range(1, 29)}
    figures = Compared("ehr", "follow-up", {MONDAY: window}, reference, at).figures()
    return next(figure for figure in figures if (figure.family, figure.subject) == (family, subject))


def _changes(values: Iterable[float], figure: Callable[[float], Figure]) -> list[Change]:
    """The first value and every value from which on the verdict is another one."""
    changes: list[Change] = []
    for value in values:
        state = figure(value).state
        if not changes or changes[-1][1] != state:
            changes.append((value, state))
    return changes


def _sketch(value: float, times: int) -> dict[int, int]:
    return {bucket_of(value): times}


# Calls


def test_calls_that_stay_away_or_come_too_often() -> None:
    def feed(calls: float) -> Figure:
        return _figure("feed", "calls", _day(int(calls)), _day(100))

    assert _changes(range(0, 200), feed) == [(0, "act"), (50, "watch"), (71, "good"), (152, "watch")]
    assert feed(49).text == "follow-up: 49 calls came where 100 were expected."
    assert _figure("feed", "calls", _day(0), _day(19)).state == "insufficient"
    assert _figure("feed", "calls", _day(0), _day(20)).state == "act"


def test_shares_of_calls_that_rise() -> None:
    def errors(failed: float) -> Figure:
        return _figure("errors", "calls", _day(1000, errors=int(failed)), _day(100, errors=1))

    def twice(times: float) -> Figure:
        return _figure("feed", "repeated calls", _day(1000, repeated=int(times)), _day(100))

    def key(given: float) -> Figure:
        window = _day(1000, keys={"labs given": int(given)})
        return _figure("prefetch", "labs", window, _day(100, keys={"labs given": 100}))

    assert _changes(range(0, 200), errors) == [(0, "good"), (40, "watch"), (110, "act")]
    assert _changes(range(0, 200), twice) == [(0, "good"), (30, "watch"), (100, "act")]
    assert _changes(range(1000, 800, -1), key) == [(1000, "good"), (970, "watch"), (900, "act")]
    assert errors(40).text == "follow-up: 4.0 in 100 calls failed, 1.0 before."
    assert key(900).text == "follow-up: 10.0 in 100 calls came without the prefetch key labs, 0.0 before."
    assert _changes((199, 200), lambda calls: _figure("errors", "calls", _day(int(calls)), _day())) == [
        (199, "insufficient"),
        (200, "good"),
    ]


def test_answers_that_become_slower() -> None:
    def latency(milliseconds: float) -> Figure:
        window = _day(200, milliseconds=_sketch(milliseconds, 200))
        return _figure("latency", "90th percentile", window, _day(milliseconds=_sketch(10, 100)))

    assert _changes(range(10, 80), latency) == [(10, "good"), (21, "watch"), (51, "act")]
    assert latency(20).text.endswith("nine of ten answers took up to 19.9 ms, 10.1 ms before.")


# Inputs


def _inputs(value: float, times: int = 600, then: float = 80.0) -> tuple[DayCounts, DayCounts]:
    """A window with one value of an input, and days before on which its values lay around another one."""
    around = {bucket_of(then * (0.9 + 0.02 * step)): 10 for step in range(11)}
    return _day(times, features={"sbp": _sketch(value, times)}), _day(110, features={"sbp": around})


def test_a_median_in_another_unit() -> None:
    def units(value: float) -> Figure:
        return _figure("units", "sbp", *_inputs(value, 120))

    assert _changes(range(20, 200), units) == [(20, "act"), (57, "watch"), (63, "good"), (100, "watch"), (110, "act")]
    assert _figure("units", "sbp", *_inputs(80, 99)).state == "insufficient"
    assert _figure("units", "sbp", *_inputs(80, 100)).state == "good"


def test_values_that_are_missing_or_older() -> None:
    def missing(gone: float) -> Figure:
        window = _day(1000, features={"sbp": _sketch(80, 1000 - int(gone))}, missing={"sbp absent": int(gone)})
        return _figure("missing", "sbp", window, _day(100, features={"sbp": _sketch(80, 100)}))

    def older(days: float) -> Figure:
        window, before = _inputs(80, 120)
        window.ages, before.ages = {"sbp": _sketch(days, 120)}, {"sbp": _sketch(4, 100)}
        return _figure("age of values", "sbp", window, before)

    assert _changes(range(0, 200), missing) == [(0, "good"), (30, "watch"), (100, "act")]
    assert missing(100).text == "follow-up: 10.0 in 100 calls had no usable sbp, 0.0 before."
    assert _changes(range(1, 20), older) == [(1, "good"), (7, "watch")]


# Clocks


# What clinicians answer


# Mature predictions
