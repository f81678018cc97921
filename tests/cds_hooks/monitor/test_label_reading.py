"""Mature predictions of a real record are counted once with what happened, and corrections move them."""

import asyncio
import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from cds_hooks.cli import app
from cds_hooks.monitor.book import CountBook
from cds_hooks.monitor.label_reading import LabelReader, label_windows
from cds_hooks.outcomes.labels import Label
from cds_hooks.storage import Decision, FeedbackItem, card_uuid, new_decision_id, open_decision_log
from cds_hooks.storage.database import parse_url
from cds_hooks.storage.outcomes import Outcome, store_outcomes
from models_onnx.monitoring.label_judging import LabelWindow
from tests.cds_hooks.decision_views.followed import Book
from tests.live import record_in

FIRST = datetime(2026, 3, 1, 12, tzinfo=UTC)
LABELS = {"readmission_30d": Label("readmission_30d", "admission", 30, 3, 0.7)}
MATURE = FIRST + timedelta(days=34)


def microseconds(at: datetime) -> int:
    return int(at.timestamp() * 1e6)


def predicted(days: float, estimate: float = 0.2, client: str = "north", **changes: Any) -> Decision:
    """An estimate about a woman of 70, `days` after the first day."""
    at = FIRST + timedelta(days=days)
    basis = {
        "as_of": at.isoformat(),
        "features": {"age_years": [70, None, "Patient/x"], "sex_male": [0, None, "Patient/x"]},
        "scores": {"id": "readmission_30d", "version": "1", "probability": estimate},
    }
    made = Decision(
        id=new_decision_id(), decided_at=microseconds(at), hook="encounter-discharge", service="follow-up",
        hook_instance="h", client=client, patient="peter-chalmers", outcome="silent", input_digest="ab" * 32,
        models=b"[]", response=b'{"cards":[]}', basis=json.dumps(basis).encode(),
    )  # fmt: skip
    return Decision(**{**{each: getattr(made, each) for each in made.__struct_fields__}, **changes})


def write(url: str, *decisions: Decision) -> None:
    async def scenario() -> None:
        log = open_decision_log(url)
        await asyncio.gather(*(log.append(each) for each in decisions))
        await log.close()

    asyncio.run(scenario())


def say(url: str, decision: Decision, value: str) -> None:
    item = Outcome(
        decision.id, "follow-up", decision.client, "event", "readmission_30d", value, None, "api",
        microseconds(MATURE),
    )  # fmt: skip
    assert store_outcomes(parse_url(url), [item])


def read(url: str, folder: Path, now: datetime = MATURE) -> Book:
    book = Book(folder / "m.sqlite3")
    LabelReader(book, url, LABELS, microseconds(now)).read()
    return book


def counts(book: CountBook, until: datetime = MATURE, group: str = "all") -> dict[str, int]:
    """Of the mature predictions of the last days how many had what outcome."""
    windows = label_windows(book, LABELS, until.date(), 90)
    found = [window.of("readmission_30d@1", group) for window in windows]
    return {name: sum(each.total(name) for each in found) for name in ("yes", "no", "unlabelled")}


def test_a_decision_of_a_clock_that_was_ahead_holds_up_no_other(url: str, tmp_path: Path) -> None:
    for days in (0, 400, 1, 33):
        write(url, predicted(days))
    assert counts(read(url, tmp_path))["unlabelled"] == 2, "of the first and the third; the last one is not mature"
    later = MATURE + timedelta(days=40)
    assert counts(read(url, tmp_path, later), later)["unlabelled"] == 3


def test_only_mature_predictions_are_counted_each_once(url: str, tmp_path: Path) -> None:
    mature, young = predicted(0), predicted(2)
    write(url, mature, young)
    say(url, mature, "yes")
    say(url, young, "yes")
    assert counts(read(url, tmp_path, FIRST + timedelta(days=32))) == {"yes": 0, "no": 0, "unlabelled": 0}
    for _ in range(2):
        assert counts(read(url, tmp_path)) == {"yes": 1, "no": 0, "unlabelled": 0}
    later = MATURE + timedelta(days=2)
    book = read(url, tmp_path, later)
    assert counts(book, later) == {"yes": 2, "no": 0, "unlabelled": 0}
    assert counts(book, later, "women") == counts(book, later, "65 and over") == {"yes": 2, "no": 0, "unlabelled": 0}


