"""Whether an active order of a course, or of a supply, still counts as taken."""

import json
from pathlib import Path
from typing import Any

from fhir.mapping.medications.active import active_medications, ended_medications, presence_of
from fhir.record.record import record_from_resources
from tests.each import for_rows
from tests.fhir.builders import AS_OF, SUBJECT

Json = dict[str, Any]
_FILE = Path(__file__).with_name("courses.jsonl")
_ROWS = [json.loads(line) for line in _FILE.read_text(encoding="utf-8").splitlines()]
_ORDER = {
    "resourceType": "MedicationRequest",
    "id": "m",
    "status": "active",
    "intent": "order",
    "subject": SUBJECT,
    "medicationCodeableConcept": {"text": "clarithromycin 500 MG Oral Tablet"},
}


@for_rows("row", _ROWS, [row["row"] for row in _ROWS])
def test_an_order_counts_until_its_course_is_over(row: Json) -> None:
    record = record_from_resources([_ORDER | row["order"]], "p1", AS_OF)
    assert bool(active_medications(record)) is row["taken"]


def test_a_supply_that_ended_long_ago_is_said_and_is_no_absence() -> None:
    supply = {"dispenseRequest": {"expectedSupplyDuration": {"value": 7, "code": "d"}}, "authoredOn": "2025-10-24"}
    record = record_from_resources([_ORDER | supply], "p1", AS_OF)
    assert presence_of(record, frozenset({"21212"})).state == "unreadable"
    assert [refusal.reason for refusal in record.refusals] == ["supply-ended"]


def test_a_course_that_is_over_has_ended_on_its_last_day() -> None:
    course = {"dosageInstruction": [{"text": "500 mg twice daily for 7 days"}], "authoredOn": "2026-11-10"}
    record = record_from_resources([_ORDER | course], "p1", AS_OF)
    (ended,) = ended_medications(record, 14.0)
    assert ended.ended is not None
    assert ended.ended.date == "2026-11-17"
