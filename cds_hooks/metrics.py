"""Counters and histograms for /metrics; no label can hold anything of a patient."""

from collections.abc import Sequence

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.metrics import MetricWrapperBase

from cards.card import Card
from cards.rules.finding import Silence

_SECONDS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)


class Metrics:
    """What the operator sees of the traffic."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "cds_requests",
            "Calls by service, hook and HTTP status.",
            ("service", "hook", "status"),
            registry=self.registry,
        )
        self._cards = Counter(
            "cds_cards", "Cards by service and indicator.", ("service", "indicator"), registry=self.registry
        )
        self._silences = Counter(
            "cds_silences",
            "Reasons for saying nothing, by service and reason code.",
            ("service", "reason"),
            registry=self.registry,
        )
        self._stages = Histogram(
            "cds_stage_seconds",
            "Time of one stage of one call.",
            ("service", "stage"),
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._feedback = Counter(
            "cds_feedback",
            "Clinicians' answers to cards, by service and outcome.",
            ("service", "outcome"),
            registry=self.registry,
        )
        # labels() takes a lock and builds a key every time; a call needs about ten of them
        self._children: dict[tuple[MetricWrapperBase, str, str], MetricWrapperBase] = {}

    def answered(
        self, service: str, hook: str, cards: Sequence[Card], silences: Sequence[Silence], stages: dict[str, float]
    ) -> None:
        """Counts one answered call."""
        self._requests.labels(service, hook, "200").inc()
        for card in cards:
            self._cards.labels(service, card.indicator).inc()
        for silence in silences:
            self._silences.labels(service, silence.reason).inc()
        for stage, seconds in stages.items():
            self._observe(service, stage, seconds)

    def refused(self, service: str, status: int) -> None:
        """Counts one call that was answered with an error."""
        self._requests.labels(service, "", str(status)).inc()

    def feedback(self, service: str, outcome: str) -> None:
        """Counts one answer to a card."""
        self._feedback.labels(service, outcome).inc()

    def page(self) -> bytes:
        """The text that Prometheus reads."""
        return generate_latest(self.registry)

    def _observe(self, service: str, stage: str, seconds: float) -> None:
        key = (self._stages, service, stage)
        child = self._children.get(key)
        if child is None:
            child = self._children[key] = self._stages.labels(service, stage)
        assert isinstance(child, Histogram)  # noqa: S101 - tells the type checker what the key says
        child.observe(seconds)
