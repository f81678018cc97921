"""Counters and histograms for /metrics; no label can hold anything of a patient.

The counting itself is plain dictionaries: prometheus-client's own `labels().inc()` costs 1 to 2 µs each and a call
needs about ten of them. What Prometheus reads is made from them by the library when it asks.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from msgspec import Struct
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from cards.card import Card
from cards.rules.finding import Silence

_SECONDS = (0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)
_HELP = {
    "cds_requests": ("Calls by service, hook and HTTP status.", ("service", "hook", "status")),
    "cds_cards": ("Cards by service and indicator.", ("service", "indicator")),
    "cds_silences": ("Reasons for saying nothing, by service and reason code.", ("service", "reason")),
    "cds_untrusted": ("Calls whose caller is not trusted, by reason class.", ("reason",)),
    "cds_feedback": ("Clinicians' answers to cards, by service and outcome.", ("service", "outcome")),
    "cds_feedback_unmatched": ("Answers to no card that this client got from this service.", ("service", "reason")),
}


class Counted(Struct, frozen=True, array_like=True):
    """What one worker counted: counts by name and labels, times by two labels with buckets and sum."""

    counts: list[tuple[tuple[str, ...], int]]
    stages: list[tuple[str, str, list[int], float]]
    fetches: list[tuple[str, str, list[int], float]]


class Metrics(Collector):
    """What the operator sees of the traffic."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, ...]] = Counter()
        self._stages: dict[tuple[str, str], _Distribution] = {}
        self._fetches: dict[tuple[str, str], _Distribution] = {}
        self._registry = CollectorRegistry()
        self._registry.register(self)

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

    def feedback(self, service: str, outcome: str) -> None:
        """Counts one answer to a card."""
        self._counts["cds_feedback", service, outcome] += 1

    def unmatched_feedback(self, service: str, reason: str) -> None:
        """Counts one answer, or one suggestion of it, that belongs to no card of ours."""
        self._counts["cds_feedback_unmatched", service, reason] += 1

    def page(self, others: Iterable["Counted"] = ()) -> bytes:
        """The text that Prometheus reads: what was counted here and by other workers of the same server."""
        whole = Metrics()
        for counted in (self.counted(), *others):
            whole._add(counted)
        return generate_latest(whole._registry)

    def counted(self) -> "Counted":
        """Everything counted so far, in a form that can be written down."""
        return Counted(
            list(self._counts.items()),
            [(*labels, *each.state()) for labels, each in self._stages.items()],
            [(*labels, *each.state()) for labels, each in self._fetches.items()],
        )

    def _add(self, counted: "Counted") -> None:
        for key, count in counted.counts:
            self._counts[tuple(key)] += count
        for kept, told in ((self._stages, counted.stages), (self._fetches, counted.fetches)):
            for first, second, buckets, total in told:
                kept.setdefault((first, second), _Distribution()).add(buckets, total)

    def collect(self) -> Iterator[Metric]:
        """What was counted so far, for the library."""
        for name, (text, labels) in _HELP.items():
            family = CounterMetricFamily(name, text, labels=labels)
            for key, count in self._counts.items():
                if key[0] == name:
                    family.add_metric(key[1:], count)
            yield family
        yield self._prefetch()
        yield _histogram("cds_stage_seconds", "Time of one stage of a call.", ("service", "stage"), self._stages)
        text = "Time of reading from the client's FHIR server in one call, of calls that did."
        yield _histogram("cds_fetch_seconds", text, ("client", "service"), self._fetches)

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

    def state(self) -> tuple[list[int], float]:
        """Counts by bucket and the sum, to be added elsewhere."""
        return list(self._counts), self.total

    def add(self, counts: Iterable[int], total: float) -> None:
        """Adds what another counted."""
        self._counts = [mine + theirs for mine, theirs in zip(self._counts, counts, strict=True)]
        self.total += total

    def buckets(self) -> list[tuple[str, float]]:
        """Cumulative counts by upper bound, as Prometheus wants them."""
        running = 0
        cumulative: list[tuple[str, float]] = []
        for bound, count in zip((*map(str, _SECONDS), "+Inf"), self._counts, strict=True):
            running += count
            cumulative.append((bound, running))
        return cumulative
