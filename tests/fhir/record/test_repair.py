"""Repairs of resources: what is mended, and what stays exactly as it came."""

from typing import Any

import msgspec

from fhir.record.repair import repair_bytes, repair_resource
from tests.each import for_rows

Json = dict[str, Any]


@for_rows("value")
def test_what_needs_no_repair_or_is_not_read_stays(value: Any) -> None:
    assert repair_resource(value) == value


@for_rows(("value", "expected"))
def test_a_fault_is_mended_and_nothing_else(value: Any, expected: Any) -> None:
    assert repair_resource(value) == expected
    assert msgspec.json.decode(repair_bytes(msgspec.json.encode(value))) == expected
