"""Others are told once when an incident begins and once when it ends, and Prometheus reads the figures."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from cds_hooks.monitor.judging import Event, NotTold, tell
from models_onnx.monitoring.figure import Family, Figure, Incident, State
from tests.cds_hooks.decision_views.followed import Book
from tests.receiver import Receiver, receiving


@pytest.fixture
def webhook() -> Iterator[Receiver]:
    """A server that takes notices."""
    with receiving() as receiver:
        yield receiver


def figure(client: str = "ehr", family: Family = "units", state: State = "act", text: str = "t") -> Figure:
    """A figure of which only client, family, state and text are asked."""
    return Figure(client, "s", family, "x", state, 100, 10, 1.0, 0.0, text)


def incident(client: str, family: Family, text: str) -> Incident:
    """An incident with one cause."""
    return Incident(client, family, (figure(client, family, text=text),))


def told(events: list[Event]) -> list[tuple[str, str, str, str]]:
    """What the events say, without the time."""
    return [(event.event, event.client, event.family, event.text) for event in events]


def test_an_incident_is_told_when_it_begins_and_when_it_ends(tmp_path: Path, webhook: Receiver) -> None:
    book, before = Book(tmp_path / "book.sqlite3"), datetime.now(UTC).replace(microsecond=0)
    units, clock = incident("ehr", "units", "unit of bun"), incident("app", "clock", "an hour ahead")
    begun = tell(book, [units, clock], webhook.url)
    assert told(begun) == [
        ("opened", "app", "clock", "app: an hour ahead"),
        ("opened", "ehr", "units", "ehr: unit of bun"),
    ]
    assert before <= datetime.fromisoformat(begun[0].at) <= datetime.now(UTC)
    assert book.open_incidents() == {("app", "clock"), ("ehr", "units")}
    assert tell(book, [clock, units], webhook.url) == []
    feed = incident("ehr", "feed", "no calls")
    changed = tell(book, [clock, feed], webhook.url)
    assert told(changed) == [("opened", "ehr", "feed", "ehr: no calls"), ("closed", "ehr", "units", "")]
    assert book.open_incidents() == {("app", "clock"), ("ehr", "feed")}
    assert webhook.taken == [
        {"event": each.event, "at": each.at, "client": each.client, "family": each.family, "text": each.text}
        for each in [*begun, *changed]
    ]


@pytest.mark.parametrize("answer", [300, 404, 500])
def test_an_event_that_is_not_taken_is_told_again(tmp_path: Path, webhook: Receiver, answer: int) -> None:
    book = Book(tmp_path / "book.sqlite3")
    units, clock = incident("ehr", "units", "u"), incident("app", "clock", "c")
    webhook.answers = [200, answer]
    with pytest.raises(NotTold) as not_told:
        tell(book, [units, clock], webhook.url)
    assert str(not_told.value) == f"the webhook answered {answer}; the next report tells the event again."
    assert book.open_incidents() == {("app", "clock")}
    assert told(tell(book, [units, clock], webhook.url)) == [("opened", "ehr", "units", "ehr: u")]
    webhook.answers = [answer]
    with pytest.raises(NotTold):
        tell(book, [clock], webhook.url)
    assert book.open_incidents() == {("app", "clock"), ("ehr", "units")}


def test_a_webhook_that_is_not_there_is_said(tmp_path: Path, webhook: Receiver) -> None:
    book, url = Book(tmp_path / "book.sqlite3"), webhook.url
    webhook.close()
    with pytest.raises(NotTold) as not_told:
        tell(book, [incident("ehr", "units", "u")], url)
    assert str(not_told.value) == (
        "the webhook cannot be reached (ConnectError); the next report tells the event again."
    )
    assert book.open_incidents() == set()


def test_alertmanager_is_told_under_one_key_when_it_begins_and_when_it_is_over(
    tmp_path: Path, webhook: Receiver
) -> None:
    book, url = Book(tmp_path / "book.sqlite3"), webhook.url.replace("/notices", "/api/v2/alerts")
    (begun,), (ended,) = tell(book, [incident("ehr", "input drift", "u")], url), tell(book, [], url)
    labels = {"alertname": "CdsHooksNotice", "severity": "warning", "subject": "ehr input drift"}
    first, last = webhook.taken[0][0], webhook.taken[1][0]
    assert first == {
        "labels": labels, "annotations": {"summary": "ehr: u"}, "startsAt": begun.at, "endsAt": first["endsAt"],
    }  # fmt: skip
    assert last == {"labels": labels, "annotations": {"summary": "ehr input drift"}, "endsAt": ended.at}
