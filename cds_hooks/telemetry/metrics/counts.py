"""What is counted of the traffic, in plain dictionaries: some twenty counts a call, which take 4 µs."""

import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from math import inf
from time import time
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from cards.card import Card
from fhir.mapping.allergies import ALLERGIES_UNREADABLE
from fhir.mapping.conditions import PROBLEMS_UNREADABLE
from fhir.record.measurement import RESULTS_UNREADABLE
from fhir.record.refusals import Refusal, WhyNot

SECONDS = (0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)
"""The upper bounds of the buckets of a distribution; a last bucket has what took longer."""


class Distribution(Struct):
    """Counts by bucket, and the sum of the seconds."""

    counts: list[int]
    total: float = 0.0

    def add(self, addend: "Distribution") -> None:
        """Add what another process counted."""
        self.counts = [ours + theirs for ours, theirs in zip(self.counts, addend.counts, strict=True)]
        self.total += addend.total

    def buckets(self) -> list[tuple[str, float]]:
        """Cumulative counts by upper bound, as Prometheus wants them."""
        running = 0
        cumulative: list[tuple[str, float]] = []
        for bound, count in zip((*map(str, SECONDS), "+Inf"), self.counts, strict=True):
            running += count
            cumulative.append((bound, running))
        return cumulative


_UNREAD = frozenset({ALLERGIES_UNREADABLE, PROBLEMS_UNREADABLE, RESULTS_UNREADABLE})
_MOST_CODES = 1000
_MINUTES = 60
_PUBLIC_CODES = re.compile(
    r"(?:https?://snomed\.info/sct|urn:oid:2\.16\.840\.1\.113883\.6\.96)\|(?P<code>\d{6,18})|"
    r"http://hl7\.org/fhir/sid/icd-(?:9|10)[a-z-]{0,4}\|(?P<icd>[A-Z0-9][0-9A-Z.]{2,8})|"
    r"http://www\.nlm\.nih\.gov/research/umls/rxnorm\|(?P<rxnorm>\d{1,8})|"
    r"http://(?:www\.whocc\.no/atc|fhir\.de/CodeSystem/bfarm/atc)\|(?P<atc>[A-Z]\d\d[A-Z]{2}\d\d)"
)


_STORES = {
    "ReplayStoreFailed": "used-tokens",
    "RecordFailed": "record",
    "RecordUnavailable": "record",
    "AccountsUnavailable": "accounts",
}
"""The store that could not be used, by the class of the error that a caller was answered with."""

Distributions = dict[tuple[str, str], Distribution]


class Minute(Struct):
    """The calls of one minute: how many were answered, and those that failed by status and class of the reason."""

    answered: int = 0
    failed: dict[str, int] = {}
    reads: dict[str, int] = {}
    """Calls by client for which its FHIR server was asked."""
    unanswered: dict[str, int] = {}
    """Those of them that got nothing: no connection, no answer in time, or one that asks to wait."""

    def add(self, other: "Minute") -> None:
        """Add what another process counted."""
        self.answered += other.answered
        for ours, theirs in (
            (self.failed, other.failed),
            (self.reads, other.reads),
            (self.unanswered, other.unanswered),
        ):
            for name, count in theirs.items():
                ours[name] = ours.get(name, 0) + count


class Snapshot(Struct):
    """What one process counted so far, or several together."""

    counts: list[tuple[tuple[str, ...], int]] = []
    stages: list[tuple[tuple[str, str], Distribution]] = []
    fetches: list[tuple[tuple[str, str], Distribution]] = []
    waits: list[tuple[tuple[str, str], Distribution]] = []
    record_failures: int = 0
    seal_failures: int = 0
    trust_refused_at: float = 0.0
    """Epoch seconds since which the trust file has mistakes; 0 where it is in force as it is."""
    sealed_at: float = 0.0
    """Epoch seconds until which the record is sealed; 0 where the site seals nothing."""
    models_out: list[str] = []
    stores_out: list[str] = []
    """The names of the stores and files that cannot be used."""
    in_force: list[tuple[str, int]] = []
    incidents: list[tuple[str, str, str]] = []
    queues: list[tuple[str, int, float]] = []
    """Work of feeds that waits: its name, how much, and for how many seconds the oldest does."""
    minutes: dict[int, Minute] = {}
    """The calls of the last hour by the minute, counted since 1970-01-01 UTC."""
    started_at: float = 0.0
    """When the process began to count, epoch seconds."""

    def counts_alone(self) -> "Snapshot":
        """Return it without what the process saw of the present."""
        nothing: dict[str, Any] = {"models_out": [], "stores_out": [], "in_force": [], "incidents": [], "queues": []}
        return replace(self, trust_refused_at=0.0, **nothing)


