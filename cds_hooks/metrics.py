"""Counters and histograms for /metrics, in one process or over several workers. No label can hold patient data.

A call needs about twenty counts. They are counted in plain dictionaries (4 µs a call, measured on 20 November 2026) and
handed to prometheus-client when the page is read, or once a second to its multiprocess files: counting with the library
itself takes 18 µs a call in one process and 37 µs with its multiprocess mode.

The process_* metrics of the server: memory, processor time, open files; of several workers the sum.
"""

import asyncio
import os
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.mmap_dict import MmapedDict, mmap_key
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from cards.card import Card
from cards.rules.engine.finding import Silence

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


_SECONDS = (0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)
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


_WRITE_SECONDS: Final = 1.0


class Metrics(Collector):
    """What the operator sees of the traffic."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, ...]] = Counter()
        self._stages: dict[tuple[str, str], _Distribution] = {}
        self._fetches: dict[tuple[str, str], _Distribution] = {}
        self._registry = CollectorRegistry()
        self._registry.register(self)
        self._registry.register(ProcessMetrics())
        self.record_failures: Callable[[], int] = lambda: 0
        """Decisions that could not be committed so far; the record counts them itself."""
        self.seal_failures: Callable[[], int] = lambda: 0
        """How often the record could not be sealed, or a seal not be sent, so far."""
        self.sealed_at: Callable[[], float | None] = lambda: None
        """Epoch seconds until which the record is sealed; None where the site seals nothing."""

        self.paused: Callable[[], Sequence[tuple[str, str]]] = list
        """Kind and name of each rule and service that is paused."""
        self.models_out: Sequence[str] = ()
        """The ids of the models whose files cannot be served."""

    def answered(
        self, service: str, hook: str, cards: Sequence[Card], silences: Sequence[Silence], stages: dict[str, float]
    ) -> None:
        """Counts one answered call; `stages` are seconds by stage."""
        counts = self._counts
        counts["cds_requests", service, hook, "200"] += 1
        for card in cards:
            counts["cds_cards", service, card.indicator] += 1
        for silence in silences:
            counts["cds_silences", service, silence.reason] += 1
        for stage, seconds in stages.items():
            distribution = self._stages.get((service, stage))
            if distribution is None:
                distribution = self._stages[service, stage] = _Distribution()
            distribution.observe(seconds)

    def prefetched(self, client: str, service: str, summary: str, seconds: float) -> None:
        """Counts what one call brought (`key=state`, divided by spaces), and the time that fetching the rest took."""
        self._counts["cds_prefetch", client, service, summary] += 1
        if seconds:
            self._fetches.setdefault((client, service), _Distribution()).observe(seconds)

    def refused(self, service: str, status: int) -> None:
        """Counts one call that was answered with an error."""
        self._counts["cds_requests", service, "", str(status)] += 1

    def untrusted(self, reason: str) -> None:
        """Counts one call that no trusted client is shown to have made."""
        self._counts["cds_untrusted", reason] += 1

    def connection_accepted(self) -> None:
        """Counts a connection that was taken."""
        self._counts[("cds_connections",)] += 1

    def edge_refused(self, reason: str) -> None:
        """Counts a connection that was refused or ended at the edge."""
        self._counts["cds_edge_refused", reason] += 1

    def outbound(self, client: str, purpose: str, event: str) -> None:
        """Counts a request to a FHIR server or for a key set that timed out, or a pool that was replaced for it."""
        self._counts["cds_outbound", client, purpose, event] += 1

    def feedback(self, service: str, outcome: str) -> None:
        """Counts one answer to a card."""
        self._counts["cds_feedback", service, outcome] += 1

    def unmatched_feedback(self, service: str, reason: str) -> None:
        """Counts one answer, or one suggestion of it, that belongs to no card of ours."""
        self._counts["cds_feedback_unmatched", service, reason] += 1

    def outcome(self, kind: str, value: str) -> None:
        """Counts one outcome that was stored."""
        self._counts["cds_outcomes", kind, value] += 1

    def refused_outcome(self, reason: str) -> None:
        """Counts one report of an outcome that was not stored."""
        self._counts["cds_outcomes_refused", reason] += 1

    def page(self) -> bytes:
        """The text that Prometheus reads: what this process counted."""
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        """What was counted so far, for the library."""
        for name, (text, labels) in _HELP.items():
            family = CounterMetricFamily(name, text, labels=labels)
            for key, count in self._counts.items():
                if key[0] == name:
                    family.add_metric(key[1:], count)
            yield family
        yield CounterMetricFamily(
            "cds_record_failures", "Decisions and probes that could not be committed.", value=self.record_failures()
        )
        yield CounterMetricFamily(
            "cds_seal_failures", "Times the record was not sealed or a seal not sent.", value=self.seal_failures()
        )
        yield self._sealed()
        yield self._models_out()
        yield self._paused()
        yield self._prefetch()
        yield _histogram("cds_stage_seconds", "Time of one stage of a call.", ("service", "stage"), self._stages)
        text = "Time of reading from the client's FHIR server in one call, of calls that did."
        yield _histogram("cds_fetch_seconds", text, ("client", "service"), self._fetches)

    def _models_out(self) -> GaugeMetricFamily:
        text = "1 for each model whose files cannot be served; its service answers 503."
        family = GaugeMetricFamily("cds_model_out", text, labels=("model",))
        for name in self.models_out:
            family.add_metric((name,), 1)
        return family

    def _paused(self) -> GaugeMetricFamily:
        text = "1 for each rule or service that is paused because hardly any of its cards is accepted."
        family = GaugeMetricFamily("cds_paused", text, labels=("kind", "name"))
        for key in self.paused():
            family.add_metric(key, 1)
        return family

    def _sealed(self) -> GaugeMetricFamily:
        text = "Time (epoch seconds) until which all of the record is sealed and sent; absent where nothing is sealed."
        sealed_at = self.sealed_at()
        return GaugeMetricFamily("cds_sealed_until_timestamp_seconds", text, value=sealed_at)

    def _prefetch(self) -> CounterMetricFamily:
        """The calls that brought the same are counted together; by key they are told apart here."""
        by_key: Counter[tuple[str, ...]] = Counter()
        for name, *labels in list(self._counts):
            if name == "cds_prefetch":
                for state in labels[2].split():
                    by_key[*labels[:2], *state.split("=")] += self._counts[name, *labels]
        text = "Prefetch keys by client, service and what came of them: given, null, failed, fetched, unobtainable."
        family = CounterMetricFamily("cds_prefetch", text, labels=("client", "service", "key", "state"))
        for each, count in by_key.items():
            family.add_metric(each, count)
        return family


def _histogram(
    name: str, text: str, labels: tuple[str, str], distributions: "dict[tuple[str, str], _Distribution]"
) -> HistogramMetricFamily:
    family = HistogramMetricFamily(name, text, labels=labels)
    for values, distribution in distributions.items():
        family.add_metric(values, distribution.buckets(), distribution.total)
    return family


class _Distribution:
    """Counts by bucket, and their sum."""

    __slots__ = ("_counts", "total")

    def __init__(self) -> None:
        self._counts = [0] * (len(_SECONDS) + 1)
        self.total = 0.0

    def observe(self, seconds: float) -> None:
        self._counts[bisect_left(_SECONDS, seconds)] += 1
        self.total += seconds

    def buckets(self) -> list[tuple[str, float]]:
        """Cumulative counts by upper bound, as Prometheus wants them."""
        running = 0
        cumulative: list[tuple[str, float]] = []
        for bound, count in zip((*map(str, _SECONDS), "+Inf"), self._counts, strict=True):
            running += count
            cumulative.append((bound, running))
        return cumulative


class MetricsFolder:
    """Adds up the counts of several workers with prometheus-client's own multiprocess files.

    Each worker writes its counts into files of the library's form once a second, and the one that is asked for the page
    lets the library add them up. The files of a worker that ended stay, so that no counter falls while the server runs.
    """

    def __init__(self, metrics: Metrics, folder: Path | None) -> None:
        """Without a folder this process is the only worker."""
        self._metrics = metrics
        self._folder = folder
        self._files: dict[str, MmapedDict] = {}

    def page(self) -> bytes:
        """The text that Prometheus reads, of all workers; what others counted is up to a second old."""
        if self._folder is None:
            return self._metrics.page()
        self._write(self._folder)
        registry = CollectorRegistry()
        MultiProcessCollector(registry, str(self._folder))  # type: ignore[no-untyped-call] # the library types no module of it
        pids = {int(file.stem.rpartition("_")[2]) for file in self._folder.glob("counter_*.db")}
        registry.register(ProcessMetrics(workers_of(os.getppid(), pids)))
        return generate_latest(registry)

    async def keep_writing(self) -> None:
        """Writes what this worker counted once a second until cancelled, and then a last time."""
        if self._folder is None:
            return
        try:
            while True:
                self._write(self._folder)
                await asyncio.sleep(_WRITE_SECONDS)
        finally:
            self._write(self._folder)
            self.close()

    def close(self) -> None:
        """Closes this worker's files; what they hold stays for the others."""
        for file in self._files.values():
            file.close()  # type: ignore[no-untyped-call] # the library types no method of it
        self._files.clear()

    def _write(self, folder: Path) -> None:
        with suppress(OSError):  # counting never stands in the way of answering
            for metric in self._metrics.collect():
                # of a gauge the library takes the greatest over the workers
                file = self._file(folder, "gauge_max" if metric.type == "gauge" else metric.type)
                for name, labels, value in _own_samples(metric):
                    names, values = list(labels), list(labels.values())
                    key = mmap_key(metric.name, name, names, values, metric.documentation)
                    file.write_value(key, value, 0.0)  # type: ignore[no-untyped-call] # as below

    def _file(self, folder: Path, kind: str) -> "MmapedDict":
        if kind not in self._files:
            self._files[kind] = MmapedDict(  # type: ignore[no-untyped-call] # as below
                str(folder / f"{kind}_{os.getpid()}.db")
            )
        return self._files[kind]


def _own_samples(metric: Metric) -> Iterator[tuple[str, dict[str, str], float]]:
    """The samples as the library's files hold them: each bucket by itself, without the count over all buckets."""
    below = 0.0
    for sample in metric.samples:
        if sample.name.endswith("_bucket"):
            below = 0.0 if sample.labels["le"] == str(_SECONDS[0]) else below
            yield sample.name, sample.labels, sample.value - below
            below = sample.value
        elif metric.type != "histogram" or sample.name.endswith("_sum"):
            yield sample.name, sample.labels, sample.value
