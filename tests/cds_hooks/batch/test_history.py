"""A chart as it stood at an earlier day."""

from datetime import UTC, datetime

import orjson

from cds_hooks.commands.score.charts import as_it_stood

AS_OF = datetime(2020, 6, 1, tzinfo=UTC)
PATIENT = {"resourceType": "Patient", "id": "p", "birthDate": "1950-01-01", "deceasedDateTime": "2021-02-03"}
EARLIER = {"resourceType": "Observation", "id": "earlier", "effectiveDateTime": "2020-05-01T10:00:00Z"}
LATER = {"resourceType": "Observation", "id": "later", "effectiveDateTime": "2021-05-01T10:00:00Z"}


def test_what_was_seen_later_is_left_out() -> None:
    stood = [orjson.loads(line) for line in as_it_stood([orjson.dumps(e) for e in (PATIENT, EARLIER, LATER)], AS_OF)]
    assert [each["id"] for each in stood] == ["p", "earlier"]
    assert "deceasedDateTime" not in stood[0], "the death was later"


def test_a_chart_without_later_dates_is_what_it_was() -> None:
    lines = [orjson.dumps(EARLIER)]
    assert as_it_stood(lines, AS_OF) is lines


def test_a_line_that_cannot_be_read_stays_for_the_reader_to_name() -> None:
    stood = as_it_stood([orjson.dumps(LATER), b"{half a line", b"[1]"], AS_OF)
    assert stood == [b"{half a line", b"[1]"]
