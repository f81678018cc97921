"""`cds-hooks monitor` over a real record, in which a laboratory changes its unit and a client falls silent."""

import asyncio
import json
import shutil
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from cds_hooks.cli import app
from cds_hooks.evidence.monitor.book import CountBook
from cds_hooks.evidence.monitor.judging import Event, NotTold, note_incidents, tell
from cds_hooks.evidence.monitor.report import report_of
from cds_hooks.evidence.monitor.window import Window
from cds_hooks.evidence.outcomes.labels import Label
from cds_hooks.evidence.record_views import open_follower
from cds_hooks.evidence.storage.database import parse_url
from cds_hooks.evidence.storage.decision import Decision, FeedbackItem, new_decision_id, numbered_uuid
from cds_hooks.evidence.storage.opening import open_decision_log
from cds_hooks.evidence.storage.queries import store_feedback
from models_onnx.artifact.manifest import InputDistribution
from models_onnx.monitoring.figure import Family, Figure, Incident, State
from tests.constants import settings_with
from tests.live import free_port, record_in
from tests.receiver import Receiver, receiving

FIRST = datetime(2026, 9, 1, 8, tzinfo=UTC)
DAYS, CALLS, LAST = 30, 60, "2026-09-30"


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
            at = FIRST + timedelta(days=day, minutes=8 * call)
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
        card, received = numbered_uuid(rows[0].id, 1), rows[0].decided_at
        item = FeedbackItem(card, "planning-conversation", "north", "accepted", "2026-09-01T09:00:00Z", received)
        store_feedback(parse_url(url), [item])
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


def run(record: str, counts: Path, *more: str, **changed: object) -> Result:
    arguments = ["monitor", "--until", LAST, "--days", "2", "--database", record]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("cds_hooks.tools.commands.monitor.settings", lambda: settings_with(counts_file=counts, **changed))
        return CliRunner().invoke(app, [*arguments, *more])


def test_a_laboratory_with_another_unit_and_a_silent_client_are_two_incidents_and_the_pages_have_them(
    record: str, counts: Path
) -> None:
    done = run(record, counts, "--json")
    assert done.exit_code == 1, done.output
    found = json.loads(done.stdout)["incidents"]
    assert {(each["client"], each["family"]) for each in found} == {("north", "drift"), ("south", "calls")}
    assert run(record, counts, "--client", "nobody").exit_code == 0


def test_a_service_that_cannot_be_loaded_is_no_incident(record: str, counts: Path, tmp_path: Path) -> None:
    (tmp_path / "own.service.toml").write_text('modell = "mortality_5y"\n')
    done = run(record, counts, models_folder=tmp_path)
    assert (done.exit_code, "own.service.toml, line 1: `modell`" in done.stderr) == (2, True), done.output


@pytest.mark.parametrize("is_recorded", [True, False])
def test_inputs_are_held_against_the_cohort_that_the_manifest_has(record: str, is_recorded: bool) -> None:
    spread = np.random.default_rng(8).normal(0, 1, 2000)
    cohort = {"creatinine_mg_dl": np.exp(spread * 0.3), "age_years": 66 + 12 * spread}
    deciles = {name: tuple(np.quantile(x, np.arange(1, 10) / 10).tolist()) for name, x in cohort.items()}
    known = {name: InputDistribution(2000, cuts, (0.1,) * 10) for name, cuts in deciles.items()}
    labels = {"model": Label("model", None, 30.0, 0.0, distributions=known if is_recorded else {})}
    report = report_of(record, None, labels, Window(date(2026, 9, 30), 4, 20, 90))
    states = {f.subject: f.state for f in report.figures if f.client == "north" and "cohort" in f.subject}
    of_inputs = {
        "age_years against the cohort of model@1": "good",
        "creatinine_mg_dl against the cohort of model@1": "watch",  # on two of the four days in another unit
    }
    assert states == (of_inputs if is_recorded else {"inputs of model@1 against its cohort": "insufficient"})


@pytest.fixture
def notices_webhook() -> Iterator[Receiver]:
    """A server that takes notices."""
    with receiving() as receiver:
        yield receiver


def figure(client: str = "ehr", family: Family = "drift", state: State = "act", text: str = "t") -> Figure:
    """A figure of which only client, family, state and text are asked."""
    return Figure(client, "s", family, "x", state, 100, 10, 1.0, 0.0, text)


def incident(client: str, family: Family, text: str) -> Incident:
    """An incident with one cause."""
    return Incident(client, family, "x", (figure(client, family, text=text),))


def told(events: list[Event]) -> list[tuple[str, str, str, str]]:
    """What the events say, without the time."""
    return [(event.event, event.client, event.family, event.text) for event in events]


