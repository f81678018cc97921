"""What the page of operations adds up: the counts of some days, by day, client and service.

A day of many calls is 25 KB of counts for each client and service, of which this page shows a tenth. The sums of each
day are kept and read again where the book says that the day was counted into since.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from threading import Lock
from typing import Final, TypeVar
from urllib.parse import urlencode

import msgspec

from cds_hooks.monitor.book import CountBook

_Key = TypeVar("_Key")


@dataclass(frozen=True, slots=True)
class Span:
    """The days, the client and the service that are looked at; empty: all of them."""

    last: date
    days: int
    client: str = ""
    service: str = ""

    @property
    def first(self) -> date:
        """The first day."""
        return self.last - timedelta(days=self.days - 1)

    def behind(self, **more: str) -> str:
        """Return the address of the decisions that a row counts."""
        query = {"client": self.client, "service": self.service, "since": f"{self.first}", "until": f"{self.last}"}
        return f"decisions?{urlencode({name: value for name, value in (query | more).items() if value})}"


class Total(msgspec.Struct):
    """Of what is counted of a day (`models_onnx.monitoring.day`) that which this page shows, added up."""

    calls: int = 0
    with_cards: int = 0
    cards: int = 0
    errors: int = 0
    accepted: int = 0
    overridden: int = 0
    classes: dict[str, int] = {}
    keys: dict[str, int] = {}
    silences: dict[str, int] = {}
    reasons: dict[str, int] = {}
    milliseconds: dict[int, int] = {}
    stages: dict[str, dict[int, int]] = {}

    def add(self, other: "Total") -> None:
        """Adds what another counted."""
        self.add_numbers(other)
        for name in ("classes", "keys", "silences", "reasons", "milliseconds"):
            _add(getattr(self, name), getattr(other, name))
        for stage, buckets in other.stages.items():
            _add(self.stages.setdefault(stage, {}), buckets)

    def add_numbers(self, other: "Total") -> None:
        """Adds the plain numbers alone, which is all that is shown of a day or a service."""
        self.calls += other.calls
        self.with_cards += other.with_cards
        self.cards += other.cards
        self.errors += other.errors
        self.accepted += other.accepted
        self.overridden += other.overridden


def _add(counts: dict[_Key, int], more: Mapping[_Key, int]) -> None:
    for key, n in more.items():
        counts[key] = counts.get(key, 0) + n


_decode: Final = msgspec.json.Decoder(Total).decode


@dataclass(frozen=True, slots=True)
class Counts:
    """What was counted in a span, by day, client and service; all of them in `total`."""

    span: Span
    by_day: dict[date, Total]
    by_client: dict[str, Total]
    by_service: dict[str, Total]
    total: Total


@dataclass(slots=True)
class _DaySums:
    """The sums of one day; only the numbers of services and only the keys of clients are shown."""

    by_client: dict[str, Total] = field(default_factory=dict)
    by_service: dict[str, Total] = field(default_factory=dict)
    total: Total = field(default_factory=Total)

    def take(self, client: str, service: str, counts: Total) -> None:
        self.by_service.setdefault(service, Total()).add_numbers(counts)
        _add(self.by_client.setdefault(client, Total()).keys, counts.keys)
        self.total.add(counts)


_DayKey = tuple[Path, date, str, str]


class DaySumsCache:
    """The sums of the days that were asked for last; of a day that was counted into since they are not used."""

    MOST_DAYS: Final = 280
    """Ten choices of client and service over 28 days, some 10 KB each."""

    def __init__(self) -> None:
        self._kept: dict[_DayKey, tuple[int | None, _DaySums]] = {}
        self._lock = Lock()

    def sums(self, book: CountBook, span: Span) -> dict[date, _DaySums]:
        """Return the sums of each day of the span, the oldest first.

        Raises:
            RecordUnavailable: the book cannot be read.
        """
        days = [span.first + timedelta(days=number) for number in range(span.days)]
        stamps = book.stamps(span.first, span.last)
        with self._lock:
            kept = {day: self._kept.get((book.file, day, span.client, span.service)) for day in days}
        cached_sums = {
            day: current[1] for day, current in kept.items() if current is not None and current[0] == stamps.get(day)
        }
        fresh = {day: _DaySums() for day in days if day not in cached_sums}
        for day, client, service, total in book.days_of(fresh, _decode):
            if span.client in ("", client) and span.service in ("", service):
                fresh[day].take(client, service, total)
        self._keep(book.file, span, {day: (stamps.get(day), sums) for day, sums in fresh.items()})
        return {day: cached_sums.get(day) or fresh[day] for day in days}

    def _keep(self, file: Path, span: Span, fresh: Mapping[date, tuple[int | None, _DaySums]]) -> None:
        with self._lock:
            for day, sums in fresh.items():
                self._kept.pop((file, day, span.client, span.service), None)
                self._kept[file, day, span.client, span.service] = sums
            for oldest in list(self._kept)[: max(0, len(self._kept) - self.MOST_DAYS)]:
                del self._kept[oldest]


_SUMS: Final = DaySumsCache()


def read_counts(book: CountBook, span: Span, sums: DaySumsCache = _SUMS) -> Counts:
    """Return the counts of a span.

    Raises:
        RecordUnavailable: the book cannot be read.
    """
    counts = Counts(span, {}, {}, {}, Total())
    for day, day_sums in sums.sums(book, span).items():
        counts.by_day[day] = day_sums.total
        for service, total in day_sums.by_service.items():
            counts.by_service.setdefault(service, Total()).add_numbers(total)
        for client, total in day_sums.by_client.items():
            _add(counts.by_client.setdefault(client, Total()).keys, total.keys)
        counts.total.add(day_sums.total)
    return counts
