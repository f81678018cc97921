"""What a patient declined: by the reason that is given, and for a year."""

from typing import Any

from fhir.mapping.declined import declined_in_chart
from tests.each import for_rows
from tests.fhir.builders import procedure, record_of


@for_rows(
    ("more", "counts"),
    [
        ({"statusReason": {"text": "patient declined"}}, True),
        ({"statusReason": {"coding": [{"system": "http://snomed.info/sct", "code": "105480006"}]}}, True),
        ({"statusReason": {"text": "equipment failure"}}, False),
        ({"statusReason": {}}, False),
        ({}, False),
        ({"statusReason": {"text": "patient declined"}, "performedDateTime": "2025-11-20"}, True),  # 365 days
        ({"statusReason": {"text": "patient declined"}, "performedDateTime": "2025-11-19"}, False),
        ({"statusReason": {"text": "patient declined"}, "performedDateTime": "2026-12-01"}, False),
    ],
)
def test_a_procedure_that_was_not_done_is_declined_where_its_reason_says_so(more: dict[str, Any], counts: bool) -> None:
    not_done = procedure("Colonoscopy", status="not-done", when="2026-11-01", id="p") | more
    assert [entry.source for entry in declined_in_chart(record_of(not_done))] == ["Procedure/p"] * counts
