"""What is read of a result in words, under other codes, within reports and panels; what came is never absent."""

import json
import sys
from pathlib import Path
from types import FrameType
from typing import Any

from fhir.record import measurement
from fhir.record.facts import Absent, AnalyteResults, Found
from fhir.record.record import record_from_resources
from fhir.terminology.analytes import ANALYTES
from tests.each import for_rows
from tests.fhir.builders import AS_OF, SUBJECT, observation

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


def test_calls_that_ask_at_once_have_the_same_values() -> None:
    """At each line in which one call of a visit looks for the newest values, another one asks for them."""
    older = [observation("2160-0", value, "mg/dL", when="2026-11-10") for value in (1.1, 1.9)]
    newer = observation("2160-0", 1.2, "furlong", when="2026-11-18")
    record = record_from_resources([*older, newer], "p1", AS_OF)
    results = AnalyteResults(ANALYTES["creatinine"], record.resources.parts_of("creatinine"), record.as_of_epoch)
    answers: list[list[float]] = []

    def ask(frame: FrameType, *_: object) -> Any:
        if answers or frame.f_code.co_filename == measurement.__file__:  # it has begun to look
            answers.append([result.value for result in results.newest_together()])
        return ask

    before = sys.gettrace()
    sys.settrace(ask)
    try:
        results.lookup()
    finally:
        sys.settrace(before)
    assert len(answers) > 9
    assert all(answer == [1.1, 1.9] for answer in answers), answers
