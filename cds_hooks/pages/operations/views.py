"""The page of operations: what is wrong now, what waits for a person, who called, and the monitor's report."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from importlib.metadata import version
from typing import Annotated, Any, Final
from urllib.parse import urlencode

from fastapi import Query
from msgspec import Struct
from starlette.responses import Response
from starlette.routing import Route

from cds_hooks.monitor.book import CountBook
from cds_hooks.monitor.card_counts import By, count_cards
from cds_hooks.pages.kept_run import KeptRun
from cds_hooks.pages.operations.now import state_now
from cds_hooks.pages.operations.tasks import tasks_of
from cds_hooks.pages.server import PageServer
from cds_hooks.routes.health import models_out, why_not_ready
from cds_hooks.storage.decision import RecordUnavailable
from cds_hooks.web.visitor import visiting
from models_onnx.monitoring.figure import Figure, Incident, incidents

_JUDGING_SECONDS: Final = 0.5
_READY_SECONDS: Final = 10.0
_HOUR: Final = timedelta(hours=1)
BY: Final[dict[By, str]] = {"unit": "care unit", "service": "service", "rule": "rule or model", "client": "client"}
PERIODS: Final = (7, 30, 90, 365)


class _Operations:
    """The pages of one server."""

    def __init__(self, server: PageServer) -> None:
        self._server = server
        self._judging = KeptRun[Judged]("judging", _AGAIN_SECONDS)

    async def show(self, did: str = "") -> Response:
        """Show the page; what needs the record is left out, with its reason, where the record is away."""
        server = self._server
        check, check_tokens = server.components.decisions.check, server.trust.check
        try:
            not_ready = await asyncio.wait_for(why_not_ready(check, check_tokens), _READY_SECONDS)
        except TimeoutError:
            not_ready = "the record did not answer within ten seconds"
        return await server.in_thread(lambda: self._page(not_ready, did))

    def _page(self, not_ready: str, did: str) -> Response:
        server = self._server
        out = (f"The model {row['model']} cannot be served: {row['reason']}." for row in models_out(server.services))
        snapshots = server.metrics.snapshots().values()
        # the minutes are those of the server's own clock, also where CDS_AS_OF sets another
        now = state_now(snapshots, not_ready, out, datetime.now(UTC))
        return server.page(
            "operations/ops.html",
            status=200,
            now=now,
            counted=self._counted() if not not_ready else _nothing("The record cannot be used at the moment."),
            version=version("cds-hooks-onnx"),
            contact=server.settings.contact,
            interfaces=self._interfaces(did) if not not_ready else None,
            paused=[f"{kind} {name} for {client}" for kind, name, client in server.components.metrics.paused()],
            signs=SIGNS,
            cut=server.components.metrics.record_cut(),
            sealed=server.components.metrics.sealed_at(),
        )

    def _interfaces(self, did: str) -> Mapping[str, Any] | None:
        """Return what is known of the feeds, for those who run the server; None where the site declares none."""
        if self._server.settings.events_file is None or not visiting().may_open("try"):
            return None
        from cds_hooks.pages.operations.feeds import Feeds  # with all of cds_hooks/events

        with suppress(RecordUnavailable):  # the first part of the page says so
            return Feeds(self._server).values(did)
        return None

    def _counted(self) -> Mapping[str, Any]:
        """Return what comes from the counts of the record; what cannot be read is said in its place."""
        try:
            counted = self._server.counts.counted()
            if counted.book is None:
                return _nothing(counted.note)
            return {"note": counted.note, **self._from_book(counted.book)}
        except RecordUnavailable as error:
            return _nothing(f"The counts cannot be used: {error}.")

    def _from_book(self, book: CountBook) -> Mapping[str, Any]:
        now, verified = datetime.now(UTC), book.last_verification()
        judged = self._judging.get(lambda: judge(book), _JUDGING_SECONDS)
        callers = book.callers(int((now - _HOUR).timestamp() * 1e6))
        return {
            "tasks": tasks_of(self._server, book, now),
            "callers": sorted(callers.items()),
            "verified": verified,
            "judged": judged,
            "told": book.open_incidents(),
        }

    def cards(self, by: By = "unit", days: Annotated[int, Query(ge=1, le=PERIODS[-1])] = 30) -> Response:
        """Show cards shown, accepted and overridden by care unit, service, rule and client; no patient."""
        counted = self._server.counts.counted()
        book, today = counted.book, datetime.now(UTC).date()
        rows = count_cards(book.views, by, today, days) if book is not None else []
        return self._server.page(
            "operations/cards.html", rows=rows, by=by, days=days, choices=BY, periods=PERIODS, note=counted.note
        )


def _nothing(note: str) -> Mapping[str, Any]:
    return {"note": note, "tasks": [], "callers": [], "verified": None, "judged": None, "told": ()}


def routes(server: PageServer) -> list[Route]:
    """Return the addresses of the page, and of the cards with their answers."""
    page = _Operations(server)
    return [
        server.route("/ops", page.show),
        server.route("/ops/cards", page.cards),
    ]


# The monitor's report as /ops shows it: incidents and the figures to look at, the last week against those before


DAYS, BEFORE = 7, 28
_AGAIN_SECONDS: Final = 60.0
_MOST_FIGURES: Final = 20
SIGNS: Final = {"act": ("critical", "act now"), "watch": ("warning", "watch")}


class Judged(Struct, frozen=True):
    """What was judged of a week."""

    until: date
    figures: list[Figure]

    @property
    def incidents(self) -> list[Incident]:
        """One for each cause."""
        return incidents(self.figures)

    @property
    def summary(self) -> str:
        """How many figures there are of each state."""
        counts = {state: sum(figure.state == state for figure in self.figures) for state in ("act", "watch", "good")}
        few = len(self.figures) - sum(counts.values())
        return (
            f"{counts['act']} figures to act on, {counts['watch']} to watch, {counts['good']} as before, "
            f"{few} without enough data."
        )

    @property
    def to_look_at(self) -> list[Figure]:
        """The figures to act on or to watch, the first ones of many."""
        return [figure for figure in self.figures if figure.state in SIGNS][:_MOST_FIGURES]

    def behind(self, client: str, service: str) -> str:
        """Return the address of the decisions of a client and a service in the week."""
        first = self.until - timedelta(days=DAYS - 1)
        query = {"client": client, "service": service, "since": f"{first}", "until": f"{self.until}"}
        return f"decisions?{urlencode({name: value for name, value in query.items() if value})}"


def judge(book: CountBook) -> Judged:
    """Judge the last week against those before.

    Raises:
        RecordUnavailable: the book cannot be read.
    """
    until = datetime.now(UTC).date()
    windows = book.compared(until, DAYS, BEFORE)
    return Judged(until, sorted((figure for window in windows for figure in window.figures()), key=lambda it: it.order))
