"""What a chart tells about a screening test, entry by entry: done and when, ordered, declined; whole answers."""

from datetime import date
from typing import Any

import pytest

from cards.preventive.chart import Done, declined, done, is_ordered, years_after
from fhir.record.datatypes import parse_time
from fhir.record.record import PatientRecord, read_record
from tests.cards.preventive.charts import EVERYTHING, Json, person, procedure, report, result
from tests.each import for_rows
from tests.fhir.builders import AS_OF, LOINC, SNOMED, bundle, condition, lean, service_request

DAY = "2026-01-10"
HIV = "56888-1"
HIV_WORDS = {"coding": [{"system": LOINC, "code": HIV}], "text": "HIV test"}


def _record(*resources: Json) -> PatientRecord:
    values = {"patient": lean(person()), "rest": lean(bundle(*resources))}
    return read_record(values, "p1", AS_OF, requested=EVERYTHING)


def _of(name: str, *resources: Json) -> list[Done]:
    return done(_record(*resources), name)


def _days(name: str, *resources: Json) -> list[str]:
    return [test.when for test in _of(name, *resources)]


def _colonoscopy(when: str | None = DAY, **more: Any) -> Json:
    return procedure("Colonoscopy", when) | {"id": "c1"} | more


@for_rows(
    ("day", "years", "expected"),
    [
        (date(2020, 5, 17), 10, date(2030, 5, 17)),
        (date(2020, 2, 29), 4, date(2024, 2, 29)),
        (date(2020, 2, 29), 1, date(2021, 3, 1)),
        (date(2020, 2, 28), 1, date(2021, 2, 28)),
    ],
)
def test_a_day_some_years_later(day: date, years: int, expected: date) -> None:
    assert years_after(day, years) == expected


def test_a_report_is_read_with_its_words_day_and_source() -> None:
    assert _of("mammography", report("Mammogram")) == [
        Done("mammography", parse_time(DAY), "DiagnosticReport/report-1", "Mammogram", None)
    ]


def test_a_result_is_read_with_its_words_day_source_and_sign() -> None:
    test = result(HIV, "Positive", id="r1", code=HIV_WORDS)
    assert _of("hiv", test) == [Done("hiv", parse_time(DAY), "Observation/r1", "HIV test", True, "Positive")]
    number = {name: value for name, value in test.items() if not name.startswith("value")} | {"valueInteger": 0}
    assert [item.result for item in _of("hiv", number)] == ["0"]
    del test["id"]
    assert [item.source for item in _of("hiv", test)] == ["Observation without id"]


@for_rows(
    ("more", "expected"),
    [
        ({"performedPeriod": {"start": "2025-03-01", "end": "2025-03-02"}}, "2025-03-02"),
        ({"performedPeriod": {"start": "2025-03-01"}}, "2025-03-01"),
        ({"performedPeriod": {}}, ""),
        ({"performedDateTime": "2024-01-01", "performedPeriod": {"end": "2025-03-02"}}, "2024-01-01"),
        ({}, ""),
        ({"performedDateTime": "2019"}, "2019"),
    ],
)
def test_a_procedure_was_done_on_its_day_or_at_the_end_of_its_period(more: Json, expected: str) -> None:
    assert _days("colonoscopy", _colonoscopy(None, **more)) == [expected]


@for_rows(
    ("more", "expected"),
    [
        ({"effectiveDateTime": "2024-01-01", "effectivePeriod": {"end": "2025-03-02"}, "issued": DAY}, "2024-01-01"),
        ({"effectivePeriod": {"start": "2025-03-01", "end": "2025-03-02"}, "issued": DAY}, "2025-03-02"),
        ({"effectivePeriod": {"start": "2025-03-01"}, "issued": DAY}, "2025-03-01"),
        ({"effectivePeriod": {}, "issued": "2026-01-12T08:00:00Z"}, "2026-01-12"),
        ({"issued": "2026-01-12T08:00:00Z"}, "2026-01-12"),
        ({}, ""),
    ],
)
def test_a_report_is_of_its_day_its_period_or_its_issue(more: Json, expected: str) -> None:
    study = report("Mammogram")
    del study["effectiveDateTime"]
    assert _days("mammography", study | more) == [expected]


@for_rows("status", ["preparation", "in-progress", "not-done", "stopped", "entered-in-error", "unknown"])
def test_a_procedure_that_is_not_completed_does_not_count(status: str) -> None:
    assert _of("colonoscopy", _colonoscopy(status=status)) == []


