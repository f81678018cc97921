"""When a drug was begun and when it ended, as far as a chart tells."""

from datetime import datetime
from typing import Any

import pytest

from cards.casebook.patients import record_of
from fhir.mapping.medications.active import ended_medications, is_recent_start

DIGOXIN = "3407"


def _starts(entries: list[Any], as_of: datetime) -> bool | None:
    return is_recent_start(record_of({"active": entries}, as_of), DIGOXIN, 30)


@pytest.mark.parametrize(
    ("entries", "answer"),
    [
        ([], True),
        ([["197604", 29]], True),
        ([["197604", 31]], False),
        ([["197604", 5], ["197604", 200]], False),
        ([{"drug": "197604", "undated": True}], None),
        ([{"drug": "197604", "undated": True}, ["197604", 90]], False),
        ([{"drug": "197604", "status": "completed", "days_ago": 400, "ended": 300}], True),
    ],
)
def test_a_drug_is_new_where_nothing_older_was_taken_lately(
    entries: list[Any], answer: bool | None, as_of: datetime
) -> None:
    assert _starts(entries, as_of) is answer


@pytest.mark.parametrize(("ended", "found"), [(1, 1), (13, 1), (15, 0)])
def test_what_ended_lately_is_found_where_its_end_is_known(ended: int, found: int, as_of: datetime) -> None:
    entry = {"drug": "312347", "status": "completed", "days_ago": 100, "ended": ended}
    record = record_of({"active": [entry]}, as_of)
    assert len(ended_medications(record, 14)) == found


@pytest.mark.parametrize("status", ["stopped", "completed", "active"])
def test_without_an_end_nothing_has_ended(status: str, as_of: datetime) -> None:
    record = record_of({"active": [{"drug": "312347", "status": status}]}, as_of)
    assert ended_medications(record, 35) == ()