_FEWEST_UNANSWERED = 3


def minutes_of(snapshots: Iterable[Snapshot]) -> dict[int, Minute]:
    """Return the counts by minute of several processes together."""
    minutes: dict[int, Minute] = {}
    for snapshot in snapshots:
        for at, minute in snapshot.minutes.items():
            minutes.setdefault(at, Minute()).add(minute)
    return minutes


def silent_fhir_servers(minutes: Mapping[int, Minute], at: float) -> list[str]:
    """Return the clients whose FHIR server gave nothing to most calls of this minute and the last.

    Args:
        minutes: The counts by minute.
        at: Epoch seconds.
    """
    both = Minute()
    for minute in (int(at // 60) - 1, int(at // 60)):
        both.add(minutes.get(minute, Minute()))
    return sorted(
        client
        for client, count in both.unanswered.items()
        if count >= _FEWEST_UNANSWERED and 2 * count > both.reads.get(client, 0)
    )


class Metrics:
    """What the operator sees of the traffic."""

    def __init__(self) -> None:
        self.counts: Counter[tuple[str, ...]] = Counter()
        self.stages: Distributions = {}
        self.fetches: Distributions = {}
        self.waits: Distributions = {}
        """How long whole calls take, by service, and how late the event loop is."""
        self.record_failures: Callable[[], int] = lambda: 0
        """Decisions that could not be committed so far; the record counts them itself."""
        self.seal_failures: Callable[[], int] = lambda: 0
        """How often the record could not be sealed, or a seal not be sent, so far."""
        self.trust_refused_at: Callable[[], float] = lambda: 0.0
        """Epoch seconds since which the trust file has mistakes; 0 where it is in force as it is."""
        self.sealed_at: Callable[[], float | None] = lambda: None
        """Epoch seconds until which the record is sealed; None where the site seals nothing."""
        self.record_cut: Callable[[], str] = str
        """What of the record is not there any more although it was sealed; "" where nothing is known."""
        self.stores_out: Callable[[], Sequence[tuple[str, str]]] = list
        """The name of each store or file that cannot be used, and what is wrong in a sentence."""
        self.in_force: Callable[[], Sequence[tuple[str, int]]] = list
        """How many rules are approved, rules are not, things are switched off, and approvals wait for a person."""
        self.incidents: Callable[[], Sequence[tuple[str, str, str]]] = list
        """Feed, kind and severity of each open incident of the interfaces."""
        self.queues: Callable[[], Sequence[tuple[str, int, float]]] = list
        """Name, number and seconds of the oldest of each queue of the feeds."""
        self.minutes: dict[int, Minute] = {}
        self.started_at = time()
        self.work_failed_at = -inf
        """When work beside the calls failed last, by `monotonic`."""
        self._unread_codes = 0
        self.models_out: Sequence[str] = ()
        """The ids of the models whose files cannot be served."""

    def snapshot(self) -> Snapshot:
        """Return what was counted so far."""
        return Snapshot(
            list(self.counts.items()),
            list(self.stages.items()),
            list(self.fetches.items()),
            list(self.waits.items()),
            self.record_failures(),
            self.seal_failures(),
            self.trust_refused_at(),
            self.sealed_at() or 0.0,
            list(self.models_out),
            [name for name, _ in self.stores_out()],
            list(self.in_force()),
            list(self.incidents()),
            list(self.queues()),
            dict(self.minutes),
            self.started_at,
        )

    def _minute(self) -> Minute:
        """Return the counts of this minute; those of more than an hour ago go."""
        now = int(time() // 60)
        minute = self.minutes.get(now)
        if minute is None:
            minute = Minute()
            self.minutes = {at: kept for at, kept in self.minutes.items() if at > now - _MINUTES} | {now: minute}
        return minute

    def answered(
        self,
        service: str,
        hook: str,
        cards: Sequence[Card],
        silences: Sequence[WhyNot],
        stages: dict[str, float],
        found_by: Mapping[str, str],
    ) -> None:
        """Count one answered call; `stages` are seconds by stage, `found_by` has the advisor of each card by uuid."""
        counts = self.counts
        counts["cds_requests", service, hook, "200"] += 1
        self._minute().answered += 1
        for card in cards:
            counts["cds_cards", found_by.get(card.uuid, service), card.indicator] += 1
        for silence in silences:
            counts["cds_silences", service, silence.reason] += 1
        for stage, seconds in stages.items():
            _observe(self.stages, (service, stage), seconds)

    def took(self, name: str, label: str, seconds: float) -> None:
        """Count a duration of the histogram `name`: `cds_call_seconds` by service, or `cds_loop_lag_seconds`."""
        _observe(self.waits, (name, label), seconds)

    def not_understood(self, client: str, refusals: Iterable[Refusal], medications: Iterable[str] = ()) -> None:
        """Count what of the problems, allergies, results and drugs of one call could not be read, by public codes.

        `medications` are "system|code" of each, "text" where there is none. Each is counted by its code where its
        system is SNOMED CT, an ICD, RxNorm or ATC: what a code of the site's own says is not known.
        """
        of_chart = (refusal for refusal in refusals if refusal.reason in _UNREAD)
        unread = [(refusal.subject, code) for refusal in of_chart for code in refusal.code.split()]
        for kind, code in (*unread, *[("medications", code) for code in medications]):
            match = _PUBLIC_CODES.fullmatch(code)
            known = match[match.lastgroup or 0] if match else "text" if code == "text" else "local"
            key = ("cds_not_understood", client, kind, known)
            if key not in self.counts and self._unread_codes >= _MOST_CODES:
                key = (*key[:3], "other")
            self._unread_codes += key not in self.counts
            self.counts[key] += 1

    def prefetched(
        self, client: str, service: str, summary: str, seconds: float, *, is_unanswered: bool = False
    ) -> None:
        """Count what one call brought (`key=state`, divided by spaces), and the time that fetching the rest took.

        `is_unanswered`: the client's FHIR server was asked and gave nothing.
        """
        self.counts["cds_prefetch", client, service, summary] += 1
        if seconds:
            _observe(self.fetches, (client, service), seconds)
            minute = self._minute()
            minute.reads[client] = minute.reads.get(client, 0) + 1
            if is_unanswered:
                minute.unanswered[client] = minute.unanswered.get(client, 0) + 1
                self.counts["cds_fhir_unanswered", client] += 1

    def refused(self, service: str, status: int, reason: str = "") -> None:
        """Count one call or report that was answered with an error, by the class of its reason."""
        self.counts["cds_requests", service, "", str(status)] += 1
        if store := _STORES.get(reason):
            self.counts["cds_store_failures", store] += 1
        failed, name = self._minute().failed, f"{status} {reason}".rstrip()
        failed[name] = failed.get(name, 0) + 1

    def count(self, name: str, *labels: str) -> None:
        """Count one event of a counter of the page (`page.py` says what each counts, and by which labels)."""
        self.counts[name, *labels] += 1


def _observe(distributions: Distributions, name: tuple[str, str], seconds: float) -> None:
    distribution = distributions.get(name)
    if distribution is None:
        distribution = distributions[name] = Distribution([0] * (len(SECONDS) + 1))
    distribution.counts[bisect_left(SECONDS, seconds)] += 1
    distribution.total += seconds
