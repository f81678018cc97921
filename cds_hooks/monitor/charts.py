"""The charts of a monitor report as numbers: what the template draws as SVG, and the table and sentence beside it.

A chart is 340 by 170 units, so that on a phone its letters are as large as the page's.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from math import isfinite, sqrt
from typing import Final

from models_onnx.monitoring import rates
from models_onnx.monitoring.day import DayCounts
from models_onnx.monitoring.judging import Compared
from models_onnx.monitoring.label_judging import LabelWindow
from models_onnx.monitoring.performance import observed_to_expected, reliability
from models_onnx.monitoring.sketch import Sketch, quantile

WIDTH: Final = 340.0
HEIGHT: Final = 170.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 46.0, 332.0, 12.0, 146.0


@dataclass(frozen=True, slots=True)
class Mark:
    """A point; `low` and `high` are the ends of its interval on the page, where it has one."""

    x: float
    y: float
    kind: str
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Label:
    """Words on a chart; `anchor` as in SVG."""

    x: float
    y: float
    text: str
    anchor: str = "end"


@dataclass(slots=True)
class Chart:
    """One chart. `lines` are the points of polylines with their class; `rows` is the same as a table."""

    title: str
    sentence: str
    head: tuple[str, ...]
    rows: list[tuple[str, ...]] = field(default_factory=list)
    lines: list[tuple[str, str]] = field(default_factory=list)
    marks: list[Mark] = field(default_factory=list)
    labels: list[Label] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Scale:
    low: float
    high: float

    def y(self, value: float) -> float:
        """Returns the height of a value on the page."""
        inside = min(max(value, self.low), self.high)
        return round(_BOTTOM - (inside - self.low) / ((self.high - self.low) or 1) * (_BOTTOM - _TOP), 1)


def _places(many: int) -> list[float]:
    step = (_RIGHT - _LEFT) / max(many - 1, 1)
    return [round(_LEFT + index * step, 1) for index in range(many)]


def _polyline(places: Sequence[float], heights: Sequence[float]) -> str:
    return " ".join(f"{x},{y}" for x, y in zip(places, heights, strict=True))


@dataclass(frozen=True, slots=True)
class _Series:
    """One value for each day, None where nothing was counted, and the limits on both sides of some."""

    values: list[float | None]
    low: list[float] = field(default_factory=list)
    high: list[float] = field(default_factory=list)
    expected: list[float] = field(default_factory=list)


def _by_day(title: str, sentence: str, unit: str, days: list[date], first: date, series: _Series) -> Chart:
    """Returns a chart over days; those from `first` are the window."""
    numbers = [
        value for value in (*series.values, *series.high, *series.expected) if value is not None and isfinite(value)
    ]
    scale, places = _Scale(0.0, max(numbers, default=1.0) * 1.05 or 1.0), _places(len(days))
    chart = Chart(title, sentence, ("day", unit))
    for name in ("low", "high", "expected"):
        line = getattr(series, name)
        if line:
            chart.lines.append((name, _polyline(places, [scale.y(value) for value in line])))
    points = [(x, scale.y(value)) for x, value in zip(places, series.values, strict=True) if value is not None]
    chart.lines.append(("value", " ".join(f"{x},{y}" for x, y in points)))
    for index, (day, value) in enumerate(zip(days, series.values, strict=True)):
        outside = value is not None and bool(series.low) and not series.low[index] <= value <= series.high[index]
        if value is not None:
            kind = "outside" if outside else "window" if day >= first else "reference"
            chart.marks.append(Mark(places[index], scale.y(value), kind))
        label = "nothing counted" if value is None else f"{value:,.4g}{' (outside the limits)' if outside else ''}"
        chart.rows.append((day.isoformat(), label))
    top, low = scale.high / 1.05, _BOTTOM + 16
    chart.labels += [Label(_LEFT - 4, scale.y(top) + 4, f"{top:,.3g}"), Label(_LEFT - 4, _BOTTOM + 4, "0")]
    chart.labels += [Label(_LEFT, low, f"{days[0]:%d %b}", "start"), Label(_RIGHT, low, f"{days[-1]:%d %b}")]
    return chart


def charts_of(comparison: Compared) -> list[Chart]:
    """Calls, rate of cards, time of answers, and each input whose figures are not good, day by day."""
    days = dict(sorted({**comparison.reference, **comparison.window}.items()))
    if not days:
        return []
    dates, counts, first = list(days), list(days.values()), min(comparison.window)
    charts = [
        _calls(comparison, dates, counts, first),
        _cards(comparison, dates, counts, first),
        _times(dates, counts, first),
    ]
    acting = (
        figure for figure in comparison.figures() if figure.family in ("units", "input drift") and figure.state == "act"
    )
    moved = {figure.subject.rpartition(" ")[2] for figure in acting}  # of "sex_male by INPUT" the input
    return charts + [_input(name, dates, counts, first) for name in sorted(moved)[:6]]


def _calls(compared: Compared, dates: list[date], counts: list[DayCounts], first: date) -> Chart:
    calls, expected = (
        sum(day_counts.calls for day_counts in compared.window.values()),
        [compared.expected(day) for day in dates],
    )
    sentence = (
        f"{calls:,} calls in the window, {sum(map(compared.expected, compared.window)):,.0f} expected by weekday."
    )
    series = _Series([float(count.calls) for count in counts], expected=expected)
    return _by_day("Calls a day", sentence, "calls", dates, first, series)


def _cards(compared: Compared, dates: list[date], counts: list[DayCounts], first: date) -> Chart:
    """Returns the p' chart: each day's limits are three standard deviations around the reference's rate."""
    before = [
        (day_counts.with_cards, day_counts.calls) for day_counts in compared.reference.values() if day_counts.calls
    ]
    shown, calls = sum(cards for cards, _ in before), sum(n for _, n in before)
    values = [100 * count.with_cards / count.calls if count.calls else None for count in counts]
    if not calls:
        return _by_day(
            "Calls with a card",
            "There are no days before to compare with.",
            "of 100 calls",
            dates,
            first,
            _Series(values),
        )
    centre = shown / calls
    spread = rates.day_spread(before, centre)
    half = [3 * spread * sqrt(centre * (1 - centre) / count.calls) if count.calls else 1.0 for count in counts]
    low, high = ([100 * min(1.0, max(0.0, centre + sign * width)) for width in half] for sign in (-1, 1))
    sentence = f"{100 * centre:.1f} in 100 calls had a card before; the dashed lines are three standard deviations."
    return _by_day("Calls with a card", sentence, "of 100 calls", dates, first, _Series(values, low, high))


