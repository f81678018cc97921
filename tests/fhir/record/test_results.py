"""What is read of a result in words, under other codes, within reports and panels; what came is never absent."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from fhir.record import facts
from fhir.record.datatypes import FhirTime
from fhir.record.facts import Absent, AnalyteResults, Found
from fhir.record.measurement import CodedPart, Measurement, newest_parts
from fhir.record.record import record_from_resources
from fhir.record.refusals import Refusal
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


def test_calls_that_ask_at_once_have_the_same_values(monkeypatch: pytest.MonkeyPatch) -> None:
    """One call of a visit begins to look for the newest values; another one, in another thread, finds them first."""
    older = [observation("2160-0", value, "mg/dL", when="2026-11-10") for value in (1.1, 1.9)]
    newer = observation("2160-0", 1.2, "furlong", when="2026-11-18")
    record = record_from_resources([*older, newer], "p1", AS_OF)
    asked: list[list[float]] = []

    class Interrupted(AnalyteResults):
        def _outcome(self, part: CodedPart, time: FhirTime | None = None) -> Measurement | Refusal | None:
            if self._newest is not None and not asked:
                asked.append([])
                asked[0] += [measurement.value for measurement in self.newest_together()]
            return super()._outcome(part, time)

    def after_another(parts: Sequence[CodedPart]) -> tuple[CodedPart, list[CodedPart]]:
        monkeypatch.setattr(facts, "newest_parts", newest_parts)
        results.lookup()
        return newest_parts(parts)

    monkeypatch.setattr(facts, "newest_parts", after_another)
    results = Interrupted(ANALYTES["creatinine"], record.resources.parts_of("creatinine"), record.as_of_epoch)
    results.lookup()
    assert asked == [[1.1, 1.9]]
