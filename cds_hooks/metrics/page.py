"""What was counted, handed to prometheus-client: the page /metrics and the files of several workers.

The process_* metrics of the server: memory, processor time, open files; of several workers the sum.
"""

import os
from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.mmap_dict import MmapedDict, mmap_key
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from cds_hooks.metrics.counts import SECONDS, Distribution, Metrics

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


_HELP = {
    "cds_requests": ("Calls by service, hook and HTTP status.", ("service", "hook", "status")),
    "cds_cards": ("Cards by service and indicator.", ("service", "indicator")),
    "cds_silences": ("Reasons for saying nothing, by service and reason code.", ("service", "reason")),
    "cds_untrusted": ("Calls whose caller is not trusted, by reason class.", ("reason",)),
    "cds_connections": ("Connections that were accepted; those that were not are in cds_edge_refused.", ()),
    "cds_edge_refused": (
        "Connections that were refused or ended before a request was answered, by reason (docs/security.md).",
        ("reason",),
    ),
    "cds_outbound": (
        "Requests to FHIR servers (fhir) and key sets (keys) that ended by time (timeout), and connection pools that "
        "were replaced because requests timed out one after another (pool-replaced).",
        ("client", "purpose", "event"),
    ),
    "cds_feedback": ("Clinicians' answers to cards, by service and outcome.", ("service", "outcome")),
    "cds_feedback_unmatched": ("Answers to no card that this client got from this service.", ("service", "reason")),
    "cds_outcomes": ("Outcomes that were reported and stored, by kind and value.", ("kind", "value")),
    "cds_outcomes_refused": ("Reports of outcomes that belong to no decision of the client.", ("reason",)),
}


class _Counted(Collector):
    """What one process counted."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def collect(self) -> Iterator[Metric]:
        """What was counted so far."""
        for name, (text, labels) in _HELP.items():
            family = CounterMetricFamily(name, text, labels=labels)
            for key, count in self._metrics.counts.items():
                if key[0] == name:
                    family.add_metric(key[1:], count)
            yield family
        yield CounterMetricFamily(
            "cds_record_failures",
            "Decisions and probes that could not be committed.",
            value=self._metrics.record_failures(),
        )
        yield CounterMetricFamily(
            "cds_seal_failures",
            "Times the record was not sealed or a seal not sent.",
            value=self._metrics.seal_failures(),
        )
        yield self._sealed()
        yield self._models_out()
        yield self._paused()
        yield self._prefetch()
        yield _histogram(
            "cds_stage_seconds", "Time of one stage of a call.", ("service", "stage"), self._metrics.stages
        )
        text = "Time of reading from the client's FHIR server in one call, of calls that did."
        yield _histogram("cds_fetch_seconds", text, ("client", "service"), self._metrics.fetches)

    def _models_out(self) -> GaugeMetricFamily:
        text = "1 for each model whose files cannot be served; its service answers 503."
        family = GaugeMetricFamily("cds_model_out", text, labels=("model",))
        for name in self._metrics.models_out:
            family.add_metric((name,), 1)
        return family

    def _paused(self) -> GaugeMetricFamily:
        text = "1 for each rule or service that is paused because hardly any of its cards is accepted."
        family = GaugeMetricFamily("cds_paused", text, labels=("kind", "name"))
        for key in self._metrics.paused():
            family.add_metric(key, 1)
        return family

    def _sealed(self) -> GaugeMetricFamily:
        text = "Time (epoch seconds) until which all of the record is sealed and sent; absent where nothing is sealed."
        sealed_at = self._metrics.sealed_at()
        return GaugeMetricFamily("cds_sealed_until_timestamp_seconds", text, value=sealed_at)

    def _prefetch(self) -> CounterMetricFamily:
        """The calls that brought the same are counted together; by key they are told apart here."""
        by_key: Counter[tuple[str, ...]] = Counter()
        for name, *labels in list(self._metrics.counts):
            if name == "cds_prefetch":
                for state in labels[2].split():
                    by_key[*labels[:2], *state.split("=")] += self._metrics.counts[name, *labels]
        text = "Prefetch keys by client, service and what came of them: given, null, failed, fetched, unobtainable."
        family = CounterMetricFamily("cds_prefetch", text, labels=("client", "service", "key", "state"))
        for each, count in by_key.items():
            family.add_metric(each, count)
        return family


def _histogram(
    name: str, text: str, labels: tuple[str, str], distributions: "dict[tuple[str, str], Distribution]"
) -> HistogramMetricFamily:
    family = HistogramMetricFamily(name, text, labels=labels)
    for values, distribution in distributions.items():
        family.add_metric(values, distribution.buckets(), distribution.total)
    return family


def page_of(metrics: Metrics) -> bytes:
    """The text that Prometheus reads, of one process."""
    registry = CollectorRegistry()
    registry.register(_Counted(metrics))
    registry.register(ProcessMetrics())
    return generate_latest(registry)


class WorkerFiles:
    """The files in a folder in which this worker says what it counted, and the page of all workers."""

    def __init__(self, metrics: Metrics, folder: Path) -> None:
        """The files are made with the first `write`."""
        self._counted = _Counted(metrics)
        self._folder = folder
        self._files: dict[str, MmapedDict] = {}

    def page(self) -> bytes:
        """The text that Prometheus reads, of all workers."""
        with suppress(OSError):  # as in `MetricsFolder`
            self.write()
        registry = CollectorRegistry()
        MultiProcessCollector(registry, str(self._folder))  # type: ignore[no-untyped-call] # the library types no module of it
        pids = {int(file.stem.rpartition("_")[2]) for file in self._folder.glob("counter_*.db")}
        registry.register(ProcessMetrics(workers_of(os.getppid(), pids)))
        return generate_latest(registry)

    def close(self) -> None:
        """Closes them; what they hold stays for the others."""
        for file in self._files.values():
            file.close()  # type: ignore[no-untyped-call] # the library types no method of it
        self._files.clear()

    def write(self) -> None:
        """Writes what was counted so far."""
        for metric in self._counted.collect():
            # of a gauge the library takes the greatest over the workers
            file = self._file("gauge_max" if metric.type == "gauge" else metric.type)
            for name, labels, value in _own_samples(metric):
                names, values = list(labels), list(labels.values())
                key = mmap_key(metric.name, name, names, values, metric.documentation)
                file.write_value(key, value, 0.0)  # type: ignore[no-untyped-call] # as above

    def _file(self, kind: str) -> "MmapedDict":
        if kind not in self._files:
            path = self._folder / f"{kind}_{os.getpid()}.db"
            self._files[kind] = MmapedDict(str(path))  # type: ignore[no-untyped-call] # as above
        return self._files[kind]


def _own_samples(metric: Metric) -> Iterator[tuple[str, dict[str, str], float]]:
    """The samples as the library's files hold them: each bucket by itself, without the count over all buckets."""
    below = 0.0
    for sample in metric.samples:
        if sample.name.endswith("_bucket"):
            below = 0.0 if sample.labels["le"] == str(SECONDS[0]) else below
            yield sample.name, sample.labels, sample.value - below
            below = sample.value
        elif metric.type != "histogram" or sample.name.endswith("_sum"):
            yield sample.name, sample.labels, sample.value
