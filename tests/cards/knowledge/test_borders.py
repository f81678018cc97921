"""An open border of an interval is left out at the precision of the question, as the definition of `in` says."""

import json
from typing import Any

from cards.knowledge.lines import Session
from tests.each import each_row

_INTEGER = "{urn:hl7-org:elm-types:r1}Integer"


def _date_time(day: int, hour: int) -> dict[str, Any]:
    parts = {"year": 2026, "month": 6, "day": day, "hour": hour}
    return {"type": "DateTime"} | {
        name: {"type": "Literal", "valueType": _INTEGER, "value": str(value)} for name, value in parts.items()
    }


@each_row(("day", "hour", "low_closed", "high_closed", "expected"))
def test_a_point_on_the_day_of_an_open_border_is_not_within(
    day: int, hour: int, low_closed: bool, high_closed: bool, expected: bool
) -> None:
    interval = {
        "type": "Interval",
        "low": _date_time(10, 8),
        "high": _date_time(20, 8),
        "lowClosed": low_closed,
        "highClosed": high_closed,
    }
    asked = {"type": "In", "precision": "Day", "operand": [_date_time(day, hour), interval]}
    library = {
        "library": {
            "identifier": {"id": "Borders"},
            "statements": {"def": [{"name": "A", "context": "Unfiltered", "expression": asked}]},
        }
    }
    session = Session()
    session.answer(json.dumps({"library": library}))
    answer = session.answer(json.dumps({"expressions": ["A"], "resources": [], "now": "2026-11-28T10:00:00+00:00"}))
    assert answer == {"values": {"A": expected}}
