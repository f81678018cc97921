"""A value is used with its unit, or refused by name: whole measurements, one-sided results, and which is the newest."""

from typing import Any

import pytest

from fhir.record.datatypes import FhirTime, parse_time
from fhir.record.measurement import CodedPart, Measurement, OneSidedResult, one_sided_result
from fhir.record.resources import Observation
from fhir.terminology.analytes import ANALYTES
from tests.each import for_rows
from tests.fhir.builders import AS_OF, lean, observation, record_of

CREATININE, POTASSIUM, INR, A1C = "2160-0", "2823-3", "6301-6", "59261-8"


def _loinc(code: str) -> dict[str, Any]:
    return {"coding": [{"system": "http://loinc.org", "code": code}]}


def _called(code: str, text: str) -> dict[str, Any]:
    return _loinc(code) | {"text": text}


def _shown(code: str, display: str) -> dict[str, Any]:
    return {"coding": [{**_loinc(code)["coding"][0], "display": display}]}


@for_rows(("code", "analyte", "value", "unit", "expected"))
def test_a_known_unit_is_converted(code: str, analyte: str, value: float, unit: str | None, expected: float) -> None:
    found = record_of(observation(code, value, unit)).newest(analyte)
    assert found is not None
    assert found.value == pytest.approx(expected, rel=1e-3)
    assert found.charted_value == value


@for_rows(
    ("reason", "resource"),
    [
        ("implausible", observation(CREATININE, 190.0, "mg/dL")),
        ("name-conflict", observation(CREATININE, 8.2, "mg/dL", code=_called(CREATININE, "Creatinine in urine"))),
        ("name-conflict", observation(POTASSIUM, 5.9, "mmol/L", code=_called(POTASSIUM, "Glucose"))),
        ("name-conflict", observation(CREATININE, 0.9, "mg/dL", code=_shown(CREATININE, "Creatinine in Urine"))),
        ("haemolysed", observation(POTASSIUM, 5.9, "mmol/L", note=[{"text": "Specimen hemolyzed"}])),
    ],
)
def test_a_value_that_cannot_be_trusted_is_refused_and_named(reason: str, resource: dict[str, Any]) -> None:
    record = record_of(resource)
    assert record.newest("creatinine") is None
    assert record.newest("potassium") is None
    (refusal,) = record.refusals
    assert (refusal.reason, refusal.subject) == (reason, f"Observation/{resource['id']}")
    assert "not used" in refusal.text


def test_a_note_that_says_not_haemolysed_does_not_refuse() -> None:
    record = record_of(
        observation(POTASSIUM, 4.1, "mmol/L", note=[{"text": "No hemolysis seen"}, {"authorString": "Ann"}])
    )
    assert record.newest("potassium") is not None


def test_the_newest_is_found_whatever_form_the_times_have() -> None:
    older = observation(CREATININE, 1.0, "mg/dL", None, effectivePeriod={"start": "2026-01-01", "end": "2026-02-01"})
    newer = observation(CREATININE, 2.0, "mg/dL", None, effectivePeriod={"start": "2026-03-01", "end": "2026-04-01"})
    day = observation(CREATININE, 3.0, "mg/dL", "2026-03-15")
    instant = observation(CREATININE, 4.0, "mg/dL", "2026-03-20T10:00:00.5+02:00")
    for order in ((older, newer, day, instant), (instant, day, newer, older), (day, older, instant, newer)):
        found = record_of(*order).newest("creatinine")
        assert found is not None
        assert found.value == 2.0


@for_rows(("value", "expected"))
def test_a_number_with_its_unit_is_read_from_words(value: dict[str, Any], expected: float | None) -> None:
    record = record_of(observation(POTASSIUM, None, None) | {"valueQuantity": None} | value)
    newest = record.newest("potassium")
    assert (newest.value if newest is not None else None) == expected
    assert bool(record.refusals) is (expected is None)


