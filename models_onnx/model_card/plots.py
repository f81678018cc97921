"""The curves of a model as drawings in numbers: who draws them needs no computation, and each has its text and table.

ROC, precision and recall, calibration, decision curve and thresholds are drawn from groups of people with similar
estimates: the bins of a manifest, or finer ones made of rows. Net benefit: Vickers and Elkin, Med Decis Making
2006;26:565.
"""

from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import Any

from msgspec import Struct

from models_onnx.artifact.manifest import Manifest

# The edges of the area of the drawing in which points stand.
LEFT, RIGHT, TOP, BOTTOM = 48, 348, 12, 204
BAR = 5.0
"""Alerts that one event found is worth where a model names no other number: a PPV of 0.2 (docs/models/gates.md)."""
_TABLE_ROWS = 12


class Bin(Struct, frozen=True):
    """People with an estimate of `low` or more and below the next bin's: their weight, events and mean estimate.

    `rate_low` and `rate_high` are the 95 % interval of the share with the event.
    """

    low: float
    count: float
    events: float
    predicted: float
    rate_low: float
    rate_high: float

    @property
    def rate(self) -> float:
        """The share with the event."""
        return self.events / self.count if self.count else 0.0


class Operating(Struct, frozen=True):
    """What alerting from an estimate of `threshold` on finds: all shares of 0 to 1; net benefit per person."""

    threshold: float
    alerted: float
    sensitivity: float
    false_positive_rate: float
    ppv: float

    def net_benefit(self, odds: float) -> float:
        """Return true alerts less false ones at `odds` each, per person."""
        return self.alerted * (self.ppv - odds * (1.0 - self.ppv))


class Tick(Struct, frozen=True):
    """A label of an axis and its place in the drawing."""

    at: float
    label: str


class Line(Struct, frozen=True):
    """Points in the form of SVG, and what they are: `kind` is curve, other, even (chance, nobody alerted) or band."""

    kind: str
    points: str
    name: str = ""


class Dot(Struct, frozen=True):
    """One point, with the ends of its interval where it has one; `kind` may be outside (a square)."""

    x: float
    y: float
    top: float | None = None
    bottom: float | None = None
    kind: str = ""


class Plot(Struct, frozen=True):
    """One drawing: axes, lines and dots by place, its sentence, and the same numbers as a table."""

    id: str
    title: str
    x_words: str
    y_words: str
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    lines: tuple[Line, ...]
    dots: tuple[Dot, ...]
    text: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


class Axes(Struct, frozen=True):
    """From values to places."""

    x_low: float
    x_high: float
    y_low: float
    y_high: float

    def x(self, value: float) -> float:
        """Return the place of a value on the axis below."""
        return round(LEFT + (RIGHT - LEFT) * _share(value, self.x_low, self.x_high), 1)

    def y(self, value: float) -> float:
        """Return the place of a value on the axis beside."""
        return round(BOTTOM - (BOTTOM - TOP) * _share(value, self.y_low, self.y_high), 1)

    def points(self, pairs: Iterable[tuple[float, float]]) -> str:
        """Points as SVG writes them."""
        return " ".join(f"{self.x(x):g},{self.y(y):g}" for x, y in pairs)

    def x_ticks(self, scale: float = 1.0) -> tuple[Tick, ...]:
        """Five labels of the axis below, times `scale`."""
        return tuple(Tick(self.x(value), _label(value * scale)) for value in _five(self.x_low, self.x_high))

    def y_ticks(self, scale: float = 1.0) -> tuple[Tick, ...]:
        """Five labels of the axis beside, times `scale`."""
        return tuple(Tick(self.y(value), _label(value * scale)) for value in _five(self.y_low, self.y_high))


def bins_of(manifest: Manifest) -> list[Bin]:
    """Return the reference cohort of a manifest, each person predicted by a model that was not trained on them."""
    return [
        Bin(
            risk_bin.probability_low,
            risk_bin.count,
            risk_bin.rate * risk_bin.count,
            risk_bin.predicted,
            risk_bin.low,
            risk_bin.high,
        )
        for risk_bin in manifest.reference.bins
    ]


def operating_points(bins: Sequence[Bin]) -> list[Operating]:
    """Return what alerting from the beginning of each bin on finds, from the highest to the lowest."""
    people, events = sum(bin_.count for bin_ in bins), sum(bin_.events for bin_ in bins)
    non_events = people - events
    highest = sorted(bins, key=lambda bin_: -bin_.low)
    counts = accumulate(bin_.count for bin_ in highest)
    events_so_far = accumulate(bin_.events for bin_ in highest)
    return [
        Operating(
            threshold=bin_.low,
            alerted=count / people,
            sensitivity=true / events if events else 0.0,
            false_positive_rate=(count - true) / non_events if non_events else 0.0,
            ppv=true / count if count else 0.0,
        )
        for bin_, count, true in zip(highest, counts, events_so_far, strict=True)
    ]


