"""Incidents of hook calls as figures of the monitor: which of them, in which window, and what they say."""

from contextlib import closing
from datetime import UTC, date, datetime
from pathlib import Path

import msgspec
import pytest

from cds_hooks.events.declaration import Declaration
from cds_hooks.events.inbox import Inbox
from cds_hooks.events.watch.incidents import Incident
from cds_hooks.events.watch.reporting import watched_calls
from models_onnx.monitoring.figure import Figure

LAST = date(2026, 9, 30)
END = int(datetime(2026, 10, 1, tzinfo=UTC).timestamp()) // 300
START = END - 7 * 288


def declared(folder: Path, incidents: list[Incident], expected: list[tuple[str, int]] = []) -> Declaration:  # noqa: B006 - not written
    declaration = Declaration(database=str(folder / "inbox.sqlite3"))
    with closing(Inbox(declaration.file)) as inbox, inbox.transaction() as connection:
        for feed, step in expected:
            connection.execute("INSERT INTO counts VALUES (?, ?, 'expected', 4.0)", (feed, step))
            connection.execute(
                "INSERT INTO counts VALUES (?, ?, 'messages', 4.0)", (f"calls of the other {feed}", step)
            )
        for number, incident in enumerate(incidents, 1):
            content = msgspec.json.encode(incident).decode()
            row = (number, incident.opened, incident.closed, content)
            connection.execute("INSERT INTO incidents (number, opened, closed, content) VALUES (?, ?, ?, ?)", row)
    return declaration


def incident(opened: int, closed: int | None, kind: str = "low", severity: str = "high") -> Incident:
    feeds = ["lab", "calls of south", "calls of north"]
    return Incident(kind, feeds, "", severity, opened - 2, opened, 0.25, closed=closed)


def test_an_incident_is_a_figure_of_every_client_that_it_is_about(tmp_path: Path) -> None:
    _, figures = watched_calls(declared(tmp_path, [incident(END - 36, None)]), LAST, 7, None)
    text = "lab, calls of south, calls of north: low, since 2026-09-30 20:50 UTC; /interfaces has what to check."
    assert figures == [
        Figure(client, "all services", "feed", "low", "act", 0, 0, 0.25, 1.0, text) for client in ("south", "north")
    ]


@pytest.mark.parametrize(
    ("opened", "closed", "state"),
    [
        (END - 1, None, "act"),
        (END, None, None),
        (START - 900, None, "act"),
        (START - 900, START, "watch"),
        (START - 900, START - 1, None),
        (END - 10, END - 1, "watch"),
        (END - 10, END, "act"),  # it was open at the end of the window
        (END + 5, END + 9, None),
    ],
)
def test_incidents_count_in_the_windows_that_they_touch(
    opened: int, closed: int | None, state: str | None, tmp_path: Path
) -> None:
    _, figures = watched_calls(declared(tmp_path, [incident(opened, closed)]), LAST, 7, None)
    assert [figure.state for figure in figures] == ([] if state is None else [state] * 2)


def test_only_volumes_are_figures_and_information_is_only_watched(tmp_path: Path) -> None:
    kinds = ("silent", "low", "flapping", "fewer", "flood", "resend", "sender", "unit", "late", "errors")
    incidents = [incident(END - 9, None, kind) for kind in kinds] + [incident(END - 9, None, "fewer", "information")]
    _, figures = watched_calls(declared(tmp_path, incidents), LAST, 7, None)
    assert [(figure.subject, figure.state) for figure in figures[::2]] == [
        *((kind, "act") for kind in kinds[:7]), ("fewer", "watch")
    ]  # fmt: skip


def test_clients_are_judged_where_calls_were_expected_on_the_last_day(tmp_path: Path) -> None:
    expected = [
        ("calls of a", END - 1),
        ("calls of b", END - 288),
        ("calls of c", END - 289),
        ("calls of d", END),
        ("lab", END - 1),
    ]
    declaration = declared(tmp_path, [incident(END - 9, END - 5)], expected)
    assert watched_calls(declaration, LAST, 7, None)[0] == {"a", "b"}
    clients, figures = watched_calls(declaration, LAST, 7, datetime.fromtimestamp((END - 6) * 300, UTC))
    assert clients == {"b", "c"}
    assert [figure.state for figure in figures] == ["act", "act"]
    declaration.file.unlink()
    assert watched_calls(declaration, LAST, 7, None) == (frozenset(), [])
