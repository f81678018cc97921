"""What a test of a criterion may be, and what it says of a chart: on its limits, and where data did not come."""

from datetime import date, timedelta
from typing import Any

import pytest

from cards.coverage.evidence import check_test, evaluate, participants_of
from cards.coverage.seen import Subject
from cards.rules.language.rule import RuleError
from tests.fhir import builders
from tests.fhir.builders import (
    MAN,
    SNOMED,
    SUBJECT,
    WOMAN,
    condition,
    encounter,
    medication_order,
    observation,
    problem,
    procedure,
    record_of,
)
from tests.fhir.builders import record_of as record_of_call

Json = dict[str, Any]
DAY = date(2026, 11, 20)


@pytest.mark.parametrize(
    ("test", "place", "fault"),
    [
        ([], "", "Expected `object`, got `array`"),
        ({}, "", "Expected `object` of length >= 1"),
        ({"age": {}, "sex": "male"}, "", "Expected `object` of length <= 1"),
        (
            {"ages": {}},
            "",
            "there is no test 'ages'; there are age, all, any, bmi, condition, encounter, medication, not, "
            "observation, order, pack_years, procedure, sex, smoked_within_years, statement",
        ),
        ({"any": []}, "any", "Expected `array` of length >= 1"),
        ({"all": {}}, "all", "Expected `array`, got `object`"),
        ({"any": [{"sex": "male"}, {"sex": 1}]}, "any 1 sex", "Expected `str`, got `int`, not 1"),
        ({"not": {"age": 3}}, "not age", "Expected `object`, got `int`, not 3"),
        ({"age": {"from": 3}}, "age", "Object contains unknown field `from`"),
        ({"age": {"ge": "65"}}, "age ge", "Expected `float`, got `str`, not '65'"),
        ({"age": {"ge": True}}, "age ge", "Expected `float`, got `bool`, not True"),
        ({"age": {"days_after": -1}}, "age days_after", "Expected `int` >= 0, not -1"),
        ({"age": {"days_after": 36_526}}, "age days_after", "Expected `int` <= 36525, not 36526"),
        ({"age": {"days_after": True}}, "age days_after", "Expected `int`, got `bool`, not True"),
        ({"procedure": {"reports": 1}}, "procedure reports", "Expected `bool`, got `int`, not 1"),
        ({"observation": {"units": {"kg": "x"}}}, "observation units", "Expected `float`, got `str`"),
        ({"observation": {"units": ["kg"]}}, "observation units", "Expected `object`, got `array`"),
        ({"condition": {"status": "past"}}, "condition status", "Invalid enum value 'past', not 'past'"),
        ({"condition": {"icd10": []}}, "condition icd10", "Expected `array` of length >= 1"),
        ({"condition": {"icd10": [""]}}, "condition icd10 0", "Expected `str` of length >= 1, not ''"),
        ({"condition": {"icd10": "E11"}}, "condition icd10", "Expected `array`, got `str`, not 'E11'"),
        ({"condition": {"groups": ["heart_f"]}}, "condition groups", "there is no group of conditions 'heart_f'"),
        ({"medication": {"classes": ["stat"]}}, "medication classes", "there is no class of medicines 'stat'"),
        ({"medication": {}}, "medication", "Object missing required field `classes`"),
        ({"smoked_within_years": 15.5}, "smoked_within_years", "Expected `int`, got `float`, not 15.5"),
    ],
)
def test_a_test_that_cannot_be_judged_is_refused_with_its_fault(test: Any, place: str, fault: str) -> None:
    with pytest.raises(RuleError) as refusal:
        check_test(test)
    assert (" ".join(map(str, refusal.value.path)), refusal.value.text) == (place, fault)


@pytest.mark.parametrize(
    "test",
    [
        {"age": {"days_after": 0}},
        {"age": {"days_after": 36_525}},
        {"observation": {"units": {"kg": 1}, "loinc": ["29463-7"]}},
        {"condition": {"status": "active", "icd10": ["E11"]}},
        {"smoked_within_years": 15},
        {"sex": "male"},
    ],
)
def test_a_test_of_its_form_is_accepted(test: Any) -> None:
    check_test(test)


def _seen(test: Json, *resources: Json, patient: Json = WOMAN, **more: Any) -> tuple[bool | None, tuple[str, ...]]:
    seen = evaluate(test, Subject(record_of(*resources, patient=patient), DAY, **more))
    return seen.holds, seen.sources


TRUE: Json = {"order": {}}
FALSE: Json = {"not": TRUE}
OPEN: Json = {"statement": {}}


