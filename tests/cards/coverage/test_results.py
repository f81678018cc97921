"""Criteria over results: the circumstances of a measurement, its unit, windows of time, and counts."""

from datetime import date
from typing import Any

from cards.coverage.evidence import evaluate
from cards.coverage.seen import Seen, Subject, counted, is_in, is_within, months_before
from fhir.record.datatypes import FhirTime, parse_time
from tests.each import for_rows
from tests.fhir.builders import SNOMED, concept, observation, record_of

Json = dict[str, Any]
DAY = date(2026, 11, 20)


def saturation(value: float | None = 88, when: str = "2026-11-10", **more: Any) -> Json:
    return observation("59408-5", value, "%", when) | {"id": f"o-{value}-{when}"} | more


def seen(wanted: Json, *resources: Json) -> Seen:
    test = {"observation": {"loinc": ["59408-5"], "units": {"%": 1}} | wanted}
    return evaluate(test, Subject(record_of(*resources), DAY))


def component(code: str, value: float | None = None, **more: Any) -> Json:
    quantity = {"valueQuantity": {"value": value}} if value is not None else {}
    return {
        "code": {"coding": [{"system": "http://loinc.org", "code": code, "display": more.pop("display", "")}]},
        **quantity,
    } | more


@for_rows(
    ("more", "holds"),
    [
        ({}, True),
        ({"status": "preliminary"}, None),
        ({"code": {"coding": [{"code": "2708-6"}]}}, None),
        ({"code": {"text": "Oxygen saturation (SpO2), resting"}}, True),
        ({"code": {"text": "Oxygen saturations"}}, None),
        ({"effectiveDateTime": None}, None),
        ({"valueQuantity": {"value": 88, "unit": "%", "comparator": "<"}}, None),
        ({"valueQuantity": {"unit": "%"}}, None),
        ({"valueQuantity": {"value": 88, "unit": "percent"}}, None),
        ({"valueQuantity": {"value": 88, "unit": "percent", "code": "%"}}, True),
        ({"valueQuantity": {"value": 88}}, None),
        ({"valueQuantity": None, "valueString": "88 %"}, None),
    ],
)
def test_a_result_counts_with_its_name_status_unit_and_day(more: Json, holds: bool | None) -> None:
    chart = {name: value for name, value in saturation(**more).items() if value is not None}
    assert seen({"le": 88, "text": ["oxygen saturation"]}, chart).holds is holds


def test_a_value_is_compared_in_the_unit_of_the_test() -> None:
    pressure = {"valueQuantity": {"value": 8, "unit": "kPa"}}
    assert seen({"units": {"kPa": 7.5}, "ge": 60, "le": 60}, saturation() | pressure).holds is True
    assert seen({"units": {"": 2}, "ge": 16, "le": 16}, saturation(valueQuantity={"value": 8})).holds is True


def test_so_many_results_keep_the_limits() -> None:
    results = [saturation(85, "2026-11-01"), saturation(90, "2026-11-05"), saturation(86, "2026-11-10")]
    kept = ("Observation/o-85-2026-11-01", "Observation/o-86-2026-11-10")
    assert seen({"le": 88, "count": 2}, *results) == Seen(True, kept)
    assert seen({"le": 88, "count": 3}, *results) == Seen(False)
    in_window = seen({"le": 88, "count": 2, "within_days": 18}, *results)
    assert in_window == Seen(False)


ROOM = {"room_air": True}


