"""Feeds of the watch's tests: as many messages in every step as are expected, with nothing learned but that."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import numpy as np

from cds_hooks.events.watch.baseline import Baseline, expect
from cds_hooks.events.watch.contents import Columns
from cds_hooks.events.watch.history import History
from cds_hooks.events.watch.incidents import Topology
from cds_hooks.events.watch.watching import Watch, WatchedFeed

MONDAY: Final = int(datetime(2026, 5, 4, tzinfo=UTC).timestamp()) // 300
"""The step that begins at midnight, in UTC."""


def flat(mean: float, sunday: float | None = None, **more: Any) -> Baseline:
    """A baseline of so many messages in each step, with another level on Sundays."""
    hours = np.full((7, 24), mean)
    hours[6] = mean if sunday is None else sunday
    variances = {"hour_variance": np.zeros((7, 24)), "day_variance": np.zeros(7)}
    members: dict[str, Any] = variances | {"spread": 1.0, "is_batch": False} | more
    return Baseline(UTC, hours, **members)


def history_of(steps: Sequence[Mapping[str, float]], first: int = MONDAY) -> History:
    history = History(first)
    for counts in steps:
        history.append(counts)
    return history


def learn_flat(feed: WatchedFeed, baseline: Baseline, days: int = 3) -> None:
    """Give a feed some days that are as its baseline says."""
    end = feed.history.first + days * 288
    for step in range(feed.history.first, end):
        moment = datetime.fromtimestamp(step * 300, UTC)
        feed.history.append({"messages": baseline.hours[moment.weekday(), moment.hour]})
    feed.start_at(end)
    feed.expected = expect(baseline, end - 600, end + 312, frozenset())
    feed._columns = Columns(feed, baseline)


def watch_over(baselines: Mapping[str, Baseline], topology: Topology, first: int = MONDAY) -> Watch:
    """A watch over feeds with these baselines after three days."""
    watch = Watch(dict.fromkeys(baselines, UTC), first, topology=topology)
    for name, baseline in baselines.items():
        learn_flat(watch.feeds[name], baseline)
    return watch
