"""The newest values of an analyte: all of one instant, or those since an instant, as the whole list has them."""

from datetime import datetime, timedelta

import pytest

from cards.casebook.patients import record_of
from fhir.record.record import PatientRecord
from tests.fhir.builders import observation
from tests.fhir.builders import record_of as charted

LABS = [["potassium", 4.0, 1], ["potassium", 5.2, 1], ["potassium", 3.9, 3], ["potassium", 3.1, 40]]


@pytest.fixture
def record(as_of: datetime) -> PatientRecord:
    """Two values of one instant, an older and a much older one."""
    return record_of({"labs": LABS}, as_of)


def test_values_of_one_instant_come_together(record: PatientRecord) -> None:
    assert sorted(one.value for one in record.newest_together("potassium")) == [4.0, 5.2]
    assert record.newest_together("sodium") == []


@pytest.mark.parametrize(
    ("one", "other", "are_one_instant"),
    [
        ("2026-11-19T10:00:00Z", "2026-11-19T10:00:00.000Z", True),
        ("2026-11-19T10:00:00+01:00", "2026-11-19T11:00:00+02:00", True),
        ("2026-11-19T10:00:00+01:00", "2026-11-19T11:00:00+01:00", False),
        ("2026-11-19T10:00:00", "2026-11-19T11:00:00", True),  # without an offset both are the day
        ("2026-11-19T10:00+01:00", "2026-11-19T11:00+02:00", True),  # without seconds, which FHIR forbids
        ("2026-11-19", "2026-11-18", False),
    ],
)
def test_instants_are_one_however_they_are_written(one: str, other: str, are_one_instant: bool) -> None:
    record = charted(observation("2823-3", 4.1, "mmol/L", one), observation("2823-3", 5.2, "mmol/L", other))
    assert len(record.newest_together("potassium")) == (2 if are_one_instant else 1)


def test_too_old_is_none(as_of: datetime) -> None:
    old = record_of({"labs": [["potassium", 4.0, 40]]}, as_of)
    assert old.newest_together("potassium", 30) == []
    assert len(old.newest_together("potassium", 40)) == 1


@pytest.mark.parametrize("days", [0.5, 2, 10, 60])
@pytest.mark.parametrize("whole_first", [False, True])
def test_values_since_an_instant_are_those_of_the_whole_list(days: float, whole_first: bool, as_of: datetime) -> None:
    record = record_of({"labs": LABS}, as_of)
    since = (as_of - timedelta(days=days)).timestamp()
    if whole_first:
        record.measurements("potassium")
    found = record.measurements_since("potassium", since)
    assert found == [one for one in record.measurements("potassium") if one.time.instant >= since]
