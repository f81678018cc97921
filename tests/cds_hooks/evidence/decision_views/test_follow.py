"""One follower takes each row of the record once, passes over none, and is begun anew where rows are lost."""

import json
import sqlite3
from pathlib import Path
from typing import ClassVar

import pytest

from cds_hooks.evidence.decision_views.file import Views
from cds_hooks.evidence.decision_views.follow import Batch, Follower, Projection
from cds_hooks.evidence.storage.decision import Decision, RecordUnavailable, new_decision_id, numbered_uuid
from tests.cds_hooks.evidence.storage.samples import a_decision, store
from tests.live import record_in


class Patients(Projection):
    """Who the decisions and answers are about, and the kinds of the acts, in the order in which they come."""

    tables: ClassVar[str] = "CREATE TABLE taken (name TEXT NOT NULL);"

    def take(self, connection: sqlite3.Connection, batch: Batch) -> None:
        names = [
            *(row.decision.patient for row in batch.decisions),
            *(f"answer {row.decision.decision.patient}" for row in batch.answers if row.decision is not None),
            *(row.kind for row in batch.acts),
        ]
        connection.executemany("INSERT INTO taken VALUES (?)", [(name,) for name in names])


def follower_of(url: str, folder: Path, *more: Projection) -> Follower:
    """A follower with these projections, and the one that says what came."""
    return Follower(url, Views(folder / "views.sqlite3"), (*more, Patients()))


def taken(follower: Follower) -> list[str]:
    """What came to the projection."""
    follower.catch_up()
    return [name for (name,) in follower.views.read("SELECT name FROM taken ORDER BY rowid")]


def _shown_to(patient: str) -> Decision:
    made = new_decision_id()
    response = json.dumps({"cards": [{"uuid": numbered_uuid(made, 1)}]}).encode()
    return a_decision(id=made, patient=patient, response=response)


def test_each_row_is_taken_once_and_a_deleted_file_is_made_again(tmp_path: Path) -> None:
    url = record_in(tmp_path)
    store(url, _shown_to("ann"), answered=True)
    follower = follower_of(url, tmp_path)
    first = ["ann", "answer ann"]
    assert taken(follower)[:2] == first
    assert follower.follow() == 0
    follower.close()
    store(url, a_decision(patient="ben"))
    assert taken(follower_of(url, tmp_path))[-1] == "ben", "after a restart, too"
    follower.views.file.unlink()
    assert [name for name in taken(follower_of(url, tmp_path)) if "n" in name[:5]][:2] == ["ann", "ben"]


def test_a_damaged_file_is_said_once_set_aside_and_made_again(tmp_path: Path) -> None:
    url = record_in(tmp_path)
    store(url, a_decision(patient="ann"))
    follower = follower_of(url, tmp_path)
    assert "ann" in taken(follower)
    follower.views.file.write_bytes(b"no database" * 1000)
    again = follower_of(url, tmp_path)
    with pytest.raises(RecordUnavailable, match="not a database"):
        again.follow()
    again.close()
    assert "ann" in taken(follower_of(url, tmp_path))
    assert (tmp_path / "views.sqlite3.damaged").read_bytes().startswith(b"no database")


def test_of_several_processes_one_follows_and_the_others_read(tmp_path: Path) -> None:
    url = record_in(tmp_path)
    store(url, a_decision(patient="ann"))
    one, other = follower_of(url, tmp_path), follower_of(url, tmp_path)
    assert one.follow() > 0
    assert other.follow() == 0
    assert "ann" in taken(other), "it waits for the one that follows"
    store(url, a_decision(patient="ben"))
    with pytest.raises(RecordUnavailable, match="1 rows of the record are not in the views yet"):
        other.catch_up(seconds=0.02)
    one.close()
    assert taken(other)[-1] == "ben"


def test_a_folder_that_cannot_be_written_is_said_and_stops_nobody(tmp_path: Path) -> None:
    url = record_in(tmp_path)
    store(url, a_decision())
    (tmp_path / "none").write_text("no folder")
    follower = Follower(url, Views(tmp_path / "none" / "views.sqlite3"), (Patients(),))
    with pytest.raises(RecordUnavailable, match="the views of the record cannot be made"):
        follower.follow()
