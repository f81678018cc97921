"""`cds-hooks monitor` over a real record, in which a laboratory changes its unit and a client falls silent."""

import asyncio
import json
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from cds_hooks.cli import app
from cds_hooks.monitor.judging import Event, NotTold, tell
from cds_hooks.record_views import open_follower
from cds_hooks.storage import Decision, FeedbackItem, card_uuid, new_decision_id, open_decision_log
from models_onnx.monitoring.figure import Family, Figure, Incident, State
from tests.cds_hooks.decision_views.followed import Book
from tests.constants import settings_with
from tests.receiver import Receiver, receiving

FIRST = datetime(2026, 9, 1, 8, tzinfo=UTC)
DAYS, CALLS, LAST = 30, 120, "2026-09-30"


def decision(client: str, at: datetime, creatinine: float, age: float, *, is_spoken: bool) -> Decision:
    """A call about a patient who is named in the record, and in no count of it."""
    basis = {
        "as_of": at.isoformat(),
        "features": {
            "age_years": [age, at.date().isoformat(), "Patient/peter-chalmers"],
            "creatinine_mg_dl": [creatinine, (at - timedelta(days=20)).isoformat(), "Observation/creatinine-1"],
        },
        "missing": {"rdw_pct": "absent"},
        "scores": {"id": "model", "version": "1", "probability": 1 / (1 + np.exp(4 - creatinine - age / 40))},
        "timings": {"decode": 0.2, "facts": 0.1, "decide": 0.5},
        "prefetch": {"patient": "given", "labs": "given"},
        "silence": [["model", "below-threshold", "Not among the highest."]],
    }
    return Decision(
        id=new_decision_id(), decided_at=int(at.timestamp() * 1e6), hook="patient-view",
        service="planning-conversation",
        hook_instance="d1577c69-dfbe-44ad-ba6d-3e05e953b2ea", client=client, patient="peter-chalmers",
        outcome="cards" if is_spoken else "silent", input_digest="ab" * 32, models=b"[]", response=b'{"cards":[]}',
        basis=json.dumps(basis).encode(),
    )  # fmt: skip


def month() -> list[Decision]:
    """Thirty days: `north` sends creatinine in another unit on the last two; `south` calls no more on these."""
    random = np.random.default_rng(4)
    found = []
    for day in range(DAYS):
        for call in range(CALLS):
            at = FIRST + timedelta(days=day, minutes=4 * call)
            value, age = float(np.exp(random.normal(0, 0.3))), float(round(random.normal(66, 12)))
            changed = value * 88.42 if day >= DAYS - 2 else value
            found.append(decision("north", at, changed, age, is_spoken=value > 1.4))
            if day < DAYS - 2:
                found.append(decision("south", at, value, age, is_spoken=value > 1.4))
    return found


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> str:
    url = f"sqlite:///{tmp_path_factory.mktemp('record')}/decisions.sqlite3"

    async def write() -> None:
        log = open_decision_log(url)
        rows = month()
        for start in range(0, len(rows), 1000):
            await asyncio.gather(*(log.append(row) for row in rows[start : start + 1000]))
        card, received = card_uuid(rows[0].id, 1), rows[0].decided_at
        item = FeedbackItem(card, "planning-conversation", "north", "accepted", "2026-09-01T09:00:00Z", received)
        await log.append_feedback([item])
        await log.close()

    asyncio.run(write())
    return url