@for_rows(
    ("wanted", "more", "holds"),
    [
        (ROOM, {}, None),
        (ROOM, {"note": [{"text": "On ROOM AIR at rest"}]}, True),
        (ROOM, {"note": [{"authorString": "Ward 3"}, {"text": "room air"}]}, True),
        (ROOM, {"component": [component("3150-6", valueQuantity={"unit": "%"}), component("3151-8", 0)]}, True),
        (ROOM, {"component": [component("3150-6", 21)]}, True),
        (ROOM, {"component": [component("3150-0", 0.21)]}, True),
        (ROOM, {"component": [component("19994-3", 0.214)]}, True),
        (ROOM, {"component": [component("3150-6", 28)], "note": [{"text": "room air"}]}, None),
        (ROOM, {"component": [component("3151-8", 0)]}, True),
        (ROOM, {"component": [component("3151-8", valueQuantity={"value": 0, "comparator": ">"})]}, None),
        (ROOM, {"component": [component("3150-6", valueQuantity={"value": 21, "comparator": ">"})]}, None),
        (ROOM, {"component": [component("3151-8", 2)], "note": [{"text": "room air"}]}, None),
        (ROOM, {"component": [component("3150-6"), component("3151-8", 0)]}, True),
        (ROOM, {"component": [component("9999-9", 21)]}, None),
        (ROOM, {"component": [component("1", valueString="ambient air")]}, True),
        (ROOM, {"component": [component("1", valueCodeableConcept={"text": "Without oxygen"})]}, True),
        (ROOM, {"component": [component("1", display="Room air")]}, True),
        (ROOM, {"component": [component("1", 1, display="Room air")]}, None),
        ({"words": ["sleep", "overnight"]}, {"note": [{"text": "Overnight study"}]}, True),
        ({"words": ["sleep", "overnight"]}, {}, None),
        ({"words": ["spot"]}, {"code": {"coding": [{"code": "59408-5", "display": "Spot check"}]}}, True),
        ({"without_words": ["exercise"]}, {}, True),
        ({"without_words": ["exercise"]}, {"note": [{"text": "after Exercise"}]}, None),
        ({"room_air": False}, {}, True),
    ],
)  # fmt: skip
def test_a_result_says_the_circumstances_that_the_test_asks_for(wanted: Json, more: Json, holds: bool | None) -> None:
    assert seen({"le": 88} | wanted, saturation(**more)).holds is holds


# Windows and limits


def time(text: str) -> FhirTime:
    read = parse_time(text)
    assert read is not None
    return read


@for_rows(
    ("wanted", "text", "answer"),
    [
        ({}, "1990", True),
        ({"within_days": 10}, "2026-11-10", True), ({"within_days": 10}, "2026-11-09", False),
        ({"within_days": 10}, "2026-11-20", True), ({"within_days": 10}, "2026-11-21", False),
        ({"within_days": 10}, "2026-11", None), ({"within_days": 10}, "2026-10", False),
        ({"within_days": 19}, "2026-11", True), ({"within_days": 20}, "2026-11", True),
        ({"within_months": 6}, "2026-05-20", True), ({"within_months": 6}, "2026-05-19", False),
        ({"within_full_months": 6}, "2026-05-01", True), ({"within_full_months": 6}, "2026-04-30", False),
        ({"older_than_days": 10}, "2026-11-10", True), ({"older_than_days": 10}, "2026-11-11", False),
        ({"older_than_days": 10}, "2026-11", None), ({"older_than_days": 10}, "2026-10", True),
        ({"older_than_months": 6}, "2026-05-20", True), ({"older_than_months": 6}, "2026-05-21", False),
        ({"older_than_months": 6}, "2026-05", None), ({"older_than_months": 6}, "2026-06", False),
        ({"within_months": 6, "older_than_days": 30}, "2026-10-21", True),
        ({"within_months": 6, "older_than_days": 30}, "2026-10-22", False),
        ({"within_months": 6, "older_than_days": 30}, "2026-05-01", False),
    ],
)  # fmt: skip
def test_a_day_lies_in_a_window_or_it_cannot_be_told(wanted: Json, text: str, answer: bool | None) -> None:
    assert is_within(time(text), wanted, DAY) is answer


def test_without_a_day_only_a_test_without_a_window_is_sure() -> None:
    assert is_within(None, {}, DAY) is True
    assert is_within(None, {"within_days": 1}, DAY) is None
    assert is_within(None, {"older_than_days": 1}, DAY) is None


