"""The parts of the page of operations, in its order."""

from collections.abc import Mapping
from datetime import UTC, datetime

from cds_hooks.monitor.book import CountBook
from cds_hooks.pages.operations.comparison import DATA, NEEDS, data_part, incidents_part, waiting_part
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
from cds_hooks.pages.operations.record_state import budgets_part, record_part, refused_part
from cds_hooks.pages.server import PageServer
from cds_hooks.storage.queries import newest_number
from models_onnx.monitoring.figure import Figure, incidents

_LONGEST = 200


def span_of(query: Mapping[str, str]) -> Span:
    """Return the span that an address asks for; a week where it names none of the periods."""
    days = query.get("days", "")
    period = next((period for period in PERIODS if f"{period}" == days), 7)
    today = datetime.now(UTC).date()
    return Span(today, period, query.get("client", "")[:_LONGEST], query.get("service", "")[:_LONGEST])


def all_parts(server: PageServer, book: CountBook, span: Span, figures: list[Figure] | None) -> list[Part]:
    """Return the parts in the order of the page; what is not judged yet (`figures` None) says so in its place.

    Raises:
        RecordUnavailable: the book or the record cannot be read.
    """
    components, counts = server.components, read_counts(book, span)
    newest = newest_number(server.settings.database_url)
    return [
        waiting_part("incidents", NEEDS)
        if figures is None
        else incidents_part(incidents(figures), book.open_incidents(), span),
        calls_part(counts),
        stages_part(counts),
        errors_part(counts),
        refused_part(server.metrics.page()),
        prefetch_part(counts),
        cards_part(counts),
        reasons_part(counts),
        silence_part(counts),
        budgets_part(counts, components.governance.site.budgets),
        waiting_part("data", DATA) if figures is None else data_part(figures, span),
        record_part(book.last_verification(), components.metrics.sealed_at(), newest, components.metrics.record_cut()),
    ]