@pytest.mark.parametrize(("when", "counts"), [(DAY, False), ("2020-01-01", True)])
def test_a_procedure_of_the_day_of_a_report_that_says_broken_off_does_not_count(when: str, counts: bool) -> None:
    broken_off = report("Colonoscopy", when=when, conclusion="Poor preparation, aborted at the splenic flexure.")
    assert [item.source.split("/")[0] for item in _of("colonoscopy", _colonoscopy(), broken_off)] == (
        ["Procedure"] if counts else []
    )


@for_rows(("status", "counts"), [("final", True), ("amended", True), ("preliminary", False), ("cancelled", False)])
def test_a_result_counts_when_it_is_final(status: str, counts: bool) -> None:
    assert bool(_of("hiv", result(HIV, status=status))) is counts


def test_a_component_of_an_observation_is_a_result_of_its_day() -> None:
    parts = [{"code": {"coding": [{"system": LOINC, "code": HIV}]}, "valueString": "reactive"}]
    panel = result("99999-9", id="p1", component=parts, code={"text": "Serology"})
    assert [(item.source, item.when, item.is_positive) for item in _of("hiv", panel)] == [("Observation/p1", DAY, True)]


def test_the_own_words_of_the_chart_go_before_those_of_its_codes() -> None:
    coding = {"coding": [{"system": SNOMED, "code": "73761001", "display": "Colonoscopy education"}]}
    assert len(_of("colonoscopy", _colonoscopy(code={**coding, "text": "Colonoscopy"}))) == 1
    assert _of("colonoscopy", _colonoscopy(code=coding)) == []


def test_the_name_that_loinc_gives_a_test_does_not_say_that_it_was_not_done() -> None:
    coding = {"system": LOINC, "code": HIV, "display": "HIV 1+2 Ab, test incomplete"}
    assert len(_of("hiv", result(HIV, code={"coding": [coding]}))) == 1
    assert _of("hiv", result(HIV, code={"coding": [coding | {"system": SNOMED, "code": "31676001"}]})) == []


def test_a_talk_about_smoking_or_a_statin_is_a_counselling_and_counts() -> None:
    words = "Smoking cessation counselling"
    assert len(_of("tobacco_counselling", procedure(words))) == 1
    assert len(_of("statin_talk", procedure("Discussed statin for primary prevention"))) == 1


@for_rows(
    ("words", "value", "expected"),
    [
        ("Date of last colonoscopy", {"valueDateTime": "2019-05-01"}, "2019-05-01"),
        ("Year of colonoscopy", {"valueString": " 2012 "}, "2012"),
        ("Most recent colonoscopy", {"valueString": "2018-03"}, "2018-03"),
        ("previous colonoscopy", {"valueCodeableConcept": {"text": "2017-01-02"}}, "2017-01-02"),
        ("Last colonoscopy", {"valueCodeableConcept": {"text": "seen", "coding": [{"display": "2016"}]}}, "2016"),
        ("Last colonoscopy", {"valueString": "years ago"}, ""),
        ("Last colonoscopy", {}, ""),
        ("Colonoscopy", {"valueDateTime": "2019-05-01"}, DAY),
        ("Colonoscopy", {"valueString": "2012"}, DAY),
    ],
)
def test_an_entry_that_asks_when_a_test_was_done_has_the_day_in_its_value(
    words: str, value: Json, expected: str
) -> None:
    entry = result("", code={"text": words})
    del entry["valueCodeableConcept"]
    assert _days("colonoscopy", entry | value) == [expected]


@for_rows("code", ["POS", "A", "AA", "DET", "RR", "WR", "NEG", "N", "ND", "NR", "H", "L"])
def test_the_interpretation_goes_before_the_words(code: str) -> None:
    system = "http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation"
    interpretation = [{"coding": [{"system": system, "code": code}]}]
    expected = {"POS": True, "A": True, "AA": True, "DET": True, "RR": True, "WR": True}.get(
        code, False if code in ("NEG", "N", "ND", "NR") else None
    )
    words = "negative" if expected else "positive" if expected is False else "see report"
    assert [item.is_positive for item in _of("hiv", result(HIV, words, interpretation=interpretation))] == [expected]


