"""People drawn by chance: how often the gate fairness fails who treats all groups alike, and finds who does not."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from models_onnx.workbench.gates.checks.fairness import comparisons, gap_faults, simultaneous

SENSITIVITY, FALSE_POSITIVE = 0.45, 0.08
RATE = 0.1
_Z = 1.959964


@dataclass(frozen=True, slots=True)
class Design:
    """Groups by their numbers of events, and by how much fewer of their events have a card."""

    words: str
    events: tuple[int, ...]
    harm: tuple[float, ...] = ()

    def draw(self, draw: np.random.Generator) -> list[dict[str, Any]]:
        """Returns the figures of the groups as an evaluation gives them."""
        harm = self.harm or (0.0,) * len(self.events)
        return [
            _figures(f"group {number}", events, SENSITIVITY - less, draw)
            for number, (events, less) in enumerate(zip(self.events, harm, strict=True))
        ]


DESIGNS = (
    Design("2 groups of 1,000 events, alike", (1000, 1000)),
    Design("6 groups, the smallest of 100 events, alike", (2000, 500, 200, 150, 100, 100)),
    Design("10 groups of 100 events, alike", (100,) * 10),
    Design("20 groups of 100 events, alike", (100,) * 20),
    Design("one of 6 groups (200 events), 20 points fewer", (2000, 500, 200, 150, 100, 100), (0, 0, 0.2, 0, 0, 0)),
    Design("one of 10 groups of 300 events, 25 points fewer", (300,) * 10, (0.25, *(0.0,) * 9)),
    Design("8 groups of 60 events beside one of 2,000, each 20 points fewer", (2000, *(60,) * 8), (0.0, *(0.2,) * 8)),
)


def share_failed(design: Design, times: int, seed: int = 20261122, *, widened: bool = True) -> float:
    """Returns the share of so many drawn models that the gate fails for a gap of error rates."""
    draw = np.random.default_rng(seed)
    failed = 0
    for _ in range(times):
        groups = design.draw(draw)
        counted = comparisons([{**group, "axis": "race"} for group in groups], {"race": "all"})
        failed += bool(gap_faults("race", groups, simultaneous(counted) if widened else 1.0))
    return failed / times


def _figures(name: str, events: int, sensitivity: float, draw: np.random.Generator) -> dict[str, Any]:
    others = round(events / RATE) - events
    return {
        "group": name,
        "n": events + others,
        "events": events,
        "sensitivity": _share(int(draw.binomial(events, sensitivity)), events),
        "false_positive_rate": _share(int(draw.binomial(others, FALSE_POSITIVE)), others),
    }


def _share(count: int, of: int) -> dict[str, float]:
    value = count / of
    half = _Z * (value * (1 - value) / of) ** 0.5
    return {"value": value, "low": value - half, "high": value + half}
