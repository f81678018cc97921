"""The inbox by itself: what is kept of a message, for whom something is due, and how dead letters are settled."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cds_hooks.events.declaration import EffectRule
from cds_hooks.events.facts import Effects, Fact, Merge
from cds_hooks.events.inbox import DeadLetter, FeedState, Inbox, Incoming, Taken, counts_since, feed_states

NOW = 1_795_182_000.0
RULES = (
    EffectRule(services=("a", "b"), quiet_seconds=30, longest_seconds=300),
    EffectRule(services=("c",), feeds=("lab",), quiet_seconds=5, longest_seconds=9),
    EffectRule(services=("d",), panel=frozenset({"p2"}), patients="panel.txt"),
)


def _reads(fact: Fact) -> tuple[str, ...]:
    return ("a", "c", "d") if fact.type == "Observation" else ()


@pytest.fixture
def inbox(tmp_path: Path) -> Iterator[Inbox]:
    made = Inbox(tmp_path / "events.sqlite3", RULES, _reads)
    yield made
    made.close()


def lab(identifier: str = "o1", **members: Any) -> dict[str, Any]:
    return {"resourceType": "Observation", "id": identifier, "status": "final", **members}


def message(identifier: str, *facts: Fact, content: bytes = b"", source: str = "lab", **more: Any) -> Incoming:
    effects = Effects(list(facts), more.pop("merges", []))
    return Incoming(source, identifier, "ORU^R01", content or identifier.encode(), NOW, effects, **more)


def due(inbox: Inbox) -> list[tuple[Any, ...]]:
    return inbox.query("SELECT patient, service, since, ready, latest, version FROM due ORDER BY patient, service")


def test_a_fact_makes_the_services_due_that_read_it_by_the_rules_for_its_feed_and_patient(inbox: Inbox) -> None:
    person = Fact("p1", {"resourceType": "Patient", "id": "p1"}, 1.0)
    assert inbox.take([message("1", person)]) == [Taken(1, "done", "")]
    assert due(inbox) == []
    inbox.take([message("2", Fact("p1", lab(), 1.0))])
    assert due(inbox) == [("p1", "a", NOW, NOW + 30, NOW + 300, 2), ("p1", "c", NOW, NOW + 5, NOW + 9, 2)]
    inbox.take([message("3", Fact("p2", lab("o2"), 1.0), source="adt")])
    quiet = RULES[2]
    assert due(inbox)[2:] == [
        ("p2", "a", NOW, NOW + 30, NOW + 300, 3),
        ("p2", "d", NOW, NOW + quiet.quiet_seconds, NOW + quiet.longest_seconds, 3),
    ]


def test_what_changes_nothing_or_comes_late_makes_nobody_due(inbox: Inbox) -> None:
    fact = Fact("p1", lab(), 1.0)
    for happened, is_due in ((NOW - 3 * 86_400 - 1, False), (NOW - 3 * 86_400, True)):
        identifier = f"o{is_due}"
        one = message(identifier, Fact("p1", lab(identifier), 1.0, happened=happened), late_days=3)
        inbox.take([one])
        assert bool(due(inbox)) is is_due
    assert counts_since(inbox, "lab", NOW)["late"] == 1
    inbox.take([message("2", fact)])
    before = due(inbox)
    inbox.take([message("3", fact)])
    assert due(inbox) == before


def test_a_merge_makes_everything_due_for_whom_the_patient_is_now(inbox: Inbox) -> None:
    inbox.take([message("1", merges=[Merge("p2", "p1")])])
    assert [(patient, service) for patient, service, *_ in due(inbox)] == [
        ("p2", "a"), ("p2", "b"), ("p2", "c"), ("p2", "d"),
    ]  # fmt: skip
    assert counts_since(inbox, "lab", NOW)["merges"] == 1
    assert not inbox.unmerge("p9", NOW + 9)
    assert {row[5] for row in due(inbox)} == {1}
    assert inbox.unmerge("p1", NOW + 9)
    assert [(*row[:3], row[5]) for row in due(inbox) if row[0] == "p1"] == [
        ("p1", service, NOW + 9, 2) for service in "abcd"
    ]
    assert {row[5] for row in due(inbox) if row[0] == "p2"} == {2}
    assert inbox.query("SELECT merged, survivor, undone_at FROM links") == [("p1", "p2", NOW + 9)]
    assert not inbox.unmerge("p1", NOW + 10)


def test_an_id_with_another_content_is_a_dead_letter_and_one_after_a_dead_letter_is_not(inbox: Inbox) -> None:
    first = message("1", Fact("p1", lab(), 1.0))
    assert inbox.take([first, first]) == [Taken(1, "done", ""), Taken(1, "duplicate", "")]
    reason = "A message with this id and another content was taken before; this one had no effect."
    other = message("1", Fact("p1", lab(value=2), 2.0), content=b"other")
    assert inbox.take([other, other]) == [Taken(2, "dead", reason), Taken(2, "dead", reason)]
    assert inbox.take([message("1", content=b"third", source="adt")]) == [Taken(3, "done", "")]
    broken = message("2", content=b"broken", fault="It is cut off.")
    assert inbox.take([broken, message("2", content=b"whole")]) == [
        Taken(4, "dead", "It is cut off."),
        Taken(5, "done", ""),
    ]
    assert inbox.query("SELECT sequence, copies FROM inbox ORDER BY sequence") == [
        (1, 1), (2, 1), (3, 0), (4, 0), (5, 0),
    ]  # fmt: skip
    assert counts_since(inbox, "lab", NOW) == {
        "messages": 6, "state:done": 2, "state:duplicate": 1, "state:dead": 3, "duplicate": 2,
    }  # fmt: skip
    assert feed_states(inbox, ["lab", "none"]) == [FeedState("lab", NOW, 4, 2), FeedState("none", 0.0, 0, 0)]


def test_dead_letters_are_read_from_a_number_on_and_settled_once(inbox: Inbox) -> None:
    inbox.take([message(name, content=name.encode(), fault="It is cut off.") for name in "xyz"])
    letters = [DeadLetter(at, "lab", name, "ORU^R01", NOW, "It is cut off.", name.encode()) for at, name in
               ((1, "x"), (2, "y"), (3, "z"))]  # fmt: skip
    assert inbox.dead_letters() == letters
    assert inbox.dead_letters(1) == letters[1:]
    assert inbox.dead_letters(0, 2) == letters[:2]
    inbox.settle(2, "dropped")
    inbox.settle(2, "replayed")
    assert [inbox.dead_letter(number) for number in (1, 2, 3, 4)] == [letters[0], None, letters[2], None]
    assert inbox.query("SELECT sequence, state, content IS NULL FROM inbox") == [
        (1, "dead", 0), (2, "dropped", 1), (3, "dead", 0),
    ]  # fmt: skip


def test_what_is_old_is_forgotten_but_for_dead_letters(inbox: Inbox) -> None:
    inbox.take([message("1"), message("2", fault="x")])
    inbox.count("lab", "refused", NOW)
    inbox.forget(NOW)
    assert inbox.query("SELECT message_id FROM inbox") == [("1",), ("2",)]
    assert counts_since(inbox, "lab", NOW) == {"messages": 2, "state:done": 1, "state:dead": 1, "refused": 1}
    inbox.forget(NOW + 300)
    assert inbox.query("SELECT message_id FROM inbox") == [("2",)]
    assert counts_since(inbox, "lab", 0) == {}


def test_what_fails_leaves_nothing_of_its_group(inbox: Inbox) -> None:
    def two() -> None:
        with inbox.transaction() as connection:
            connection.execute("INSERT INTO links (merged, survivor, inbox, at) VALUES ('a', 'b', 1, 1)")
            connection.execute("INSERT INTO links (merged) VALUES ('a')")

    with pytest.raises(sqlite3.IntegrityError):
        two()
    assert inbox.query("SELECT * FROM links") == []


def test_only_the_default_folder_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Inbox(Path("var/events.sqlite3")).close()
    assert Path("var/events.sqlite3").stat().st_mode & 0o777 == 0o600
    Inbox(Path("var/events.sqlite3")).close()
    with pytest.raises(FileNotFoundError):
        Inbox(Path("other/events.sqlite3"))
    with sqlite3.connect(tmp_path / "old.sqlite3") as connection:
        connection.execute("PRAGMA user_version=1")
    connection.close()
    with pytest.raises(sqlite3.OperationalError):
        Inbox(tmp_path / "old.sqlite3").query("SELECT 1 FROM facts")
