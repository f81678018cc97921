"""What is read of a result in words, under other codes, within reports and panels; what came is never absent."""

import json
from pathlib import Path
from typing import Any

from fhir.record.facts import Absent, Found
from fhir.record.record import record_from_resources
from tests.each import for_rows
from tests.fhir.builders import AS_OF, SUBJECT

Json = dict[str, Any]
_FILE = Path(__file__).with_name("results.jsonl")
_ROWS = [json.loads(line) for line in _FILE.read_text(encoding="utf-8").splitlines()]
_RESULT = {
    "resourceType": "Observation",
    "id": "o",
    "status": "final",
    "subject": SUBJECT,
    "effectiveDateTime": "2026-11-18",
}


@for_rows("row", _ROWS, [row["row"] for row in _ROWS])
def test_a_result_is_read_or_named_with_the_reason(row: Json) -> None:
    """`expected` is the number, the side of one, the reason why it is not used, or null where none is of the kind."""
    record = record_from_resources([_RESULT | row["sent"]], "p1", AS_OF)
    analyte, expected = row["analyte"], row["expected"]
    lookup = record.lookup(analyte)
    sides = [f"{result.side}{result.limit.value:g}" for result in record.one_sided_results(analyte)]
    if isinstance(lookup, Found):
        assert lookup.measurement.value == expected
    elif isinstance(lookup, Absent):
        assert expected is None
    else:
        assert expected in (*sides, lookup.refused[0].reason)
