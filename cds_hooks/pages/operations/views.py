"""The page of operations: what is wrong now, what waits for a person, who called, and the monitor's report."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from typing import Any, Final

from msgspec import Struct
from starlette.responses import Response
from starlette.routing import Route

from cds_hooks.monitor.book import CountBook
from cds_hooks.monitor.page import report_page
from cds_hooks.pages.operations.feeds import DONE, Feeds
from cds_hooks.pages.operations.now import state_now
from cds_hooks.pages.operations.report import SIGNS, Judge, report_policy
from cds_hooks.pages.operations.tasks import tasks_of
from cds_hooks.pages.server import PageServer
from cds_hooks.routes.health import models_out, why_not_ready
from cds_hooks.storage.decision import RecordUnavailable
from cds_hooks.web.numbers import format_time
from cds_hooks.web.site import HEADERS, Failure, Refusal
from cds_hooks.web.visitor import visiting

_JUDGING_SECONDS: Final = 0.5
_READY_SECONDS: Final = 10.0
_HOUR: Final = timedelta(hours=1)
_NO_REPORT: Final = Failure(
    "There is no report yet",
    "Failed",
    "The record or its counts cannot be read, or too little was counted.",
    "Open /ops, which says what is wrong, or run “cds-hooks monitor”.",
)


class Caller(Struct, frozen=True):
    """One client: when it called last, and how often in the last hour."""

    name: str
    last: str
    calls: int


class _Operations:
    """The pages of one server."""

    def __init__(self, server: PageServer) -> None:
        self._server = server
        self._judge = Judge()
        self._feeds = Feeds(server)

    async def show(self, did: str = "") -> Response:
        """Show the page; what needs the record is left out, with its reason, where the record is away."""
        server = self._server
        check, check_tokens = server.components.decisions.check, server.trust.check
        try:
            not_ready = await asyncio.wait_for(why_not_ready(check, check_tokens), _READY_SECONDS)
        except TimeoutError:
            not_ready = "the record did not answer within ten seconds"
        return await server.in_thread(lambda: self._page(not_ready, DONE.get(did, "")))

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
            interfaces=self._interfaces() if not not_ready else None,
            did=did,
            paused=[f"{kind} {name} for {client}" for kind, name, client in server.components.metrics.paused()],
            signs=SIGNS,
            cut=server.components.metrics.record_cut(),
            sealed=_moment(server.components.metrics.sealed_at()),
        )

    def _interfaces(self) -> Mapping[str, Any] | None:
        """Return what is known of the feeds, for those who run the server."""
        with suppress(RecordUnavailable):  # the first part of the page says so
            return self._feeds.values() if visiting().may_open("try") else None
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
        judged = self._judge.judged(book, _JUDGING_SECONDS)
        callers = book.callers(int((now - _HOUR).timestamp() * 1e6))
        return {
            "tasks": tasks_of(self._server, book, now),
            "callers": [
                Caller(name, _moment(last / 1e6) if last else "never", calls)
                for name, (last, calls) in sorted(callers.items())
            ],
            "verified": verified,
            "verified_at": _moment(verified.at) if verified is not None else "",
            "judged": judged,
            "told": book.open_incidents(),
        }

    def report(self) -> Response:
        """Send the whole report, with its charts, as `cds-hooks monitor --html` writes it."""
        book = self._server.counts.counted().book
        judged = self._judge.judged(book, None) if book is not None else None
        if judged is None:
            raise Refusal(_NO_REPORT, 503)
        paused = [pause.sentence for pause in self._server.components.releases.pauses]
        text = report_page(judged.until, judged.compared, judged.figures, judged.incidents, paused, judged.summary)
        return Response(text, headers=HEADERS | {"content-security-policy": report_policy()}, media_type="text/html")


def _nothing(note: str) -> Mapping[str, Any]:
    return {"note": note, "tasks": [], "callers": [], "verified": None, "verified_at": "", "judged": None, "told": ()}


def _moment(seconds: float | None) -> str:
    return format_time(datetime.fromtimestamp(seconds, UTC)) if seconds else ""


def routes(server: PageServer) -> list[Route]:
    """Return the addresses of the page and of the whole report."""
    page = _Operations(server)
    return [server.route("/ops", page.show), server.route("/ops/report", page.report)]