@pytest.fixture(scope="module")
def counted(record: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The counts of the whole record, made once: to count seven thousand decisions takes a quarter of a second."""
    file = tmp_path_factory.mktemp("counted") / "m.sqlite3"
    open_follower(settings_with(database_url=record, counts_file=file)).catch_up()
    return file


@pytest.fixture
def counts(counted: Path, tmp_path: Path) -> Path:
    """Counts of one's own that go on where these stopped."""
    for each in counted.parent.iterdir():
        shutil.copy(each, tmp_path)
    return tmp_path / counted.name


def run(record: str, counts: Path, *more: str) -> Result:
    arguments = ["monitor", "--until", LAST, "--days", "2", "--database", record]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("cds_hooks.commands.monitor.settings", lambda: settings_with(counts_file=counts))
        return CliRunner().invoke(app, [*arguments, *more])


def test_each_fault_is_one_incident_with_its_client(record: str, tmp_path: Path) -> None:
    done = run(record, tmp_path / "m.sqlite3", "--json")
    assert done.exit_code == 1, done.output
    found = {(each["client"], each["family"]): each for each in json.loads(done.stdout)["incidents"]}
    assert set(found) == {("north", "units"), ("south", "feed")}
    (unit,) = found["north", "units"]["causes"]
    assert unit["subject"] == "creatinine_mg_dl"
    assert unit["value"] / unit["before"] == pytest.approx(88.42, rel=0.1)
    assert {each["family"] for each in found["north", "units"]["follows"]} <= {"input drift", "score drift"}


@pytest.mark.slow
def test_the_terminal_says_it_in_sentences(record: str, counts: Path) -> None:
    done = run(record, counts)
    words = " ".join(done.stdout.split())
    assert "Incident, units. north: planning-conversation: the median of creatinine_mg_dl is" in words
    assert "Incident, feed. south: planning-conversation: 0 calls came where 240 were expected." in words


def test_days_without_a_fault_end_with_0(record: str, counts: Path) -> None:
    done = run(record, counts, "--until", "2026-09-28")
    assert done.exit_code == 0, done.output
    assert "Incident" not in done.stdout


def test_a_morning_is_held_against_the_hours_that_are_over(record: str, counts: Path) -> None:
    """Calls come from 8 to 16; at 11 `north` has sent as many as on other days up to then, `south` none."""
    done = run(record, counts, "--days", "1", "--until", f"{LAST}T11:00", "--json")
    feeds = [each for each in json.loads(done.stdout)["figures"] if each["family"] == "feed"]
    found = {(each["client"], each["subject"]): each for each in feeds}
    assert {found["north", name]["state"] for name in ("calls", "today")} == {"good"}
    assert {found["south", name]["state"] for name in ("calls", "today")} == {"act"}
    assert "0 calls came since 00:00" in found["south", "today"]["text"]
    assert sum(each["client"] == "south" for each in json.loads(done.stdout)["incidents"]) == 1


@pytest.mark.slow
def test_each_decision_is_counted_once(record: str, tmp_path: Path) -> None:
    book = Book(tmp_path / "m.sqlite3")
    assert book.read(record) == DAYS * CALLS + (DAYS - 2) * CALLS
    assert book.read(record) == 0
    assert Book(tmp_path / "m.sqlite3").read(record) == 0
    north = next(one for one in book.compared(FIRST.date(), 1, 1) if one.client == "north")
    (day,) = north.window.values()
    assert (day.calls, day.accepted, sum(day.hours.values())) == (CALLS, 1, CALLS)


@pytest.fixture
def webhook() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


@pytest.mark.slow
def test_a_webhook_is_told_once_when_an_incident_begins_and_once_when_it_ends(
    record: str, counts: Path, webhook: Receiver
) -> None:
    for _ in range(2):
        assert run(record, counts, "--notify", webhook.url).exit_code == 1
    assert [(each["event"], each["client"], each["family"]) for each in webhook.taken] == [
        ("opened", "north", "units"),
        ("opened", "south", "feed"),
    ]
    assert "another unit may be sent" in webhook.taken[0]["text"]
    webhook.posts.clear()
    assert run(record, counts, "--notify", webhook.url, "--until", "2026-09-28").exit_code == 0
    assert {(each["event"], each["client"]) for each in webhook.taken} == {("closed", "north"), ("closed", "south")}


@pytest.mark.slow
def test_an_alertmanager_is_told_when_an_incident_starts_and_when_it_ends(
    record: str, counts: Path, webhook: Receiver
) -> None:
    address = f"{webhook.url}/api/v2/alerts"
    assert run(record, counts, "--notify", address).exit_code == 1
    # Without an end Alertmanager ends an alert by itself after five minutes.
    spans = [
        datetime.fromisoformat(alert["endsAt"]) - datetime.fromisoformat(alert["startsAt"])
        for (alert,) in webhook.taken
    ]
    assert spans == [timedelta(days=7)] * 2
    webhook.posts.clear()
    assert run(record, counts, "--notify", address, "--until", "2026-09-28").exit_code == 0
    assert [("startsAt" in alert, "endsAt" in alert) for (alert,) in webhook.taken] == [(False, True)] * 2


@pytest.mark.slow
def test_what_the_webhook_did_not_take_is_told_again(record: str, counts: Path, webhook: Receiver) -> None:
    webhook.status = 500
    done = run(record, counts, "--notify", webhook.url)
    assert done.exit_code == 2
    assert "the webhook answered 500" in " ".join(done.output.split())
    webhook.status = 204
    run(record, counts, "--notify", webhook.url)
    assert len(webhook.taken) == 2


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--until", "yesterday"], "--until yesterday: write a date as 2026-11-20, or 2026-11-20T14:00."),
        (["--database", "sqlite:///nowhere/d.sqlite3"], "there is no record at"),
        (["--notify", "http://alerts.example/x"], "http is for this machine only"),
        (["--notify", "https://alerts.example/x", "--client", "north"], "leave out --client"),
    ],
)
def test_what_cannot_be_used_is_said_in_a_sentence(record: str, counts: Path, more: list[str], words: str) -> None:
    done = run(record, counts, *more)
    assert done.exit_code == 2
    assert words in " ".join(done.output.split())


