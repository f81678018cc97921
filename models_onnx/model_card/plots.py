"""Drawings in numbers: who draws them needs no computation, and each has its text and table.

The calibration of a model is drawn from groups of people with similar estimates, the bins of its manifest. Net benefit:
Vickers and Elkin, Med Decis Making 2006;26:565.
"""

from collections.abc import Iterable, Sequence

from msgspec import Struct

from models_onnx.artifact.manifest import Manifest

# The edges of the area of the drawing in which points stand.
LEFT, RIGHT, TOP, BOTTOM = 48, 348, 12, 204
BAR = 5.0
"""Alerts that one event found is worth where a model names no other number: a PPV of 0.2 (docs/models/gates.md)."""


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


class Tick(Struct, frozen=True):
    """A label of an axis and its place in the drawing."""

    at: float
    label: str


class Line(Struct, frozen=True):
    """Points in the form of SVG, and what they are: `kind` is its look, as even for what was expected."""

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


def _share(value: float, low: float, high: float) -> float:
    return min(1.0, max(0.0, (value - low) / (high - low))) if high > low else 0.5


def _five(low: float, high: float) -> list[float]:
    return [low + (high - low) * n / 4 for n in range(5)]


def _above(value: float) -> float:
    """Return the end of an axis: the next 0.05, at most 1."""
    return min(1.0, 0.05 * (int(value / 0.05) + 1))


def _label(value: float) -> str:
    return f"{0.0 if abs(value) < 1e-9 else value:.3g}"


def _1(share: float) -> str:
    return f"{100 * share:.1f}"