@pytest.mark.parametrize(
    ("test", "holds"),
    [
        ({"any": [FALSE, TRUE]}, True),
        ({"any": [OPEN, TRUE]}, True),
        ({"any": [FALSE, OPEN]}, None),
        ({"any": [FALSE, FALSE]}, False),
        ({"all": [TRUE, TRUE]}, True),
        ({"all": [TRUE, OPEN]}, None),
        ({"all": [OPEN, FALSE]}, False),
        ({"not": OPEN}, None),
        ({"not": FALSE}, True),
        ({"sex": "female"}, True),
        ({"sex": "male"}, False),
        ({"age": {"ge": 70}}, True),
        ({"age": {"ge": 71}}, False),
        ({"age": {"lt": 70}}, False),
        ({"age": {"ge": 70, "days_after": 1}}, False),
        ({"bmi": {"ge": 30}}, None),
        ({"pack_years": {"ge": 20}}, None),
        ({"smoked_within_years": 15}, None),
    ],
)
def test_parts_of_a_test_in_three_values(test: Json, holds: bool | None) -> None:
    assert _seen(test)[0] is holds


def test_the_parts_that_decide_are_named() -> None:
    sources = ("Patient/p1",)
    assert _seen({"all": [{"age": {"ge": 70}}, {"sex": "female"}]}) == (True, sources * 2)
    assert _seen({"any": [{"age": {"ge": 71}}, {"sex": "male"}]}) == (False, sources * 2)
    assert _seen({"not": {"sex": "male"}}) == (True, sources)
    assert _seen({"sex": "male"}, patient={"resourceType": "Patient", "id": "p1"}) == (None, ())
    assert _seen({"age": {"ge": 1}}, patient={"resourceType": "Patient", "id": "p1"}) == (None, ())


def _number(code: str, value: float, unit: str, identity: str) -> Json:
    return observation(code, value, unit, "2026-11-01") | {"id": identity}


@pytest.mark.parametrize(("height", "holds"), [(182.5, True), (182.6, False)])
def test_a_body_mass_index_is_worked_out_where_none_is_charted(height: float, holds: bool) -> None:
    weighed = (_number("29463-7", 100, "kg", "w"), _number("8302-2", height, "cm", "h"))
    assert _seen({"bmi": {"ge": 30}}, *weighed) == (holds, ("Observation/w", "Observation/h"))
    assert _seen({"bmi": {"ge": 30}}, weighed[0]) == (None, ())
    assert _seen({"bmi": {"ge": 41}}, *weighed, _number("39156-5", 41, "kg/m2", "b")) == (True, ("Observation/b",))


def _problem(identity: str, code: str, onset: str = "2026-10-01", **more: Any) -> Json:
    coded = condition(code, "http://hl7.org/fhir/sid/icd-10-cm", **more)
    return coded | {"id": identity, "onsetDateTime": onset}


def test_a_condition_is_meant_by_its_code_and_by_a_group_only_without_one() -> None:
    ulcer = {"condition": {"icd10": ["L97.4"], "last": ["3", "4"]}}
    assert _seen(ulcer, _problem("a", "L97.413")) == (True, ("Condition/a",))
    assert _seen(ulcer, _problem("a", "L97.412"))[0] is False
    assert _seen(ulcer, _problem("a", "L97.513"))[0] is False
    failure = {"condition": {"groups": ["heart_failure"], "icd10": ["I50"]}}
    assert _seen(failure, condition("84114007", SNOMED)) == (True, ("Condition/c-84114007",))
    assert (
        _seen({"condition": failure["condition"] | {"except_codes": ["84114007"]}}, condition("84114007"))[0] is False
    )
    assert _seen({"condition": {"icd10": ["I51"], "groups": ["heart_failure"]}}, _problem("a", "I50.9"))[0] is False
    assert _seen({"condition": {"snomed": ["123"]}}, condition("123")) == (True, ("Condition/c-123",))
    assert _seen({"condition": {"words": ["lipo"]}}, condition("9") | {"code": {"text": "Lipodystrophy"}})[0] is True


def test_a_condition_in_doubt_or_past_or_out_of_the_window_shows_nothing() -> None:
    diabetes: Json = {"condition": {"icd10": ["E11"], "within_days": 30}}
    assert _seen(diabetes, _problem("a", "E11.9", "2026-10-21"))[0] is True
    assert _seen(diabetes, _problem("a", "E11.9", "2026-10-20"))[0] is False
    doubt = {"verificationStatus": {"coding": [{"code": "provisional"}]}}
    assert _seen(diabetes, _problem("a", "E11.9", "2026-11-10") | doubt)[0] is None
    assert _seen(diabetes, _problem("a", "E11.9", "2026-09-10") | doubt)[0] is False
    over = _problem("a", "E11.9", "2026-11-10", status="resolved")
    assert _seen({"condition": {"icd10": ["E11"], "status": "active"}}, over)[0] is False
    assert _seen({"condition": {"icd10": ["E11"], "status": "any"}}, over)[0] is True
    two: Json = {"condition": {"icd10": ["M17"], "sites": 2}}
    assert _seen(two, _problem("a", "M17.11"), _problem("b", "M17.12")) == (True, ("Condition/a", "Condition/b"))
    assert _seen(two, _problem("a", "M17.11"), _problem("b", "M17.11"))[0] is False


