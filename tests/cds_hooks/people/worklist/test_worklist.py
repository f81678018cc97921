"""The worklist is made from real calls on record: who is on it, in which order, and what keeps somebody off."""

import json
import sqlite3
from collections.abc import Collection, Iterable, Mapping
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace

from cards.extension import EXTENSION_KEY
from cards.finding import Finding
from cds_hooks.call.hold_back.history import SHOWN, Event, PatientHistory
from cds_hooks.evidence.storage.decision import Decision
from cds_hooks.evidence.storage.queries import DecisionRow
from cds_hooks.people.worklist.worklist import (
    PatientNotes,
    PatientWork,
    WorklistRow,
    list_patients,
    note,
    read_worklist,
)
from tests.cds_hooks.call.hold_back.test_budgets import SAMPLE, budget_call
from tests.cds_hooks.call.prefetch.fetch_calls import app_client
from tests.cds_hooks.call.services.equation_calls import NOW
from tests.cds_hooks.evidence.decision_views.followed import follow
from tests.live import record_in

DAY = 86_400.0
NOBODY: Mapping[tuple[str, str], Collection[str]] = {}
Rows = tuple[WorklistRow, ...]


def decision(
    patient: str,
    tests: tuple[str, ...] = ("Lipid panel",),
    days: float = 10,
    service: str = "statin-discussion",
    percentile: float | None = None,
    reason: str = "worklist",
    purpose: str = "prevent_base",
) -> Decision:
    """A decision as the record has it, so many days before NOW."""
    entries = [{"test": test, "code": "57698-3", "purpose": purpose, "because": "no-visit"} for test in tests]
    scores = {"scores": {"id": "mortality_5y", "percentile": percentile}} if percentile is not None else {}
    return Decision(
        id=f"{service}-{patient}-{days}",
        decided_at=int((NOW.timestamp() - days * DAY) * 1e6),
        hook="patient-view",
        service=service,
        hook_instance="x",
        client="ehr",
        patient=patient,
        outcome="silent",
        input_digest="",
        models=b"[]",
        response=json.dumps(
            {"cards": [], "extension": {EXTENSION_KEY: {"decision": "x", "worklist": entries}}}
        ).encode(),
        basis=json.dumps({**scores, "silence": [["mortality_5y", reason, "text"]]}).encode(),
    )


def listed(*decisions: Decision, answers: Mapping[tuple[str, str], Collection[str]] = NOBODY) -> Rows:
    """The list at NOW; the newest decision first, as the record gives them."""
    return make_worklist(decisions, answers, NOW)


def make_worklist(
    decisions: Iterable[Decision], answers: Mapping[tuple[str, str], Collection[str]], now: datetime
) -> Rows:
    """The list from the newest decision of each service about each patient."""
    patients = dict[tuple[str, str], PatientNotes]()
    for each in sorted(decisions, key=lambda each: -each.decided_at):
        if each.patient:
            patients.setdefault((each.client, each.patient), PatientNotes()).services.setdefault(
                each.service, note(DecisionRow(0, each))
            )
    return list_patients(patients, answers, now)


def names(found: Rows) -> list[str]:
    """The patients in the order of the list."""
    return [row.patient for row in found]


async def test_a_test_that_was_not_offered_outside_a_visit_is_on_the_list_of_the_record(tmp_path: Path) -> None:
    request = budget_call("liver-assessment")
    for key in ("encounters", "visits"):
        request["prefetch"].pop(key, None)
    request["context"].pop("encounterId", None)
    request["prefetch"]["encounters"] = {"resourceType": "Bundle", "type": "searchset", "entry": []}
    async with app_client(tmp_path, as_of=NOW) as calls:
        answered = await calls.post("/cds-services/liver-assessment", json=request)
        assert answered.json()["cards"] == []
    url, now = record_in(tmp_path), datetime.now(UTC) + timedelta(days=3)
    found = read_worklist(follow(url), now)
    (row,) = found
    assert row.patient == f"{SAMPLE}-own"
    assert [(each.test, each.code, each.because) for each in row.entries] == [
        ("Complete blood count", "58410-2", "no-visit")
    ]
    assert row.days == pytest.approx(3, abs=0.1)