def test_a_late_outcome_and_its_correction_move_the_count(url: str, tmp_path: Path) -> None:
    one = predicted(0)
    write(url, one)
    assert counts(read(url, tmp_path)) == {"yes": 0, "no": 0, "unlabelled": 1}
    for value, expected in (("yes", "yes"), ("no", "no"), ("unknown", "unlabelled")):
        say(url, one, value)
        found = counts(read(url, tmp_path))
        assert found == {"yes": 0, "no": 0, "unlabelled": 0} | {expected: 1}
    say(url, one, "yes")
    say(url, one, "no")
    assert counts(read(url, tmp_path))["no"] == 1, "two corrections between two reports"


def test_what_was_not_said_is_no_only_where_the_client_has_sent_all(sqlite_url: str, tmp_path: Path) -> None:
    write(sqlite_url, predicted(0), predicted(0, client="south"))
    for day, unlabelled in (("2026-03-31", 2), ("2026-04-01", 1)):
        statement = Outcome(None, "", "north", "complete", "admission", day, None, "api", 5)
        store_outcomes(parse_url(sqlite_url), [statement])
        assert counts(read(sqlite_url, tmp_path))["unlabelled"] == unlabelled
    assert counts(read(sqlite_url, tmp_path)) == {"yes": 0, "no": 1, "unlabelled": 1}


def test_each_model_waits_for_its_own_horizon(sqlite_url: str, tmp_path: Path) -> None:
    slow = predicted(0)
    basis = json.loads(slow.basis)
    basis["scores"]["id"] = "mortality_5y"
    write(sqlite_url, predicted(0, basis=json.dumps(basis).encode()), predicted(1))
    labels = LABELS | {"mortality_5y": Label("mortality_5y", "death", 1826.25, 3)}
    book = Book(tmp_path / "m.sqlite3")
    for now, expected in ((MATURE + timedelta(days=1), 1), (FIRST + timedelta(days=1832), 2)):
        LabelReader(book, sqlite_url, labels, microseconds(now)).read()
        LabelReader(book, sqlite_url, labels, microseconds(now)).read()
        windows = label_windows(book, labels, now.date(), 3000)
        models = [model for window in windows for model in window.models()]
        assert len(models) == expected


def test_orders_and_answers_are_counted_for_the_rules_of_their_card(sqlite_url: str, tmp_path: Path) -> None:
    plain = predicted(0)
    card = card_uuid(plain.id, 1)
    ours = {"org.cds-hooks-onnx": {"findings": [{"rule": "ddi-statin"}]}}
    response = {"cards": [{"uuid": card, "extension": ours, "suggestions": [{"uuid": card[:-2] + "01"}]}]}
    one = predicted(0, id=plain.id, outcome="cards", response=json.dumps(response).encode())
    write(sqlite_url, one)
    item = Outcome(one.id, "follow-up", "north", "order", card[:-2] + "01", "accepted", None, "api", 5)
    store_outcomes(parse_url(sqlite_url), [item])
    reason = FeedbackItem(
        card, "follow-up", "north", "overridden", "2026-03-01T13:00:00Z", one.decided_at,
        override_reason_code="patient-ineligible",
    )  # fmt: skip

    async def answer() -> None:
        log = open_decision_log(sqlite_url)
        await log.append_feedback([reason])
        await log.close()

    asyncio.run(answer())
    book = read(sqlite_url, tmp_path)
    book.read(sqlite_url)
    store_outcomes(parse_url(sqlite_url), [Outcome(**_fields(item) | {"value": "still-ordered"})])
    (day,) = read(sqlite_url, tmp_path).compared(FIRST.date(), 1, 1)[0].window.values()
    assert {key: times for key, times in day.orders.items() if times} == {"ddi-statin still-ordered": 1}
    assert day.answers == {"ddi-statin overridden": 1}
    assert day.answer_reasons == {"ddi-statin patient-ineligible": 1}


def _fields(item: Outcome) -> dict[str, Any]:
    return {each: getattr(item, each) for each in item.__struct_fields__}


def test_a_book_of_the_version_before_is_counted_again(sqlite_url: str, tmp_path: Path) -> None:
    write(sqlite_url, predicted(0))
    book = Book(tmp_path / "m.sqlite3")
    assert book.read(sqlite_url) == 1
    with book.open() as connection:
        connection.execute("PRAGMA user_version = 1")
    assert Book(tmp_path / "m.sqlite3").read(sqlite_url) == 1


