"""The page of operations, and the CSV of each of its parts."""

from datetime import UTC, datetime
from typing import Final
from urllib.parse import urlencode

from msgspec.structs import replace
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from cds_hooks.monitor.book import CountBook
from cds_hooks.pages.count_keeper import Counted
from cds_hooks.pages.operations.comparison import Judged
from cds_hooks.pages.operations.glance import look
from cds_hooks.pages.operations.parts import all_parts, span_of
from cds_hooks.pages.server import PageServer
from cds_hooks.web.files import csv_download
from cds_hooks.web.site import Failure, Refusal

_JUDGING_SECONDS: Final = 0.02
"""So long a page waits for what is worked out beside it; a CSV waits until it is there."""
_PERIODS: Final = {1: "Today", 7: "Last 7 days", 28: "Last 28 days"}
_NO_COUNTS: Final = Failure(
    "The counts cannot be read",
    "Failed",
    "",
    "They are in var/monitor.sqlite3 of the server's working folder; delete that file where it is broken.",
)
_NO_PART: Final = Failure(
    "No such table", "Not found", "/ops has no table of this name.", "Each table of /ops has its own link to a CSV."
)


def routes(server: PageServer) -> list[Route]:
    """Return the addresses of the page and of its tables."""
    judged = Judged()

    def show(request: Request) -> Response:
        counted, span = server.counts.counted(), span_of(request.query_params)
        book = _book(counted)
        figures = judged.figures(book, span, _JUDGING_SECONDS)
        query = {"days": f"{span.days}", "client": span.client, "service": span.service}
        return server.page(
            "operations/ops.html",
            span=span,
            counted=counted,
            glance=look(server, book, counted, figures),
            parts=all_parts(server, book, span, figures),
            periods=_PERIODS,
            names=book.names(),
            query=urlencode({name: value for name, value in query.items() if value}),
            now=f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        )

    def csv(request: Request) -> Response:
        book, span = _book(server.counts.counted()), span_of(request.query_params)
        parts = all_parts(server, book, span, judged.figures(book, span, None))
        part = next((part for part in parts if part.id == request.path_params["part"]), None)
        if part is None:
            raise Refusal(_NO_PART)
        rows = ([row.name, *(cell.plain for cell in row.cells)] for row in part.rows)
        return csv_download(part.id, [part.columns, *rows])

    return [server.route("/ops", show), server.route("/ops/{part}.csv", csv)]


def _book(counted: Counted) -> CountBook:
    if counted.book is None:
        raise Refusal(replace(_NO_COUNTS, what=counted.note), 503)
    return counted.book