def _done(status: str = "completed", **more: Any) -> Json:
    return procedure("Epidural injection", status=status, when="2026-11-01", id="p") | more


def test_procedures_reports_and_visits_count_where_the_test_says_so() -> None:
    test: Json = {"procedure": {"words": ["epidural"], "within_days": 19}}
    assert _seen(test, _done()) == (True, ("Procedure/p",))
    assert _seen(test, _done(performedDateTime="2026-10-31"))[0] is False
    assert _seen(test, _done("not-done"))[0] is False
    period = {"performedPeriod": {"start": "2026-01-01", "end": "2026-11-05"}}
    in_a_period = {name: value for name, value in _done().items() if name != "performedDateTime"} | period
    assert _seen(test, in_a_period)[0] is True
    report = builders.report(code="77", system=SNOMED, id="r", issued="2026-11-10T08:00:00Z")
    coded: Json = {"procedure": {"codes": ["77"], "within_days": 19}}
    assert _seen(coded, report)[0] is False
    assert _seen({"procedure": coded["procedure"] | {"reports": True}}, report) == (True, ("DiagnosticReport/r",))
    visit = encounter("AMB", "finished", id="v", type=[{"coding": [{"code": "77"}]}], period={"start": "2026-11-02"})
    seen = {"procedure": coded["procedure"] | {"encounters": True}}
    assert _seen(seen, visit) == (True, ("Encounter/v",))
    assert _seen(seen, visit | {"status": "cancelled"})[0] is False
    assert _seen(coded, visit)[0] is False
    assert _seen({"procedure": {"words": ["epidural"], "count": 2}}, _done())[0] is False


def test_a_visit_is_meant_by_who_took_part_its_class_or_its_reason() -> None:
    visit = {"resourceType": "Encounter", "id": "v", "status": "finished", "subject": SUBJECT, "class": {"code": "AMB"},
             "period": {"start": "2026-11-02"}, "reasonCode": [{"coding": [{"code": "M17.11"}], "text": "Knee pain"}],
             "participant": [{"individual": {"reference": "Practitioner/dr1"}}]}  # fmt: skip
    took_part = participants_of([visit, {"id": "w", "participant": [None, {"individual": None}]}])
    assert took_part == {"v": frozenset({"Practitioner/dr1"}), "w": frozenset()}
    by_requester: Json = {"encounter": {"by_requester": True, "within_days": 18}}
    asked: Json = {"participants": took_part, "requester": "Practitioner/dr1"}
    assert _seen(by_requester, visit, **asked) == (True, ("Encounter/v",))
    assert _seen(by_requester, visit, **(asked | {"requester": "Practitioner/dr2"}))[0] is False
    assert _seen(by_requester, visit, participants=took_part)[0] is False
    assert _seen({"encounter": {"by_requester": True, "within_days": 17}}, visit, **asked)[0] is False
    for wanted, holds in (
        ({"classes": ["AMB"]}, True),
        ({"classes": ["IMP"]}, False),
        ({"reason_icd10": ["M17"]}, True),
        ({"reason_icd10": ["M16"]}, False),
        ({"reason_words": ["knee"]}, True),
        ({"reason_words": ["hip"]}, False),
    ):
        assert _seen({"encounter": wanted}, visit)[0] is holds, wanted


def test_what_was_not_asked_for_is_not_absent() -> None:
    record = record_of_call()
    unasked = Subject(record.with_requested(frozenset({"Observation"})), DAY)
    for kind, wanted in (("condition", {"icd10": ["E11"]}), ("procedure", {"codes": ["1"]}), ("encounter", {})):
        assert evaluate({kind: wanted}, unasked).holds is None
        assert evaluate({kind: wanted}, Subject(record, DAY)).holds is False
    assert evaluate({"medication": {"classes": ["statin"]}}, unasked).holds is None


def _smoking(code: str) -> Json:
    coded = {"coding": [{"system": SNOMED, "code": code}]}
    return observation("72166-2", None, None, "2026-11-01") | {"id": "s", "valueCodeableConcept": coded}


@pytest.mark.parametrize(("code", "holds"), [("449868002", True), ("266919005", False), ("8517006", None)])
def test_who_smokes_has_smoked_and_who_stopped_some_day_is_not_known(code: str, holds: bool | None) -> None:
    assert _seen({"smoked_within_years": 15}, _smoking(code), patient=MAN)[0] is holds