def curves(bins: Sequence[Bin], coarse: Sequence[Bin], manifest: Manifest, auroc: dict[str, Any]) -> list[Plot]:
    """ROC, precision-recall, calibration (of the coarse bins), decision curve, and thresholds by capacity."""
    points = operating_points(bins)
    chosen = _chosen(manifest, bins)
    prevalence = sum(bin_.events for bin_ in bins) / sum(bin_.count for bin_ in bins)
    return [
        _roc(points, chosen, auroc),
        _precision_recall(points, chosen, prevalence),
        calibration(coarse),
        _decision(points, prevalence, manifest),
        _capacity(manifest, points),
    ]


def _chosen(manifest: Manifest, bins: Sequence[Bin]) -> Operating:
    """Return the default threshold, as far as these people tell."""
    limit = manifest.thresholds.default.probability
    points = operating_points(bins)
    return min(points, key=lambda point: abs(point.threshold - limit))


def _roc(points: Sequence[Operating], chosen: Operating, auroc: dict[str, Any]) -> Plot:
    axes = Axes(0, 1, 0, 1)
    pairs = [(0.0, 0.0), *((point.false_positive_rate, point.sensitivity) for point in points)]
    return Plot(
        "roc",
        "ROC curve",
        "of 100 without the event, alerted",
        "of 100 with the event, alerted",
        axes.x_ticks(100),
        axes.y_ticks(100),
        (Line("even", axes.points([(0, 0), (1, 1)]), "chance"), Line("curve", axes.points(pairs), "this model")),
        (Dot(axes.x(chosen.false_positive_rate), axes.y(chosen.sensitivity)),),
        f"AUROC {_figure(auroc)}. The dot is the default threshold: of 100 with the event {_100(chosen.sensitivity)} "
        f"are found, and of 100 without it {_100(chosen.false_positive_rate)} get a card. The dashed line is chance.",
        ("estimate from, in 100", "found, of 100 with the event", "alerted, of 100 without it"),
        _thinned([(_1(point.threshold), _1(point.sensitivity), _1(point.false_positive_rate)) for point in points]),
    )


def _precision_recall(points: Sequence[Operating], chosen: Operating, prevalence: float) -> Plot:
    axes = Axes(0, 1, 0, _above(max(point.ppv for point in points)))
    pairs = [(point.sensitivity, point.ppv) for point in points]
    return Plot(
        "precision-recall",
        "Precision and recall",
        "of 100 with the event, alerted",
        "of 100 alerted, with the event",
        axes.x_ticks(100),
        axes.y_ticks(100),
        (
            Line("even", axes.points([(0, prevalence), (1, prevalence)]), "everybody alerted"),
            Line("curve", axes.points(pairs), "this model"),
        ),
        (Dot(axes.x(chosen.sensitivity), axes.y(chosen.ppv)),),
        f"The dot is the default threshold: {_100(chosen.ppv)} of 100 alerted have the event, and "
        f"{_100(chosen.sensitivity)} of 100 with the event are alerted. The dashed line is alerting everybody: "
        f"{_100(prevalence)} of 100.",
        ("estimate from, in 100", "recall, in 100", "precision, in 100"),
        _thinned([(_1(point.threshold), _1(point.sensitivity), _1(point.ppv)) for point in points]),
    )


def calibration(bins: Sequence[Bin]) -> Plot:
    """Return the estimates against what was observed."""
    there = [bin_ for bin_ in bins if bin_.count]
    high = _above(max(max(bin_.rate_high, bin_.predicted) for bin_ in there))
    axes = Axes(0, high, 0, high)
    agree = sum(bin_.rate_low <= bin_.predicted <= bin_.rate_high for bin_ in there)
    return Plot(
        "calibration",
        "Calibration",
        "estimate, in 100",
        "observed, in 100",
        axes.x_ticks(100),
        axes.y_ticks(100),
        (Line("even", axes.points([(0, 0), (high, high)]), "as estimated"),),
        tuple(Dot(axes.x(b.predicted), axes.y(b.rate), axes.y(b.rate_high), axes.y(b.rate_low)) for b in there),
        f"Each dot is a group with similar estimates; its line is the 95 % interval of what was observed. In {agree} "
        f"of {len(there)} groups the estimate lies within it. On the dashed line as many had the event as estimated.",
        ("estimate, in 100", "observed, in 100", "interval", "people"),
        tuple(
            (_1(b.predicted), _1(b.rate), f"{_1(b.rate_low)} to {_1(b.rate_high)}", f"{b.count:,.0f}") for b in there
        ),
    )


