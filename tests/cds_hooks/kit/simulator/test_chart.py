"""Charts on disk, in the forms people have them."""

import gzip
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from cds_hooks.kit.simulator.chart import ChartError, days_until, last_event, move_dates, read_chart, read_drafts
from fhir.record.charts import MOST_UNPACKED_BYTES
from tests.fhir.builders import bundle

PATIENT = {"resourceType": "Patient", "id": "p1"}
DRAFT = {"resourceType": "MedicationRequest", "id": "d1"}


def _write(folder: Path, document: Any, name: str = "chart.json") -> Path:
    path = folder / name
    content = json.dumps(document).encode()
    path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    return path


def test_a_hook_request_is_a_chart_with_its_drafts(tmp_path: Path) -> None:
    request = {
        "hook": "order-sign",
        "context": {"patientId": "p1", "draftOrders": bundle(DRAFT)},
        "prefetch": {"patient": PATIENT, "labs": None, "conditions": bundle({"resourceType": "Condition", "id": "c"})},
    }
    chart = read_chart(_write(tmp_path, request))
    assert [resource["resourceType"] for resource in chart.resources] == ["Patient", "Condition"]
    assert chart.drafts == [DRAFT]


def test_a_file_that_is_missing_or_broken_is_refused_with_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(ChartError, match="cannot be read"):
        read_chart(tmp_path / "nowhere.json")
    (tmp_path / "broken.json").write_text("{")
    with pytest.raises(ChartError, match="is not JSON"):
        read_chart(tmp_path / "broken.json")
    (tmp_path / "long.json.gz").write_bytes(gzip.compress(b" " * MOST_UNPACKED_BYTES + b"{}"))
    with pytest.raises(ChartError, match=r"long\.json\.gz is over 67,108,864 bytes when unpacked: unpack it first"):
        read_chart(tmp_path / "long.json.gz")
    packed = gzip.compress(b"{}")
    for broken in (packed[:8], packed[:10] + b"\xff" * 8):
        (tmp_path / "broken.json.gz").write_bytes(broken)
        with pytest.raises(ChartError, match="is not JSON"):
            read_chart(tmp_path / "broken.json.gz")


def test_drafts_are_one_resource_or_a_bundle(tmp_path: Path) -> None:
    assert read_drafts(_write(tmp_path, DRAFT)) == [DRAFT]
    assert read_drafts(_write(tmp_path, bundle(DRAFT))) == [DRAFT]
    with pytest.raises(ChartError, match="no draft order"):
        read_drafts(_write(tmp_path, {}))


# A chart is moved in time by whole days, and as a whole.


def test_every_date_moves_and_times_of_day_stay() -> None:
    chart = {
        "birthDate": "1950-01-31",
        "effectiveDateTime": "2020-02-28T08:00:00-05:00",
        "period": {"start": "2020-02", "end": "2020-03-01"},
        "text": "seen on 2020-02-28 by nobody",
        "valueQuantity": {"value": 2020},
    }
    assert move_dates(chart, 2) == {
        "birthDate": "1950-02-02",
        "effectiveDateTime": "2020-03-01T08:00:00-05:00",
        "period": {"start": "2020-02", "end": "2020-03-03"},
        "text": "seen on 2020-02-28 by nobody",
        "valueQuantity": {"value": 2020},
    }


def test_the_last_event_is_an_encounter_result_or_order_and_not_the_death() -> None:
    chart: list[dict[str, Any]] = [
        {"resourceType": "Patient", "deceasedDateTime": "2030-01-01"},
        {"resourceType": "Observation", "effectiveDateTime": "2021-05-05T10:00:00Z"},
        {"resourceType": "Encounter", "period": {"start": "2021-06-01", "end": "2021-06-09"}},
        {"resourceType": "MedicationRequest", "authoredOn": "2021-06-03"},
    ]
    assert last_event(chart) == datetime(2021, 6, 9, tzinfo=UTC)
    assert last_event(chart[:1]) is None


def test_what_looks_like_a_date_and_is_none_stays() -> None:
    assert move_dates(["2020-02-31", "2020-13", "12345", ""], 5) == ["2020-02-31", "2020-13", "12345", ""]


def test_the_last_event_is_moved_into_the_last_day_and_never_into_the_future() -> None:
    now = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)
    for hour in range(24):
        event = datetime(2021, 3, 13, hour, 30, tzinfo=UTC)
        moved = event + timedelta(days=days_until(event, now))
        assert timedelta(0) <= now - moved < timedelta(days=1)


def test_a_year_alone_moves_by_whole_years_where_it_is_a_date() -> None:
    chart = {"birthDate": "1950", "onsetDateTime": "2001", "period": {"start": "2010"}, "postalCode": "1950"}
    moved = {"birthDate": "1951", "onsetDateTime": "2002", "period": {"start": "2011"}, "postalCode": "1950"}
    assert move_dates(chart, 366) == moved
    assert move_dates(moved, -366) == chart


def test_what_would_leave_the_calendar_stays() -> None:
    dates = ["9999-12-31", "9999-12-31T23:59:59Z", "9999-12", "0001-01-01"]
    assert move_dates(dates[:3], 400) == dates[:3]
    assert move_dates(dates[3], -400) == dates[3]
    assert move_dates({"end": "9999"}, 400) == {"end": "9999"}


def test_an_open_end_is_no_event() -> None:
    stay = {"resourceType": "Encounter", "period": {"start": "2021-06-01", "end": "9999-12-31"}}
    assert last_event([stay]) == datetime(2021, 6, 1, tzinfo=UTC)
