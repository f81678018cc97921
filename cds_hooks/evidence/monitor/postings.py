"""Which decisions have a service, client, outcome, rule or reason for silence: a list of places for each, newest first.

Kept in the book of counts and derived from the record as the counts are. A place is the time and the number of a row of
the record, so nothing of a patient is here; who looks a place up reads the decision itself, and judges it again.
"""

import re
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from heapq import merge
from itertools import chain
from typing import Final

from cds_hooks.evidence.storage.decision import is_trial
from cds_hooks.evidence.storage.queries import DecisionFilter, Place

TABLES: Final = """
CREATE TABLE names (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, n INTEGER NOT NULL);
CREATE TABLE places (
    name INTEGER, at INTEGER, sequence INTEGER, PRIMARY KEY (name, at, sequence)
) WITHOUT ROWID;
"""
_AT_ONCE: Final = 200
_PLAIN: Final = re.compile(r"[a-z][A-Za-z0-9_.-]{0,79}")
_NEWEST: Final = 1 << 62
_EXACT: Final = ("service", "client", "outcome", "severity", "answer", "override")

Groups = list[list[str]]
"""Names: of each group a decision has at least one."""


def plain_subject(subject: str) -> str:
    """Return the subject of a reason for silence, where it is the id of a rule, model or service; else "other".

    Other subjects are names of orders and resources as a call gave them, which no count may keep.
    """
    return subject if _PLAIN.fullmatch(subject) else "other"


def names_of(
    service: str,
    client: str,
    outcome: str,
    rules: Iterable[str],
    silences: Iterable[tuple[str, str]],
    severities: Iterable[str] = (),
) -> set[str]:
    """Return the names under which a decision is found; `silences` are subjects and reasons."""
    silent = (f"silent {plain_subject(subject)} {reason}" for subject, reason in silences)
    plain = {f"service {service}", f"client {client}", f"outcome {outcome}"}
    severe = (f"severity {severity}" for severity in severities)
    return {*plain, *(f"rule {rule}" for rule in rules), *silent, *severe}


class Postings(Counter[str]):
    """The names of a batch of decisions with their places, to be added to a book at once."""

    def __init__(self) -> None:
        super().__init__()
        self._places: list[tuple[str, int, int]] = []

    def note(self, names: Iterable[str], position: Place) -> None:
        """Note that the decision at this place has these names."""
        for name in names:
            self[name] += 1
            self._places.append((name, *position))

    def write(self, connection: sqlite3.Connection) -> None:
        """Add everything to the tables, in the transaction of this connection."""
        connection.executemany(
            "INSERT INTO names (name, n) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET n = n + excluded.n",
            self.items(),
        )
        number_by_name = dict(connection.execute("SELECT name, id FROM names"))
        rows = ((number_by_name[name], at, sequence) for name, at, sequence in self._places)
        connection.executemany("INSERT OR IGNORE INTO places VALUES (?, ?, ?)", rows)


@dataclass
class Budget:
    """How many places may be looked at; `reached` is the last of them, `is_spent` whether there may be more."""

    left: int = _NEWEST
    reached: Place | None = None
    is_spent: bool = field(default=False, init=False)

    def spend(self, key: Place) -> bool:
        """Return whether this place may still be looked at."""
        if self.left <= 0:
            self.is_spent = True
            return False
        self.left -= 1
        self.reached = key
        return True


def groups_of(connection: sqlite3.Connection, wanted: DecisionFilter) -> Groups:
    """Return the names that the filter asks for, as far as it asks for any."""
    groups = [[f"{kind} {value}"] for kind in _EXACT if (value := getattr(wanted, kind))]
    silences = [name.split(" ", 2) for (name,) in connection.execute("SELECT name FROM names WHERE name >= 'silent '")]
    silent_names = [(" ".join(silence), silence[1], silence[2]) for silence in silences if silence[0] == "silent"]
    if wanted.held_back:
        groups.append([name for name, _, reason in silent_names if reason in wanted.held_back])
    if wanted.reason is not None:
        subject = None if wanted.rule is None else plain_subject(wanted.rule)
        groups.append([name for name, of, reason in silent_names if reason == wanted.reason and subject in (None, of)])
    elif wanted.rule is not None:
        subject = plain_subject(wanted.rule)
        groups.append([f"rule {wanted.rule}", *(name for name, of, _ in silent_names if of == subject)])
    return groups


def places(
    connection: sqlite3.Connection, groups: Groups, before: Place | None, since: int | None, budget: Budget
) -> Iterator[Place]:
    """Yield the places of decisions that have a name of each group, the newest first, from `before` back to `since`.

    The rarest group leads, and of each of its places it is asked whether the others have it.
    """
    postings_by_name = {name: (number, n) for number, name, n in connection.execute("SELECT id, name, n FROM names")}
    numbered = [[postings_by_name[name] for name in group if name in postings_by_name] for group in groups]
    leading, *others = sorted(numbered, key=lambda group: sum(n for _, n in group))
    newest_first = merge(
        *(_of_name(connection, number, before or (_NEWEST, _NEWEST)) for number, _ in leading), reverse=True
    )
    last: Place | None = None
    for position in newest_first:
        if position == last:
            continue
        last = position
        if (since is not None and position[0] < since) or not budget.spend(position):
            return
        if all(_has(connection, [number for number, _ in group], position) for group in others):
            yield position


def _of_name(connection: sqlite3.Connection, name: int, before: Place) -> Iterator[Place]:
    query = "SELECT at, sequence FROM places WHERE name = ? AND (at, sequence) < (?, ?) ORDER BY at DESC, sequence DESC"
    at = before
    while rows := connection.execute(f"{query} LIMIT {_AT_ONCE}", (name, *at)).fetchall():
        yield from rows
        at = rows[-1]


def _has(connection: sqlite3.Connection, names: Sequence[int], position: Place) -> bool:
    query = "SELECT 1 FROM places WHERE name = ? AND at = ? AND sequence = ?"
    return any(connection.execute(query, (name, *position)).fetchone() is not None for name in names)


def known_names(connection: sqlite3.Connection, kind: str) -> list[str]:
    """Return what was found under a kind (service, client, rule), in alphabetic order."""
    query = "SELECT substr(name, ?) FROM names WHERE name >= ? AND name < ? ORDER BY name"
    return list(chain.from_iterable(connection.execute(query, (len(kind) + 2, f"{kind} ", f"{kind}!"))))


def callers(connection: sqlite3.Connection, since: int) -> dict[str, tuple[int, int]]:
    """Return for each client the instant of its newest counted call, and its calls since an instant (microseconds).

    Trial calls are of no client.
    """
    counted: dict[str, tuple[int, int]] = {}
    query = "SELECT id, substr(name, 8) FROM names WHERE name >= 'client ' AND name < 'client!' ORDER BY name"
    clients = [(number, client) for number, client in connection.execute(query).fetchall() if not is_trial(client)]
    for number, client in clients:
        newest = connection.execute("SELECT max(at) FROM places WHERE name = ?", (number,)).fetchone()[0]
        calls = connection.execute("SELECT count(*) FROM places WHERE name = ? AND at >= ?", (number, since)).fetchone()
        counted[client] = (int(newest or 0), int(calls[0]))
    return counted
