"""One monitor of call volumes: where the watch judges a client's calls, the report has its incidents."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import msgspec

from cds_hooks.events.inbox import Inbox
from cds_hooks.events.watch.incidents import Incident
from cds_hooks.events.watch.reporting import watched_calls
from models_onnx.monitoring.day import DayCounts
from models_onnx.monitoring.judging import Compared
from tests.cds_hooks.events.test_watch import STEP, _declaration

LAST = date(2026, 9, 30)
STEP_OF_LAST = int(datetime(2026, 9, 30, 9, tzinfo=UTC).timestamp()) // STEP


def _feed_figures(*, is_watched: bool) -> set[str]:
    days = {LAST - timedelta(days=back): DayCounts(calls=240, hours={9: 240}) for back in range(1, 29)}
    at = datetime(2026, 9, 30, 12, tzinfo=UTC)
    figures = Compared("south", "follow-up", {LAST: DayCounts()}, days, at, is_watched).figures()
    return {figure.subject for figure in figures if figure.family == "feed" and figure.state == "act"}


def test_calls_that_the_watch_judges_are_not_judged_again() -> None:
    assert _feed_figures(is_watched=False) == {"calls", "today"}
    assert _feed_figures(is_watched=True) == set()


def test_the_report_has_the_incidents_of_the_watch(tmp_path: Path) -> None:
    declaration = _declaration(tmp_path)
    assert watched_calls(declaration, LAST, 7, None) == (frozenset(), [])
    inbox = Inbox(declaration.file)
    open_one = Incident("silent", ["calls of south"], "", "high", STEP_OF_LAST, STEP_OF_LAST, number=1)
    before = Incident("low", ["calls of north"], "", "high", STEP_OF_LAST - 9000, STEP_OF_LAST - 9000, number=2)
    before.closed = STEP_OF_LAST - 8900
    with inbox.transaction() as connection:
        for feed in ("calls of south", "lab"):
            row = (feed, STEP_OF_LAST, "expected", 4.0)
            connection.execute("INSERT INTO counts (feed, bucket, name, count) VALUES (?, ?, ?, ?)", row)
        for incident in (open_one, before):
            content = msgspec.json.encode(incident).decode()
            connection.execute(
                "INSERT INTO incidents (number, opened, closed, content) VALUES (?, ?, ?, ?)",
                (incident.number, incident.opened, incident.closed, content),
            )
    inbox.close()
    clients, figures = watched_calls(declaration, LAST, 7, None)
    assert clients == {"south"}
    assert [(figure.client, figure.family, figure.state, figure.text) for figure in figures] == [
        (
            "south",
            "feed",
            "act",
            "calls of south: silent, since 2026-09-30 09:00 UTC; /interfaces has what to check.",
        )
    ]
