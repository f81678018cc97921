"""A value is used with its unit, or refused by name: whole measurements, one-sided results, and which is the newest."""

from datetime import UTC, datetime
from typing import Any

import pytest

from fhir.record.datatypes import FhirTime, parse_time
from fhir.record.measurement import (
    OTHER,
    SCREENING,
    CodedPart,
    Measurement,
    OneSidedResult,
    analyte_in_words,
    measure,
    newest_parts,
    newest_statement,
    one_sided_result,
    parts_by_analyte,
    parts_since,
    refusal_of_unread,
)
from fhir.record.refusals import Refusal
from fhir.record.resources import Observation
from fhir.terminology.analytes import ANALYTES
from tests.each import for_rows
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


def test_a_text_beside_a_known_code_is_not_repeated_as_the_unit() -> None:
    quantity = {"value": 1.2, "unit": "<b>mg</b> per dL", "code": "mg/dL"}
    found = record_of(observation(CREATININE, None, None, valueQuantity=quantity)).newest("creatinine")
    assert found is not None
    assert found.charted_unit == "mg/dL"


def test_a_note_that_says_not_haemolysed_does_not_refuse() -> None:
    record = record_of(
        observation(POTASSIUM, 4.1, "mmol/L", note=[{"text": "No hemolysis seen"}, {"authorString": "Ann"}])
    )
    assert record.newest("potassium") is not None


