"""Judges the watch's volumes on counts of the Numenta Anomaly Benchmark: `python -m benchmarks.nab`.

Plain precision, recall and delay by the windows of the benchmark, without points that are adjusted to them, beside a
Gaussian over a sliding window of 1,000 values, as the benchmark's detector `windowedGaussian` has it (commit 0c89e477;
no threshold of it is stored there, so the level is the one of the watch). Judged are the series that are counts and
longer than the two weeks that the watch learns; the first two weeks count for neither.
"""

import csv
import gzip
import json
import sys
from datetime import UTC, datetime
from itertools import pairwise
from math import erfc, sqrt
from pathlib import Path
from statistics import median
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np

from cds_hooks.events.watch.history import STEP_SECONDS, STEPS_A_DAY
from cds_hooks.events.watch.watching import LEARN_DAYS, Watch
from cds_hooks.settings import Settings

SERIES: Final = ("realKnownCause/nyc_taxi", "realTweets/Twitter_volume_AAPL", "realTweets/Twitter_volume_CVS")
_WINDOW: Final = 1000
_LEVEL: Final = 2e-7
_APART_STEPS: Final = 12
"""Alarms of the Gaussian that are less than an hour apart are one, as an incident of the watch is."""


def counts_of(path: Path) -> tuple[int, list[float]]:
    """Return the first step of a series, and its counts in steps of five minutes; longer steps are divided evenly."""
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        rows = [(_step(row["timestamp"]), float(row["value"])) for row in csv.DictReader(file)]
    first = rows[0][0]
    counts = [0.0] * (rows[-1][0] - first + 1)
    apart = int(median(after - before for (before, _), (after, _) in pairwise(rows)))
    for step, value in rows:
        for part in range(apart):
            if step - first + part < len(counts):
                counts[step - first + part] += value / apart
    return first, counts


def _step(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) // STEP_SECONDS


def watch_alarms(first: int, counts: list[float]) -> list[int]:
    """Return the steps at which the watch opens an incident."""
    watch = Watch({"series": ZoneInfo("UTC")}, first)
    opened = []
    for count in counts:
        begun, _ = watch.step({"series": {"messages": count}})
        opened += [watch.feeds["series"].history.end - 1 for _ in begun]
    return opened


def gaussian_alarms(first: int, counts: list[float]) -> list[int]:
    """Return the steps at which a count is unlikely by mean and deviation of those before it."""
    values, alarms, last = np.array(counts), list[int](), -_APART_STEPS
    for index in range(_WINDOW, len(values)):
        window = values[index - _WINDOW : index]
        deviations = abs(values[index] - window.mean()) / max(float(window.std()), 1e-6)
        if erfc(float(deviations) / sqrt(2)) < _LEVEL:
            if index - last >= _APART_STEPS:
                alarms.append(first + index)
            last = index
    return alarms


def judged(alarms: list[int], windows: list[tuple[int, int]], begin: int) -> dict[str, float | str | None]:
    """Return precision, recall and the median delay in hours, of what comes after `begin`."""
    windows = [window for window in windows if window[0] >= begin]
    alarms = [step for step in alarms if step >= begin]
    right = [step for step in alarms if any(start <= step <= end for start, end in windows)]
    firsts = [min((step for step in right if start <= step <= end), default=None) for start, end in windows]
    delays = [(step - start) / 12 for step, (start, _) in zip(firsts, windows, strict=True) if step is not None]
    return {
        "precision": f"{len(right)} of {len(alarms)}",
        "recall": f"{len(delays)} of {len(windows)}",
        "median delay in hours": round(median(delays), 1) if delays else None,
    }


def main() -> None:
    """Print a line for each series and detector."""
    folder = Settings().data_dir / "series" / "nab"
    marked = json.loads((folder / "combined_windows.json").read_text(encoding="utf-8"))
    for name in SERIES:
        first, counts = counts_of(folder / f"{name.replace('/', '-')}.csv.gz")
        windows = [(_step(start), _step(end)) for start, end in marked[f"{name}.csv"]]
        for detector in (watch_alarms, gaussian_alarms):
            figures = judged(detector(first, counts), windows, first + LEARN_DAYS * STEPS_A_DAY)
            sys.stdout.write(json.dumps({"series": name, "detector": detector.__name__, **figures}) + "\n")


if __name__ == "__main__":
    main()