def book_in(folder: Path) -> CountBook:
    """The book of an empty record."""
    settings = settings_with(database_url=record_in(folder), counts_file=folder / "book.sqlite3")
    follower = open_follower(settings)
    follower.catch_up()
    return CountBook(follower.views)


def tell_of(book: CountBook, found: list[Incident], url: str) -> list[Event]:
    """Remember what is open, and tell others."""
    window = Window(FIRST.date(), 7, 28, 90)
    note_incidents(book, found, window)
    return tell(book, found, url, window)


def told_of(book: CountBook) -> set[tuple[str, str]]:
    """Client and family of the incidents that others were told of, and not yet that they ended."""
    return {(client, family) for client, family, is_told in book.open_incidents().values() if is_told}


def test_an_incident_is_told_when_it_begins_and_when_it_ends(tmp_path: Path, notices_webhook: Receiver) -> None:
    book, before = book_in(tmp_path), datetime.now(UTC).replace(microsecond=0)
    units, clock = incident("ehr", "drift", "unit of bun"), incident("app", "calls", "an hour ahead")
    begun = tell_of(book, [units, clock], notices_webhook.url)
    assert told(begun) == [
        ("opened", "app", "calls", "app: an hour ahead"),
        ("opened", "ehr", "drift", "ehr: unit of bun"),
    ]
    assert before <= datetime.fromisoformat(begun[0].at) <= datetime.now(UTC)
    assert told_of(book) == {("app", "calls"), ("ehr", "drift")}
    assert tell_of(book, [clock, units], notices_webhook.url) == []
    feed = incident("ehr", "errors", "no calls")
    changed = tell_of(book, [clock, feed], notices_webhook.url)
    assert told(changed) == [("opened", "ehr", "errors", "ehr: no calls"), ("closed", "ehr", "drift", "")]
    assert told_of(book) == {("app", "calls"), ("ehr", "errors")}
    assert notices_webhook.taken == [
        {"event": each.event, "at": each.at, "client": each.client, "family": each.family, "text": each.text}
        for each in [*begun, *changed]
    ]


def test_the_days_of_an_incident_are_held_against_nothing_while_they_would_be_the_reference(tmp_path: Path) -> None:
    book, begun = book_in(tmp_path), Window(FIRST.date(), 7, 28, 90)
    first, second = (Incident("ehr", "drift", "x", (figure(client="ehr", family=f),)) for f in ("drift", "missing"))
    keys = {first.causes[0].key, second.causes[0].key}
    note_incidents(book, [first], begun)
    note_incidents(book, [second], begun)  # the same one, by another figure
    ended = Window(begun.last + timedelta(days=20), 7, 28, 90)
    assert note_incidents(book, [], ended) == [first.key]
    assert book.open_incidents() == {}
    near, far = (Window(ended.last + timedelta(days=days), 7, 28, 90) for days in (10, 80))
    frozen = book.frozen(near.first)
    assert frozen == dict.fromkeys(keys, begun.start)
    assert book.frozen(far.first) == {}
    of_key = next(iter(keys))
    assert Window(near.last, 7, 28, 90, frozen=frozen).reference(of_key, near.start)[1] == begun.start
    usual = Window(near.last, 7, 28, 90, frozen=frozen, usual={"ehr": ended.last})
    assert usual.reference(of_key, near.start) == (ended.last, near.start)


def test_a_webhook_that_is_not_there_is_said(tmp_path: Path) -> None:
    book = book_in(tmp_path)
    with pytest.raises(NotTold) as not_told:
        tell_of(book, [incident("ehr", "drift", "u")], f"http://127.0.0.1:{free_port()}/notices")
    assert str(not_told.value) == (
        "the webhook cannot be reached (ConnectError); the next report tells the event again."
    )
    assert told_of(book) == set()


def test_alertmanager_is_told_under_one_key_when_it_begins_and_when_it_is_over(
    tmp_path: Path, notices_webhook: Receiver
) -> None:
    book, url = book_in(tmp_path), notices_webhook.url.replace("/notices", "/api/v2/alerts")
    (begun,), (ended,) = tell_of(book, [incident("ehr", "drift", "u")], url), tell_of(book, [], url)
    labels = {"alertname": "CdsHooksNotice", "severity": "warning", "subject": "ehr drift x"}
    first, last = notices_webhook.taken[0][0], notices_webhook.taken[1][0]
    assert first == {
        "labels": labels, "annotations": {"summary": "ehr: u"}, "startsAt": begun.at, "endsAt": first["endsAt"],
    }  # fmt: skip
    assert last == {"labels": labels, "annotations": {"summary": "ehr drift x"}, "endsAt": ended.at}
