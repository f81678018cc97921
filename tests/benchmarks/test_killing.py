"""What the kill test would miss, it would miss silently: so its judgement is tested without a kill."""

import sqlite3
from contextlib import closing
from pathlib import Path

from benchmarks.generator import LOST, Tally
from benchmarks.killing import KillResult, faults_of, recorded_decisions
from benchmarks.report import kill_sentence


def test_broken_connections_are_no_fault_but_every_other_error_is() -> None:
    tally = Tally(decisions=["a", "b"], errors={f"{LOST}: reset": 16, "status 500": 3})
    assert faults_of(0, tally, least_answered=2) == ["kill 1: status 500 (3 times)"]


def test_too_few_answered_calls_are_a_fault() -> None:
    assert "only 1 calls" in faults_of(4, Tally(decisions=["a"]), least_answered=1000)[0]


def test_one_id_in_two_answers_is_a_fault() -> None:
    assert "same decision id" in faults_of(0, Tally(decisions=["a", "a"]), least_answered=2)[0]


def test_decisions_are_read_from_the_file_with_sqlite_alone(tmp_path: Path) -> None:
    file = tmp_path / "decisions.sqlite3"
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("CREATE TABLE decisions (id TEXT)")
        connection.execute("INSERT INTO decisions VALUES ('a')")
    assert recorded_decisions(file) == {"a"}


def test_the_sentence_says_how_many_of_how_many_were_lost() -> None:
    assert kill_sentence(KillResult(answered=[1000, 2000], lost=["x"])).endswith("lost = 1 of 3,000")
