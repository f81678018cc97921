"""Where the time of a call goes: what the service itself says of its stages, alone and under load."""

from __future__ import annotations

import re
from collections.abc import Callable
from statistics import median

from benchmarks.subject import EXTENSION, CallJson, asking_for_timings

_CALLS = 30
_SUM_OR_COUNT = re.compile(
    r'^cds_stage_seconds_(sum|count)\{(?=.*service="([^"]*)")(?=.*stage="([^"]*)").*\} (\S+)$', re.MULTILINE
)


def unloaded_stages(call: CallJson, path: str, body: bytes) -> dict[str, float]:
    """Median microseconds of each stage as the response says it, one call after another; {} when it says nothing."""
    asking = asking_for_timings(body)
    seen: dict[str, list[float]] = {}
    for _ in range(_CALLS):
        answer = call("POST", path, asking)
        for stage, milliseconds in answer.get("extension", {}).get(EXTENSION, {}).get("timings", {}).items():
            seen.setdefault(stage, []).append(milliseconds * 1000)
    return {stage: median(values) for stage, values in seen.items()}


class LoadedStages:
    """Mean microseconds of each stage under load, from what /metrics gained between two looks."""

    def __init__(self, read_metrics: Callable[[], str], path: str) -> None:
        self._read_metrics = read_metrics
        self._service = path.rpartition("/")[2]
        self._before = self._look()

    def _look(self) -> dict[tuple[str, str], float]:
        found = _SUM_OR_COUNT.findall(self._read_metrics())
        return {(kind, stage): float(value) for kind, service, stage, value in found if service == self._service}

    def means(self) -> dict[str, float]:
        """By stage; {} when /metrics has no such histogram. With several workers: of the one that answered."""
        after = self._look()
        means: dict[str, float] = {}
        for (kind, stage), total in after.items():
            calls = after.get(("count", stage), 0.0) - self._before.get(("count", stage), 0.0)
            if kind == "sum" and calls > 0:
                means[stage] = 1e6 * (total - self._before.get(("sum", stage), 0.0)) / calls
        return means
