"""The page of operations: what is wrong now, what waits for a person, who called, and the monitor's report.

What is wrong now: whether the server can answer, and what failed in the last minutes.

It reads what the workers count of their own calls, so that it knows of failures also while the record is locked.
"""

import sqlite3
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from typing import Annotated, Any, Final

from fastapi import Query
from msgspec import Struct
from starlette.responses import Response
from starlette.routing import Route

from cards.rules.engine.governance import all_rule_versions
from cds_hooks.call.routes.health import RECORD_AWAY, models_out, why_not_ready
from cds_hooks.evidence.monitor.book import CountBook
from cds_hooks.evidence.monitor.card_counts import By, count_cards, nearly_always_overridden
from cds_hooks.evidence.monitor.judging import kept_report
from cds_hooks.evidence.monitor.search_index import callers
from cds_hooks.evidence.storage.decision import RecordUnavailable
from cds_hooks.people.pages.operations.tasks import tasks_of
from cds_hooks.people.pages.server import PageServer
from cds_hooks.people.web.numbers import format_time
from cds_hooks.people.web.visitor import visiting
from cds_hooks.telemetry.metrics.counts import Minute, Snapshot, minutes_of, silent_fhir_servers

_MOST_FIGURES: Final = 20
_SIGNS: Final = {"act": ("critical", "act now"), "watch": ("warning", "watch")}
_READY_SECONDS: Final = 0.7
"""The page is to be there within a second also while a database hangs."""
_HOUR: Final = timedelta(hours=1)
BY: Final[dict[By, str]] = {"unit": "care unit", "service": "service", "rule": "rule or model", "client": "client"}
PERIODS: Final = (7, 30, 90, 365)


class _Operations:
    """The pages of one server."""

    def __init__(self, server: PageServer) -> None:
        self._server = server

    async def show(self, did: str = "") -> Response:
        """Show the page; where the record is away, what was counted before, and what could not be read."""
        server = self._server
        check, check_tokens = server.components.decisions.check, server.trust.check
        not_ready = await why_not_ready(check, check_tokens, _READY_SECONDS)
        return await server.in_thread(lambda: self._page(not_ready, did))

    def _page(self, not_ready: tuple[str, ...], did: str) -> Response:
        server = self._server
        out = [f"The model {row['model']} cannot be served: {row['reason']}." for row in models_out(server.services)]
        if server.trust.state is not None and server.trust.state.problems:
            out.append(server.trust.state.sentence)
        out += [sentence for _, sentence in server.components.metrics.stores_out()]
        snapshots = server.metrics.snapshots().values()
        # the minutes are those of the server's own clock, also where CDS_AS_OF sets another
        now = state_now(snapshots, "; ".join(not_ready), out, datetime.now(UTC))
        return server.page(
            "operations/ops.html",
            status=200,
            now=now,
            counted=self._counts(has_record=RECORD_AWAY not in not_ready),
            version=version("cds-hooks-onnx"),
            interfaces=self._interfaces(did),
            rules=all_rule_versions(),
            signs=_SIGNS,
            services=server.services,
            cut=server.components.metrics.record_cut(),
            sealed=server.components.metrics.sealed_at(),
            seals_fail=server.components.metrics.seal_failures() > 0,
            sends_seals=server.settings.seal_command is not None,
        )

    def _interfaces(self, did: str) -> Mapping[str, Any] | None:
        """Return what is known of the feeds, for those who run the server; None where the site declares none.

        None also where their file cannot be used, which what is wrong now says.
        """
        out = (name for name, _ in self._server.components.metrics.stores_out())
        if self._server.settings.events_file is None or "events" in out or not visiting().may_open("ops/interfaces"):
            return None
        from cds_hooks.people.pages.operations.feeds import Feeds  # with all of cds_hooks/add_ons/events

        try:
            return Feeds(self._server).values(did)
        except (sqlite3.Error, OSError):
            return None

    def _counts(self, *, has_record: bool) -> Mapping[str, Any]:
        """Return what comes from the counts, of a record that is away those before; what cannot be read is said."""
        counts = self._server.counts
        try:
            counted = counts.counted() if has_record else counts.kept()
            return {"note": counted.note, **(self._from_book(counted.book) if counted.book is not None else _NOTHING)}
        except RecordUnavailable as error:
            return {"note": f"The counts cannot be used: {error}.", **_NOTHING}

    def _from_book(self, book: CountBook) -> Mapping[str, Any]:
        now, verified = datetime.now(UTC), book.last_verification()
        kept = kept_report(book)
        return {
            "tasks": tasks_of(self._server, book, now),
            "callers": sorted(callers(book.views, int((now - _HOUR).timestamp() * 1e6)).items()),
            "verified": verified,
            "kept": kept,
            "to_look_at": kept.report.figures[:_MOST_FIGURES] if kept is not None else [],
            "overridden": nearly_always_overridden(book.views, now.date()),
            "told": {key for key, (*_, is_told) in book.open_incidents().items() if is_told},
        }

    def cards(self, by: By = "unit", days: Annotated[int, Query(ge=1, le=PERIODS[-1])] = 30) -> Response:
        """Show cards shown, accepted and overridden by care unit, service, rule and client; no patient."""
        counted = self._server.counts.counted()
        book, today = counted.book, datetime.now(UTC).date()
        rows = count_cards(book.views, by, today, days) if book is not None else []
        return self._server.page(
            "operations/cards.html", rows=rows, by=by, days=days, choices=BY, periods=PERIODS, note=counted.note
        )


