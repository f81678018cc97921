"""The page of operations, and the CSV of each of its parts."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import urlencode

from cards.rules.engine.governance import Budget
from cds_hooks.monitor.book import CountBook
from cds_hooks.pages.count_keeper import Counted
from cds_hooks.pages.operations.comparison import DATA, NEEDS, Judged, data_part, incidents_part, waiting_part
from cds_hooks.pages.operations.counts import Span, read_counts
from cds_hooks.pages.operations.figures import (
    PERIODS,
    Part,
    calls_part,
    cards_part,
    errors_part,
    prefetch_part,
    reasons_part,
    silence_part,
    stages_part,
)
from cds_hooks.pages.operations.record_state import MetricsPage, budgets_part, record_part, refused_part
from cds_hooks.storage.queries import newest_number
from cds_hooks.web.site import Site, render
from models_onnx.monitoring.figure import incidents

_LONGEST = 200


@dataclass(frozen=True, slots=True)
class Around:
    """What the page needs beside the book."""

    url: str
    metrics: MetricsPage
    budgets: Sequence[Budget]
    sealed_at: float | None


def span_of(asked: Mapping[str, str]) -> Span:
    """The span that an address asks for; a week where it names none of the periods."""
    days = asked.get("days", "")
    period = next((each for each in PERIODS if f"{each}" == days), 7)
    today = datetime.now(UTC).date()
    return Span(today, period, asked.get("client", "")[:_LONGEST], asked.get("service", "")[:_LONGEST])


def all_parts(
    book: CountBook, span: Span, around: Around, judged: Judged, wait_seconds: float | None = None
) -> list[Part]:
    """The parts in the order of the page; what is not judged after so long says so in its place.

    Raises:
        RecordUnavailable: the book or the record cannot be read.
    """
    counts = read_counts(book, span)
    figures = judged.figures(book, span, wait_seconds)
    return [
        waiting_part("incidents", NEEDS)
        if figures is None
        else incidents_part(incidents(figures), book.open_incidents(), span),
        calls_part(counts),
        stages_part(counts),
        errors_part(counts),
        refused_part(around.metrics()),
        prefetch_part(counts),
        cards_part(counts),
        reasons_part(counts),
        silence_part(counts),
        budgets_part(counts, around.budgets),
        waiting_part("data", DATA) if figures is None else data_part(figures, span),
        record_part(book.last_verification(), around.sealed_at, newest_number(around.url)),
    ]


def ops_page(site: Site, span: Span, counted: Counted, parts: Sequence[Part], names: Mapping[str, list[str]]) -> str:
    """The page; `names` are the clients and services that were ever counted."""
    query = {"days": f"{span.days}", "client": span.client, "service": span.service}
    return render(
        "operations/ops.html",
        site=site,
        root="",
        span=span,
        counted=counted,
        parts=parts,
        periods={1: "Today", 7: "Last 7 days", 28: "Last 28 days"},
        names=names,
        query=urlencode({name: value for name, value in query.items() if value}),
        now=f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
    )


def as_csv(part: Part) -> bytes:
    """The rows of a part; what a spreadsheet would take for a formula is text."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(part.columns)
    writer.writerows([_text(row.name), *(_text(cell.plain) for cell in row.cells)] for row in part.rows)
    return out.getvalue().encode()


def _text(value: str | float) -> str | float:
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r") else value
