"""What was observed against what a model estimates, as a drawing in numbers, and the net benefit of its thresholds.

Who draws it needs no computation. Net benefit: Vickers and Elkin, Med Decis Making 2006;26:565.
"""

from msgspec import Struct

from models_onnx.artifact.manifest import Manifest

# The edges of the area of the drawing in which points stand.
LEFT, RIGHT, TOP, BOTTOM = 48, 348, 12, 204
BAR = 5.0
"""Alerts that one event found is worth where a model names no other number: a PPV of 0.2 (docs/models/gates.md)."""


class Tick(Struct, frozen=True):
    """A label of both axes, and its place on the one below and on the one beside."""

    x: float
    y: float
    label: str


class Dot(Struct, frozen=True):
    """One group of people with the ends of its interval, by place."""

    x: float
    y: float
    top: float
    bottom: float


class Calibration(Struct, frozen=True):
    """The drawing: ticks and dots by place, its sentence, and the same numbers as a table."""

    ticks: tuple[Tick, ...]
    dots: tuple[Dot, ...]
    text: str
    rows: tuple[tuple[str, ...], ...]


def calibration(manifest: Manifest) -> Calibration:
    """Return the estimates against what was observed, of the groups of the reference cohort with similar estimates.

    Each person was predicted by a model that was not trained on them.
    """
    there = [group for group in manifest.reference.bins if group.count]
    highest = max(max(group.high, group.predicted) for group in there)
    end = min(1.0, 0.05 * (int(highest / 0.05) + 1))

    def x(share: float) -> float:
        return round(LEFT + (RIGHT - LEFT) * min(1.0, share / end), 1)

    def y(share: float) -> float:
        return round(BOTTOM - (BOTTOM - TOP) * min(1.0, share / end), 1)

    agree = sum(group.low <= group.predicted <= group.high for group in there)
    return Calibration(
        tuple(Tick(x(end * n / 4), y(end * n / 4), f"{100 * end * n / 4:.3g}") for n in range(5)),
        tuple(Dot(x(group.predicted), y(group.rate), y(group.high), y(group.low)) for group in there),
        f"Each dot is a group with similar estimates; its line is the 95 % interval of what was observed. In {agree} "
        f"of {len(there)} groups the estimate lies within it. On the dashed line as many had the event as estimated.",
        tuple(
            (_1(group.predicted), _1(group.rate), f"{_1(group.low)} to {_1(group.high)}", f"{group.count:,}")
            for group in there
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


def _1(share: float) -> str:
    return f"{100 * share:.1f}"
