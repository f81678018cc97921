"""The monitor report as one HTML file: sentences, a table, and charts of outcomes with their values as text.

Series over time are those of `/metrics`, which Grafana draws (docs/operations/install.md). The file has no scripts and
loads nothing from elsewhere, and its Content-Security-Policy allows its own style only.
"""

import hashlib
import re
from base64 import b64encode
from collections.abc import Sequence
from datetime import date
from typing import Any

from cds_hooks.web.site import render, static_file
from models_onnx.model_card.plots import Axes, Dot, Line, Plot, Tick
from models_onnx.monitoring import rates
from models_onnx.monitoring.figure import Figure, Incident
from models_onnx.monitoring.judging import Compared
from models_onnx.monitoring.label_judging import LabelWindow
from models_onnx.monitoring.performance import observed_to_expected, reliability


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
    for window in judged:
        if isinstance(window, LabelWindow) and (charts := label_charts_of(window)):
            yield f"{window.client}, {window.service}: {window.words}", charts


def _kind(is_outside: bool) -> str:
    return "outside" if is_outside else ""


def _id(title: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", title.lower())


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