def _times(dates: list[date], counts: list[DayCounts], first: date) -> Chart:
    values = [quantile(Sketch(count.milliseconds), 0.9) for count in counts]
    sentence = "Nine of ten answers took up to so long."
    return _by_day("Time of answers", sentence, "ms", dates, first, _Series(values))


def _input(name: str, dates: list[date], counts: list[DayCounts], first: date) -> Chart:
    values = [quantile(count.sketch("features", name), 0.5) for count in counts]
    return _by_day(
        f"Median of {name}", "An input whose values are not what they were.", name, dates, first, _Series(values)
    )


def label_charts_of(window: LabelWindow) -> list[Chart]:
    """For each model how often what it estimated happened, and events observed to expected in each group."""
    label_charts = []
    for model in window.models():
        if window.of(model).total("yes"):
            label_charts += [_reliability(window, model), _groups(window, model)]
    return label_charts


def _reliability(window: LabelWindow, model: str) -> Chart:
    bins = reliability(window.of(model))
    shares = [(estimate, events / n, rates.wilson(events, n), n) for estimate, n, events in bins]
    most = max((max(estimate, high) for estimate, _, (_, high), _ in shares), default=1.0)
    scale = _Scale(0.0, most)
    sentence = "On the line as many had the event as were estimated; the bars are 95 % intervals."
    chart = Chart(f"Estimated and observed, {model}", sentence, ("estimated", "observed", "interval", "predictions"))
    chart.lines.append(("expected", f"{_LEFT},{_BOTTOM} {_RIGHT},{_TOP}"))
    for estimate, share, (low, high), n in shares:
        x = round(_LEFT + estimate / (most or 1.0) * (_RIGHT - _LEFT), 1)
        kind = "window" if low <= estimate <= high else "outside"
        chart.marks.append(Mark(x, scale.y(share), kind, scale.y(low), scale.y(high)))
        row = (
            f"{100 * estimate:.1f} in 100",
            f"{100 * share:.1f} in 100",
            f"{100 * low:.1f} to {100 * high:.1f}",
            f"{n:,}",
        )
        chart.rows.append(row)
    chart.labels += [Label(_LEFT - 4, _TOP + 4, f"{100 * most:.0f} %"), Label(_LEFT - 4, _BOTTOM + 4, "0")]
    chart.labels += [Label(_RIGHT, _BOTTOM + 16, f"estimated {100 * most:.0f} %")]
    return chart


def _groups(window: LabelWindow, model: str) -> Chart:
    sentence = "1 is right: as many events as were expected. The bars are 95 % intervals."
    chart = Chart(f"Observed to expected by group, {model}", sentence, ("group", "observed to expected", "interval"))
    scale, groups = _Scale(0.0, 2.0), ["all", *window.groups(model)]
    chart.lines.append(("expected", f"{_LEFT},{scale.y(1)} {_RIGHT},{scale.y(1)}"))
    for index, group in enumerate(groups):
        ratio = observed_to_expected(window.of(model, group))
        if ratio is None:
            chart.rows.append((group, "no event", ""))
            continue
        x = round(_LEFT + (index + 0.5) / len(groups) * (_RIGHT - _LEFT), 1)
        kind = "outside" if ratio.lies_outside(0.9, 1.1) else "window"
        chart.marks.append(Mark(x, scale.y(ratio.value), kind, scale.y(ratio.low), scale.y(ratio.high)))
        chart.labels.append(Label(x, _BOTTOM + 16, group, "middle"))
        chart.rows.append((group, f"{ratio.value:.2f}", f"{ratio.low:.2f} to {ratio.high:.2f}"))
    chart.labels += [Label(_LEFT - 4, scale.y(2) + 4, "2"), Label(_LEFT - 4, scale.y(1) + 4, "1")]
    return chart