def _decision(points: Sequence[Operating], prevalence: float, manifest: Manifest) -> Plot:
    drawn = [point for point in points if 0 < point.threshold < 1]
    odds = [point.threshold / (1 - point.threshold) for point in drawn]
    benefits = [point.net_benefit(harm) for point, harm in zip(drawn, odds, strict=True)]
    everybody = [prevalence - (1 - prevalence) * odd for odd in odds]
    top = _above(max([*benefits, prevalence, 0.001]))
    axes = Axes(0, max(point.threshold for point in drawn), -0.25 * top, top)
    better = [point.threshold for point, a, b in zip(drawn, benefits, everybody, strict=True) if a > max(b, 0.0)]
    sentence = (
        f"From a threshold of {_1(min(better))} to one of {_1(max(better))} in 100 it is worth more than "
        "alerting everybody or nobody."
        if better
        else "At no threshold is it worth more than alerting everybody or nobody."
    )
    limited = [(point.threshold, max(b, -0.25 * top)) for point, b in zip(drawn, everybody, strict=True)]
    return Plot(
        "decision-curve",
        "Decision curve",
        "threshold: an estimate of so many in 100",
        "net benefit per 100 " + manifest.row_words,
        axes.x_ticks(100),
        axes.y_ticks(100),
        (
            Line("even", axes.points([(0, 0), (axes.x_high, 0)]), "nobody"),
            Line("other", axes.points(limited), "everybody"),
            Line("curve", axes.points(zip((point.threshold for point in drawn), benefits, strict=True)), "this model"),
        ),
        (),
        f"{sentence} The threshold says how much a missed event weighs against a needless card. Dashed: alerting "
        "nobody; dotted: everybody.",
        ("threshold, in 100", "this model, per 100", "everybody, per 100"),
        _thinned([(_1(e.threshold), _1(a), _1(b)) for e, a, b in zip(drawn, benefits, everybody, strict=True)]),
    )


def _capacity(manifest: Manifest, points: Sequence[Operating]) -> Plot:
    few = [point for point in points if point.alerted <= 0.6] or list(points)
    axes = Axes(0, max(point.alerted for point in few), 0, 1)
    default = manifest.thresholds.default
    dots = tuple(Dot(axes.x(row.alert_rate), axes.y(row.sensitivity)) for row in manifest.thresholds.table)
    return Plot(
        "capacity",
        "Thresholds against capacity",
        "share that gets a card, in 100",
        "in 100",
        axes.x_ticks(100),
        axes.y_ticks(100),
        (
            Line("curve", axes.points((point.alerted, point.sensitivity) for point in few), "of the events, found"),
            Line("other", axes.points((point.alerted, point.ppv) for point in few), "of the cards, right"),
        ),
        tuple(dot for dot in dots if dot.x <= RIGHT),
        f"With a card for {_100(default.capacity)} in 100 of the reference cohort (the default, an estimate from "
        f"{_1(default.probability)} in 100), {_100(default.sensitivity)} of 100 events are found and "
        f"{_100(default.ppv)} of 100 cards are right. Line: events found; dotted: cards that are right; dots: the "
        "thresholds of the table.",
        (
            "share of the reference cohort",
            "estimate from, in 100",
            "cards that are right",
            "events found",
            "net benefit in 100",
        ),
        tuple(
            (f"{_1(row.capacity)} in 100", _1(row.probability), _1(row.ppv), _1(row.sensitivity), _1(benefit))
            for row, benefit in zip(manifest.thresholds.table, net_benefits(manifest), strict=True)
        ),
    )


def net_benefits(manifest: Manifest) -> list[float]:
    """Net benefit per person of each row of the thresholds: as computed in training, else from its PPV at `BAR`."""
    alerts = manifest.thresholds.alerts_per_event or BAR
    odds = 1.0 / (alerts - 1.0)
    return [
        row.net_benefit if row.net_benefit is not None else row.alert_rate * (row.ppv - odds * (1.0 - row.ppv))
        for row in manifest.thresholds.table
    ]


def net_benefit_of_everybody(manifest: Manifest) -> float:
    """Net benefit per person of alerting about everybody, in the same way."""
    thresholds = manifest.thresholds
    if thresholds.net_benefit_all is not None:
        return thresholds.net_benefit_all
    row = thresholds.default
    rate = row.alert_rate * row.ppv / row.sensitivity if row.sensitivity else 0.0
    return rate - (1.0 - rate) / ((thresholds.alerts_per_event or BAR) - 1.0)


def _thinned(rows: list[tuple[str, ...]]) -> tuple[tuple[str, ...], ...]:
    """At most a dozen rows of a table, first and last among them."""
    if len(rows) <= _TABLE_ROWS:
        return tuple(rows)
    return tuple(rows[round(n * (len(rows) - 1) / (_TABLE_ROWS - 1))] for n in range(_TABLE_ROWS))


def _share(value: float, low: float, high: float) -> float:
    return min(1.0, max(0.0, (value - low) / (high - low))) if high > low else 0.5


def _five(low: float, high: float) -> list[float]:
    return [low + (high - low) * n / 4 for n in range(5)]


def _above(value: float) -> float:
    """Return the end of an axis: the next 0.05, at most 1."""
    return min(1.0, 0.05 * (int(value / 0.05) + 1))


def _label(value: float) -> str:
    return f"{0.0 if abs(value) < 1e-9 else value:.3g}"


def _figure(figure: dict[str, Any]) -> str:
    value, low, high = (figure.get(name) for name in ("value", "low", "high"))
    if value is None or low is None or high is None:
        return "cannot be computed"
    return f"{value:.3f} ({low:.3f} to {high:.3f})"


def _100(share: float) -> str:
    return f"{100 * share:.0f}"


def _1(share: float) -> str:
    return f"{100 * share:.1f}"