def test_risk_times_time_since_contact_orders_the_list() -> None:
    other = {"id": "readmission_30d", "percentile": 70}
    in_shadow = {"id": "mortality_5y", "percentile": 99}
    scores = {**in_shadow, "advisors": {"planning": in_shadow, "follow-up": other}}
    silence = [["mortality_5y", "model-not-released", "text"]]
    two = replace(decision("two", days=20), basis=json.dumps({"scores": scores, "silence": silence}).encode())
    found = listed(
        two,
        decision("low", percentile=40, days=20),
        decision("high", percentile=90, days=20),
        decision("waiting", percentile=40, days=60),
        decision("unknown", days=80),
        decision("shadow", percentile=99, days=81, reason="model-not-released"),
        decision("vaccine", percentile=99, days=70, purpose="vaccine"),
    )
    assert names(found) == ["waiting", "high", "two", "low", "shadow", "unknown", "vaccine"]
    assert [round(row.priority, 3) for row in found] == [24.0, 18.0, 14.0, 8.0, 0.0, 0.0, 0.0]


def test_equal_rows_stand_in_an_order_that_is_the_same_on_a_day_and_another_one_the_next() -> None:
    decisions = [decision(f"p{number}", percentile=50) for number in range(12)]
    first = names(listed(*decisions))
    assert names(listed(*decisions[::-1])) == first
    assert first != sorted(first)
    tomorrow = [replace_time(each) for each in decisions]
    assert names(make_worklist(tomorrow, NOBODY, NOW + timedelta(days=1))) != first


def replace_time(one: Decision) -> Decision:
    """The same a day later."""
    return Decision(
        **{
            **{name: getattr(one, name) for name in one.__struct_fields__},
            "decided_at": one.decided_at + int(DAY * 1e6),
        }
    )


@pytest.mark.parametrize("reason", ["deceased", "palliative", "opted-out"])
def test_who_has_died_is_in_palliative_care_or_opted_out_is_left_out(reason: str) -> None:
    found = listed(decision("a", days=30), decision("a", (), days=2, service="planning-conversation", reason=reason))
    assert found == ()


def test_an_answered_finding_rests() -> None:
    found = listed(decision("a"), decision("b"), answers={("ehr", "a"): {"prevent_base"}})
    assert names(found) == ["b"]


@pytest.mark.parametrize(
    ("how", "is_list", "days", "is_answered"),
    [
        ("patient-declines", False, 30, True),
        ("patient-declines", True, 0.5, True),
        ("patient-declines", True, 2, False),
        ("accepted", True, 0.5, False),
        ("accepted", False, 89, True),
        ("accepted", False, 91, False),
    ],
)
def test_a_finding_rests_on_the_list_as_long_as_its_card(
    how: str, days: float, *, is_list: bool, is_answered: bool
) -> None:
    finding = Finding("vaccines due", "vaccines-due", is_list=is_list)
    history = PatientHistory((shown(days, finding), Event(at(days), how, finding)))
    assert history.answered(NOW.timestamp()) == ({"vaccines-due"} if is_answered else set())


def test_what_became_worse_and_another_finding_are_listed_although_an_answer_holds() -> None:
    fall = Finding("egfr-fall", "nephrology-referral", measure=40, is_falling=True)
    answered = shown(30, fall), Event(at(30), "patient-declines", fall)
    assert PatientHistory(answered).answered(NOW.timestamp()) == {"nephrology-referral"}
    for later in (replace(fall, measure=20), Finding("creatinine-rise", "nephrology-referral")):
        assert PatientHistory((*answered, shown(1, later))).answered(NOW.timestamp()) == set()


def shown(days: float, finding: Finding) -> Event:
    """A card that was shown so many days before NOW."""
    return Event(at(days), SHOWN, finding, "chart-opening", at(days))


def at(days: float) -> float:
    """The epoch second so many days before NOW."""
    return NOW.timestamp() - days * 86_400


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
