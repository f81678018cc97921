"""Feeds of the watch's tests: as many messages in every step as are usual, with nothing learned but that."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import numpy as np

from cds_hooks.events.watch.baseline import SHARE_KINDS, Baseline
from cds_hooks.events.watch.departures import Judge
from cds_hooks.events.watch.history import Feed

MONDAY: Final = int(datetime(2026, 5, 4, tzinfo=UTC).timestamp()) // 300
"""The step that begins at midnight, in UTC."""
RARE: Final = dict.fromkeys(SHARE_KINDS, 0.001)


def flat(mean: float, **more: Any) -> Baseline:
    """A baseline of so many messages in each step."""
    members: dict[str, Any] = {"spread": 1.0, "rates": RARE} | more
    return Baseline(UTC, frozenset(), np.full((7, 24), mean), **members)


def feed_of(steps: Sequence[Mapping[str, float]], first: int = MONDAY) -> Feed:
    feed = Feed("lab", first)
    for counts in steps:
        feed.take(counts)
    return feed


def judge_of(baseline: Baseline, newest: Sequence[Mapping[str, float]], before: int = 3 * 288) -> Judge:
    """What judges a feed after some steps that were as usual, and the newest ones."""
    steps = [MONDAY + step for step in range(before)]
    usual = [{"messages": float(baseline.due(step, step + 1)[0][0])} for step in steps]
    return Judge(feed_of([*usual, *newest]), baseline)
