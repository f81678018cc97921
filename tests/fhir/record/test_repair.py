"""Repairs of resources, worked out by hand: what is mended, and what stays exactly as it came."""

from typing import Any

import msgspec

from fhir.record.repair import repair_bytes, repair_resource
from tests.each import for_rows, rows_of

Json = dict[str, Any]


@for_rows(
    "value",
    rows_of(__file__, "what_needs_no_repair_or_is_not_read_stays"),
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
