"""What a record tells of smoking: the answer that counts, pack-years in their unit, and between which days it ended."""

from datetime import date
from typing import Any

from fhir.mapping.tobacco import PackYears, SmokingAnswer, SmokingHistory, smoking_history
from fhir.record.datatypes import parse_time
from fhir.record.record import PatientRecord
from tests.each import for_rows
from tests.fhir.builders import observation, record_of

CURRENT, FORMER, NEVER, UNKNOWN = "449868002", "8517006", "266919005", "266927001"
NOTHING = SmokingHistory(None, None, None)


def answer(identifier: str | None, when: str | None, code: str = "", text: str = "", **more: Any) -> dict[str, Any]:
    coding = [{"system": "http://snomed.info/sct", "code": code}] if code else []
    told = {"coding": coding} | ({"text": text} if text else {})
    return observation("72166-2", when=when, **{"id": identifier, "valueCodeableConcept": told} | more)


def part(identifier: str, loinc: str, when: str | None = "2026-06-01", **value: Any) -> dict[str, Any]:
    code = {"coding": [{"system": "http://loinc.org", "code": loinc}]}
    resource = answer(identifier, when) | {"code": code} | value
    return {name: member for name, member in resource.items() if name != "valueCodeableConcept"}


def years(value: float, unit: str | None = "{PackYears}", identifier: str = "y", when: str | None = "2026-06-01",
          **more: Any) -> dict[str, Any]:  # fmt: skip
    quantity = {"value": value} | ({"unit": unit} if unit else {}) | more
    return part(identifier, "8664-5", when, valueQuantity=quantity)


def read(*resources: dict[str, Any]) -> SmokingHistory:
    record: PatientRecord = record_of(*resources)
    return smoking_history(record)


def test_the_newest_answer_counts_and_the_newest_that_is_not_never_stands_beside_it() -> None:
    smoked, never = answer("a", "2020-01-01", CURRENT), answer("b", "2026-01-01", NEVER)
    undated = answer("c", None, FORMER)
    for resources in ((smoked, never, undated), (undated, never, smoked)):
        history = read(*resources)
        assert (history.answer, history.ever) == (
            SmokingAnswer("never", "never smoked", parse_time("2026-01-01"), "Observation/b"),
            SmokingAnswer("current", "smokes", parse_time("2020-01-01"), "Observation/a"),
        )
        assert (history.stopped_from, history.stopped_by) == (date(2020, 1, 1), None)
    nameless = read(answer(None, "2026-01-01", CURRENT)).answer
    assert nameless is not None
    assert nameless.source == "Observation without id"


def test_a_non_smoker_has_stopped_only_where_smoking_is_charted_before() -> None:
    non_smoker = answer("n", "2026-01-01", text="Non-smoker")
    assert read(non_smoker) == NOTHING
    assert read(non_smoker, answer("x", "2020-01-01", NEVER)).answer == SmokingAnswer(
        "never", "never smoked", parse_time("2020-01-01"), "Observation/x"
    )
    stopped = read(non_smoker, answer("x", "2020-01-01", CURRENT))
    assert stopped.answer == SmokingAnswer("former", "Non-smoker", parse_time("2026-01-01"), "Observation/n")
    assert (stopped.stopped_from, stopped.stopped_by) == (date(2020, 1, 1), date(2026, 1, 1))
    later = read(non_smoker, answer("x", "2026-02-01", CURRENT)).answer
    assert later == SmokingAnswer("current", "smokes", parse_time("2026-02-01"), "Observation/x")
    same_day = read(non_smoker, answer("x", "2026-01-01", CURRENT)).answer
    assert same_day == SmokingAnswer("current", "smokes", parse_time("2026-01-01"), "Observation/x")


@for_rows(
    ("resource", "value"),
    [
        (years(20), 20.0),
        (years(0), 0.0),
        (years(300), 300.0),
        (years(301), None),
        (years(-1), None),
        (years(20, "a"), None),  # years, not pack-years
        (years(20, "Pack years"), 20.0),
        (years(20, None), 20.0),
        (years(20, "a", code="{pack}.a"), 20.0),
        (years(20) | {"valueQuantity": None}, None),
        (years(20) | {"valueQuantity": {"unit": "pack-years"}}, None),
        (years(20, comparator=">"), None),
        (years(20, when="2026-12-01"), None),
        (years(20) | {"status": "cancelled"}, None),
    ],
)
def test_pack_years_count_in_their_unit_and_up_to_what_is_possible(resource: dict[str, Any], value: Any) -> None:
    found = read(resource).pack_years
    expected = PackYears(value, parse_time("2026-06-01"), "Observation/y") if value is not None else None
    assert found == expected