@pytest.fixture
def notices_webhook() -> Iterator[Receiver]:
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


def test_an_incident_is_told_when_it_begins_and_when_it_ends(tmp_path: Path, notices_webhook: Receiver) -> None:
    book, before = Book(tmp_path / "book.sqlite3"), datetime.now(UTC).replace(microsecond=0)
    units, clock = incident("ehr", "units", "unit of bun"), incident("app", "clock", "an hour ahead")
    begun = tell(book, [units, clock], notices_webhook.url)
    assert told(begun) == [
        ("opened", "app", "clock", "app: an hour ahead"),
        ("opened", "ehr", "units", "ehr: unit of bun"),
    ]
    assert before <= datetime.fromisoformat(begun[0].at) <= datetime.now(UTC)
    assert book.open_incidents() == {("app", "clock"), ("ehr", "units")}
    assert tell(book, [clock, units], notices_webhook.url) == []
    feed = incident("ehr", "feed", "no calls")
    changed = tell(book, [clock, feed], notices_webhook.url)
    assert told(changed) == [("opened", "ehr", "feed", "ehr: no calls"), ("closed", "ehr", "units", "")]
    assert book.open_incidents() == {("app", "clock"), ("ehr", "feed")}
    assert notices_webhook.taken == [
        {"event": each.event, "at": each.at, "client": each.client, "family": each.family, "text": each.text}
        for each in [*begun, *changed]
    ]


@pytest.mark.parametrize("answer", [300, 404, 500])
def test_an_event_that_is_not_taken_is_told_again(tmp_path: Path, notices_webhook: Receiver, answer: int) -> None:
    book = Book(tmp_path / "book.sqlite3")
    units, clock = incident("ehr", "units", "u"), incident("app", "clock", "c")
    notices_webhook.answers = [200, answer]
    with pytest.raises(NotTold) as not_told:
        tell(book, [units, clock], notices_webhook.url)
    assert str(not_told.value) == f"the webhook answered {answer}; the next report tells the event again."
    assert book.open_incidents() == {("app", "clock")}
    assert told(tell(book, [units, clock], notices_webhook.url)) == [("opened", "ehr", "units", "ehr: u")]
    notices_webhook.answers = [answer]
    with pytest.raises(NotTold):
        tell(book, [clock], notices_webhook.url)
    assert book.open_incidents() == {("app", "clock"), ("ehr", "units")}


def test_a_webhook_that_is_not_there_is_said(tmp_path: Path, notices_webhook: Receiver) -> None:
    book, url = Book(tmp_path / "book.sqlite3"), notices_webhook.url
    notices_webhook.close()
    with pytest.raises(NotTold) as not_told:
        tell(book, [incident("ehr", "units", "u")], url)
    assert str(not_told.value) == (
        "the webhook cannot be reached (ConnectError); the next report tells the event again."
    )
    assert book.open_incidents() == set()


def test_alertmanager_is_told_under_one_key_when_it_begins_and_when_it_is_over(
    tmp_path: Path, notices_webhook: Receiver
) -> None:
    book, url = Book(tmp_path / "book.sqlite3"), notices_webhook.url.replace("/notices", "/api/v2/alerts")
    (begun,), (ended,) = tell(book, [incident("ehr", "input drift", "u")], url), tell(book, [], url)
    labels = {"alertname": "CdsHooksNotice", "severity": "warning", "subject": "ehr input drift"}
    first, last = notices_webhook.taken[0][0], notices_webhook.taken[1][0]
    assert first == {
        "labels": labels, "annotations": {"summary": "ehr: u"}, "startsAt": begun.at, "endsAt": first["endsAt"],
    }  # fmt: skip
    assert last == {"labels": labels, "annotations": {"summary": "ehr input drift"}, "endsAt": ended.at}
