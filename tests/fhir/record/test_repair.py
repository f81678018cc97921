"""Repairs of resources, worked out by hand: what is mended, and what stays exactly as it came."""

from typing import Any

import msgspec

from fhir.record.repair import repair_bytes, repair_resource, with_numeric_doses
from tests.each import for_rows, rows_of

Json = dict[str, Any]


@for_rows(
    "value",
    [
        None,
        "text",
        [1],
        {},
        {"resource": "text"},
        {"resourceType": "Fnord", "status": None, "category": {"a": None}},
        {"resourceType": None, "code": None},
        {"resourceType": "Observation", "status": "final", "code": {"text": "K"}, "unread": None, "other": [None]},
        {"resourceType": "Fnord", "resource": {"resourceType": "Observation", "status": None}},
    ],
)
def test_what_needs_no_repair_or_is_not_read_stays(value: Any) -> None:
    assert repair_resource(value) == value


@for_rows(
    ("value", "expected"),
    rows_of(__file__, "a_fault_is_mended_and_nothing_else"),
)  # fmt: skip
def test_a_fault_is_mended_and_nothing_else(value: Any, expected: Any) -> None:
    assert repair_resource(value) == expected
    assert msgspec.json.decode(repair_bytes(msgspec.json.encode(value))) == expected


def test_the_numbers_of_doses_and_of_timings_are_read_and_no_other_text() -> None:
    order: Json = {
        "id": "7",
        "dosageInstruction": [{"text": "2", "sequence": "1", "value": "1",
                               "timing": {"repeat": {"frequency": "1", "frequencyMax": "2", "period": "3.5",
                                                     "periodMax": "4", "count": "5", "countMax": "6", "periodUnit": "7",
                                                     "duration": "8", "boundsDuration": {"value": "9"},
                                                     "boundsQuantity": {"value": "10"}}, "count": "11"},
                               "doseAndRate": [{"doseRange": {"low": {"value": "1", "unit": "2"},
                                   "high": {"value": "3"}},
                                                "rateRatio": {"numerator": {"value": "4"},
                                                    "denominator": {"value": "5"}},
                                                "rateQuantity": {"value": "6", "code": "7"},
                                                "doseQuantity": [{"value": "8"}]}]}],
    }  # fmt: skip
    assert with_numeric_doses(order) == (
        {"id": "7",
         "dosageInstruction": [{"text": "2", "sequence": "1", "value": "1",
                                "timing": {"repeat": {"frequency": 1, "frequencyMax": 2, "period": 3.5, "periodMax": 4,
                                                      "count": 5, "countMax": 6, "periodUnit": "7", "duration": "8",
                                                      "boundsDuration": {"value": "9"},
                                                      "boundsQuantity": {"value": 10}}, "count": "11"},
                                "doseAndRate": [{"doseRange": {"low": {"value": 1, "unit": "2"}, "high": {"value": 3}},
                                                 "rateRatio": {"numerator": {"value": 4}, "denominator": {"value": 5}},
                                                 "rateQuantity": {"value": 6, "code": "7"},
                                                 "doseQuantity": [{"value": 8}]}]}]},
        True,
    )  # fmt: skip
    untouched: Json = {"id": "7", "dosageInstruction": [{"text": "2"}]}
    result, is_changed = with_numeric_doses(untouched)
    assert result is untouched
    assert is_changed is False
    assert with_numeric_doses({"id": "7"}) == ({"id": "7"}, False)
