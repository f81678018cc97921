"""A chart as it stood at an earlier day."""

from datetime import UTC, datetime
from typing import Any

import orjson
import pytest

from cds_hooks.commands.score import as_it_stood

AS_OF = datetime(2020, 6, 1, tzinfo=UTC)
PATIENT = {"resourceType": "Patient", "id": "p", "birthDate": "1950-01-01", "deceasedDateTime": "2021-02-03"}
EARLIER = {"resourceType": "Observation", "id": "earlier", "effectiveDateTime": "2020-05-01T10:00:00Z"}
LATER = {"resourceType": "Observation", "id": "later", "effectiveDateTime": "2021-05-01T10:00:00Z"}


def test_what_was_seen_later_is_left_out() -> None:
    stood = [orjson.loads(line) for line in as_it_stood([orjson.dumps(e) for e in (PATIENT, EARLIER, LATER)], AS_OF)]
    assert [each["id"] for each in stood] == ["p", "earlier"]
    assert "deceasedDateTime" not in stood[0], "the death was later"


RESOLVED = {
    "resourceType": "Condition", "id": "resolved", "recordedDate": "2019-01-01",
    "clinicalStatus": {"coding": [{"code": "resolved"}]},
}  # fmt: skip
ORDER = {"resourceType": "MedicationRequest", "id": "order", "authoredOn": "2020-01-01", "status": "completed"}
STAY = {"resourceType": "Encounter", "id": "stay", "status": "finished", "period": {"start": "2020-05-30T08:00:00Z"}}


@pytest.mark.parametrize("later", [LATER, RESOLVED | {"id": "new", "recordedDate": "2020-06-02"}, STAY | {
    "id": "next", "period": {"start": "2020-07-01T08:00:00Z", "end": "2020-07-02T08:00:00Z"},
}])  # fmt: skip
def test_what_is_dated_later_changes_nothing_of_how_the_chart_stood(later: dict[str, Any]) -> None:
    """Whether a resolved condition without an end counts may not say who lived on."""
    chart = [orjson.dumps(resource) for resource in (PATIENT, EARLIER, RESOLVED, ORDER, STAY)]
    stood = as_it_stood(chart, AS_OF)
    assert as_it_stood([*chart, orjson.dumps(later)], AS_OF) == stood
    statuses = {resource["id"]: resource.get("clinicalStatus") for resource in map(orjson.loads, stood)}
    assert statuses["resolved"] == {"coding": [{"code": "active"}]}, "nobody knows when it was over"


def test_a_line_that_cannot_be_read_stays_for_the_reader_to_name() -> None:
    stood = as_it_stood([orjson.dumps(LATER), b"{half a line", b"[1]"], AS_OF)
    assert stood == [b"{half a line", b"[1]"]
