"""Rows of a worklist by hand: what is on a row, why it stands there, how long an answer rests, and what is left out."""

import json
import sqlite3
from contextlib import closing
from typing import Any

import pytest

from cards.extension import RestingFinding, WorklistEntry
from cds_hooks.storage.decision import Decision
from cds_hooks.worklist.worklist import Answered, Noted, PatientNotes, PatientWork, WorklistRow, list_patients, note
from tests.cds_hooks.services.equation_calls import NOW
from tests.cds_hooks.worklist.test_worklist import NOBODY, decision, make_worklist

LIPIDS = WorklistEntry(test="Lipid panel", code="57698-3", purpose="prevent_base", because="no-visit")
COUNT = WorklistEntry(test="Complete blood count", code="58410-2", purpose="fib4", because="no-visit")
SHOWN = RestingFinding("Old", "shown", "2026-11-01", "2027-01-01")


def at(days: float) -> float:
    """The epoch second so many days before NOW."""
    return NOW.timestamp() - days * 86_400


def row_of(*noted: Noted, answers: frozenset[Answered] = NOBODY) -> Any:
    """The only row of a patient with these decisions of services; None where there is none."""
    notes = PatientNotes({f"service-{number}": one for number, one in enumerate(noted)})
    found = list_patients({("ehr", "p"): notes}, answers, NOW)
    return found[0] if found else None


def test_nothing_to_order_is_no_row_and_who_has_died_has_none_whatever_is_missing() -> None:
    assert row_of(Noted("d1", at(2))) is None
    assert row_of(Noted("d1", at(2), (LIPIDS,)), Noted("d2", at(200), ends=True)) is None
    assert row_of(Noted("d1", at(2), shown=(SHOWN,))) == WorklistRow("ehr", "p", (), None, "", 2.0, ("d1",), (SHOWN,))
    accepted = RestingFinding("Other", "accepted", "2026-11-01", "2027-01-01")
    assert row_of(Noted("d1", at(2), shown=(accepted,))) is None


def test_what_was_answered_of_this_patient_rests() -> None:
    notes = {("ehr", "p"): PatientNotes({"s": Noted("d", at(1), (LIPIDS, COUNT))})}
    for answer, tests in (
        (Answered("ehr", "p", "fib4"), ["Lipid panel"]),
        (Answered("ehr", "q", "fib4"), ["Lipid panel", "Complete blood count"]),
        (Answered("app", "p", "fib4"), ["Lipid panel", "Complete blood count"]),
    ):
        (row,) = list_patients(notes, {answer}, NOW)
        assert [entry.test for entry in row.entries] == tests


@pytest.mark.parametrize(
    ("reason", "ends"),
    [("deceased", True), ("palliative", True), ("opted-out", True), ("below-threshold", False), ("worklist", False)],
)
def test_what_a_decision_says_for_the_list(reason: str, *, ends: bool) -> None:
    one = decision("p", percentile=90, days=3, reason=reason)
    entry = WorklistEntry(test="Lipid panel", code="57698-3", purpose="prevent_base", because="no-visit")
    assert note(one) == Noted(one.id, at(3), (entry,), ends, (0.9, "mortality_5y"))
    shadow = decision("p", percentile=90, reason="model-not-released")
    assert note(shadow).risk is None
    assert note(decision("p")).risk is None


def test_a_call_about_nobody_is_on_no_list() -> None:
    nobody = decision("")
    assert make_worklist([nobody], NOBODY, NOW) == ()
    bare = Decision(**{**{n: getattr(nobody, n) for n in nobody.__struct_fields__}, "patient": "p", "response": b"{}",
                       "basis": json.dumps({}).encode()})  # fmt: skip
    assert make_worklist([bare], NOBODY, NOW) == ()


@pytest.mark.parametrize(("taken_out", "kept"), [(0.0, [1.0, 3.0, 365.0]), (3.0, [1.0, 3.0]), (2.9, [1.0])])
def test_the_views_leave_out_what_is_too_old_or_was_taken_out(taken_out: float, kept: list[float]) -> None:
    """`taken_out`: how many days old the oldest decision is that is still on record."""
    instant = NOW.timestamp()
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.executescript(PatientWork.tables)
        for days in (1.0, 3.0, 365.0, 366.0):
            row = ("ehr", f"p{days}", "service", instant - days * 86_400, 1, b"")
            connection.execute("INSERT INTO work VALUES (?, ?, ?, ?, ?, ?)", row)
        oldest = int((instant - taken_out * 86_400) * 1e6) if taken_out else 0
        PatientWork("", lambda: instant).forget(connection, oldest)
        rows = connection.execute("SELECT at FROM work ORDER BY at DESC").fetchall()
    assert [(instant - at) / 86_400 for (at,) in rows] == kept
