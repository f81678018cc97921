"""A result beyond its limit shows a condition that nobody charted; an old, refused or overtaken one shows nothing."""

from datetime import datetime, timedelta
from typing import Any

from cards.rules.patient.session import PatientSession
from fhir.mapping.shown_by_results import ResultLimit, result_limits, shown_by_result
from fhir.terminology.analytes import ANALYTES
from tests.each import for_rows
from tests.fhir.builders import AS_OF, observation, record_of

Json = dict[str, Any]


def result(limit: ResultLimit, value: float, taken: datetime, **changed: Any) -> Json:
    unit = ANALYTES[limit.analyte].unit
    return observation(ANALYTES[limit.analyte].loinc[0], value, unit, taken.isoformat(), id=f"o{taken:%d%H}") | changed


OWN_ROWS = [limit for group, limits in result_limits().items() for limit in limits if limit.group == group]


def test_a_result_that_was_taken_back_or_is_haemolysed_shows_nothing() -> None:
    (limit,) = [limit for limit in OWN_ROWS if limit.group == "hyperkalemia"]
    taken = AS_OF - timedelta(days=1)
    wrong = result(limit, 6.8, taken, status="entered-in-error")
    haemolysed = result(limit, 6.8, taken, note=[{"text": "Specimen haemolysed"}])
    assert shown_by_result(record_of(wrong), "hyperkalemia") is None
    assert shown_by_result(record_of(haemolysed), "hyperkalemia") is None


def test_a_group_is_shown_by_what_implies_it_and_a_rule_reads_it_as_a_condition() -> None:
    (limit,) = [limit for limit in OWN_ROWS if limit.analyte == "lvef"]
    record = record_of(result(limit, 35, AS_OF - timedelta(days=100)))
    hit = PatientSession(record, []).condition("heart_failure")
    assert hit is not None
    assert (hit.words, hit.source.partition("/")[0], hit.status) == ("LVEF 35 %", "Observation", "active")


@for_rows(
    ("value", "is_shown"),
    [
        ({"valueString": "Positive"}, True),
        ({"valueCodeableConcept": {"text": "Reactive"}}, True),
        ({"valueString": "DETECTED"}, True),
        ({"valueCodeableConcept": {"text": "Non-reactive"}}, False),
        ({"valueString": "not detected"}, False),
        ({"valueString": "Negative"}, False),
        ({"valueString": "see report"}, False),
        ({"valueString": "interpretation not possible"}, False),
    ],
)
def test_an_antigen_that_is_positive_shows_the_infection(value: Json, is_shown: bool) -> None:
    (limit,) = [limit for limit in OWN_ROWS if limit.analyte == "hbsag"]
    answer = {key: item for key, item in result(limit, 1, AS_OF - timedelta(days=40)).items() if key != "valueQuantity"}
    session = PatientSession(record_of(answer | value), [])
    hit = session.condition("hepatitis_b")
    assert (hit.words if hit is not None else None) == ("HBsAg positive" if is_shown else None)
