"""Finding decisions by the book of counts gives what looking through the whole record gives."""

import asyncio
import json
import sqlite3
from contextlib import closing
from itertools import islice
from pathlib import Path
from random import Random

import pytest

from cards.extension import EXTENSION_KEY
from cds_hooks.decision_views.file import Views
from cds_hooks.decision_views.follow import Follower
from cds_hooks.hold_back.checks import SUPPRESSED
from cds_hooks.monitor.book import Counts
from cds_hooks.monitor.finder import book_for, find
from cds_hooks.monitor.postings import Budget
from cds_hooks.storage import Decision, open_decision_log
from cds_hooks.storage.database import parse_url
from cds_hooks.storage.entries import add_event
from cds_hooks.storage.queries import DecisionFilter, find_decisions, store_feedback
from tests.cds_hooks.decision_views.followed import Book
from tests.cds_hooks.storage.samples import a_decision, some_feedback
from tests.live import record_in

REASONS = ("below-threshold", "said-once", "shadow")
RULES = ("renal-one", "renal-two", "Observation/secret-1")
FILTERS = (
    DecisionFilter(service="order-safety"),
    DecisionFilter(client="a hospital", outcome="error"),
    DecisionFilter(rule="renal-one"),
    DecisionFilter(rule="Observation/secret-1"),
    DecisionFilter(rule="renal-two", reason="shadow"),
    DecisionFilter(reason="said-once", service="planning"),
    DecisionFilter(held_back=sorted(SUPPRESSED)),
    DecisionFilter(rule="never-heard-of"),
    DecisionFilter(severity="critical"),
    DecisionFilter(severity="warning", service="planning"),
    DecisionFilter(severity="never"),
    DecisionFilter(service="planning", since=1_100, until=1_200),
    DecisionFilter(outcome="cards", until=1_000),
    DecisionFilter(outcome="cards", patient="patient-1", rule="renal-one"),
)


def invented(count: int, seed: int) -> list[Decision]:
    random = Random(seed)
    found = []
    for number in range(count):
        rule, silent = random.choice(RULES), random.choice(RULES)
        finding = {"rule": rule, "band": "b", "indicator": "info"}
        indicator = random.choice(("info", "warning", "critical"))
        card = {"summary": "s", "indicator": indicator, "extension": {EXTENSION_KEY: {"findings": [finding]}}}
        found.append(
            a_decision(
                # some have the same time, and some come later than those with a higher number
                decided_at=1_000 + number - random.randrange(3),
                service=random.choice(("planning", "order-safety")),
                client=random.choice(("a hospital", "b hospital")),
                outcome=random.choice(("cards", "silent", "error")),
                response=json.dumps({"cards": [card]}).encode(),
                basis=json.dumps({"silence": [[silent, random.choice(REASONS), "A text."]]}).encode(),
            )
        )
    return found


def write(url: str, decisions: list[Decision]) -> None:
    async def run() -> None:
        log = open_decision_log(url)
        for each in decisions:
            await log.append(each)
        await log.close()

    asyncio.run(run())


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> str:
    url = f"sqlite:///{tmp_path_factory.mktemp('record')}/d.sqlite3"
    write(url, invented(300, 7))
    return url


def follower_at(url: str, folder: Path) -> Follower:
    """A follower that counts."""
    return Follower(url, Views(folder / "m.sqlite3"), (Counts(),))


def expected(url: str, wanted: DecisionFilter) -> list[str]:
    return [each.id for each in find_decisions(url, wanted)]


@pytest.mark.slow
@pytest.mark.parametrize("wanted", FILTERS, ids=str)
@pytest.mark.parametrize("counted", [300, 260, 0])
def test_the_book_finds_what_the_record_has_in_the_same_order(
    record: str, tmp_path: Path, wanted: DecisionFilter, counted: int
) -> None:
    book = Book(tmp_path / "m.sqlite3")
    if counted:
        book.read(record, at_once=20, most=counted)
    assert [each.decision.id for each in find(record, book, wanted)] == expected(record, wanted)


def test_a_list_goes_on_where_the_page_before_ended(record: str, tmp_path: Path) -> None:
    wanted = DecisionFilter(service="planning")
    book = book_for(record, follower_at(record, tmp_path), wanted)
    assert book is not None
    ids, before = [], None
    while page := list(islice(find(record, book, wanted, before), 7)):
        ids += [each.decision.id for each in page]
        before = page[-1].position
    assert ids == expected(record, wanted)


def test_a_budget_ends_a_search_with_the_place_from_which_it_goes_on(record: str, tmp_path: Path) -> None:
    wanted, ids = DecisionFilter(service="planning", outcome="error", reason="shadow"), list[str]()
    book = book_for(record, follower_at(record, tmp_path), wanted)
    before, rounds = None, 0
    while True:
        budget = Budget(10)
        ids += [each.decision.id for each in find(record, book, wanted, before, budget)]
        rounds += 1
        if not budget.is_spent:
            break
        before = budget.reached
    assert rounds > 3
    assert ids == expected(record, wanted)


@pytest.mark.parametrize("new", [3, 5, 30])
def test_a_record_that_lost_decisions_is_counted_anew(tmp_path: Path, new: int) -> None:
    """A standby took over, or a backup was restored: new decisions have the numbers of the lost ones."""
    url, backup, book = record_in(tmp_path), tmp_path / "backup", Book(tmp_path / "m.sqlite3")
    kept = invented(20, 1)
    write(url, kept)
    add_event(url, "hold", "somebody", {})
    with closing(sqlite3.connect(tmp_path / "decisions.sqlite3")) as connection:
        backup.write_bytes(connection.serialize())
    write(url, invented(5, 2))
    assert book.read(url) == 25
    for file in tmp_path.glob("decisions.sqlite3-*"):
        file.unlink()
    backup.replace(tmp_path / "decisions.sqlite3")
    write(url, invented(new, 3))
    assert not book.views.is_of(url)
    assert book.read(url) == 20 + new
    assert book.views.is_of(url)
    assert book.read(url) == 0


def test_a_book_that_cannot_be_written_is_done_without(record: str, tmp_path: Path) -> None:
    file = tmp_path / "m.sqlite3"
    file.write_bytes(b"no database" * 100)
    assert book_for(record, follower_at(record, tmp_path), DecisionFilter(rule="renal-one")) is None


def test_an_answer_leads_to_its_decision_whether_or_not_it_was_counted(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/d.sqlite3"
    decisions = invented(60, 3)
    write(url, decisions)
    items = [
        some_feedback(decision.id, outcome="overridden" if number % 2 else "accepted", override_reason_code=reason)
        for number, (decision, reason) in enumerate(
            zip(decisions[::5], ("contraindicated", None, "other") * 4, strict=True)
        )
    ]
    store_feedback(parse_url(url), items)
    for counted in (60, 0):
        book = Book(tmp_path / f"{counted}.sqlite3")
        if counted:
            book.read(url)
        for wanted in (
            DecisionFilter(answer="overridden"),
            DecisionFilter(answer="accepted", service="planning"),
            DecisionFilter(override="other"),
        ):
            assert [each.decision.id for each in find(url, book, wanted)] == expected(url, wanted)
    assert len(expected(url, DecisionFilter(answer="overridden"))) == 6
