"""The monitor report as one HTML file: sentences, a table, and charts with their values as text. No scripts.

The file loads nothing from elsewhere, and its Content-Security-Policy allows its own style only.
"""

import hashlib
import re
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from math import isfinite, sqrt
from typing import Any

from cds_hooks.web.site import render, static_file
from models_onnx.model_card.plots import Axes, Dot, Line, Plot, Tick
from models_onnx.monitoring import rates
from models_onnx.monitoring.day import DayCounts
from models_onnx.monitoring.figure import Figure, Incident
from models_onnx.monitoring.judging import Compared
from models_onnx.monitoring.label_judging import LabelWindow
from models_onnx.monitoring.performance import observed_to_expected, reliability
from models_onnx.monitoring.sketch import Sketch, quantile


def report_page(
    until: date, judged: Sequence[Compared | LabelWindow], figures: Sequence[Figure], incidents: Sequence[Incident],
    paused: Sequence[str], summary: str,
) -> str:  # fmt: skip
    """Return the whole page; texts of clients and rules stand in it as texts."""
    from markupsafe import Markup

    style = static_file("monitor_report.css").decode()
    digest = b64encode(hashlib.sha256(style.encode()).digest()).decode()
    shown = [figure for figure in figures if figure.state in ("act", "watch")]
    return render(
        "monitor_report.html",
        until=until.isoformat(),
        summary=summary,
        incidents=incidents,
        paused=paused,
        figures=shown,
        sections=list(_sections(judged)),
        style=Markup(style),  # noqa: S704 - a file of this package
        style_digest=digest,
    )


def _sections(judged: Sequence[Compared | LabelWindow]) -> Any:
    for comparison in judged:
        if isinstance(comparison, Compared):
            heading, charts = f"{comparison.client}, {comparison.service}", charts_of(comparison)
        else:
            heading, charts = (
                f"{comparison.client}, {comparison.service}: {comparison.words}",
                label_charts_of(comparison),
            )
        if charts:
            yield heading, charts


# The plots of a monitor report (model_card/plots.py): each with its sentence and its numbers as a table


@dataclass(frozen=True, slots=True)
class _Series:
    """One value for each day, None where nothing was counted, and the limits on both sides of some."""

    values: list[float | None]
    low: list[float] = field(default_factory=list)
    high: list[float] = field(default_factory=list)
    expected: list[float] = field(default_factory=list)


def _by_day(title: str, sentence: str, unit: str, days: list[date], first: date, series: _Series) -> Plot:
    """Return a plot over days; those from `first` are the window."""
    numbers = [
        value for value in (*series.values, *series.high, *series.expected) if value is not None and isfinite(value)
    ]
    axes = Axes(0.0, max(len(days) - 1, 1), 0.0, max(numbers, default=1.0) * 1.05 or 1.0)
    limits = ((name, getattr(series, name)) for name in ("low", "high", "expected"))
    lines = [Line("other", axes.points(enumerate(values)), name) for name, values in limits if values]
    counted = [(index, value) for index, value in enumerate(series.values) if value is not None]
    lines.append(Line("curve", axes.points(counted), unit))
    outside = {index for index, value in counted if series.low and not series.low[index] <= value <= series.high[index]}
    dots = tuple(
        Dot(axes.x(index), axes.y(value), kind=_kind(index in outside, is_now=days[index] >= first))
        for index, value in counted
    )
    values_in_words = {
        index: f"{value:,.4g}{' (outside the limits)' if index in outside else ''}" for index, value in counted
    }
    rows = tuple((day.isoformat(), values_in_words.get(index, "nothing counted")) for index, day in enumerate(days))
    ends = (Tick(axes.x(0), f"{days[0]:%d %b}"), Tick(axes.x(len(days) - 1), f"{days[-1]:%d %b}"))
    x_ticks = ends if len(days) > 1 else ends[:1]
    return Plot(
        _id(title), title, "day", unit, x_ticks, axes.y_ticks(), tuple(lines), dots, sentence, ("day", unit), rows
    )


def _kind(is_outside: bool, *, is_now: bool = True) -> str:
    return "outside" if is_outside else "" if is_now else "before"