def test_a_result_that_was_only_reported_counts_from_then() -> None:
    reported = observation(POTASSIUM, 6.4, "mmol/L", None) | {"issued": "2026-11-19T08:00:00Z"}
    newest = record_of(reported).newest("potassium")
    assert newest is not None
    assert newest.time.date == "2026-11-19"
    period = {"effectiveInstant": "2026-11-18T08:00:00Z", "effectivePeriod": {"start": "2020-01-01"}}
    newest = record_of(reported | period).newest("potassium")
    assert newest is not None
    assert newest.time.date == "2026-11-18"


NOW = AS_OF.timestamp()
POTASSIUM_CODE, CREATININE_CODE, PLATELETS = ANALYTES["potassium"], ANALYTES["creatinine"], ANALYTES["platelets"]


def _time(text: str) -> FhirTime:
    time = parse_time(text)
    assert time is not None
    return time


def _part(loinc: str = "2823-3", value: float | None = 4.5, unit: str | None = "mmol/L", **more: Any) -> CodedPart:
    resource: Observation = lean(observation(loinc, value, unit, **({"id": "o1"} | more)))
    return resource, resource, loinc


# Which part is of which analyte.


# What a part says.


def _q(value: float, **more: str) -> dict[str, Any]:
    return {"valueQuantity": {"value": value, **more}}


# On which side of a number a value lies.


def _limit(value: float, charted: float, unit: str, source: str = "Observation/o1") -> Measurement:
    return Measurement("potassium", value, "mmol/L", _time("2026-11-01"), source, "2823-3", charted, unit)


@for_rows(
    ("more", "expected"),
    [
        (_q(6.4, code="mmol/L", comparator=">"), OneSidedResult(">", _limit(6.4, 6.4, "mmol/L"))),
        (_q(6.4, code="mmol/L", comparator=" <= "), OneSidedResult("<=", _limit(6.4, 6.4, "mmol/L"))),
        (_q(6.4, unit="mEq/L", comparator=">="), OneSidedResult(">=", _limit(6.4, 6.4, "mEq/L"))),
        (_q(6.4, comparator="<"), OneSidedResult("<", _limit(6.4, 6.4, "mmol/L"))),
        (_q(6.4, code="mmol/L"), None),
        (_q(6.4, code="mmol/L", comparator="ad"), None),
        (_q(6.4, code="furlong", comparator=">"), None),
        (_q(0.05, code="mmol/L", comparator=">"), None),
        (_q(640.0, code="mmol/L", comparator=">"), None),
        ({"valueQuantity": None, "valueString": ">6.4"}, OneSidedResult(">", _limit(6.4, 6.4, "mmol/L"))),
        ({"valueQuantity": None, "valueString": " ≥ 6 mEq/L "}, OneSidedResult(">=", _limit(6.0, 6.0, "mEq/L"))),
        ({"valueQuantity": None, "valueString": "≤2.5"}, OneSidedResult("<=", _limit(2.5, 2.5, "mmol/L"))),
        ({"valueQuantity": {"unit": "mmol/L"}, "valueString": "<2.5"}, OneSidedResult("<", _limit(2.5, 2.5, "mmol/L"))),
        ({"valueQuantity": None, "valueString": "6.4"}, None),
        ({"valueQuantity": None}, None),
        (_q(6.4, comparator=">") | {"status": "preliminary"}, None),
        (_q(6.4, comparator=">") | {"when": None}, None),
        (_q(6.4, comparator=">") | {"when": "2026-12-01"}, None),
        (
            _q(6.4, comparator=">") | {"id": None},
            OneSidedResult(">", _limit(6.4, 6.4, "mmol/L", "Observation without id")),
        ),
    ],
)
def test_a_one_sided_result(more: dict[str, Any], expected: OneSidedResult | None) -> None:
    assert one_sided_result(POTASSIUM_CODE, _part(**more), NOW) == expected