def test_of_two_interpretations_the_positive_one_counts() -> None:
    interpretation = [{"coding": [{"code": "N"}]}, {"coding": [{"code": "POS"}]}]
    assert [item.is_positive for item in _of("hiv", result(HIV, "", interpretation=interpretation))] == [True]


# Ordered


def _order(when: str | None = "2026-11-01", **more: Any) -> Json:
    order: Json = service_request("Colonoscopy", id="o1")
    return order | ({"authoredOn": when} if when else {}) | more


def test_the_order_that_names_the_test_is_the_one_that_is_shown() -> None:
    record = _record(_order(id="m", code={"text": "Mammogram"}), _order(id="c"))
    assert is_ordered(record, "colonoscopy") == "ServiceRequest/c"
    assert is_ordered(record, "mammography") == "ServiceRequest/m"
    assert is_ordered(_record(_order(doNotPerform=True)), "colonoscopy") is None


# Declined


def _refused(when: str | None = "2026-05-01", reason: Json | None = None, **more: Any) -> Json:
    return _colonoscopy(when, status="not-done", statusReason=reason or {"text": "Patient declined"}, **more)


def test_a_procedure_not_done_without_a_reason_was_not_declined() -> None:
    assert declined(_record(_colonoscopy("2026-05-01", status="not-done")), "colonoscopy") is None


def test_the_refusal_of_a_procedure_is_of_the_beginning_of_its_period() -> None:
    period = {"start": "2026-03-01", "end": "2026-03-05"}
    assert declined(_record(_refused(None, performedPeriod=period)), "colonoscopy") == ("Procedure/c1", "2026-03-01")
    assert declined(_record(_refused(None, performedPeriod={})), "colonoscopy") == ("Procedure/c1", "")


@for_rows(
    ("status", "expected"),
    [("active", True), ("completed", True), ("draft", True), ("revoked", False), ("entered-in-error", False)],
)
def test_an_order_not_to_perform_a_test_is_a_refusal(status: str, expected: bool) -> None:
    answer = ("ServiceRequest/o1", "2026-11-01") if expected else None
    assert declined(_record(_order(status=status, doNotPerform=True)), "colonoscopy") == answer
    assert declined(_record(_order(status=status)), "colonoscopy") is None
    said = {"text": "Patient declined"}
    for refused in (_order(status=status, reasonCode=[said]), _order(status=status, note=[said])):
        assert (declined(_record(refused), "colonoscopy") is not None) == (status == "revoked")


def test_a_problem_that_says_so_is_a_refusal_of_its_onset_or_its_record() -> None:
    entry = condition("1", SNOMED, id="p9") | {"code": {"text": "Colonoscopy declined"}}
    dated = entry | {"onsetDateTime": "2026-04-01", "recordedDate": "2026-04-09"}
    assert declined(_record(dated), "colonoscopy") == ("Condition/p9", "2026-04-01")
    del dated["onsetDateTime"]
    assert declined(_record(dated), "colonoscopy") == ("Condition/p9", "2026-04-09")
    other = dated | {"code": {"text": "Colonoscopy complicated by bleeding"}}
    assert declined(_record(other), "colonoscopy") is None


def test_an_observation_whose_value_was_asked_and_declined_or_says_so_is_a_refusal() -> None:
    reason = {"coding": [{"code": "asked-declined"}]}
    entry = result(HIV, when="2026-05-01", id="r1")
    del entry["valueCodeableConcept"]
    expected = ("Observation/r1", "2026-05-01")
    assert declined(_record(entry | {"dataAbsentReason": reason}), "hiv") == expected
    assert declined(_record(entry | {"dataAbsentReason": {"coding": [{"code": "asked-unknown"}]}}), "hiv") is None
    assert declined(_record(entry | {"valueString": "refused"}), "hiv") == expected
    assert declined(_record(entry | {"valueString": "Paciente rechaza"}), "hiv") == expected
    assert declined(_record(entry | {"valueString": "negative"}), "hiv") is None
    asked = entry | {"code": {"text": "HIV test declined by patient"}}
    assert [declined(_record(asked | {"valueString": said}), "hiv") for said in ("Yes", "No")] == [expected, None]
    assert declined(_record(entry), "hiv") is None


def test_a_refusal_that_is_over_leaves_a_later_one() -> None:
    record = _record(_refused("2024-01-01", id="a"), _refused("2026-06-01", id="b"), _refused("2026-07-01", id="c"))
    assert declined(record, "colonoscopy") == ("Procedure/b", "2026-06-01")
