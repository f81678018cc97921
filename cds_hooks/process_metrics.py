"""The process_* metrics of the server: memory, processor time, open files; of several workers the sum."""

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Final

from prometheus_client import ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

_LEAST: Final = frozenset({"process_start_time_seconds", "process_max_fds"})
"""Of these the lowest value of a worker is reported; of all others the sum over the workers."""


class ProcessMetrics(Collector):
    """What /proc says of these processes; nothing on a system without it."""

    def __init__(self, pids: Collection[int] | None = None) -> None:
        """Without `pids` it is this process."""
        self._pids = ["self"] if pids is None else sorted(str(pid) for pid in pids)

    def collect(self) -> Iterator[Metric]:
        """One metric for each name, without labels."""
        values: dict[str, list[float]] = {}
        kinds: dict[str, Metric] = {}
        for pid in self._pids:
            for metric in _of(pid):
                kinds[metric.name] = metric
                values.setdefault(metric.name, []).extend(sample.value for sample in metric.samples)
        for name, metric in kinds.items():
            value = min(values[name]) if name in _LEAST else sum(values[name])
            family = CounterMetricFamily if metric.type == "counter" else GaugeMetricFamily
            yield family(name, metric.documentation, value=value)


def workers_of(parent: int, pids: Collection[int]) -> list[int]:
    """Those of the process ids whose parent is this one: the number of a dead worker may be another program's."""
    return [pid for pid in pids if _parent_of(pid) == parent]


def _of(pid: str) -> list[Metric]:
    collector = ProcessCollector(pid=lambda: pid, registry=None)
    return list(collector.collect())


def _parent_of(pid: int) -> int | None:
    try:
        status = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
        # the name of the program stands in brackets and may hold spaces
        return int(status.rpartition(")")[2].split()[1])
    except (OSError, IndexError, ValueError):
        return None
