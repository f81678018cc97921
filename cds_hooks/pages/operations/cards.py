"""The page /ops/cards: cards shown, accepted and overridden by care unit, service, rule and client; no patient."""

from datetime import UTC, datetime
from typing import Annotated, Final

from fastapi import Query
from starlette.responses import Response
from starlette.routing import Route

from cds_hooks.monitor.card_counts import By, CardCount, count_cards
from cds_hooks.pages.server import PageServer
from cds_hooks.web.files import csv_download

BY: Final[dict[By, str]] = {"unit": "care unit", "service": "service", "rule": "rule or model", "client": "client"}
DAYS: Final = (7, 30, 90, 365)


def routes(server: PageServer) -> list[Route]:
    """Return its address."""

    def show(by: By = "unit", days: Annotated[int, Query(ge=1, le=DAYS[-1])] = 30, file: str = "") -> Response:
        counted = server.counts.counted()
        book = counted.book
        rows = count_cards(book.views, by, datetime.now(UTC).date(), days) if book is not None else []
        if file:
            return csv_download(f"cards-by-{by}", _lines(by, rows))
        return server.page(
            "operations/cards.html", rows=rows, by=by, days=days, choices=BY, periods=DAYS, note=counted.note
        )

    return [server.route("/ops/cards", show)]


def _lines(by: By, rows: list[CardCount]) -> list[list[str]]:
    head = [BY[by], "shown", "accepted", "overridden", "not answered"]
    return [head, *([row.name, *map(in_words, _counts(row))] for row in rows)]


def _counts(row: CardCount) -> tuple[int | None, ...]:
    return row.shown, row.accepted, row.overridden, row.unanswered


def in_words(count: int | None) -> str:
    """Return a count, or that it is not shown."""
    return "not shown" if count is None else f"{count:,}"
