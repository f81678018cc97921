"""Which rules of the catalogue found nothing in the days that a report looks at."""

import hashlib
import sqlite3
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Final

from cds_hooks.hold_back.checks import WITHHELD
from cds_hooks.monitor.book import CountBook
from models_onnx.monitoring.day import DayCounts
from models_onnx.monitoring.figure import Figure, State
from models_onnx.monitoring.judging import Compared

FEWEST_CALLS: Final = 3_000
"""Of a rule that found nothing in so many calls it is known, with 95 % certainty, that it does in under 1 of 1,000.

The "rule of three": Hanley and Lippman-Hand, JAMA 1983;249:1743.
"""
_NAMED: Final = 20


def rule_ids(book: CountBook) -> frozenset[str]:
    """Return the ids of all rules of this version, which the book remembers: to load the rules takes half a second.

    Raises:
        RecordUnavailable: The book cannot be used.
    """
    stamp = _stamp()
    with book.open() as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS catalogue (stamp TEXT NOT NULL, rule TEXT NOT NULL)")
        rule_versions = _rule_ids(connection, stamp)
        if not rule_versions:
            from cards.rules.engine.governance import all_rule_versions

            rule_versions = frozenset(all_rule_versions())
            connection.execute("DELETE FROM catalogue")
            connection.executemany(
                "INSERT INTO catalogue VALUES (?, ?)", [(stamp, rule) for rule in sorted(rule_versions)]
            )
    return rule_versions


def _rule_ids(connection: sqlite3.Connection, stamp: str) -> frozenset[str]:
    rows = connection.execute("SELECT rule FROM catalogue WHERE stamp = ?", (stamp,)).fetchall()
    return frozenset(rule for (rule,) in rows)


def _stamp() -> str:
    """Names, sizes and times of the files of the rules and of the tables that rules are made of."""
    sha256 = hashlib.sha256()
    for package in ("cards.rules", "fhir.terminology"):
        root = Path(str(files(package)))
        for file in sorted(root.rglob("*.*")):
            if file.suffix in (".json", ".csv", ".py"):
                stat = file.stat()
                sha256.update(f"{file.relative_to(root)} {stat.st_size} {stat.st_mtime_ns}\n".encode())
    return sha256.hexdigest()


def rules_without_findings(compared: Sequence[Compared], catalogue: frozenset[str]) -> list[Figure]:
    """One figure for each client that calls a service of these rules: how many of them found nothing in how many calls.

    A finding that was withheld counts. Services in which no rule of the catalogue found anything are not counted.
    """
    rules = []
    for client in sorted({comparison.client for comparison in compared}):
        calls, found_something = 0, set[str]()
        for comparison in compared:
            if comparison.client != client:
                continue
            days = [*comparison.reference.values(), *comparison.window.values()]
            rules_seen = set().union(*map(_with_findings, days)) & catalogue
            found_something |= rules_seen
            calls += sum(day.calls for day in days) if rules_seen else 0
        if calls:
            rules.append(_figure(client, calls, sorted(catalogue - found_something), len(catalogue)))
    return rules


def _with_findings(day: DayCounts) -> set[str]:
    withheld = (key.rpartition(" ") for key in day.silences)
    return set(day.rules) | {subject for subject, _, reason in withheld if reason in WITHHELD}


def _figure(client: str, calls: int, silent: list[str], all_rules: int) -> Figure:
    subject = "rules without a finding"
    if calls < FEWEST_CALLS:
        text = f"{subject}: {calls:,} calls were counted, {FEWEST_CALLS:,} are needed."
        return Figure(client, "all services", "rules", subject, "insufficient", calls, FEWEST_CALLS, None, None, text)
    state: State = "watch" if silent else "good"
    more = f" and {len(silent) - _NAMED} more" if len(silent) > _NAMED else ""
    text = (
        f"{len(silent)} of {all_rules} rules found nothing in {calls:,} calls, so each finds something in fewer than "
        f"{3000 / calls:.2g} of 1,000 (95 % certainty): {', '.join(silent[:_NAMED])}{more}."
    )
    value = len(silent) / all_rules
    return Figure(client, "all services", "rules", subject, state, calls, FEWEST_CALLS, value, None, text)