@for_rows(
    ("day", "months", "earlier"),
    [
        ("2026-03-31", 1, "2026-02-28"), ("2024-03-31", 1, "2024-02-29"), ("2026-01-15", 1, "2025-12-15"),
        ("2026-12-15", 12, "2025-12-15"), ("2026-12-15", 0, "2026-12-15"), ("2026-02-28", 14, "2024-12-28"),
    ],
)  # fmt: skip
def test_months_are_those_of_the_calendar(day: str, months: int, earlier: str) -> None:
    assert months_before(date.fromisoformat(day), months) == date.fromisoformat(earlier)


def test_doubtful_hits_make_a_count_unknown_and_not_certain() -> None:
    assert counted([(True, "a"), (False, "b"), (True, "c")], 2) == Seen(True, ("a", "c"))
    assert counted([(True, "a"), (None, "b")], 2) == Seen(None)
    assert counted([(True, "a"), (False, "b")], 2) == Seen(False)
    assert counted([(None, "a"), (None, "b")], 3) == Seen(False)


@for_rows(
    ("wanted", "kept"),
    [
        ({}, [4, 5, 6]), ({"ge": 5}, [5, 6]), ({"gt": 5}, [6]), ({"le": 5}, [4, 5]), ({"lt": 5}, [4]),
        ({"ge": 5, "le": 5}, [5]), ({"gt": 4, "lt": 6}, [5]),
    ],
)  # fmt: skip
def test_limits_are_kept_on_their_side(wanted: Json, kept: list[int]) -> None:
    assert [value for value in (4, 5, 6) if is_in(value, wanted)] == kept


# Body mass index and smoking


def number(code: str, value: float, unit: str, **more: Any) -> Json:
    return observation(code, value, unit, "2026-11-10") | {"id": f"o-{code}"} | more


def seen_of(test: Json, *resources: Json) -> Seen:
    return evaluate(test, Subject(record_of(*resources), DAY))


PACKS = number("8664-5", 20, "{PackYears}")


def test_pack_years_keep_their_limits() -> None:
    assert seen_of({"pack_years": {"ge": 20}}, PACKS) == Seen(True, ("Observation/o-8664-5",))
    assert seen_of({"pack_years": {"gt": 20}}, PACKS) == Seen(False, ("Observation/o-8664-5",))
    assert seen_of({"pack_years": {"ge": 20}}) == Seen(None)


def status(code: str, when: str) -> Json:
    """An answer to the smoking status: 449868002 daily, 8517006 former, 266919005 never."""
    answer = concept(code=code, system=SNOMED)
    return observation("72166-2", when=when, id=f"s-{when}", valueCodeableConcept=answer)


DAILY, FORMER, NEVER = "449868002", "8517006", "266919005"
STOPPED = number("74010-0", 1, "1")
del STOPPED["valueQuantity"]


@for_rows(
    ("resources", "holds"),
    [
        ((), None),
        ((status(DAILY, "2026-01-10"),), True),
        ((status(NEVER, "2026-01-10"),), False),
        ((status(FORMER, "2026-01-10"),), None),
        # Smoked 15 years before 20 November 2026, or one day earlier.
        ((status(FORMER, "2026-01-10"), status(DAILY, "2011-11-20")), True),
        ((status(FORMER, "2026-01-10"), status(DAILY, "2011-11-19")), None),
        ((status(FORMER, "2026-01-10"), status(FORMER, "2011-11-19")), False),
        ((status(FORMER, "2026-01-10"), status(FORMER, "2011-11-20")), None),
        ((status(FORMER, "2026-01-10"), STOPPED | {"valueDateTime": "2011-11-20"}), True),
        ((status(FORMER, "2026-01-10"), STOPPED | {"valueDateTime": "2011-11-19"}), False),
        ((status(FORMER, "2026-01-10"), STOPPED | {"valueDateTime": "2011"}), None),
    ],
)
def test_who_smokes_or_stopped_within_so_many_years(resources: tuple[Json, ...], holds: bool | None) -> None:
    source = () if holds is None else ("Observation/s-2026-01-10",)
    assert seen_of({"smoked_within_years": 15}, *resources) == Seen(holds, source)