def _id(title: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", title.lower())


def charts_of(comparison: Compared) -> list[Plot]:
    """Call, rate of cards, time of answers, and each input whose figures are not good, day by day."""
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


def _calls(compared: Compared, dates: list[date], counts: list[DayCounts], first: date) -> Plot:
    calls, expected = (
        sum(day_counts.calls for day_counts in compared.window.values()),
        [compared.expected(day) for day in dates],
    )
    sentence = (
        f"{calls:,} calls in the window, {sum(map(compared.expected, compared.window)):,.0f} expected by weekday."
    )
    series = _Series([float(count.calls) for count in counts], expected=expected)
    return _by_day("Calls a day", sentence, "calls", dates, first, series)


def _cards(compared: Compared, dates: list[date], counts: list[DayCounts], first: date) -> Plot:
    """Return the p' chart: each day's limits are three standard deviations around the reference's rate."""
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


def _times(dates: list[date], counts: list[DayCounts], first: date) -> Plot:
    values = [quantile(Sketch(count.milliseconds), 0.9) for count in counts]
    sentence = "Nine of ten answers took up to so long."
    return _by_day("Time of answers", sentence, "ms", dates, first, _Series(values))


def _input(name: str, dates: list[date], counts: list[DayCounts], first: date) -> Plot:
    values = [quantile(count.sketch("features", name), 0.5) for count in counts]
    return _by_day(
        f"Median of {name}", "An input whose values are not what they were.", name, dates, first, _Series(values)
    )


def label_charts_of(window: LabelWindow) -> list[Plot]:
    """For each model how often what it estimated happened, and events observed to expected in each group."""
    label_charts = []
    for model in window.models():
        if window.of(model).total("yes"):
            label_charts += [_reliability(window, model), _groups(window, model)]
    return label_charts


def _reliability(window: LabelWindow, model: str) -> Plot:
    bins = reliability(window.of(model))
    shares = [(estimate, events / n, rates.wilson(events, n), n) for estimate, n, events in bins]
    most = max((max(estimate, high) for estimate, _, (_, high), _ in shares), default=1.0) or 1.0
    axes, title = Axes(0.0, most, 0.0, most), f"Estimated and observed, {model}"
    dots = tuple(
        Dot(axes.x(estimate), axes.y(share), axes.y(high), axes.y(low), _kind(not low <= estimate <= high))
        for estimate, share, (low, high), _ in shares
    )
    rows = tuple(
        (
            f"{100 * estimate:.1f} in 100",
            f"{100 * share:.1f} in 100",
            f"{100 * low:.1f} to {100 * high:.1f}",
            f"{n:,}",
        )
        for estimate, share, (low, high), n in shares
    )
    sentence = "On the line as many had the event as were estimated; the bars are 95 % intervals."
    lines = (Line("even", axes.points([(0, 0), (most, most)]), "as estimated"),)
    ticks = axes.x_ticks(100), axes.y_ticks(100)
    header = ("estimated", "observed", "interval", "predictions")
    return Plot(_id(title), title, "estimated, in 100", "observed, in 100", *ticks, lines, dots, sentence, header, rows)


def _groups(window: LabelWindow, model: str) -> Plot:
    title, groups = f"Observed to expected by group, {model}", ["all", *window.groups(model)]
    axes = Axes(0.0, len(groups), 0.0, 2.0)
    dots, ticks, rows = list[Dot](), list[Tick](), list[tuple[str, ...]]()
    for index, group in enumerate(groups):
        ratio = observed_to_expected(window.of(model, group))
        if ratio is None:
            rows.append((group, "no event", ""))
            continue
        x = axes.x(index + 0.5)
        is_outside = ratio.lies_outside(0.9, 1.1)
        dots.append(Dot(x, axes.y(ratio.value), axes.y(ratio.high), axes.y(ratio.low), _kind(is_outside)))
        ticks.append(Tick(x, group))
        rows.append((group, f"{ratio.value:.2f}", f"{ratio.low:.2f} to {ratio.high:.2f}"))
    sentence = "1 is right: as many events as were expected. The bars are 95 % intervals."
    lines = (Line("even", axes.points([(0, 1), (len(groups), 1)]), "as expected"),)
    header = ("group", "observed to expected", "interval")
    return Plot(
        _id(title), title, "group", "observed to expected", tuple(ticks), axes.y_ticks(), lines, tuple(dots), sentence,
        header, tuple(rows),
    )  # fmt: skip
