"""The page /ops/cards: cards shown, accepted and overridden by care unit, service, rule and client; no patient."""

from datetime import UTC, datetime
from typing import Annotated, Final

from fastapi import Query
from starlette.responses import Response
from starlette.routing import Route

from cds_hooks.monitor.card_counts import By, count_cards
from cds_hooks.pages.server import PageServer

BY: Final[dict[By, str]] = {"unit": "care unit", "service": "service", "rule": "rule or model", "client": "client"}
DAYS: Final = (7, 30, 90, 365)


def routes(server: PageServer) -> list[Route]:
    """Return its address."""

    def show(by: By = "unit", days: Annotated[int, Query(ge=1, le=DAYS[-1])] = 30) -> Response:
        counted = server.counts.counted()
        book = counted.book
        rows = count_cards(book.views, by, datetime.now(UTC).date(), days) if book is not None else []
        return server.page(
            "operations/cards.html", rows=rows, by=by, days=days, choices=BY, periods=DAYS, note=counted.note
        )

    return [server.route("/ops/cards", show)]
