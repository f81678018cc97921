"""Who follows the record by its numbers passes over no decision that is committed late, and notices lost rows."""

import json
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from random import randrange
from threading import Timer

import psycopg
import pytest

from cds_hooks.hold_back.governance import Governance
from cds_hooks.hold_back.sent_cards import ShownRows
from cds_hooks.monitor.book import CountBook
from cds_hooks.protocol.request import LONGEST_ID
from cds_hooks.storage import card_uuid, database, new_decision_id
from cds_hooks.storage.chain import Chain
from cds_hooks.storage.database import END_IDLE_TRANSACTIONS, engine_for, parse_url
from cds_hooks.storage.decision import Decision, RecordUnavailable
from cds_hooks.storage.entries import add_event, newest_entry
from cds_hooks.storage.following import Mark, settled
from cds_hooks.storage.opening import upgrade_schema
from cds_hooks.storage.postgres import _INSERT
from cds_hooks.storage.queries import newest_number
from cds_hooks.storage.tables import events
from tests.cds_hooks.hold_back.test_act_log import standby_that_takes_over
from tests.cds_hooks.storage.conftest import postgres_server, postgres_url
from tests.cds_hooks.storage.samples import a_decision, store
from tests.live import record_in

__all__ = ["postgres_server", "postgres_url"]  # fixtures of the record's tests


@contextmanager
def _written_late(url: str, decision: Decision) -> Iterator[psycopg.Connection]:
    """Another worker has inserted this decision, and commits it only at the end."""
    with closing(psycopg.connect(url)) as connection:
        connection.cursor().executemany(_INSERT, Chain(None).link([decision]))
        yield connection
        connection.commit()


@pytest.mark.slow
def test_a_decision_that_is_committed_after_many_later_ones_is_passed_over_by_nobody(
    postgres_url: str, tmp_path: Path
) -> None:
    store(postgres_url, a_decision(patient="first"))
    shown, book = ShownRows(3_650), CountBook(tmp_path / "book.sqlite3")
    assert [decision.patient for decision in shown.read(postgres_url)] == ["first"]
    assert book.read(postgres_url) == 1
    with _written_late(postgres_url, a_decision(patient="late")):
        store(postgres_url, *(a_decision(patient="later") for _ in range(70)))
        assert settled(postgres_url, Mark(1, b"read")) == Mark(1, b"read")
        assert list(shown.read(postgres_url)) == []
        assert book.read(postgres_url) == 0
        with pytest.raises(RecordUnavailable, match="for longer than usual"):
            list(ShownRows(3_650).read(postgres_url))
    assert [decision.patient for decision in shown.read(postgres_url)] == ["late"] + ["later"] * 70
    assert book.read(postgres_url) == 71


def test_a_writer_that_commits_soon_is_waited_for(postgres_url: str) -> None:
    store(postgres_url, a_decision())
    with closing(psycopg.connect(postgres_url)) as connection:
        connection.cursor().executemany(_INSERT, Chain(None).link([a_decision()]))
        store(postgres_url, a_decision())
        commit = Timer(0.1, connection.commit)
        commit.start()
        assert settled(postgres_url, Mark()).sequence == newest_number(postgres_url) == 3
        commit.join()


def test_a_writer_that_dies_in_a_transaction_holds_up_nobody_for_long(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "END_IDLE_TRANSACTIONS", END_IDLE_TRANSACTIONS.replace("15s", "200ms"))
    upgrade_schema(parse_url(postgres_url))
    hanging = engine_for(parse_url(postgres_url)).connect()
    newest_entry(hanging, events)
    add_event(postgres_url, "hold", "somebody", {"hold": "1"})
    hanging.invalidate()


def _shown_to(patient: str) -> Decision:
    made = new_decision_id()
    response = json.dumps({"cards": [{"uuid": card_uuid(made, 1)}]}).encode()
    return a_decision(id=made, patient=patient, response=response)


def _of(*patients: str) -> list[str]:
    return sorted([*patients, *(f"answer {patient}" for patient in patients)])


def test_decisions_and_answers_that_took_the_numbers_of_lost_ones_are_read(tmp_path: Path) -> None:
    url, taken = record_in(tmp_path), list[str]()
    site = Governance(None, needs_approval=False, now=lambda: 1_795_165_600.0)
    site.acceptance.take_shown = lambda decision: taken.append(decision.patient)  # type: ignore[method-assign]
    site.acceptance.take_answer = lambda answer: taken.append(f"answer {answer.patient}")  # type: ignore[method-assign]
    store(url, _shown_to("kept"), answered=True)
    with standby_that_takes_over(tmp_path):
        store(url, *map(_shown_to, ("lost", "lost too")), answered=True)
        for _ in range(2):
            site.read_answers(url)
            site.read_shown(url)
        assert sorted(taken) == _of("kept", "lost", "lost too")
    store(url, *map(_shown_to, ("new", "new too", "newer", "newest")), answered=True)
    taken.clear()
    for _ in range(2):
        site.read_answers(url)
        site.read_shown(url)
    assert sorted(taken) == _of("kept", "new", "new too", "newer", "newest")


def test_the_longest_ids_that_a_call_may_have_fit_into_the_indexes(postgres_url: str) -> None:
    """Of random signs of four bytes, which the database cannot compress."""
    ids = ["".join(chr(randrange(0x10000, 0x110000)) for _ in range(LONGEST_ID)) for _ in range(2)]
    decision = a_decision(hook_instance=ids[0], patient=ids[1])
    store(postgres_url, decision, answered=True)
    assert newest_number(postgres_url) == 1
