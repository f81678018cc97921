"""The search in the record, and who saw what; /explain shows each decision."""

from typing import Annotated, Final

import msgspec
from fastapi import Depends, Query
from sqlalchemy import select
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from cds_hooks.pages.decisions.search import CHOICES, SEARCHES, Asked, InAddress, list_rows
from cds_hooks.pages.gate import EVENT
from cds_hooks.pages.server import PageServer, posted
from cds_hooks.storage.decision import decision_of
from cds_hooks.storage.entries import EXPORT_EVENT
from cds_hooks.storage.queries import get_decision, read_rows
from cds_hooks.storage.tables import events
from cds_hooks.web.numbers import format_seconds
from cds_hooks.web.site import HEADERS, Failure, PageRefusal

_IN_ADDRESS: Final = Failure(
    "Not in an address",
    "A patient, a hook call or a card is never asked for in an address, because logs and histories keep addresses.",
    "Open /decisions and type it into the form.",
)


SEEN_KINDS: Final = {
    EVENT: "was shown a page of patients",
    "login": "logged in or out",
    "account-act": "changed an account",
    "card-answer": "answered a card",
    "worklist-act": "changed the worklist",
    EXPORT_EVENT: "took data out by a command",
}
"""The entries of the record that say who saw or did what on pages of patients, each in words."""
MOST_SEEN: Final = 200


class _Decisions:
    def __init__(self, server: PageServer) -> None:
        self._server = server
        self._url = server.settings.database_url

    def show(self, request: Request, wanted: Annotated[InAddress, Query()]) -> Response:
        """Show the decisions that the address asks for."""
        if request.query_params.keys() - InAddress.model_fields:
            raise PageRefusal(_IN_ADDRESS, 400)
        return self._list(Asked(**wanted.model_dump()))

    def find(self, form: Annotated[Asked, Depends(posted(Asked))]) -> Response:
        """Show the decisions that the form asks for, under an address where one may ask for them."""
        if form.address and not form.before:
            return RedirectResponse(f"decisions?{form.address}#found", 303, HEADERS)
        if not form.card:
            return self._list(form)
        decision_id = decision_of(form.card)
        if decision_id is not None and get_decision(self._url, decision_id) is not None:
            return RedirectResponse(f"explain/{decision_id}", 303, HEADERS)
        return self._list(form, 404)

    def show_seen(self, who: Annotated[str, Query(max_length=200)] = "") -> Response:
        """Show who logged in, and who was shown which page of patients, the newest first."""
        who = who.strip()
        query = select(events.c.at, events.c.kind, events.c.actor, events.c.detail).where(events.c.kind.in_(SEEN_KINDS))
        query = query.where(events.c.actor == who) if who else query
        rows = read_rows(self._url, query.order_by(events.c.sequence.desc()).limit(MOST_SEEN))
        seen = [
            (format_seconds(row.at), row.actor, SEEN_KINDS[row.kind], msgspec.json.decode(row.detail)) for row in rows
        ]
        return self._server.page("decisions/seen.html", rows=seen, who=who, most=MOST_SEEN)

    def _list(self, form: Asked, status: int = 200) -> Response:
        counted = self._server.counts.counted()
        return self._server.page(
            "decisions/decisions.html",
            status=status,
            asked=form,
            found=list_rows(self._url, form, counted) if status == 200 else None,
            counted=counted,
            services=sorted(self._server.services),
            choices=CHOICES,
            searches=SEARCHES,
        )


def routes(server: PageServer) -> list[Route]:
    """Return the addresses of these pages."""
    pages = _Decisions(server)
    return [
        server.route("/decisions", pages.show),
        server.route("/decisions", pages.find, ["POST"]),
        server.route("/decisions/seen", pages.show_seen),
    ]