@pytest.mark.parametrize("status", ["entered-in-error", "cancelled"])
def test_what_was_entered_in_error_is_no_fact(status: str) -> None:
    record = record_of(observation(CREATININE, 1.2, "mg/dL", status=status))
    assert record.newest("creatinine") is None
    assert record.observations == ()


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
    [
        ({"valueString": "6.4 mmol/L"}, 6.4),
        ({"valueString": "6,4 mmol/l"}, 6.4),
        ({"valueString": "6.4 mmol/L (H)"}, 6.4),
        ({"valueString": "6.4 mmol / L"}, 6.4),
        ({"valueCodeableConcept": {"text": "6.4 mmol/L"}}, 6.4),
        ({"valueString": "6.4 (H) mmol/L"}, 6.4),
        ({"valueString": "6.4 HH mmol/L"}, 6.4),
        ({"valueString": "6.4mval/l"}, 6.4),
        ({"valueQuantity": {"value": 6.4, "unit": "mval/l"}}, 6.4),
        ({"valueCodeableConcept": {"text": "6.4 mmol/L", "coding": [{"code": "x"}]}}, None),
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


def _names(parts: Any) -> list[str | None]:
    return [part[0].id for part in parts]


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


@for_rows(
    ("value", "answer"),
    [
        ({"valueCodeableConcept": {"coding": [{"code": "260385009"}]}}, 0.0),
        ({"valueCodeableConcept": {"coding": [{"code": "10828004"}]}}, 1.0),
        ({"valueString": "see note", "interpretation": [{"coding": [{"code": "NEG"}]}]}, 0.0),
        ({"valueString": "see note", "interpretation": [{"coding": [{"code": "POS"}]}]}, 1.0),
        ({"valueString": "see note"}, None),
    ],
)
def test_a_test_is_positive_by_its_words_its_code_or_its_interpretation(
    value: dict[str, Any], answer: float | None
) -> None:
    resource = lean(observation("5195-3", None, None) | {"valueQuantity": None} | value)
    read = measure(ANALYTES["hbsag"], (resource, resource, None), NOW)
    assert (read.value if isinstance(read, Measurement) else None) == answer


def test_a_component_of_a_panel_is_of_the_analyte_of_its_code_or_its_name() -> None:
    npu = {"coding": [{"system": "http://npu-terminology.org", "code": "NPU03230"}]}
    value = {"valueQuantity": {"value": 4.5, "unit": "mmol/L"}}
    parts = [{"code": code} | value for code in ({"text": "Fnord"}, npu, {"text": "Sodium"})]
    panel = {"resourceType": "Observation", "id": "p", "status": "final", "code": {"text": "Basic metabolic panel"}}
    assert set(parts_by_analyte([lean(panel | {"component": parts})])) == {OTHER, "potassium", "sodium"}
    no_panel = panel | {"code": {"text": "Fnord"}, "component": parts[2:]}
    assert set(parts_by_analyte([lean(no_panel)])) == {OTHER}


def test_a_component_is_of_the_first_of_its_codes_that_is_in_the_tables() -> None:
    sbp, dbp = {"system": LOINC, "code": "8480-6"}, {"system": LOINC, "code": "8462-4"}
    pressure = lean(
        {
            "resourceType": "Observation",
            "id": "bp",
            "status": "final",
            "code": {"coding": [{"system": LOINC, "code": "85354-9"}]},
            "component": [
                {"code": {"coding": [LOCAL, sbp, dbp]}, "valueInteger": 120},
                {"code": {"coding": [{"code": "8462-4"}]}, "valueInteger": 80},
                {"code": {"coding": [LOCAL]}, "valueInteger": 1},
                {"code": {"coding": [{"system": LOINC}]}, "valueInteger": 2},
                {"code": {"coding": [{"system": LOINC, "code": "72166-2"}]}, "valueInteger": 3},
            ],
        }
    )
    assert dict(parts_by_analyte([pressure])) == {
        OTHER: [(pressure, pressure, None)],
        "sbp": [(pressure, pressure.component[0], "8480-6")],
        "dbp": [(pressure, pressure.component[1], "8462-4")],
        "smoking_status": [(pressure, pressure.component[4], "72166-2")],
    }


def test_beside_a_loinc_code_a_name_is_read_that_says_in_what_it_was_measured() -> None:
    assert analyte_in_words(_coded({"system": LOINC, "code": "99999-9"}, text="Potassium")) is None
    urine = "Potassium [Moles/volume] in Urine"
    assert analyte_in_words(_coded({"system": LOINC, "code": "99999-9", "display": urine})) is None
    plasma = "Potassium [Moles/volume] in Serum or Plasma by Electrode"
    assert analyte_in_words(_coded({"system": LOINC, "code": "99999-9", "display": plasma})) == "potassium"
    assert analyte_in_words(_coded(text="Fnord")) is None


# Results that no code and no name tells apart.


def _unread(text: str | None, *codings: dict[str, str], **more: Any) -> CodedPart:
    observed = _coded(*codings, text=text, **more)
    return observed, observed, None


def test_numeric_results_that_are_not_read_are_counted_by_their_names() -> None:
    system = "https://hospital.example"
    parts = [
        _unread("Zeta"),
        _unread("Zeta"),
        _unread(None, {"system": system, "code": "A1"}),
        _unread(None, {"code": "B2"}, {"system": system, "code": "B3", "display": "Eta"}),
        _unread("Theta", {"display": "not used"}),
        # Left out: with a LOINC code, without a number, not final, pack-years.
        _unread("Iota", {"system": LOINC, "code": "99999-9"}),
        _unread("Kappa", valueQuantity={"unit": "mmol/L"}),
        _unread("Lambda", valueQuantity=None, valueString="4.5"),
        _unread("Mu", status="preliminary"),
        _unread("Nu", {"system": "http://snomed.info/sct", "code": "401201003"}),
    ]
    assert refusal_of_unread(parts) == [
        Refusal("results", "results-unreadable",
                "5 numeric results have no code that could be read: Zeta; A1; Eta and 1 more.",
                code=f"text {system}|A1 |B2 text"),
    ]  # fmt: skip
    assert refusal_of_unread(parts[5:]) == []
    assert refusal_of_unread(parts[:1]) == [
        Refusal("results", "results-unreadable", "1 numeric result has no code that could be read: Zeta.", code="text")
    ]
    (three,) = refusal_of_unread(parts[:4])
    assert three.text == "4 numeric results have no code that could be read: Zeta; A1; Eta."


# Which part is the newest.


@for_rows(
    ("words", "newest"),
    [
        ("Was positive, now negative", "now negative"),
        ("Positive previously; negative", "negative"),
        ("Positive in 2019; see note", "Positive in 2019; see note"),
        ("Was positive; negative", "Was positive; negative"),
        ("Negative. Repeat in a year", "Negative. Repeat in a year"),
    ],
)
def test_what_a_result_says_of_an_earlier_one_is_left_out_where_the_rest_is_an_answer(words: str, newest: str) -> None:
    assert newest_statement(words) == newest


def test_the_newest_and_all_of_its_instant() -> None:
    a, b, c, d = (
        _at("2026-11-03T09:00:00Z", "a"),
        _at("2026-11-03T10:00:00+01:00", "b"),
        _at("2026-11-03T08:59:59Z", "c"),
        _at("2026-11-01", "d"),
    )
    assert newest_parts([a]) == (a, [a])
    assert newest_parts([c, a, b, d]) == (a, [a, b])
    assert newest_parts([b, a]) == (b, [b, a])
    assert newest_parts([d, a]) == (a, [a])
    e = _at("2026-11-03T09:00:00Z", "e")  # of two that are written alike the first
    assert newest_parts([a, e]) == (a, [a, e])
    # Two days earlier by the text is looked at; earlier is not.
    assert newest_parts([d, c]) == (c, [c])


@for_rows(
    ("first", "second"),
    [
        ("2026-11-03T23:30:00-12:00", "2026-11-04T23:00:00+14:00"),
        ("2026-11-03T09:00:01Z", "2026-11-03T09:00:00Z"),
        ("2026-11-03T09:00:00Z", "2026-11-03T09:00:00+00:01"),
        ("2026-11-03T09:00:00-01:00", "2026-11-03T09:30:00+00:00"),
        ("2026-11-03T09:00:00.5Z", "2026-11-03T09:00:00Z"),
        ("2026-11-03", "2026-11-02"),
        (None, "2026-11-19"),
        ("not a date", "2026-11-19"),
    ],
)
def test_the_newer_of_two_is_the_newest_in_both_orders(first: str | None, second: str) -> None:
    new, old = _at(first, "new"), _at(second, "old")
    assert newest_parts([new, old]) == (new, [new])
    assert newest_parts([old, new]) == (new, [new])


def test_parts_of_a_time_are_told_by_their_texts_with_two_days_of_slack() -> None:
    parts = [_at(when) for when in ("2026-11-07", "2026-11-08", "2026-11-08T00:00:00Z", "2026-11-30")]
    parts.append(_at(None, "undated"))
    since = datetime(2026, 11, 10, 23, 59, tzinfo=UTC).timestamp()
    assert _names(parts_since(parts, since)) == ["2026-11-08", "2026-11-08T00:00:00Z", "2026-11-30", "undated"]
    assert parts_since(parts, 0.0) is parts
    assert parts_since(parts, -5.0) is parts
    assert _names(parts_since(parts, 0.5)) == _names(parts)
    # The first half second after the epoch: 30 December 1969 is looked at, the day before is not.
    old = [_at("1969-12-29"), _at("1969-12-30")]
    assert _names(parts_since(old, 0.5)) == ["1969-12-30"]


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


@for_rows(
    "quantity",
    [_q(4.5, code="mmol/L"), _q(4.5, unit="mmol/L"), _q(45.0, code="mmol/L"), _q(4.5, code="mmol/L", comparator=">")],
)
def test_a_result_has_the_code_by_which_it_was_read_or_none(quantity: dict[str, Any]) -> None:
    for code in ("2823-3", None):
        read = measure(POTASSIUM_CODE, (*_part(**quantity)[:2], code), NOW)
        assert read is not None
        assert read.code == (code or "")


def test_a_refused_result_of_several_things_has_the_verb_of_several() -> None:
    for more, statement in (
        ({"when": None}, "Platelets have no readable date"),
        ({"when": "2026-12-01"}, "Platelets are dated in the future (2026-12-01)"),
        ({"status": "entered-in-error"}, "Platelets were entered in error"),
        (_q(4.5), "Platelets 4.5 has no unit"),
    ):
        refused = measure(PLATELETS, _part("777-3", 200.0, "10*3/uL", **more), NOW)
        assert isinstance(refused, Refusal)
        assert refused.statement == statement


@for_rows(
    "more",
    [
        {"valueQuantity": None},
        {"status": "cancelled"},
        {"status": "entered-in-error", "valueQuantity": None},
        {"status": "entered-in-error", "valueQuantity": {"unit": "mmol/L"}},
        {"status": "entered-in-error", "valueQuantity": None, "valueString": "4.5 mmol/L"},
    ],
)
def test_what_has_no_value_or_was_never_made_is_neither_used_nor_refused(more: dict[str, Any]) -> None:
    assert measure(POTASSIUM_CODE, _part(**more), NOW) is None


@pytest.mark.parametrize("status", ["final", "amended", "corrected"])
def test_three_statuses_are_usable(status: str) -> None:
    assert isinstance(measure(POTASSIUM_CODE, _part(status=status), NOW), Measurement)


@for_rows(
    ("more", "reason"),
    [
        ({"valueString": "4,500 mmol/L"}, "no-quantity"),
        ({"valueString": "4.1234567 mmol/L"}, "no-quantity"),
        ({"valueString": "12345678 mmol/L"}, "no-quantity"),
        ({"valueString": "4.5 m" + "x" * 31}, "no-quantity"),
        ({"valueString": "4.5"}, "no-unit"),
        ({"valueInteger": 4}, "no-unit"),
        ({"valueInteger": 0}, "no-unit"),
        ({"valueString": "-4.5 mmol/L"}, "implausible"),
        ({"valueString": "1234567 mmol/L"}, "implausible"),
        ({"valueString": "4.5 m" + "x" * 30}, "unknown-unit"),
    ],
)
def test_a_text_that_is_no_plain_number_is_refused(more: dict[str, Any], reason: str) -> None:
    result = measure(POTASSIUM_CODE, _part(valueQuantity=None, **more), NOW)
    assert isinstance(result, Refusal)
    assert result.reason == reason


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


def test_a_limit_is_converted_and_a_limit_of_what_is_plausible_is_used() -> None:
    observed, part, _ = _part("8310-5", valueQuantity={"value": 98.6, "code": "[degF]", "comparator": "<"})
    result = one_sided_result(ANALYTES["temperature"], (observed, part, None), NOW)
    assert result is not None
    assert (result.limit.value, result.limit.code, result.limit.charted_unit) == (_near(37.0), "", "[degF]")
    for limit, beyond in ((POTASSIUM_CODE.plausible_low, -0.01), (POTASSIUM_CODE.plausible_high, 0.01)):
        assert one_sided_result(POTASSIUM_CODE, _part(**_q(limit, comparator=">")), NOW) is not None
        assert one_sided_result(POTASSIUM_CODE, _part(**_q(limit + beyond, comparator=">")), NOW) is None


NOTE = {"note": [{"text": "Slightly HEMOLYZED"}]}


@for_rows(
    ("more", "reason", "what"),
    [
        ({"status": "preliminary"}, "not-final", "has status preliminary, not final on 2026-11-01: not used."),
        ({"when": None}, "no-date", "has no readable date: not used."),
        ({"when": "soon"}, "no-date", "has no readable date: not used."),
        ({"when": "2026-12-01"}, "future", "is dated in the future (2026-12-01): not used."),
        (NOTE, "haemolysed", "is from a haemolysed sample on 2026-11-01: not used."),
        (_q(45.0, code="mmol/L"), "implausible", "45 mmol/L is outside the plausible range on 2026-11-01: not used."),
        (_q(45.0, unit="mmol/L"), "implausible", "45 mmol/L is outside the plausible range on 2026-11-01: not used."),
        (_q(4.5), "no-unit", "4.5 has no unit on 2026-11-01: not used."),
        (_q(4.5, unit=""), "no-unit", "4.5 has no unit on 2026-11-01: not used."),
        (_q(4.5, unit="furlong"), "unknown-unit", "4.5 has the unknown unit 'furlong' on 2026-11-01: not used."),
        (_q(4.5, code="furlong"), "unknown-unit", "4.5 has the unknown unit 'furlong' on 2026-11-01: not used."),
        (_q(4.5, code="furlong", unit="ell"), "unknown-unit",
         "4.5 has the unknown unit 'ell' on 2026-11-01: not used."),
        (_q(6.4, code="mmol/L", comparator=">"), "not-exact",
         ">6.4 mmol/L is not an exact value on 2026-11-01: not used as a number."),
        ({"valueQuantity": None, "valueString": "see note"}, "no-quantity",
         "has a value that is no number with a unit on 2026-11-01: not used."),
        ({"valueQuantity": None, "valueCodeableConcept": {"text": "high"}}, "no-quantity",
         "has a value that is no number with a unit on 2026-11-01: not used."),
        ({"valueQuantity": {"unit": "mmol/L"}}, "data-absent", "has no value (data absent) on 2026-11-01: not used."),
        ({"valueQuantity": None, "dataAbsentReason": {"text": "error"}}, "data-absent",
         "has no value (data absent) on 2026-11-01: not used."),
        ({"status": "entered-in-error"}, "entered-in-error", "was entered in error on 2026-11-01: not used."),
    ],
)  # fmt: skip
def test_a_refusal_says_what_was_not_used_and_why(more: dict[str, Any], reason: str, what: str) -> None:
    statement = f"Potassium {what}".removesuffix(".").removesuffix(" as a number").removesuffix(": not used")
    assert measure(POTASSIUM_CODE, _part(**more), NOW) == Refusal(
        "Observation/o1", reason, f"Potassium {what}", "potassium", "2823-3", statement.removesuffix(" on 2026-11-01")
    )
