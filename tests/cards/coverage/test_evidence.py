"""What a test of a criterion may be, and what it says of a chart: on its limits, and where data did not come."""

from datetime import date, timedelta
from typing import Any

import pytest

from cards.coverage.evidence import check_test, evaluate, participants_of
from cards.coverage.seen import Subject
from cards.rules.language.rule import RuleError
from tests.each import for_rows
from tests.fhir import builders
from tests.fhir.builders import (
    ICD10,
    SNOMED,
    SUBJECT,
    WOMAN,
    concept,
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


@for_rows(
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


def _seen(test: Json, *resources: Json, patient: Json = WOMAN, **more: Any) -> tuple[bool | None, tuple[str, ...]]:
    seen = evaluate(test, Subject(record_of(*resources, patient=patient), DAY, **more))
    return seen.holds, seen.sources


TRUE: Json = {"order": {}}
FALSE: Json = {"not": TRUE}
OPEN: Json = {"statement": {}}


def _number(code: str, value: float, unit: str, identity: str) -> Json:
    return observation(code, value, unit, "2026-11-01", id=identity)


def _problem(identity: str, code: str, onset: str = "2026-10-01", **more: Any) -> Json:
    return problem("a problem", code, id=identity, onsetDateTime=onset, **more)


def _done(status: str = "completed", **more: Any) -> Json:
    """An epidural injection; an element that is None is left out."""
    done = procedure("Epidural injection", status=status, when="2026-11-01", id="p") | more
    return {name: value for name, value in done.items() if value is not None}


def _of_epidural(**more: Any) -> Json:
    return {"procedure": {"words": ["epidural"], **more}}


def _of_77(**more: Any) -> Json:
    return {"procedure": {"codes": ["77"], "within_days": 19, **more}}


def _ambulant(status: str = "finished", **more: Any) -> Json:
    return encounter("AMB", status, id="v", **more)


def _of_system(code: str, system: str | None) -> Json:
    coding = {"code": code} | ({"system": system} if system else {})
    return problem({"coding": [{"code": "9", "system": "urn:x"}, coding]}, id="a")


DOUBT: Json = {"verificationStatus": {"coding": [{"code": "provisional"}]}}
WEIGHED = (_number("29463-7", 100, "kg", "w"), _number("8302-2", 182.5, "cm", "h"))
TALLER = (WEIGHED[0], _number("8302-2", 182.6, "cm", "h"))
ULCER: Json = {"condition": {"icd10": ["L97.4"], "last": ["3", "4"]}}
DIABETES: Json = {"condition": {"icd10": ["E11"], "within_days": 30}}
DIABETES_ANY: Json = {"condition": {"icd10": ["E11."]}}
BOTH_KNEES: Json = {"condition": {"icd10": ["M17"], "sites": 2}}
TRANSPLANT: Json = {"condition": {"groups": ["kidney_transplant"], "within_days": 30}}
TRANSPLANTED = _done(code={"text": "Kidney transplant"})
SLEEP: Json = {"procedure": {"words": ["sleep"], "reports": True, "within_days": 10}}
SLEEP_STUDY = builders.report("Sleep study", id="r")
REPORT_77 = builders.report(code="77", system=SNOMED, id="r", issued="2026-11-10T08:00:00Z")
VISIT_77 = _ambulant(type=[{"coding": [{"code": "77"}]}], period={"start": "2026-11-02"})
VISITED: Json = {"encounter": {"classes": ["AMB"]}}
VISITED_LATELY: Json = {"encounter": {"classes": ["AMB"], "within_days": 10}}
OLD, DOUBTFUL, SURE = (
    _problem("old", "E11.9", "2026-01-01"), _problem("doubtful", "E11.9", "2026-11-10") | DOUBT,
    _problem("sure", "E11.9", "2026-11-01"),
)  # fmt: skip
PACKS = observation("8664-5", 20, "{PackYears}", (DAY - timedelta(days=20)).isoformat(), id="y")
ATORVASTATIN = medication_order("atorvastatin 20 MG Oral Tablet", id="m", authoredOn="2026-11-01")
OVER = _problem("a", "E11.9", "2026-11-10", status="resolved")
CODELESS = {name: value for name, value in problem("Lipodystrophy", id="c").items() if name != "code"}
NOBODY: Json = {"resourceType": "Patient", "id": "p1"}
P = ("Patient/p1",)
SHOWN: list[tuple[Json, tuple[Json, ...], bool | None, tuple[str, ...] | None]] = [
    # Parts of a test in three values; the parts that decide are named.
    ({"any": [FALSE, TRUE]}, (), True, None),
    ({"any": [OPEN, TRUE]}, (), True, None),
    ({"any": [FALSE, OPEN]}, (), None, None),
    ({"any": [FALSE, FALSE]}, (), False, None),
    ({"all": [TRUE, TRUE]}, (), True, None),
    ({"all": [TRUE, OPEN]}, (), None, None),
    ({"all": [OPEN, FALSE]}, (), False, None),
    ({"not": OPEN}, (), None, None),
    ({"not": FALSE}, (), True, None),
    ({"sex": "female"}, (), True, P),
    ({"sex": "male"}, (), False, P),
    ({"age": {"ge": 70}}, (), True, P),
    ({"age": {"ge": 71}}, (), False, P),
    ({"age": {"lt": 70}}, (), False, P),
    ({"age": {"ge": 70, "days_after": 1}}, (), False, P),
    ({"bmi": {"ge": 30}}, (), None, ()),
    ({"pack_years": {"ge": 20}}, (), None, None),
    ({"smoked_within_years": 15}, (), None, None),
    ({"all": [{"age": {"ge": 70}}, {"sex": "female"}]}, (), True, P * 2),
    ({"any": [{"age": {"ge": 71}}, {"sex": "male"}]}, (), False, P * 2),
    ({"not": {"sex": "male"}}, (), True, P),
    # A body mass index is worked out where none is charted.
    ({"bmi": {"ge": 30}}, WEIGHED, True, ("Observation/w", "Observation/h")),
    ({"bmi": {"ge": 30}}, TALLER, False, ("Observation/w", "Observation/h")),
    *(({"bmi": {"ge": 30}}, one, None, ()) for one in (WEIGHED[:1], WEIGHED[1:])),
    ({"bmi": {"ge": 41}}, (*WEIGHED, _number("39156-5", 41, "kg/m2", "b")), True, ("Observation/b",)),
    # A condition is meant by its code, and by a group only without one.
    (ULCER, (_problem("a", "L97.413"),), True, ("Condition/a",)),
    (ULCER, (_problem("a", "L97.412"),), False, None),
    (ULCER, (_problem("a", "L97.513"),), False, None),
    ({"condition": {"groups": ["heart_failure"], "icd10": ["I50"]}}, (condition("84114007", SNOMED),), True,
     ("Condition/c-84114007",)),
    ({"condition": {"groups": ["heart_failure"], "icd10": ["I50"], "except_codes": ["84114007"]}},
     (condition("84114007"),), False, None),
    ({"condition": {"icd10": ["I51"], "groups": ["heart_failure"]}}, (_problem("a", "I50.9"),), False, None),
    ({"condition": {"groups": ["heart_failure"]}}, (_problem("a", "I50.9"),), True, ("Condition/a",)),
    (DIABETES_ANY, (problem("Diabetes ruled out", "E11.9", id="a"),), False, None),
    ({"condition": {"snomed": ["123"]}}, (condition("123"),), True, ("Condition/c-123",)),
    ({"condition": {"words": ["lipo"]}}, (problem("Lipodystrophy", id="l"),), True, ("Condition/l",)),
    ({"condition": {"words": ["edema", "lipo"]}}, (problem("Lipodystrophy", id="l"),), True, ("Condition/l",)),
    ({"condition": {"words": ["edema"]}}, (problem("Lipodystrophy", id="l"),), False, None),
    ({"condition": {"words": ["lipo"]}}, (CODELESS,), False, None),
    ({"condition": {"words": ["lipo"]}}, (CODELESS, problem("Lipodystrophy", id="l")), True, ("Condition/l",)),
    # A code is one of ICD-10 by its system.
    (DIABETES_ANY, (_of_system("E11.9", "http://hl7.org/fhir/sid/icd-10"),), True, ("Condition/a",)),
    (DIABETES_ANY, (_of_system("e119", "urn:oid:2.16.840.1.113883.6.90"),), True, ("Condition/a",)),
    (DIABETES_ANY, (problem({"coding": [{"system": ICD10}, {"system": ICD10, "code": "E11.9"}]}),), True, None),
    (DIABETES_ANY, (_of_system("E11.9", SNOMED),), False, None),
    (DIABETES_ANY, (_of_system("E11.9", None),), False, None),
    # A condition in doubt, past or out of the window shows nothing; of several entries the surest counts.
    (DIABETES, (_problem("a", "E11.9", "2026-10-21"),), True, ("Condition/a",)),
    (DIABETES, (_problem("a", "E11.9", "2026-10-20"),), False, ()),
    (DIABETES, (DOUBTFUL,), None, ()),
    (DIABETES, (_problem("a", "E11.9", "2026-09-10") | DOUBT,), False, ()),
    ({"condition": {"icd10": ["E11"], "status": "active"}}, (OVER,), False, ()),
    ({"condition": {"icd10": ["E11"], "status": "any"}}, (OVER,), True, ("Condition/a",)),
    *((DIABETES, entries, True, ("Condition/sure",)) for entries in (
        (OLD, DOUBTFUL, SURE), (SURE, DOUBTFUL, OLD), (DOUBTFUL, OLD, SURE))),
    (DIABETES, (OLD, DOUBTFUL), None, ()),
    (DIABETES, (DOUBTFUL, OLD), None, ()),
    (BOTH_KNEES, (_problem("a", "M17.11"), _problem("b", "M17.12")), True, ("Condition/a", "Condition/b")),
    (BOTH_KNEES, (_problem("a", "M17.11"), _problem("b", "M17.11")), False, None),
    # An operation that was done shows the condition that it means.
    (TRANSPLANT, (TRANSPLANTED,), True, ("Procedure/p",)),
    (TRANSPLANT, (TRANSPLANTED | {"performedDateTime": "2026-10-01"},), False, None),
    # A procedure is of its day, its end or its beginning; without a day a window is uncertain.
    (_of_epidural(within_days=19), (_done(),), True, ("Procedure/p",)),
    (_of_epidural(within_days=19), (_done(performedDateTime="2026-10-31"),), False, None),
    (_of_epidural(within_days=19), (_done("not-done"),), False, None),
    (_of_epidural(within_days=19), (_done("stopped"),), False, None),
    *((_of_epidural(within_days=days), (_done(performedDateTime=None, performedPeriod=period),), holds, None)
      for days, period, holds in (
          (19, {"start": "2026-01-01", "end": "2026-11-05"}, True), (10, {"start": "2026-11-15"}, True),
          (10, {"start": "2026-11-15", "end": "2026-11-01"}, False), (10, {}, None), (10, None, None))),
    (_of_epidural(), (_done(performedDateTime=None),), True, ("Procedure/p",)),
    (_of_epidural(), (_done(code=None),), False, None),
    (_of_epidural(count=2), (_done(),), False, None),
    # Reports and visits count where the test says so; a report is of its study before its issue.
    (_of_77(), (REPORT_77,), False, None),
    (_of_77(reports=True), (REPORT_77,), True, ("DiagnosticReport/r",)),
    (_of_77(), (VISIT_77,), False, None),
    (_of_77(encounters=True), (VISIT_77,), True, ("Encounter/v",)),
    (_of_77(encounters=True), (VISIT_77 | {"status": "cancelled"},), False, None),
    (_of_77(encounters=True), (VISIT_77 | {"status": "planned"},), False, None),
    (_of_77(encounters=True), (VISIT_77 | {"type": [{"coding": [{"code": "99213"}]}]},), False, None),
    (_of_77(encounters=True), (VISIT_77 | {"type": []},), False, None),
    (SLEEP, (SLEEP_STUDY | {"issued": "2026-11-15T08:00:00Z"},), True, None),
    (SLEEP, (SLEEP_STUDY | {"issued": "2026-11-15T08:00:00Z", "effectiveDateTime": "2026-10-15"},), False, None),
    (SLEEP, (SLEEP_STUDY,), None, None),
    # A visit counts that took place, in a window by its beginning.
    *((test, (_ambulant(status, **period),), took_place and holds, None)
      for status, took_place in (("finished", True), ("in-progress", True), ("arrived", True), ("cancelled", False),
                                 ("planned", False), ("entered-in-error", False))
      for test, period, holds in (
          (VISITED, {}, True), (VISITED_LATELY, {}, None), (VISITED_LATELY, {"period": {"end": "2026-11-15"}}, None),
          (VISITED_LATELY, {"period": {"start": "2026-11-15"}}, True))),
    # Who smokes has smoked, and of who stopped some day it is not known when; pack-years on the limit.
    *(({"smoked_within_years": 15}, (observation(
        "72166-2", when="2026-11-01", id="s", valueCodeableConcept=concept(code=code, system=SNOMED)),), holds, None)
      for code, holds in (("449868002", True), ("266919005", False), ("8517006", None))),
    ({"pack_years": {"ge": 20}}, (PACKS,), True, ("Observation/y",)),
    ({"pack_years": {"gt": 20}}, (PACKS,), False, ("Observation/y",)),
    # A medication of a class is present or absent.
    ({"medication": {"classes": ["statin"]}}, (ATORVASTATIN,), True, ("MedicationRequest/m",)),
    ({"medication": {"classes": ["opioid"]}}, (ATORVASTATIN,), False, ()),
]  # fmt: skip


@for_rows(("test", "resources", "holds", "sources"), SHOWN)
def test_what_a_chart_shows(
    test: Json, resources: tuple[Json, ...], holds: bool | None, sources: tuple[str, ...] | None
) -> None:
    seen = _seen(test, *resources)
    assert seen[0] is holds
    assert sources is None or seen[1] == sources


def test_without_sex_or_birth_date_neither_is_shown() -> None:
    assert _seen({"sex": "male"}, patient=NOBODY) == (None, ())
    assert _seen({"age": {"ge": 1}}, patient=NOBODY) == (None, ())


def test_a_visit_is_meant_by_who_took_part_its_class_or_its_reason() -> None:
    visit = {"resourceType": "Encounter", "id": "v", "status": "finished", "subject": SUBJECT, "class": {"code": "AMB"},
             "period": {"start": "2026-11-02"},
             "reasonCode": [{"coding": [{}, {"code": "M17.11"}], "text": "Knee pain"}],
             "participant": [{"individual": {"reference": "Practitioner/dr1"}}]}  # fmt: skip
    took_part = participants_of([visit, {"id": "w", "participant": [None, {"individual": None}]}])
    assert took_part == {"v": frozenset({"Practitioner/dr1"}), "w": frozenset()}
    by_requester: Json = {"encounter": {"by_requester": True, "within_days": 18}}
    asked: Json = {"participants": took_part, "requester": "Practitioner/dr1"}
    assert _seen(by_requester, visit, **asked) == (True, ("Encounter/v",))
    assert _seen(by_requester, visit, **(asked | {"requester": "Practitioner/dr2"}))[0] is False
    assert _seen(by_requester, visit, participants=took_part)[0] is False
    assert _seen({"encounter": {"classes": ["IMP"]}}, visit, **asked)[0] is False
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