def test_pack_years_on_the_limit() -> None:
    packs = observation("8664-5", 20, "{PackYears}", (DAY - timedelta(days=20)).isoformat()) | {"id": "y"}
    assert _seen({"pack_years": {"ge": 20}}, packs) == (True, ("Observation/y",))
    assert _seen({"pack_years": {"gt": 20}}, packs) == (False, ("Observation/y",))


def test_of_several_entries_of_one_code_the_surest_counts() -> None:
    diabetes: Json = {"condition": {"icd10": ["E11"], "within_days": 30}}
    doubt = {"verificationStatus": {"coding": [{"code": "provisional"}]}}
    old, doubtful, sure = (
        _problem("old", "E11.9", "2026-01-01"),
        _problem("doubtful", "E11.9", "2026-11-10") | doubt,
        _problem("sure", "E11.9", "2026-11-01"),
    )
    for entries in ((old, doubtful, sure), (sure, doubtful, old), (doubtful, old, sure)):
        assert _seen(diabetes, *entries) == (True, ("Condition/sure",))
    assert _seen(diabetes, old, doubtful) == _seen(diabetes, doubtful, old) == (None, ())
    assert _seen(diabetes, old) == (False, ())


@pytest.mark.parametrize(
    ("system", "code", "holds"),
    [
        ("http://hl7.org/fhir/sid/icd-10", "E11.9", True),
        ("urn:oid:2.16.840.1.113883.6.90", "e119", True),
        (SNOMED, "E11.9", False),
        (None, "E11.9", False),
    ],
)
def test_a_code_is_one_of_icd_10_by_its_system(system: str | None, code: str, holds: bool) -> None:
    entry = problem(
        {"coding": [{"code": "9", "system": "urn:x"}, {"code": code} | ({"system": system} if system else {})]}, id="a"
    )
    assert _seen({"condition": {"icd10": ["E11."]}}, entry)[0] is holds


def test_an_operation_that_was_done_shows_the_condition_that_it_means() -> None:
    transplant: Json = {"condition": {"groups": ["kidney_transplant"], "within_days": 30}}
    done = _done(code={"text": "Kidney transplant"}, performedDateTime="2026-11-01")
    assert _seen(transplant, done) == (True, ("Procedure/p",))
    assert _seen(transplant, done | {"performedDateTime": "2026-10-01"})[0] is False


def test_a_procedure_is_of_its_end_or_its_beginning_and_without_a_day_uncertain() -> None:
    test: Json = {"procedure": {"words": ["epidural"], "within_days": 10}}
    undated = {name: value for name, value in _done().items() if name != "performedDateTime"}
    assert _seen(test, undated | {"performedPeriod": {"start": "2026-11-15"}})[0] is True
    assert _seen(test, undated | {"performedPeriod": {"start": "2026-11-15", "end": "2026-11-01"}})[0] is False
    assert _seen(test, undated | {"performedPeriod": {}})[0] is None
    assert _seen(test, undated)[0] is None
    assert _seen({"procedure": {"words": ["epidural"]}}, undated) == (True, ("Procedure/p",))
    nameless = {name: value for name, value in _done().items() if name != "code"}
    assert _seen({"procedure": {"words": ["epidural"]}}, nameless)[0] is False


def test_a_report_is_of_its_study_before_its_issue() -> None:
    report = builders.report("Sleep study", id="r")
    test: Json = {"procedure": {"words": ["sleep"], "reports": True, "within_days": 10}}
    late, early = "2026-11-15T08:00:00Z", "2026-10-15"
    assert _seen(test, report | {"issued": late})[0] is True
    assert _seen(test, report | {"issued": late, "effectiveDateTime": early})[0] is False
    assert _seen(test, report)[0] is None


@pytest.mark.parametrize(
    ("status", "holds"),
    [("finished", True), ("in-progress", True), ("arrived", True), ("cancelled", False), ("planned", False),
     ("entered-in-error", False)],
)  # fmt: skip
def test_a_visit_counts_that_took_place(status: str, holds: bool) -> None:
    visit = {"resourceType": "Encounter", "id": "v", "status": status, "subject": SUBJECT, "class": {"code": "AMB"}}
    assert _seen({"encounter": {"classes": ["AMB"]}}, visit)[0] is holds
    in_window = {"encounter": {"classes": ["AMB"], "within_days": 10}}
    assert _seen(in_window, visit)[0] is (None if holds else False)
    assert _seen(in_window, visit | {"period": {"end": "2026-11-15"}})[0] is (None if holds else False)
    assert _seen(in_window, visit | {"period": {"start": "2026-11-15"}})[0] is holds


def test_a_medication_of_a_class_is_present_or_absent() -> None:
    order = medication_order("atorvastatin 20 MG Oral Tablet", id="m", authoredOn="2026-11-01")
    assert _seen({"medication": {"classes": ["statin"]}}, order) == (True, ("MedicationRequest/m",))
    assert _seen({"medication": {"classes": ["opioid"]}}, order) == (False, ())
