"""What a decision can be searched by, as a line for each: service, client, outcome, rules, silences, answers.

A table of the views, derived from the record as the counts are. Nothing of a patient is in it; who finds a decision
here reads it in the record, and judges it again. SQLite looks through the lines from the newest decision on: of 200,000
decisions in 140 ms where none fits, and in less than 1 ms where many do.
"""

import re
import sqlite3
from collections.abc import Iterable, Iterator
from typing import Any, Final

from cds_hooks.evidence.decision_views.file import Views
from cds_hooks.evidence.storage.decision import TRIAL, Decision, is_trial
from cds_hooks.evidence.storage.queries import DecisionFilter, Place

TABLES: Final = """
CREATE TABLE searched (
    at INTEGER, sequence INTEGER, client TEXT, lines TEXT NOT NULL, PRIMARY KEY (at, sequence)
) WITHOUT ROWID;
"""
_PLAIN: Final = re.compile(r"[a-z][A-Za-z0-9_.-]{0,79}")
_NEWEST: Final = 1 << 62
_EXACT: Final = ("service", "outcome", "severity", "answer", "override")


def plain_subject(subject: str) -> str:
    """Return the subject of a reason for silence, where it is the id of a rule, model or service; else "other".

    Other subjects are names of orders and resources as a call gave them, which no count may keep.
    """
    return subject if _PLAIN.fullmatch(subject) else "other"


def add_decision(
    connection: sqlite3.Connection,
    place: Place,
    decision: Decision,
    rules: Iterable[str] = (),
    silences: Iterable[tuple[str, str]] = (),
    severities: Iterable[str] = (),
) -> None:
    """Add a decision at its place; `silences` are subjects and reasons."""
    lines = {f"{name} {getattr(decision, name)}" for name in ("service", "client", "outcome")}
    lines |= {f"rule {plain_subject(rule)}" for rule in rules}
    lines |= {f"silent {plain_subject(subject)} {reason}" for subject, reason in silences}
    lines |= {f"severity {severity}" for severity in severities}
    text = "".join(f"\n{line}" for line in sorted(lines)) + "\n"
    connection.execute("INSERT OR IGNORE INTO searched VALUES (?, ?, ?, ?)", (*place, decision.client, text))


def add_answer(connection: sqlite3.Connection, place: Place, answer: Any) -> None:
    """Add an answer to a card of the decision at this place."""
    reason = f"override {answer.override_reason_code}\n" if answer.override_reason_code else ""
    text = f"answer {answer.outcome}\n{reason}"
    connection.execute("UPDATE searched SET lines = lines || ? WHERE at = ? AND sequence = ?", (text, *place))


def candidates(views: Views, wanted: DecisionFilter, before: Place | None, at_once: int) -> list[Place]:
    """Return the places of decisions that the filter may describe, the newest first, from `before` on.

    Raises:
        RecordUnavailable: The views cannot be read.
    """
    conditions = ["(at, sequence) < (?, ?)", "at >= ?"]
    values: list[int | str] = [*_start(wanted, before), wanted.since or 0]
    for lines in _lines_of(wanted):
        conditions.append("(" + " OR ".join(["instr(lines, ?)"] * len(lines)) + ")")
        values += lines
    query = f"SELECT at, sequence FROM searched WHERE {' AND '.join(conditions)} "  # noqa: S608 - our own text
    return [tuple(row) for row in views.read(f"{query} ORDER BY at DESC, sequence DESC LIMIT ?", *values, at_once)]


def _start(wanted: DecisionFilter, before: Place | None) -> Place:
    start = before or (_NEWEST, _NEWEST)
    return start if wanted.until is None else min(start, (wanted.until, 0))


def _lines_of(wanted: DecisionFilter) -> Iterator[list[str]]:
    """Yield what is looked for: of each list a decision has at least one."""
    yield from ([f"\n{kind} {value}\n"] for kind in _EXACT if (value := getattr(wanted, kind)))
    if wanted.client is not None:
        yield [f"\nclient {wanted.client}\n", f"\nclient {TRIAL}{wanted.client}\n"]
    if wanted.held_back:
        yield [f" {reason}\n" for reason in wanted.held_back]
    subject = plain_subject(wanted.rule) if wanted.rule is not None else ""
    if wanted.reason is not None:
        yield [f"\nsilent {subject} {wanted.reason}\n" if subject else f" {wanted.reason}\n"]
    elif subject:
        yield [f"\nrule {subject}\n", f"\nsilent {subject} "]


def callers(views: Views, since: int) -> dict[str, tuple[int, int]]:
    """Return for each client the instant of its newest counted call, and its calls since an instant (microseconds).

    Trial calls are of no client.

    Raises:
        RecordUnavailable: The views cannot be read.
    """
    rows = views.read("SELECT client, max(at), sum(at >= ?) FROM searched GROUP BY client", since)
    return {client: (newest, calls) for client, newest, calls in rows if not is_trial(client)}