_NOTHING: Final[Mapping[str, Any]] = {
    "tasks": [], "callers": [], "verified": None, "kept": None, "told": (), "overridden": ()
}  # fmt: skip


def routes(server: PageServer) -> list[Route]:
    """Return the addresses of the page, and of the cards with their answers."""
    page = _Operations(server)
    return [
        server.route("/ops", page.show),
        server.route("/ops/cards", page.cards),
    ]


_HEALTHY: Final = ("good", "Calls are answered")
_FAILING: Final = ("critical", "Calls fail")
_DEGRADED: Final = ("warning", "Something needs a person")
_UNKNOWN: Final = ("none", "No call came in the last ten minutes")
MINUTES: Final = 10
"""So many minutes are looked at for the state."""
_WHAT_TO_DO: Final = {
    "503 ReplayStoreFailed": ("The used tokens cannot be read or written, so no call can be trusted.",
                              "CdsHooksStoreCannotBeUsed"),
    "503 ModelNotServed": ("The files of a model were changed or are missing.", "CdsHooksModelOut"),
    "503 Overloaded": ("More calls come than can be answered in time.", "CdsHooksSlow"),
    "503 CallTimedOut": ("A call was not answered in its time.", "CdsHooksSlow"),
    "503": ("The record cannot be read or written.", "CdsHooksRecordCannotBeWritten"),
    "412": ("Data that the service needs did not come: the client sent none and its FHIR server gave none.",
            "CdsHooksFhirServerSlow"),
    "401": ("The caller is not shown to be a trusted client.", "CdsHooksCallsUntrusted"),
    "403": ("The client may not call this service or read this server.", "CdsHooksClientRefused"),
    "429": ("A client sends more calls than it may.", "CdsHooksThrottled"),
    "500": ("The server met a fault of its own; its log has the line.", "CdsHooksFailures"),
}  # fmt: skip
_OF_STORES: Final = frozenset({"503 RecordFailed", "503 ReplayStoreFailed"})
_BEHIND_A_STORE: Final = frozenset({"429", "503 Overloaded", "503 CallTimedOut"})
_HELD_UP: Final = (
    "Calls stand behind others that wait for a store which cannot be used; no client sends too much.",
    "CdsHooksStoreCannotBeUsed",
)
_OTHER: Final = ("Calls are not of the published form, or cannot be answered.", "CdsHooksFailures")


class FailureRow(Struct, frozen=True):
    """One kind of failure of the last minutes: its status and reason, how often, and what to do."""

    what: str
    count: int
    meaning: str
    runbook: str


class Now(Struct, frozen=True):
    """The state of the server at this moment, as a mark with its words. `since` is "" where nothing fails."""

    sign: tuple[str, str]
    sentence: str
    since: str
    failures: tuple[FailureRow, ...]
    started: str


def state_now(snapshots: Iterable[Snapshot], not_ready: str, out: Iterable[str], at: datetime) -> Now:
    """Return what is wrong now.

    Args:
        not_ready: Why the server cannot answer, as /readyz says it; "" where it can.
        out: A sentence for each thing that needs a person though calls are answered.
        at: The present, with its zone.
    """
    snapshots, out = list(snapshots), list(out)
    minutes = minutes_of(snapshots)
    silent = silent_fhir_servers(minutes, at.timestamp())
    out += [f"The FHIR server of {client} gives nothing to most of its calls." for client in silent]
    newest = int(at.timestamp() // 60)
    shown = {minute: minutes[minute] for minute in sorted(minutes) if minute > newest - MINUTES}
    failed = Counter[str]()
    for minute in shown.values():
        failed.update(minute.failed)
    calls = sum(minute.answered for minute in shown.values()) + failed.total()
    is_failing = bool(not_ready) or any(name.startswith("5") for name in failed) or 2 * failed.total() > calls > 0
    sign = _FAILING if is_failing else _DEGRADED if out or failed else _HEALTHY if calls else _UNKNOWN
    is_held_up = bool(not_ready) or not _OF_STORES.isdisjoint(failed)
    failed_calls = f"{failed.total():,} of {calls:,} calls failed in the last {MINUTES} minutes." if calls else ""
    sentences = [f"{not_ready[:1].upper()}{not_ready[1:]}." if not_ready else "", failed_calls, *out]
    started = min((snapshot.started_at for snapshot in snapshots), default=at.timestamp())
    return Now(
        sign,
        " ".join(filter(None, sentences)),
        _since(minutes) if failed else "",
        tuple(_failure(name, count, is_held_up) for name, count in failed.most_common()),
        format_time(datetime.fromtimestamp(started, UTC)),
    )


def _since(minutes: Mapping[int, Minute]) -> str:
    """Return since when calls fail: the first of the last minutes with calls that all had failures."""
    first = None
    for at in sorted(minutes, reverse=True):
        if not minutes[at].failed:
            break
        first = at
    return format_time(datetime.fromtimestamp(60 * first, UTC)) if first is not None else ""


def _failure(name: str, count: int, is_held_up: bool) -> FailureRow:
    status = name.partition(" ")[0]
    if is_held_up and not _BEHIND_A_STORE.isdisjoint((name, status)):
        meaning, runbook = _HELD_UP
    else:
        meaning, runbook = _WHAT_TO_DO.get(name) or _WHAT_TO_DO.get(status, _OTHER)
    return FailureRow(f"HTTP {name}", count, meaning, f"docs/operations/runbooks.html#{runbook.lower()}")
