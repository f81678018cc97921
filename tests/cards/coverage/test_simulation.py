"""A payer's rules over whole charts: what is answered to each order, and the payer's own cases."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from cards.coverage.policy import Policies, PolicyFault, load_policies
from cards.coverage.simulation import judge_chart, wrong_cases
from tests.cards.coverage.test_policy import POLICY, folder_of, table

Json = dict[str, Any]
AS_OF = datetime(2026, 11, 20, 12, tzinfo=UTC)
PATIENT: Json = {"resourceType": "Patient", "id": "p", "address": [{"city": "x"}, {"state": "NY"}]}
LISTED = POLICY | {"covered": "listed", "criteria": "", "waived": "", "paired_with": "", "places": "", "states": "NY"}
ASKED = {"covered": "conditional", "pa-needed": "auth-needed", "doc-needed": "clinical"}


def rules_of(folder: Path) -> Policies:
    return load_policies(folder_of(folder, **{"policies.csv": table(LISTED)}))


def order(code: str = "B4150", **more: Any) -> Json:
    coding = {"system": "https://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets", "code": code}
    coded = {"codeCodeableConcept": {"coding": [coding]}, "subject": {"reference": "Patient/p"}}
    return {"resourceType": "DeviceRequest", "id": "d", **coded, **more}


def test_the_orders_of_one_patient_are_judged(tmp_path: Path) -> None:
    rules = rules_of(tmp_path / "own")
    payer = rules.payers["own"]

    def answers(*resources: Json) -> list[tuple[str, str, str | None]]:
        judged = judge_chart(list(resources), rules, payer, AS_OF)
        return [(answer.order, answer.coverage, answer.pa_needed) for answer in judged]

    own = {"resourceType": "Coverage", "id": "c", "status": "active"}
    assert answers(PATIENT, order()) == [("DeviceRequest/d", "Coverage/simulated", "auth-needed")]
    assert answers(PATIENT, order(), own) == [("DeviceRequest/d", "Coverage/c", "auth-needed")]
    elsewhere = PATIENT | {"address": [{"state": "OH"}]}
    assert answers(elsewhere, order()) == [("DeviceRequest/d", "Coverage/simulated", "no-auth")]
    assert answers(PATIENT, order("B9999")) == []
    assert answers(PATIENT, PATIENT | {"id": "q"}, order()) == []
    assert answers(order()) == answers(PATIENT, order(status="revoked")) == []


CASE: Json = {
    "id": "one", "payer": "own", "day": "2026-11-20", "chart": [PATIENT, order()],
    "expected": {"DeviceRequest/d": ASKED},
}  # fmt: skip


def run(folder: Path, cases: Any) -> tuple[int, list[str]]:
    rules = rules_of(folder)
    (folder / "cases").mkdir()
    text = cases if isinstance(cases, str) else json.dumps(cases)
    (folder / "cases" / "a.json").write_text(text)
    return wrong_cases(folder, rules)


def test_a_case_is_right_or_told_with_what_was_answered(tmp_path: Path) -> None:
    other = CASE | {"id": "two", "expected": {}}
    before = CASE | {"id": "three", "day": "2025-12-31", "expected": {}}
    assert run(tmp_path / "own", [CASE, other]) == (
        2,
        [f"a.json, two: expected {{}}, answered {json.dumps({'DeviceRequest/d': ASKED})}"],
    )
    free = {"DeviceRequest/d": {"covered": "covered", "pa-needed": "no-auth"}}
    assert run(tmp_path / "before", [before]) == (1, [f"a.json, three: expected {{}}, answered {json.dumps(free)}"])


@pytest.mark.parametrize(
    ("cases", "fault"),
    [
        ("{", "a.json: not valid JSON (Expecting property name enclosed in double quotes: line 1 column 2 (char 1))"),
        ({}, "a.json: a list of cases with chart, day, expected, id, payer, and nothing else"),
        ([1], "a.json: a list of cases with chart, day, expected, id, payer, and nothing else"),
        ([CASE | {"x": 1}], "a.json: a list of cases with chart, day, expected, id, payer, and nothing else"),
        ([CASE | {"payer": "other"}], "a.json, one: the payer 'other' is not in payers.csv"),
        ([CASE | {"day": "soon"}], "a.json, one: day is written as YYYY-MM-DD"),
        ([CASE | {"day": 1}], "a.json, one: day is written as YYYY-MM-DD"),
    ],
)
def test_a_case_with_a_fault_is_refused(cases: Any, fault: str, tmp_path: Path) -> None:
    with pytest.raises(PolicyFault) as refusal:
        run(tmp_path / "own", cases)
    assert str(refusal.value) == fault
