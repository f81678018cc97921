"""Lists of places by name: which are found, in which order, how many are looked at, and who called when."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from cds_hooks.decision_views.file import Views
from cds_hooks.monitor.finder import note_verification
from cds_hooks.monitor.postings import (
    TABLES,
    Budget,
    Postings,
    callers,
    groups_of,
    known_names,
    places,
    plain_subject,
)
from cds_hooks.storage.queries import DecisionFilter
from tests.cds_hooks.decision_views.followed import Book
from tests.cds_hooks.monitor.test_finder import invented, write
from tests.each import for_rows

PLACES = {
    (10, 1): ["service a", "client ehr", "outcome cards"],
    (20, 2): ["service b", "client ehr", "outcome silent", "silent r budget"],
    (20, 3): ["service a", "client app", "outcome cards", "rule r"],
    (30, 4): ["service a", "client ehr", "outcome error", "silent r shadow", "silent other budget"],
}


@pytest.fixture
def connection() -> Iterator[sqlite3.Connection]:
    """A database with these places."""
    made = sqlite3.connect(":memory:")
    made.executescript(TABLES)
    for position, names in PLACES.items():
        postings = Postings()
        postings.note(names, position)
        postings.write(made)
    yield made
    made.close()


@for_rows(
    ("subject", "kept"),
    [
        ("renal-metformin", "renal-metformin"), ("m_1.A", "m_1.A"), ("Observation/1", "other"), ("1a", "other"),
        ("Metformin", "other"), ("", "other"), ("a b", "other"), ("a" * 80, "a" * 80), ("a" * 81, "other"),
    ],
)  # fmt: skip
def test_only_a_plain_subject_is_kept(subject: str, kept: str) -> None:
    assert plain_subject(subject) == kept


def test_names_are_counted_over_all_batches(connection: sqlite3.Connection) -> None:
    counted = dict(connection.execute("SELECT name, n FROM names"))
    assert (counted["client ehr"], counted["client app"], counted["service a"]) == (3, 1, 3)
    assert known_names(connection, "service") == ["a", "b"]
    assert known_names(connection, "client") == ["app", "ehr"]
    assert known_names(connection, "silent") == ["other budget", "r budget", "r shadow"]
    assert known_names(connection, "severity") == []


@pytest.mark.parametrize(
    ("since", "found"),
    [
        (0, {"app": (20, 1), "ehr": (30, 3)}), (20, {"app": (20, 1), "ehr": (30, 2)}),
        (21, {"app": (20, 0), "ehr": (30, 1)}), (31, {"app": (20, 0), "ehr": (30, 0)}),
    ],
)  # fmt: skip
def test_each_client_has_its_newest_call_and_the_number_since(
    connection: sqlite3.Connection, since: int, found: dict[str, tuple[int, int]]
) -> None:
    assert callers(connection, since) == found


@pytest.mark.parametrize(
    ("wanted", "groups"),
    [
        ({}, []),
        ({"service": "a", "outcome": "cards"}, [["service a"], ["outcome cards"]]),
        ({"client": "ehr", "severity": "info", "answer": "accepted", "override": "x"},
         [["client ehr"], ["severity info"], ["answer accepted"], ["override x"]]),
        ({"held_back": ("budget",)}, [["silent other budget", "silent r budget"]]),
        ({"held_back": ("never",)}, [[]]),
        ({"reason": "budget"}, [["silent other budget", "silent r budget"]]),
        ({"reason": "budget", "rule": "r"}, [["silent r budget"]]),
        ({"reason": "budget", "rule": "Drug X"}, [["silent other budget"]]),
        ({"rule": "r"}, [["rule r", "silent r budget", "silent r shadow"]]),
        ({"rule": "Drug X"}, [["rule Drug X", "silent other budget"]]),
        ({"rule": "gone"}, [["rule gone"]]),
    ],
)  # fmt: skip
def test_a_filter_asks_for_names_in_groups(
    connection: sqlite3.Connection, wanted: dict[str, object], groups: list[list[str]]
) -> None:
    found = groups_of(connection, DecisionFilter(**wanted))  # type: ignore[arg-type]
    assert [sorted(group) for group in found] == [sorted(group) for group in groups]


@pytest.mark.parametrize(
    ("groups", "before", "since", "found"),
    [
        ([["service a"]], None, None, [(30, 4), (20, 3), (10, 1)]),
        ([["service a"]], (30, 4), None, [(20, 3), (10, 1)]),
        ([["service a"]], (20, 3), None, [(10, 1)]),
        ([["service a"]], (20, 4), None, [(20, 3), (10, 1)]),
        ([["service a"]], None, 20, [(30, 4), (20, 3)]),
        ([["service a"]], None, 21, [(30, 4)]),
        ([["service a", "service b"]], None, None, [(30, 4), (20, 3), (20, 2), (10, 1)]),
        ([["service a", "client ehr"]], None, None, [(30, 4), (20, 3), (20, 2), (10, 1)]),
        ([["service a"], ["client ehr"]], None, None, [(30, 4), (10, 1)]),
        ([["service a"], ["client app"], ["rule r"]], None, None, [(20, 3)]),
        ([["service a"], ["gone"]], None, None, []),
        ([["gone", "rule r"]], None, None, [(20, 3)]),
    ],
)
def test_places_are_those_with_a_name_of_each_group_the_newest_first(
    connection: sqlite3.Connection,
    groups: list[list[str]],
    before: tuple[int, int] | None,
    since: int | None,
    found: list[tuple[int, int]],
) -> None:
    assert list(places(connection, groups, before, since, Budget())) == found


@pytest.mark.parametrize(
    ("left", "found", "reached", "is_spent"),
    [
        (0, [], None, True), (1, [(30, 4)], (30, 4), True), (2, [(30, 4)], (20, 3), True),
        (3, [(30, 4), (10, 1)], (10, 1), False), (9, [(30, 4), (10, 1)], (10, 1), False),
    ],
)  # fmt: skip
def test_a_budget_counts_the_places_that_are_looked_at(
    connection: sqlite3.Connection,
    left: int,
    found: list[tuple[int, int]],
    reached: tuple[int, int] | None,
    *,
    is_spent: bool,
) -> None:
    budget = Budget(left)
    assert list(places(connection, [["service a"], ["client ehr"]], None, None, budget)) == found
    assert (budget.reached, budget.is_spent) == (reached, is_spent)


def test_a_verification_is_noted_where_the_book_is_of_this_record(tmp_path: Path) -> None:
    url, file = f"sqlite:///{tmp_path / 'd.sqlite3'}", tmp_path / "book.sqlite3"
    write(url, invented(3, 1))
    note_verification(url, Views(file), 3, "")
    assert not file.exists()
    book = Book(file)
    book.read(url)
    note_verification(url, Views(file), 3, "row 2")
    last = book.last_verification()
    assert last is not None
    assert (last.decisions, last.fault) == (3, "row 2")
    broken = tmp_path / "broken.sqlite3"
    broken.write_bytes(b"no database" * 100)
    note_verification(url, Views(broken), 3, "")
    assert broken.read_bytes() == b"no database" * 100