@pytest.fixture(scope="module")
def misjudged(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A record of 2,400 mature predictions, of which twice as many came true as the model said."""
    folder = tmp_path_factory.mktemp("record")
    random, url = np.random.default_rng(3), record_in(folder)
    made = [predicted(place / 100, float(random.uniform(0.05, 0.25))) for place in range(2400)]
    write(url, *made)
    items = [
        Outcome(each.id, "follow-up", "north", "event", "readmission_30d", value, None, "csv", 5)
        for each in made
        for value in ["yes" if random.random() < 2 * json.loads(each.basis)["scores"]["probability"] else "no"]
    ]
    store_outcomes(parse_url(url), items)
    return url


def report(url: str, *more: str) -> Any:
    words = ["monitor", "--until", "2026-05-01", "--days", "1", "--database", url]
    return CliRunner().invoke(app, [*words, *more])


def test_the_report_finds_a_model_that_is_miscalibrated_on_mature_labels(misjudged: str) -> None:
    done = report(misjudged, "--json")
    assert done.exit_code == 1, done.output
    found = {each["family"]: each for each in json.loads(done.stdout)["incidents"]}
    (ratio,) = (each for each in found["calibration"]["causes"] if "observed to expected" in each["subject"])
    assert ratio["value"] == pytest.approx(2.0, rel=0.1)
    assert "predictions of 2025-12-30 to 2026-03-29" in ratio["text"]


def test_before_the_predictions_are_mature_nothing_is_said_of_them(misjudged: str, tmp_path: Path) -> None:
    book = read(misjudged, tmp_path)
    assert date(2026, 3, 1) + timedelta(days=33) > date(2026, 4, 2)
    windows: list[LabelWindow] = label_windows(book, LABELS, date(2026, 4, 2), 90)
    assert windows == []


LABEL = Label("readmission_30d", "admission", 30, 3, 0.7)


def reader(book: CountBook, url: str, now: datetime) -> LabelReader:
    """A reader at this instant."""
    return LabelReader(book, url, {LABEL.model: LABEL}, microseconds(now))


def test_a_prediction_is_mature_at_the_very_end_of_its_wait(sqlite_url: str, tmp_path: Path) -> None:
    write(sqlite_url, predicted(0))
    book, mature = Book(tmp_path / "m.sqlite3"), FIRST + timedelta(days=33)
    for now, windows in ((mature - timedelta(microseconds=1), 0), (mature, 1)):
        reader(book, sqlite_url, now).read()
        assert len(label_windows(book, {LABEL.model: LABEL}, date(2026, 4, 4), 9)) == windows


def test_an_outcome_of_a_removed_decision_counts_nothing(sqlite_url: str, tmp_path: Path) -> None:
    gone, kept = predicted(0), predicted(0)
    write(sqlite_url, kept)
    items = [
        Outcome(name, "follow-up", "north", "event", "readmission_30d", "yes", None, "api", microseconds(FIRST))
        for name in (gone.id, kept.id)
    ]
    book = Book(tmp_path / "m.sqlite3")
    reader(book, sqlite_url, FIRST + timedelta(days=60)).read()
    store_outcomes(parse_url(sqlite_url), items)
    reader(book, sqlite_url, FIRST + timedelta(days=60)).read()
    (window,) = label_windows(book, {LABEL.model: LABEL}, FIRST.date() + timedelta(days=33), 1)
    found = window.of("readmission_30d@1", "all")
    assert [found.total(name) for name in ("yes", "no", "unlabelled")] == [1, 0, 0]


@pytest.mark.parametrize(
    "basis",
    [b"{}", b"[]", b'{"scores": {"id": "m"}}', b'{"scores": {"id": "", "probability": 0.1}}', b'{"scores": {"id": 5}}'],
)
def test_a_decision_without_an_estimate_is_no_prediction(sqlite_url: str, tmp_path: Path, basis: bytes) -> None:
    one = predicted(0, basis=basis)
    write(sqlite_url, one)
    say(sqlite_url, one, "yes")
    book = Book(tmp_path / "m.sqlite3")
    for _ in range(2):
        reader(book, sqlite_url, FIRST + timedelta(days=60)).read()
    assert label_windows(book, {LABEL.model: LABEL}, FIRST.date() + timedelta(days=33), 9) == []
