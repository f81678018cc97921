"""The page /metrics: what the workers counted, written by prometheus-client.

The process_* metrics of the server: memory, processor time; of several workers the sum, and the most open files.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Final

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from cds_hooks.telemetry.metrics.counts import SECONDS, Distribution, Distributions, Snapshot

_LEAST: Final = frozenset({"process_start_time_seconds", "process_max_fds"})
"""Of these the lowest value of a worker is reported; of all others but the next the sum over the workers."""
_MOST: Final = frozenset({"process_open_fds"})
"""Of this the value of the fullest worker: each has a limit of its own, and their sum would reach it with none full."""

_HELP: Final = {
    "cds_requests": ("Calls by service, hook and HTTP status.", ("service", "hook", "status")),
    "cds_cards": ("Cards by advisor and indicator.", ("advisor", "indicator")),
    "cds_silences": ("Reasons for saying nothing, by service and reason code.", ("service", "reason")),
    "cds_not_understood": (
        "Problems, results and medications that could not be read, by client, kind and code "
        "(local: a code of the site's own).",
        ("client", "kind", "code"),
    ),
    "cds_untrusted": ("Calls whose caller is not trusted, by reason class.", ("reason",)),
    "cds_refused": (
        "Calls of trusted clients that were answered with an error, by client, service, hook and class of the reason.",
        ("client", "service", "hook", "reason"),
    ),
    "cds_connections": ("Connections that were accepted; those that were not are in cds_edge_refused.", ()),
    "cds_edge_refused": (
        "Connections that were refused or ended before a request was answered, by reason (docs/security.md).",
        ("reason",),
    ),
    "cds_outbound": (
        "Requests to FHIR servers (fhir) and for key sets (keys) that ended by time (timeout).",
        ("client", "purpose", "event"),
    ),
    "cds_fhir_unanswered": (
        "Calls for which a client's FHIR server was asked and gave nothing: no connection, no answer in time, or busy.",
        ("client",),
    ),
    "cds_feedback": ("Clinicians' answers to cards, by service and outcome.", ("service", "outcome")),
    "cds_feedback_unmatched": ("Answers to no card that this client got from this service.", ("service", "reason")),
    "cds_outcomes": ("Outcomes that were reported and stored, by kind and value.", ("kind", "value")),
    "cds_feed_messages": (
        "Messages of feeds that were stored, by feed and state: done, duplicate, dead.",
        ("feed", "state"),
    ),
    "cds_feed_connections": (
        "Faults of connections of feeds, by event: refused, lost, noise, frame-timeout, frame-too-long.",
        ("feed", "event"),
    ),
    "cds_work_failures": (
        "Times that work beside the calls (reading acts and approvals, sealing, feeds) failed and began again.",
        (),
    ),
    "cds_store_failures": (
        "Calls, reports and pages that were answered 503 because a store could not be read or written, by store: the "
        "record, the used tokens, the accounts.",
        ("store",),
    ),
    "cds_outcomes_refused": ("Reports of outcomes that belong to no decision of the client.", ("reason",)),
}


_WAITS: Final = (
    ("cds_call_seconds", "Time of a whole answered call, from its arrival in the kernel to its answer.", "service"),
    ("cds_loop_lag_seconds", "How late the event loop is, asked ten times a second.", "loop"),
)
IN_FORCE: Final = (
    "Behind a trust file how many rules are approved (rules-approved) and are not (rules-not-approved), how many "
    "services that the site declares (services-approved, services-not-approved), and how many acts wait "
    "for a second person (pending); everywhere what is switched off or held in shadow by an act (switches)."
)


def page_of(snapshots: Sequence[Snapshot], pids: Collection[int] | None = None) -> bytes:
    """Return the text that Prometheus reads, of these workers together; without `pids` of this process."""
    registry = CollectorRegistry()
    registry.register(_Counted(snapshots))
    registry.register(ProcessMetrics(pids))
    return generate_latest(registry)


class _Counted(Collector):
    """What several processes counted."""

    def __init__(self, snapshots: Sequence[Snapshot]) -> None:
        self._snapshots = snapshots
        self._counts: Counter[tuple[str, ...]] = Counter()
        for snapshot in snapshots:
            self._counts.update(dict(snapshot.counts))

    def collect(self) -> Iterator[Metric]:
        """Yield what was counted so far."""
        snapshots = self._snapshots
        for name, (text, labels) in _HELP.items():
            values = {key[1:]: count for key, count in self._counts.items() if key[0] == name}
            yield _counter(name, text, labels, values)
        text = "Decisions and probes that could not be committed."
        yield CounterMetricFamily("cds_record_failures", text, sum(snapshot.record_failures for snapshot in snapshots))
        text = "Times the record was not sealed or a seal not sent."
        yield CounterMetricFamily("cds_seal_failures", text, sum(snapshot.seal_failures for snapshot in snapshots))
        text = "1 where the newest trust file has mistakes, so that it is not, or not as a whole, in force."
        is_refused = any(snapshot.trust_refused_at for snapshot in snapshots)
        yield GaugeMetricFamily("cds_trust_file_refused", text, int(is_refused))
        text = "Time (epoch seconds) until which all of the record is sealed and sent; absent where nothing is sealed."
        sealed_at = max((snapshot.sealed_at for snapshot in snapshots), default=0.0)
        yield GaugeMetricFamily("cds_sealed_until_timestamp_seconds", text, sealed_at or None)
        text = "1 for each model whose files cannot be served; its service answers 503."
        yield _present(
            "cds_model_out", text, ("model",), ((name,) for snapshot in snapshots for name in snapshot.models_out)
        )
        text = "1 for each store that cannot be used, each file that is not as it was at the start, and a full disk."
        yield _present(
            "cds_store_out", text, ("store",), ((name,) for snapshot in snapshots for name in snapshot.stores_out)
        )
        text = "1 for each feed and kind of open incident of the interfaces (docs/operations/events.md)."
        labels = ("feed", "kind", "severity")
        yield _present(
            "cds_interface_incident", text, labels, (key for snapshot in snapshots for key in snapshot.incidents)
        )
        yield from _queues(snapshots)
        family = GaugeMetricFamily("cds_in_force", IN_FORCE, labels=("what",))
        for what in dict.fromkeys(what for snapshot in snapshots for what, _ in snapshot.in_force):
            family.add_metric((what,), max(dict(snapshot.in_force).get(what, 0) for snapshot in snapshots))
        yield family
        yield self._prefetch()
        stages = _sum(pair for snapshot in snapshots for pair in snapshot.stages)
        yield _histogram("cds_stage_seconds", "Time of one stage of a call.", ("service", "stage"), stages.items())
        waits = _sum(pair for snapshot in snapshots for pair in snapshot.waits)
        for name, text, label in _WAITS:
            of_name = (([key[1]], value) for key, value in waits.items() if key[0] == name)
            yield _histogram(name, text, (label,), of_name)
        text = "Time of reading from the client's FHIR server in one call, of calls that did."
        fetches = _sum(pair for snapshot in snapshots for pair in snapshot.fetches)
        yield _histogram("cds_fetch_seconds", text, ("client", "service"), fetches.items())

    def _prefetch(self) -> CounterMetricFamily:
        """Return the counts by prefetch key, of calls that are counted together where they brought the same keys."""
        by_key: Counter[tuple[str, ...]] = Counter()
        for (name, *labels), count in self._counts.items():
            if name == "cds_prefetch":
                for state in labels[2].split():
                    by_key[*labels[:2], *state.split("=")] += count
        text = "Prefetch keys by client, service and what came of them: given, null, failed, fetched, unobtainable."
        return _counter("cds_prefetch", text, ("client", "service", "key", "state"), by_key)


def _counter(name: str, text: str, labels: Sequence[str], counts: "dict[tuple[str, ...], int]") -> CounterMetricFamily:
    family = CounterMetricFamily(name, text, labels=labels)
    for values, count in counts.items():
        family.add_metric(values, count)
    return family


def _present(name: str, text: str, labels: Sequence[str], keys: Iterable[tuple[str, ...]]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, text, labels=labels)
    for values in dict.fromkeys(keys):
        family.add_metric(values, 1)
    return family


def _queues(snapshots: Sequence[Snapshot]) -> Iterator[Metric]:
    """Yield how much of the feeds waits, and for how long; all workers read the same file, so the highest counts."""
    for name, text, at in (
        ("cds_events_waiting", "Work of feeds that waits: due to be computed, for a receiver, at a broker.", 1),
        ("cds_events_oldest_seconds", "For how long the oldest work of a queue of the feeds has waited.", 2),
    ):
        family = GaugeMetricFamily(name, text, labels=("queue",))
        values: dict[str, float] = {}
        for queue in (queue for snapshot in snapshots for queue in snapshot.queues):
            values[queue[0]] = max(values.get(queue[0], 0.0), float(queue[at]))
        for queue_name, value in values.items():
            family.add_metric((queue_name,), value)
        yield family


def _sum(pairs: Iterable[tuple[tuple[str, str], Distribution]]) -> Distributions:
    distributions: Distributions = {}
    for name, distribution in pairs:
        distributions.setdefault(name, Distribution([0] * (len(SECONDS) + 1))).add(distribution)
    return distributions


def _histogram(
    name: str, text: str, labels: Sequence[str], distributions: Iterable[tuple[Sequence[str], Distribution]]
) -> HistogramMetricFamily:
    family = HistogramMetricFamily(name, text, labels=labels)
    for values, distribution in distributions:
        family.add_metric(values, distribution.buckets(), distribution.total)
    return family


class ProcessMetrics(Collector):
    """What /proc says of these processes; nothing on a system without it."""

    def __init__(self, pids: Collection[int] | None = None) -> None:
        """Without `pids` it is this process."""
        self._pids = ["self"] if pids is None else sorted(str(pid) for pid in pids)

    def collect(self) -> Iterator[Metric]:
        """Yield one metric for each name, without labels."""
        values: dict[str, list[float]] = {}
        kinds: dict[str, Metric] = {}
        for pid in self._pids:
            for metric in ProcessCollector(pid=partial(str, pid), registry=None).collect():
                kinds[metric.name] = metric
                values.setdefault(metric.name, []).extend(sample.value for sample in metric.samples)
        for name, metric in kinds.items():
            value = (min if name in _LEAST else max if name in _MOST else sum)(values[name])
            family = CounterMetricFamily if metric.type == "counter" else GaugeMetricFamily
            yield family(name, metric.documentation, value=value)


def workers_of(parent: int, pids: Iterable[int]) -> list[int]:
    """Those of the process ids whose parent is this one: the number of a dead worker may be another program's."""
    return [pid for pid in pids if _parent_of(pid) == parent]


def _parent_of(pid: int) -> int | None:
    try:
        status = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
        # the name of the program stands in brackets and may hold spaces
        return int(status.rpartition(")")[2].split()[1])
    except (OSError, IndexError, ValueError):
        return None
