"""The drawings of a model card for few people whose shares can be checked by hand, as a text.

python -m tests.models_onnx.model_card.drawings --write    # review the difference before you commit it
"""

import sys
from collections.abc import Iterator

import msgspec

from models_onnx.artifact.manifest import Threshold
from models_onnx.model_card.effect_plots import effect_plots
from models_onnx.model_card.plots import Bin, Plot, curves
from models_onnx.serving.effects import Effect
from models_onnx.serving.registry import load_model
from tests.conftest import ROOT

PINNED = ROOT / "tests" / "cases" / "drawings.txt"
# 1,000 people, 100 with the event: 10, 20, 30 and 40 of them from the lowest estimates to the highest.
_BINS = [
    Bin(0.0, 500, 10, 0.03, 0.01, 0.04),
    Bin(0.05, 300, 20, 0.07, 0.04, 0.10),
    Bin(0.2, 150, 30, 0.25, 0.14, 0.27),
    Bin(0.5, 50, 40, 0.70, 0.67, 0.89),
]
_AUROC = {"value": 0.8456, "low": 0.8012, "high": 0.8899}


def _row(capacity: float, probability: float, found: float, right: float, benefit: float | None) -> Threshold:
    return Threshold(
        capacity=capacity,
        percentile=100 - 100 * capacity,
        margin=0.0,
        probability=probability,
        alert_rate=capacity,
        ppv=right,
        sensitivity=found,
        number_needed_to_alert=1 / right,
        net_benefit=benefit,
    )


def _drawings() -> list[Plot]:
    manifest = load_model("readmission_30d").manifest
    rows = (_row(0.05, 0.5, 0.4, 0.8, 0.035), _row(0.2, 0.2, 0.7, 0.35, None), _row(0.9, 0.01, 1.0, 0.11, None))
    thresholds = msgspec.structs.replace(
        manifest.thresholds, capacity=0.2, table=rows, net_benefit_all=None, alerts_per_event=4.0
    )
    ours = msgspec.structs.replace(manifest, thresholds=thresholds, row_words="stays")
    many = [Bin(n / 20, 10, n / 2, n / 20, n / 25, n / 18) for n in range(20)]
    return [
        *curves(_BINS, _BINS[1:], ours, _AUROC),
        *curves(many, many, ours, {}),
        *effect_plots(_effects(), "logit"),
        *effect_plots(_effects()[:1], "identity"),
    ]


def _effects() -> list[Effect]:
    items = {item.name: item for item in load_model("mortality_5y").manifest.features}
    rising = (-0.4, -0.1, 0.0, 0.25, 0.9)
    ages = (20.0, 40.0, 50.0, 65.0, 90.0)
    around = tuple(value + 0.2 for value in rising)
    many = tuple(float(n) for n in range(30))
    bent = tuple(0.01 * (n - 11) ** 2 for n in range(30))
    return [
        Effect(items["age_years"], ages, rising, rising, rising),
        Effect(items["age_years"], many, bent, bent, bent),
        Effect(items["age_years"], many[:12], bent[:12], bent[:12], bent[:12]),
        Effect(items["age_years"], ages, tuple(v - 0.1 for v in rising), rising, around),
        Effect(items["sex_male"], (0.0, 1.0), (-0.3, 0.1), (-0.2, 0.2), (-0.1, 0.3)),
    ]


def text() -> str:
    """Return every drawing whole: words, labels with their places, lines, dots, the sentence and the table."""
    return "\n".join(line for plot in _drawings() for line in _lines(plot))


def _lines(plot: Plot) -> Iterator[str]:
    yield f"# {plot.id}: {plot.title} | {plot.x_words} | {plot.y_words}"
    yield f"below: {', '.join(f'{tick.label} at {tick.at:g}' for tick in plot.x_ticks)}"
    yield f"beside: {', '.join(f'{tick.label} at {tick.at:g}' for tick in plot.y_ticks)}"
    yield from (f"{line.kind} ({line.name}): {line.points}" for line in plot.lines)
    yield from (f"dot: {dot}" for dot in plot.dots)
    yield plot.text
    yield from (" | ".join(row) for row in (plot.header, *plot.rows))
    yield ""


if __name__ == "__main__" and "--write" in sys.argv:
    PINNED.write_text(text(), encoding="utf-8")
