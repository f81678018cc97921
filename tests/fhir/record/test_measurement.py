"""A value is used with its unit, or refused by name: whole measurements, one-sided results, and which is the newest."""

from typing import Any

import pytest

from fhir.record.datatypes import FhirTime, parse_time
from fhir.record.measurement import (
    OTHER,
    SCREENING,
    CodedPart,
    Measurement,
    OneSidedResult,
    measure,
    newest_parts,
    one_sided_result,
    parts_by_analyte,
)
from fhir.record.refusals import Refusal
from fhir.record.resources import Observation
from fhir.terminology.analytes import ANALYTES
from tests.each import for_rows, rows_of
from tests.fhir.builders import AS_OF, LOINC, lean, observation, record_of

CREATININE, POTASSIUM, INR, A1C = "2160-0", "2823-3", "6301-6", "59261-8"


def _loinc(code: str) -> dict[str, Any]:
    return {"coding": [{"system": "http://loinc.org", "code": code}]}


def _called(code: str, text: str) -> dict[str, Any]:
    return _loinc(code) | {"text": text}


def _shown(code: str, display: str) -> dict[str, Any]:
    return {"coding": [{**_loinc(code)["coding"][0], "display": display}]}


@for_rows(
    ("code", "analyte", "value", "unit", "expected"),
    rows_of(__file__, "a_known_unit_is_converted"),
)
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


@for_rows(
    ("value", "expected"),
    rows_of(__file__, "a_number_with_its_unit_is_read_from_words"),
)
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


def _near(value: Any) -> Any:
    return pytest.approx(value)


def _time(text: str) -> FhirTime:
    time = parse_time(text)
    assert time is not None
    return time


def _part(loinc: str = "2823-3", value: float | None = 4.5, unit: str | None = "mmol/L", **more: Any) -> CodedPart:
    resource: Observation = lean(observation(loinc, value, unit, **({"id": "o1"} | more)))
    return resource, resource, loinc


def _at(when: str | None, name: str = "") -> CodedPart:
    return _part(when=when, id=name or when)


# Which part is of which analyte.


def _coded(*codings: dict[str, str], text: str | None = None, **more: Any) -> Observation:
    code = {"coding": list(codings), **({"text": text} if text else {})}
    resource: Observation = lean(observation("x", 4.5, "mmol/L", code=code, **more))
    return resource


K = {"system": LOINC, "code": "2823-3"}
LOCAL = {"system": "https://hospital.example", "code": "2823-3"}


@for_rows(
    ("observed", "key", "code"),
    [
        (_coded(K), "potassium", "2823-3"),
        (_coded({"code": "2823-3"}), "potassium", "2823-3"),
        (_coded(LOCAL), OTHER, None),
        (_coded(LOCAL, K), "potassium", "2823-3"),
        (_coded(K, {"system": LOINC, "code": "2160-0"}), "potassium", "2823-3"),
        (_coded({"system": LOINC}, text="Potassium"), OTHER, None),
        (_coded({"system": "https://hospital.example"}, text="Potassium"), "potassium", None),
        (_coded(text="Potassium"), "potassium", None),
        (_coded({"system": "https://hospital.example", "display": "Potassium"}), "potassium", None),
        (_coded({"system": "https://h.example", "display": "Potassium"}, text="Fnord"), "potassium", None),
        (_coded(text="Potassium", valueQuantity=None), OTHER, None),
        (_coded(text="Potassium", valueQuantity=None, valueString="4.5"), "potassium", None),
        (_coded(text="Potassium", valueQuantity=None, valueInteger=4), "potassium", None),
        (_coded({"system": LOINC, "code": "72166-2"}), "smoking_status", "72166-2"),
        (_coded({"system": LOINC, "code": "77142-8"}), "potassium", "77142-8"),
        (_coded({"system": "http://npu-terminology.org", "code": "NPU03230"}), "potassium", "NPU03230"),
        (_coded({"system": "urn:oid:1.2.208.176.2.1", "code": "DNK35131"}), "egfr", "DNK35131"),
        (_coded({"system": LOCAL["system"], "code": "77142-8"}), OTHER, None),
        (_coded(text="P-Kalium"), "potassium", None),
        (_coded(text="Urea", valueQuantity={"value": 8, "unit": "mmol/L"}), "bun", None),
        (_coded(text="Urea", valueQuantity={"value": 8, "unit": "mg/dL"}), OTHER, None),
    ],
)
def test_an_observation_is_of_the_analyte_of_its_code_or_of_its_name(
    observed: Observation, key: str, code: str | None
) -> None:
    parts = parts_by_analyte([observed])
    assert dict(parts) == {key: [(observed, observed, code)]}
    assert SCREENING not in parts


# Results that no code and no name tells apart.


# Which part is the newest.


@for_rows(
    ("first", "second"),
    rows_of(__file__, "the_newer_of_two_is_the_newest_in_both_orders"),
)
def test_the_newer_of_two_is_the_newest_in_both_orders(first: str | None, second: str) -> None:
    new, old = _at(first, "new"), _at(second, "old")
    assert newest_parts([new, old]) == (new, [new])
    assert newest_parts([old, new]) == (new, [new])


# What a part says.


def _q(value: float, **more: str) -> dict[str, Any]:
    return {"valueQuantity": {"value": value, **more}}


def test_two_units_that_differ_are_a_conflict_and_two_that_are_alike_are_none() -> None:
    refused = measure(CREATININE_CODE, _part("2160-0", **_q(1.2, unit="umol/L", code="mg/dL")), NOW)
    assert isinstance(refused, Refusal)
    assert refused.statement == "Creatinine 1.2: unit says umol/L, code says mg/dL"
    agreed = measure(CREATININE_CODE, _part("2160-0", **_q(12.0, unit="mg / L", code="mg/L")), NOW)
    assert isinstance(agreed, Measurement)
    assert (agreed.value, agreed.charted_unit) == (_near(1.2), "mg / L")
    empty = measure(ANALYTES["inr"], _part("6301-6", **_q(2.3, unit="", code="1")), NOW)
    assert isinstance(empty, Measurement)
    assert (empty.value, empty.charted_unit) == (2.3, "1")  # the unit of a number is empty, or 1


@pytest.mark.parametrize("status", ["final", "amended", "corrected"])
def test_three_statuses_are_usable(status: str) -> None:
    assert isinstance(measure(POTASSIUM_CODE, _part(status=status), NOW), Measurement)


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
