"""A value is used with its unit, or refused by name: never guessed."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir.record.facts import Absent, Found
from tests.fhir.builders import observation, record_of

CREATININE, POTASSIUM, INR, A1C = "2160-0", "2823-3", "6301-6", "59261-8"


def _loinc(code: str) -> dict[str, Any]:
    return {"coding": [{"system": "http://loinc.org", "code": code}]}


def _called(code: str, text: str) -> dict[str, Any]:
    return _loinc(code) | {"text": text}


def _shown(code: str, display: str) -> dict[str, Any]:
    return {"coding": [{**_loinc(code)["coding"][0], "display": display}]}


@pytest.mark.parametrize(
    ("code", "analyte", "value", "unit", "expected"),
    [
        (CREATININE, "creatinine", 1.2, "mg/dL", 1.2),
        (CREATININE, "creatinine", 106.0, "umol/L", 1.199),
        (CREATININE, "creatinine", 106.0, "µmol/L", 1.199),
        (POTASSIUM, "potassium", 4.5, "meq/l", 4.5),
        (A1C, "hba1c", 53.0, "mmol/mol", 7.0),
        ("8310-5", "temperature", 98.6, "[degF]", 37.0),
        (INR, "inr", 2.3, None, 2.3),
        ("6690-2", "wbc", 7.1, "K/uL", 7.1),
        ("6690-2", "wbc", 7.1, "10*9/L", 7.1),
        ("29463-7", "body_weight", 150.0, "lb", 68.04),
        (CREATININE, "creatinine", 12.0, "mg/L", 1.2),
        ("2345-7", "glucose", 1.1, "g/L", 110.0),
        ("8480-6", "sbp", 16.0, "kPa", 120.01),
        ("787-2", "mcv", 90.0, "um3", 90.0),
        ("6690-2", "wbc", 7.1, "thou/mm3", 7.1),
    ],
)
def test_a_known_unit_is_converted(code: str, analyte: str, value: float, unit: str | None, expected: float) -> None:
    found = record_of(observation(code, value, unit)).newest(analyte)
    assert found is not None
    assert found.value == pytest.approx(expected, rel=1e-3)
    assert found.charted_value == value


@pytest.mark.parametrize(
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


def test_a_text_beside_a_known_code_is_not_repeated_as_the_unit() -> None:
    quantity = {"value": 1.2, "unit": "<b>mg</b> per dL", "code": "mg/dL"}
    found = record_of(observation(CREATININE, None, None, valueQuantity=quantity)).newest("creatinine")
    assert found is not None
    assert found.charted_unit == "mg/dL"


def test_a_note_that_says_not_haemolysed_does_not_refuse() -> None:
    record = record_of(observation(POTASSIUM, 4.1, "mmol/L", note=[{"text": "No hemolysis seen"}]))
    assert record.newest("potassium") is not None


def test_a_component_counts_like_an_observation() -> None:
    systolic = {"code": _loinc("8480-6"), "valueQuantity": {"value": 128, "unit": "mmHg"}}
    diastolic = {"code": _loinc("8462-4"), "dataAbsentReason": {"text": "error"}}
    panel = observation("85354-9", None, None, valueQuantity=None, component=[systolic, diastolic])
    record = record_of(panel)
    pressure = record.newest("sbp")
    assert pressure is not None
    assert pressure.value == 128
    assert record.newest("dbp") is None
    assert [refusal.reason for refusal in record.refusals] == ["data-absent"]


@pytest.mark.parametrize("status", ["entered-in-error", "cancelled"])
def test_what_was_entered_in_error_is_no_fact(status: str) -> None:
    record = record_of(observation(CREATININE, 1.2, "mg/dL", status=status))
    assert record.newest("creatinine") is None
    assert record.observations == ()


def test_a_number_that_was_entered_in_error_is_absent_and_named() -> None:
    wrong = observation(CREATININE, 9.9, "mg/dL", "2026-11-01", status="entered-in-error", id="wrong")
    alone = record_of(wrong)
    assert alone.lookup("creatinine") == Absent()
    assert [(each.subject, each.reason) for each in alone.refusals] == [("Observation/wrong", "entered-in-error")]
    assert alone.refusals[0].text.endswith("was entered in error on 2026-11-01: not used.")
    beside = record_of(wrong, observation(CREATININE, 1.2, "mg/dL", "2026-10-01"))
    found = beside.lookup("creatinine")
    assert isinstance(found, Found)
    assert (found.measurement.value, found.refused) == (1.2, ())
    assert [each.reason for each in beside.refusals] == ["entered-in-error"]


def test_a_period_counts_by_its_end() -> None:
    record = record_of(
        observation(CREATININE, 1.2, "mg/dL", None, effectivePeriod={"start": "2026-01-01", "end": "2026-02-01"})
    )
    found = record.newest("creatinine")
    assert found is not None
    assert found.time.date == "2026-02-01"


def test_a_code_of_another_system_is_not_taken_for_loinc() -> None:
    coding = {"coding": [{"system": "http://example.org/local", "code": CREATININE}]}
    assert record_of(observation(CREATININE, 1.2, "mg/dL", code=coding)).newest("creatinine") is None


def test_all_values_come_newest_first() -> None:
    record = record_of(*(observation(CREATININE, 1.0 + day / 10, "mg/dL", f"2026-11-0{day}") for day in (2, 4, 1, 3)))
    assert [measured.time.date[-1] for measured in record.measurements("creatinine")] == ["4", "3", "2", "1"]


def test_the_newest_is_found_whatever_form_the_times_have() -> None:
    older = observation(CREATININE, 1.0, "mg/dL", None, effectivePeriod={"start": "2026-01-01", "end": "2026-02-01"})
    newer = observation(CREATININE, 2.0, "mg/dL", None, effectivePeriod={"start": "2026-03-01", "end": "2026-04-01"})
    day = observation(CREATININE, 3.0, "mg/dL", "2026-03-15")
    instant = observation(CREATININE, 4.0, "mg/dL", "2026-03-20T10:00:00.5+02:00")
    for order in ((older, newer, day, instant), (instant, day, newer, older), (day, older, instant, newer)):
        found = record_of(*order).newest("creatinine")
        assert found is not None
        assert found.value == 2.0


_TIMES = ["2026-05-01T23:00:00-05:00", "2026-05-02T03:00:00+00:00", "2026-05-02", "2026-05", "2026-04-30T01:00:00Z"]


@given(st.permutations(_TIMES))
def test_the_newest_does_not_depend_on_the_order_of_arrival(times: list[str]) -> None:
    record = record_of(*(observation(CREATININE, 1.0 + place / 10, "mg/dL", time) for place, time in enumerate(times)))
    found = record.newest("creatinine")
    assert found is not None
    assert found.time.text == "2026-05-01T23:00:00-05:00"
    assert record.measurements("creatinine")[0] == found


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"valueString": "6.4 mmol/L"}, 6.4),
        ({"valueString": "6,4 mmol/l"}, 6.4),
        ({"valueString": "6.4 (H) mmol/L"}, 6.4),
        ({"valueString": "6.4 HH mmol/L"}, 6.4),
        ({"valueString": "6.4mval/l"}, 6.4),
        ({"valueQuantity": {"value": 6.4, "unit": "mval/l"}}, 6.4),
        ({"valueString": "6,400 mmol/L"}, None),
        ({"valueString": "6.4"}, None),
        ({"valueString": "6.4 to 6.6 mmol/L"}, None),
        ({"valueInteger": 6}, None),
    ],
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
