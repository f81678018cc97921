"""Criteria over results: the circumstances of a measurement, its unit, windows of time, and counts."""

from datetime import date
from typing import Any

from cards.coverage.evidence import evaluate
from cards.coverage.seen import Seen, Subject, is_within
from fhir.record.datatypes import FhirTime, parse_time
from tests.fhir.builders import observation, record_of

Json = dict[str, Any]
DAY = date(2026, 11, 20)


def saturation(value: float | None = 88, when: str = "2026-11-10", **more: Any) -> Json:
    return observation("59408-5", value, "%", when) | {"id": f"o-{value}-{when}"} | more


def seen(wanted: Json, *resources: Json) -> Seen:
    test = {"observation": {"loinc": ["59408-5"], "units": {"%": 1}} | wanted}
    return evaluate(test, Subject(record_of(*resources), DAY))


def test_a_value_is_compared_in_the_unit_of_the_test() -> None:
    pressure = {"valueQuantity": {"value": 8, "unit": "kPa"}}
    assert seen({"units": {"kPa": 7.5}, "ge": 60, "le": 60}, saturation() | pressure).holds is True
    assert seen({"units": {"": 2}, "ge": 16, "le": 16}, saturation(valueQuantity={"value": 8})).holds is True


# Windows and limits


def time(text: str) -> FhirTime:
    read = parse_time(text)
    assert read is not None
    return read


def test_without_a_day_only_a_test_without_a_window_is_sure() -> None:
    assert is_within(None, {}, DAY) is True
    assert is_within(None, {"within_days": 1}, DAY) is None
    assert is_within(None, {"older_than_days": 1}, DAY) is None


# Body mass index and smoking


def number(code: str, value: float, unit: str, **more: Any) -> Json:
    return observation(code, value, unit, "2026-11-10") | {"id": f"o-{code}"} | more


STOPPED = number("74010-0", 1, "1")
del STOPPED["valueQuantity"]
