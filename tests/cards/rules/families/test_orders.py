"""Orders of imaging and tests: contrast, kidneys, implants, back pain and screening, as conditions and sentences."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from cards.extension import Fact
from cards.rules.families.orders.family import FAMILY
from cards.rules.language.rule import LabOrder, OrderChange, RuleError
from cards.rules.patient.context import RuleContext
from tests.cards.rules.cases import check, findings, reasons
from tests.cards.rules.contexts import AS_OF, answer, context_of, predicate_of, study_context_of, told
from tests.cards.rules.patients import draft_of, drafts_of, record_of
from tests.each import for_rows
from tests.fhir import builders
from tests.fhir.builders import concept, encounter, made, observation, problem, report, subject_of

Json = dict[str, Any]
CT_CHEST = {"drug": "CT chest with contrast", "test": "24628-0"}
KIDNEYS: Json = {"labs": [["egfr", 20]]}


@pytest.mark.parametrize("status", ["completed", "entered-in-error", "on-hold"])
def test_an_order_that_is_not_to_be_done_is_not_judged(status: str, as_of: datetime) -> None:
    draft = draft_of({**CT_CHEST, "more": {"status": status}})
    assert check(record_of(KIDNEYS, as_of), drafts_of(draft)).cards == ()


def test_metformin_is_drafted_beside_a_scan(as_of: datetime) -> None:
    """What is drafted counts as taken."""
    drug = draft_of({"drug": "metformin 500 MG Oral Tablet", "dose": "1 tablet", "times": 2}, "drug")
    outcome = check(record_of({"labs": [["egfr", 20]]}, as_of), drafts_of(draft_of(CT_CHEST, "ct"), drug))
    assert ("img-metformin-contrast", "lt30", "warning") in findings(outcome)


@pytest.mark.parametrize("place", ["MICU", "Surgical Intensive Care Unit", "ICU 4"])
def test_tests_are_serial_in_intensive_care(place: str, as_of: datetime) -> None:
    ferritin = {"labs": [], "more": [_result("2276-4", as_of)]}
    visit = encounter("IMP", patient="case", id="e", location=[{"location": {"display": place}}])
    drafts = drafts_of(draft_of({"drug": "Ferritin", "test": "2276-4"}))
    assert findings(check(record_of(ferritin, as_of), drafts)) == [("lab-repeat", "within_interval", "info")]
    stay = {**ferritin, "more": [*ferritin["more"], visit]}
    assert ("lab-repeat", "intensive-care") in reasons(check(record_of(stay, as_of), drafts))


def _result(loinc: str, as_of: datetime) -> Json:
    return observation(
        loinc, 80, "ng/mL", (as_of - timedelta(days=2)).isoformat(), patient="case", id=f"result-{loinc}"
    )


@for_rows(
    ("more", "counts"),
    [
        ({"valueCodeableConcept": {"text": "NILM"}}, True),
        ({}, True),
        ({"valueCodeableConcept": {"text": "Unsatisfactory specimen"}}, False),
        ({"valueString": "Pending"}, False),
        ({"dataAbsentReason": {"text": "not performed"}}, False),
        ({"effectiveDateTime": "2290-01-01"}, False),
        ({"status": "cancelled"}, False),
        # words count where no code of LOINC says what was measured
        ({"code": concept("Pap smear", "2823-3", "http://loinc.org")}, False),
        ({"code": concept("Pap smear", "PAP", "urn:oid:2.999.1")}, True),
        ({"code": {"coding": [{"code": "PAP"}], "text": "Pap smear"}}, False),
        ({"code": {"coding": [{"system": "urn:oid:2.999.1", "code": "PAP"}]}}, False),
        ({"code": {"text": "Pap smear"}}, True),
    ],
)
def test_a_smear_without_a_result_or_of_the_future_is_no_screening(more: Json, counts: bool, as_of: datetime) -> None:
    smear: Json = observation("10524-7", when=(as_of - timedelta(days=300)).isoformat(), patient="case", id="smear")
    record = record_of({"sex": "female", "age": 45, "more": [smear | more]}, as_of)
    outcome = check(record, drafts_of(draft_of({"drug": "Cervical cytology", "test": "10524-7"})))
    assert bool(findings(outcome)) is counts


CT: Json = {"drug": "CT chest with contrast", "test": "24628-0"}
MR_BRAIN: Json = {"drug": "MR brain", "test": "30657-1"}
MR_SPINE: Json = {"drug": "MR lumbar spine", "test": "30679-5"}
PAP: Json = {"drug": "Cervical cytology", "test": "10524-7"}
PSA: Json = {"drug": "PSA", "test": "2857-1"}
LUNG: Json = {"drug": "Low-dose CT for lung screening", "test": "87279-6"}
LOINC, ICD10 = "http://loinc.org", "http://hl7.org/fhir/sid/icd-10-cm"


def _says(draft: Json, words: str, *codes: str) -> Json:
    coding = [{"system": ICD10, "code": code} for code in codes]
    return {**draft, "more": {"reasonCode": [{"text": words, "coding": coding}]}}


def _word(name: str, context: RuleContext) -> str | None:
    return FAMILY.placeholders[name](context)


def _problem(words: str, onset: str | None = None, code: str = "", status: str = "active", name: str = "p") -> Json:
    return problem(words, code, status=status, patient="case", id=name, onsetDateTime=onset)


def _day(days_ago: float) -> str:
    return (AS_OF - timedelta(days=days_ago)).date().isoformat()


def _creatinine(*values: tuple[float, float]) -> Json:
    return {"labs": [["creatinine", value, days_ago] for value, days_ago in values]}


def _egfr_under(limit: float) -> Json:
    amount = {"value": limit, "comparator": "<", "unit": "mL/min/1.73m2", "code": "mL/min/{1.73_m2}"}
    return observation("98979-8", when=_day(3), patient="case", id="egfr", valueQuantity=amount)


AKI_10 = {"conditions": [["aki", 10]]}
STATES = [
    # A rise to 1.5 times a value of the seven days before.
    (_creatinine((2.0, 1), (1.0, 3)), "now"),
    (_creatinine((1.5, 1), (1.0, 3)), "now"),
    ({"age": 10, **_creatinine((1.5, 1), (1.0, 3))}, "now"),
    (_creatinine((1.49, 1), (1.0, 3)), "none"),
    (_creatinine((1.5, 1), (1.0, 8)), "now"),
    (_creatinine((1.5, 1), (1.0, 8.01)), "none"),
    (_creatinine((1.5, 7), (1.0, 9)), "now"),
    (_creatinine((1.5, 8), (1.0, 10)), "none"),
    (_creatinine((1.5, 1), (1.4, 2), (1.0, 3)), "now"),
    (_creatinine((1.0, 1), (2.0, 3)), "none"),
    # By CKD-EPI 2021 a man of 60 with 0.9 mg/dL has an eGFR over 90: normal all the same.
    (_creatinine((0.9, 1), (0.5, 3)), "none"),
    # An entry of the list counts for 90 days.
    ({"conditions": [["aki", 90]]}, "now"),
    ({"conditions": [["aki", 91]]}, "none"),
    ({"more": [_problem("Acute kidney injury", None, "N17.9")]}, "now"),
    ({"more": [_problem("Acute kidney injury", None, "N17.9", "")]}, "none"),
    ({}, "none"),
    ({"not_sent": ["Condition"]}, "unknown"),
    ({**_creatinine((2.0, 1), (1.0, 3)), "not_sent": ["Condition"]}, "now"),
    # A later creatinine with an eGFR of 60 or more ends it; one of before does not.
    ({**AKI_10, **_creatinine((1.0, 5))}, "none"),
    ({**AKI_10, **_creatinine((1.0, 10))}, "none"),
    ({**AKI_10, **_creatinine((1.0, 11))}, "now"),
    # From 30 to 59 it is recovering where two values of two days are steady or falling.
    ({**AKI_10, **_creatinine((2.0, 1), (2.1, 2.5))}, "recovering"),
    ({**AKI_10, **_creatinine((2.0, 1), (2.0, 2.5))}, "recovering"),
    ({**AKI_10, **_creatinine((2.1, 1), (2.0, 2.5))}, "now"),
    ({**AKI_10, **_creatinine((2.1, 1), (2.0, 3.5))}, "recovering"),
    ({**AKI_10, **_creatinine((2.0, 1), (2.0, 1.8))}, "recovering"),
    ({**AKI_10, **_creatinine((2.0, 1), (2.0, 1.79))}, "now"),
    ({**AKI_10, **_creatinine((2.0, 1))}, "now"),
    # Two days before is one of the two days. An eGFR of 90 is normal, whatever creatinine did.
    ({**AKI_10, **_creatinine((2.0, 1), (1.9, 3))}, "now"),
    ({"age": None, "labs": [["creatinine", 1.5, 1], ["creatinine", 1.0, 3], ["egfr", 90, 1]]}, "none"),
    ({**AKI_10, **_creatinine((2.0, 2), (2.1, 4))}, "recovering"),
    ({**AKI_10, **_creatinine((2.0, 3), (2.1, 5))}, "now"),
    ({**AKI_10, "labs": [["egfr", 60, 3], ["creatinine", 1.3, 3]]}, "none"),
    ({**AKI_10, "labs": [["egfr", 59, 3], ["creatinine", 1.3, 3]]}, "now"),
    # Without the age the creatinine gives no eGFR, and "<60" may be any lower number.
    ({**AKI_10, "labs": [["creatinine", 1.3, 3]], "age": None, "more": [_egfr_under(60)]}, "now"),
    ({**AKI_10, "labs": [["egfr", 30, 1], ["creatinine", 2.3, 1], ["creatinine", 2.3, 3]]}, "recovering"),
    ({**AKI_10, "labs": [["egfr", 29, 1], ["creatinine", 2.3, 1], ["creatinine", 2.3, 3]]}, "now"),
    # 3 mg/dL is an eGFR of 23.
    ({**AKI_10, **_creatinine((3.0, 1), (3.2, 2.5))}, "now"),
]


@for_rows(("patient", "state"), STATES)
def test_acute_kidney_injury_is_going_on_or_recovering(patient: Json, state: str) -> None:
    context = study_context_of(CT, **patient)
    answers = [answer({word: True}, context, FAMILY) for word in ("kidney_injury_now", "kidney_injury_recovering")]
    assert answers == ([None, None] if state == "unknown" else [state == "now", state == "recovering"])


def test_the_facts_of_an_injury_are_the_entry_and_the_two_values() -> None:
    spec: Json = {"kidney_injury_now": True}
    rise = study_context_of(CT, **_creatinine((2.0, 1), (1.5, 2), (1.0, 3)))
    assert told(spec, rise, FAMILY) == [
        Fact("creatinine", "Creatinine 2 mg/dL", 2.0, "mg/dL", "2026-11-19T09:00:00+00:00", "Observation/lab-0"),
        Fact("creatinine", "Creatinine 1 mg/dL", 1.0, "mg/dL", "2026-11-17T09:00:00+00:00", "Observation/lab-2"),
    ]
    listed = study_context_of(CT, **AKI_10)
    assert [fact.name for fact in told(spec, listed, FAMILY)] == ["aki"]
    both = study_context_of(CT, **AKI_10, **_creatinine((2.0, 1), (1.0, 3)))
    assert [fact.name for fact in told(spec, both, FAMILY)] == ["aki", "creatinine", "creatinine"]
    assert told(spec, study_context_of(CT, conditions=[["aki", 91]]), FAMILY) == []


@for_rows(
    ("patient", "injury", "metformin"),
    [
        (_creatinine((2.0, 1), (1.0, 3)), "Creatinine rose from 1 to 2 mg/dL by 2026-11-19",
         "with contrast into an artery"),
        (AKI_10, "Acute kidney injury on the list", "with acute kidney injury"),
        ({"labs": [["egfr", 29.5, 3]]}, "Acute kidney injury on the list",
         "with eGFR 29.5 mL/min/1.73 m² on 2026-11-17"),
        ({"more": [_egfr_under(15)]}, "Acute kidney injury on the list", "with eGFR <15 mL/min/1.73 m² on 2026-11-17"),
        ({"labs": [["egfr", 30, 3]]}, "Acute kidney injury on the list", "with contrast into an artery"),
        ({**AKI_10, "labs": [["egfr", 29, 3]]}, "Acute kidney injury on the list",
         "with eGFR 29 mL/min/1.73 m² on 2026-11-17"),
    ],
)  # fmt: skip
def test_the_words_about_kidneys(patient: Json, injury: str, metformin: str) -> None:
    context = study_context_of(CT, **patient)
    assert (_word("kidney_injury", context), _word("metformin_reason", context)) == (injury, metformin)
    assert _word("kidney_window", context) == "12 months"
    assert _word("kidney_window", study_context_of(CT, inpatient=True)) == "7 days"


def _reaction(words: str, *reactions: str, **more: Any) -> Json:
    return {"code": {"text": words}, "reaction": [{"manifestation": [{"text": one}]} for one in reactions], **more}


IODINE = _reaction("Iodinated contrast", "Anaphylaxis", recordedDate="2015-03-02")
GADOLINIUM = _reaction("Gadolinium contrast", "Hives")
CONTRAST = _reaction("Contrast media")


def test_without_an_allergy_list_a_reaction_is_not_known() -> None:
    unknown = study_context_of(CT, not_sent=["AllergyIntolerance"])
    assert answer({"contrast_reaction": {"to": "iodinated"}}, unknown, FAMILY) is None
    assert FAMILY.gaps["allergies"](unknown) == ("allergies-missing", "the allergy list is not known.")
    assert FAMILY.gaps["allergies"](study_context_of(CT)) is None


def test_what_is_said_of_a_reaction_to_contrast_media() -> None:
    context = study_context_of(CT, allergies=[IODINE, GADOLINIUM])
    names = ("iodine_reaction", "iodine_entry", "gadolinium_reaction", "gadolinium_entry")
    assert [_word(name, context) for name in names] == [
        "anaphylaxis", "Entry: Iodinated contrast, recorded 2015-03-02.", "hives", "Entry: Gadolinium contrast."
    ]  # fmt: skip
    assert [_word(name, study_context_of(CT)) for name in names] == [None] * 4
    assert told({"contrast_reaction": {"to": "iodinated"}}, context, FAMILY) == [
        Fact("allergy", "Iodinated contrast: anaphylaxis", "iodinated", effective="2015-03-02",
             source="AllergyIntolerance/allergy-0"),
    ]  # fmt: skip
    assert _word("iodine_reaction", study_context_of(CT, allergies=[CONTRAST])) == "reaction not recorded"
    for stated, entry in ((True, CONTRAST), (False, IODINE)):
        of_class = {"contrast_reaction": {"to": "iodinated", "class_stated": stated}}
        assert told(of_class, study_context_of(CT, allergies=[entry]), FAMILY) == []
    upper = study_context_of(CT, allergies=[_reaction("Iodinated contrast", "SJS")])
    assert _word("iodine_reaction", upper) == "SJS"


@for_rows(
    ("words", "group", "agent"),
    [("Omniscan", "I", "omniscan"), ("gadobutrol", "II", None), ("gadolinium", "not stated", None),
     ("Magnevist or Gadavist", "I", "magnevist")],
)  # fmt: skip
def test_the_group_of_the_gadolinium_that_the_order_names(words: str, group: str, agent: str | None) -> None:
    context = study_context_of(_says(MR_BRAIN, words))
    answers = {name: answer({"gadolinium_group": name}, context, FAMILY) for name in ("I", "II", "not stated")}
    assert answers == {name: name == group for name in answers}
    assert _word("agent", context) == agent


def _device(words: str, name: str = "d", safety: str | None = None) -> Json:
    more = [{"text": safety}] if safety else None
    return made("Device", id=name, status="active", type={"text": words}, patient=subject_of("case"), safety=more)


def test_an_implant_before_a_scan() -> None:
    spec: Json = {"implant": "undocumented"}
    pacemaker = study_context_of(MR_BRAIN, more=[_device("Cardiac pacemaker")])
    assert answer(spec, pacemaker, FAMILY) is True
    assert answer({"implant": "unsafe"}, pacemaker, FAMILY) is False
    assert told(spec, pacemaker, FAMILY) == [Fact("implant", "Cardiac pacemaker", "pacemaker", source="Device/d")]
    assert told({"implant": "unsafe"}, pacemaker, FAMILY) == []
    both = [_device("Cardiac pacemaker"), _device("Aneurysm clip", "e", "MR Unsafe")]
    assert _word("device", study_context_of(MR_BRAIN, more=both)) == "Aneurysm clip"
    assert _word("device", pacemaker) == "Cardiac pacemaker"
    nobody, unknown = study_context_of(MR_BRAIN), study_context_of(MR_BRAIN, not_sent=["Device"])
    assert (answer(spec, nobody, FAMILY), answer(spec, unknown, FAMILY), _word("device", nobody)) == (False, None, None)
    assert FAMILY.gaps["implants"](unknown) == (
        "devices-missing", "the patient's implants and devices are not known.")  # fmt: skip
    assert FAMILY.gaps["implants"](nobody) is None


def _smear(days_ago: float = 300, finding: str = "NILM", **more: Any) -> Json:
    smear = observation("10524-7", when=_day(days_ago), patient="case", id="smear")
    return smear | {"valueCodeableConcept": {"text": finding}} | more


def _test(days_ago: float) -> Json:
    return _smear(days_ago, "Negative", id="hcg", code=concept(code="2106-3", system=LOINC))


@for_rows(
    ("patient", "truth"),
    [
        ({"sex": "female", "age": 30}, True),
        ({"sex": "male", "age": 30}, False),
        ({"sex": "female", "age": 30, "more": [_test(14)]}, False),
        ({"sex": "female", "age": 30, "more": [_test(15)]}, True),
        ({"sex": "female", "age": 60}, False),
    ],
)
def test_a_pregnancy_is_possible(patient: Json, truth: bool) -> None:
    assert answer({"pregnancy_possible": True}, study_context_of(CT, **patient), FAMILY) is truth


def _visit(code: str, status: str = "in-progress") -> Json:
    return encounter(code, status, patient="case", id="v")


@for_rows(
    ("draft", "more", "truth"),
    [
        (CT, [], False),
        ({**CT, "more": {"priority": "stat"}}, [], True),
        ({**CT, "more": {"priority": "asap"}}, [], True),
        ({**CT, "more": {"priority": "routine"}}, [], False),
        (CT, [_visit("EMER")], True),
        (CT, [_visit("EMER", "finished")], False),
        (CT, [_visit("AMB")], False),
        (_says(CT, "suspected pulmonary embolism"), [], True),
        (_says(CT, "no pulmonary embolism"), [], False),
        (_says(CT, "no fever, stroke"), [], True),
        (_says(CT, "no fever; stroke"), [], True),
        (_says(CT, "father had a stroke"), [], False),
        (_says(CT, "cough"), [], False),
    ],
)
def test_an_urgent_study(draft: Json, more: list[Json], truth: bool) -> None:
    assert answer({"urgent": True}, study_context_of(draft, more=more), FAMILY) is truth


def test_the_study_that_is_ordered() -> None:
    context = study_context_of({**CT, "drug": "CT chest with contrast " + "x" * 60})
    assert _word("study", context) == "CT chest with contrast " + "x" * 26 + "…"
    assert _word("study", study_context_of(CT)) == "CT chest with contrast"
    change = FAMILY.changes["without_contrast"](study_context_of(CT))
    assert change == OrderChange(test=LabOrder("29252-4", "CT Chest WO contrast"))
    assert FAMILY.changes["without_contrast"](study_context_of(PSA)) is None
    # A drug is no study.
    drug = context_of({"drug": "metformin 500 MG Oral Tablet"})
    assert (_word("study", drug), answer({"study_group": "ct"}, drug, FAMILY)) == ("the ordered test", False)


BACK_PAIN = _problem("Low back pain", _day(10), "M54.50")


@for_rows(
    ("draft", "truth"),
    [
        (MR_SPINE, False),
        (_says(MR_SPINE, "Low back pain"), True),
        (_says(MR_SPINE, "lbp"), True),
        (_says(MR_SPINE, "x", "M54.50"), True),
        (_says(MR_SPINE, "x", "M54.6"), False),
        (_says(MR_SPINE, "neck pain"), False),
        ({**MR_SPINE, "more": {"reasonCode": [{"coding": [{"code": "279039007"}]}]}}, True),
        ({**MR_SPINE, "more": {"note": [{"text": "lumbago for a week"}]}}, True),
    ],
)
def test_an_order_for_low_back_pain(draft: Json, truth: bool) -> None:
    assert answer({"for_back_pain": True}, study_context_of(draft), FAMILY) is truth


@for_rows(
    ("patient", "early", "known", "days"),
    [
        ({"more": [_problem("Low back pain", _day(41), "M54.50")]}, True, True, "41"),
        ({"more": [_problem("Low back pain", _day(42), "M54.50")]}, False, True, "42"),
        ({"more": [_problem("Low back pain", _day(10))]}, True, True, "10"),
        # The newest of two.
        ({"more": [_problem("Low back pain", _day(400), "M54.50", name="a"), BACK_PAIN]}, True, True, "10"),
        ({"more": [_problem("Low back pain", _day(10), "M54.50", "resolved")]}, None, False, None),
        ({"more": [_problem("No low back pain", _day(10))]}, None, False, None),
        ({"more": [_problem("Low back pain", None, "M54.50")]}, None, False, None),
        ({"more": [_problem("Low back pain", "some years ago", "M54.50")]}, None, False, None),
        ({"more": [_problem("Neck pain", _day(10), "M54.2")]}, None, False, None),
        ({}, None, False, None),
        ({"not_sent": ["Condition"]}, None, None, None),
    ],
)
def test_when_the_back_pain_began(patient: Json, early: bool | None, known: bool | None, days: str | None) -> None:
    context = study_context_of(MR_SPINE, **patient)
    assert answer({"back_pain_early": True}, context, FAMILY) is early
    assert answer({"onset_known": True}, context, FAMILY) is known
    assert _word("days", context) == days


PREDNISONE: Json = {"drug": "prednisone 10 MG Oral Tablet", "dose": "1 tablet", "times": 1}


@for_rows(
    ("draft", "patient", "truth"),
    [
        (MR_SPINE, {}, False),
        (MR_SPINE, {"not_sent": ["Condition"]}, None),
        (_says(MR_SPINE, "saddle anaesthesia"), {}, True),
        (_says(MR_SPINE, "no weakness"), {}, False),
        (_says(MR_SPINE, "no fever, weakness of the left leg"), {}, True),
        (_says(MR_SPINE, "saddle anaesthesia"), {"not_sent": ["Condition"]}, True),
        (MR_SPINE, {"more": [_problem("x", None, "C50.9")]}, True),
        (MR_SPINE, {"more": [_problem("x", None, "C50.9", "resolved")]}, False),
        (MR_SPINE, {"more": [_problem("x", None, "M46.4")]}, True),
        (MR_SPINE, {"more": [_problem("Osteoporosis")]}, True),
        (MR_SPINE, {"more": [_problem("Saddle anaesthesia")]}, True),
        (MR_SPINE, {"more": [_problem("x", None, "J45.9")]}, False),
        (MR_SPINE, {"conditions": ["transplant"]}, True),
        # A systemic corticosteroid of more than 90 days.
        (MR_SPINE, {"active": [{**PREDNISONE, "days_ago": 91}]}, True),
        (MR_SPINE, {"active": [{**PREDNISONE, "days_ago": 90}]}, False),
        (MR_SPINE, {"active": [{**PREDNISONE, "undated": True}]}, False),
        (MR_SPINE, {"active": [{"drug": "hydrocortisone 1 % Topical Cream", "days_ago": 200}]}, False),
        (MR_SPINE, {"active": [{"drug": "metformin 500 MG Oral Tablet", "days_ago": 200}]}, False),
    ],
)
def test_a_red_flag_of_back_pain(draft: Json, patient: Json, truth: bool | None) -> None:
    assert answer({"red_flag": True}, study_context_of(draft, **patient), FAMILY) is truth


def _hpv(days_ago: float) -> Json:
    return _smear(days_ago, "Detected", id="hpv", code=concept(code="77379-6", system=LOINC))


def _report(days_ago: float, conclusion: str | None = "", status: str = "final", **more: Any) -> Json:
    dated = {"id": "report", "effectiveDateTime": _day(days_ago), "conclusion": conclusion} | more
    return report(code="10524-7", status=status, patient="case", **dated)


def _done(days_ago: float | None, words: str = "Screening mammography", **more: Any) -> Json:
    done = {"performedDateTime": _day(days_ago)} if days_ago is not None else {}
    return builders.procedure(words, patient="case", id="done") | done | more


WOMAN: Json = {"sex": "female", "age": 45}


@for_rows(
    ("more", "day", "abnormal"),
    [
        ([], None, False),
        ([_smear()], _day(300), False),
        ([_smear(finding="HSIL")], _day(300), True),
        ([_smear(finding="NILM, no dysplasia")], _day(300), False),
        ([_smear(finding="x", interpretation=[{"coding": [{"code": "A"}]}])], _day(300), True),
        ([_smear(finding="x", interpretation=[{"coding": [{"code": "N"}]}])], _day(300), False),
        # The last one counts.
        ([_smear(400, "HSIL"), _smear(300, id="later")], _day(300), False),
        ([_smear(300, "HSIL"), _smear(400, id="earlier")], _day(300), True),
        ([_smear(300, "HSIL"), _smear(300, id="same")], _day(300), True),
        ([_smear(status="preliminary")], None, False),
        ([_report(200, "ASC-US")], _day(200), True),
        ([_report(200, status="appended")], _day(200), False),
        ([_report(200, status="registered")], None, False),
        ([_report(200, effectiveDateTime=None)], None, False),
        ([_report(200, effectiveDateTime=None, issued="2026-06-01T08:00:00Z")], "2026-06-01", False),
        ([_report(200, conclusionCode=[{"text": "Dysplasia"}])], _day(200), True),
        ([_report(200, None)], _day(200), False),
        # A test for HPV counts too, and what it found is not over with a later smear.
        ([_hpv(100)], _day(100), True),
        ([_smear(100), _hpv(300)], _day(100), True),
    ],
)
def test_the_last_cervical_screening(more: list[Json], day: str | None, abnormal: bool) -> None:
    context = study_context_of(PAP, **WOMAN, more=more)
    assert _word("last_same", context) == day
    assert _word("last_same_sentence", context) == (f"The last one was on {day}." if day else "")
    assert answer({"last_screening_abnormal": True}, context, FAMILY) is abnormal


@for_rows(
    ("procedure", "days", "truth"),
    [
        (_done(300), 300, True),
        (_done(301), 300, False),
        (_done(300, status="not-done"), 300, False),
        (_done(None), 300, False),
        (_done(None, performedPeriod={"start": _day(10)}), 300, True),
        (_done(None, performedPeriod={"end": _day(10)}), 300, False),
        (_done(10, "Appendectomy"), 300, False),
        (_done(10, code=None), 300, False),
    ],
)
def test_a_screening_that_was_a_procedure(procedure: Json, days: int, truth: bool) -> None:
    spec: Json = {"done_within_days": days, "of_group": "mammography"}
    assert answer(spec, study_context_of(PSA, more=[procedure]), FAMILY) is truth


def test_the_same_screening_within_its_days() -> None:
    context = study_context_of(PAP, **WOMAN, more=[_smear(300)])
    assert answer({"done_within_days": 300}, context, FAMILY) is True
    assert answer({"done_within_days": 299}, context, FAMILY) is False
    assert answer({"done_within_days": 300}, study_context_of(PSA, more=[_smear(300)]), FAMILY) is False
    assert predicate_of({"done_within_days": 300}, FAMILY).uses == {"last_same"}
    with pytest.raises(RuleError) as refused:
        predicate_of({"done_within_days": 300, "of_group": "zz"}, FAMILY)
    groups = "aorta, cervical, dxa, hpv, lung_ct, mammography, psa"
    assert str(refused.value) == f"of_group is one of {groups}"


@for_rows(
    ("words", "code", "symptom", "screening"),
    [
        ("", "", False, False),
        ("screening", "", False, True),
        ("asymptomatic", "", False, True),
        ("without symptoms", "", False, True),
        ("lower urinary symptoms", "", True, False),
        ("elevated last year", "", True, False),
        ("x", "Z12.5", False, True),
        ("x", "Z51.1", False, False),
    ],
)
def test_what_an_order_of_screening_says(words: str, code: str, symptom: bool, screening: bool) -> None:
    context = study_context_of(_says(PSA, words, *([code] if code else [])))
    assert answer({"says_symptom": True}, context, FAMILY) is symptom
    assert answer({"says_screening": True}, context, FAMILY) is screening


REMOVED = "after removal of the cervix without cervical disease"


@for_rows(
    ("patient", "removed", "reason"),
    [
        ({"age": 21}, False, None),
        ({"age": 65}, False, None),
        ({"age": 20}, False, "under 21"),
        ({"age": 66}, False, "over 65 where earlier screening was adequate"),
        ({"age": None}, False, None),
        ({"age": 40, "more": [_problem("x", None, "Z90.710")]}, True, REMOVED),
        ({"age": 40, "more": [_problem("x", None, "Z90.711")]}, False, None),
        ({"age": 40, "more": [_done(900, "Total abdominal hysterectomy")]}, True, REMOVED),
        ({"age": 40, "more": [_done(900, "Total abdominal hysterectomy", status="stopped")]}, False, None),
        ({"age": 40, "more": [_done(0, "Total abdominal hysterectomy", status="in-progress")]}, False, None),
        ({"age": 40, "more": [_done(900, code=None)]}, False, None),
        # A problem without a code, and one whose code has words alone.
        ({"age": 40, "more": [{**_problem("x"), "code": None}]}, False, None),
        ({"age": 40, "more": [{**_problem("x"), "code": {"coding": [{"display": "Cough"}]}}]}, False, None),
        ({"age": 40, "more": [_done(900, "Hysterectomy")]}, False, None),
        ({"age": 40, "more": [_problem("No total hysterectomy")]}, False, None),
        ({"age": 66, "more": [_problem("Total hysterectomy")]}, True, REMOVED),
    ],
)
def test_why_no_cervical_screening_is_advised(patient: Json, removed: bool, reason: str | None) -> None:
    context = study_context_of(PAP, sex="female", **patient)
    assert answer({"cervix_removed": True}, context, FAMILY) is removed
    assert _word("cervical_reason", context) == reason


def _smoking(code: str, day: str = "2026-06-01", text: str = "") -> Json:
    concept = {"coding": [{"system": "http://snomed.info/sct", "code": code}], **({"text": text} if text else {})}
    return observation("72166-2", when=day, patient="case", id="smoking", valueCodeableConcept=concept)


def _pack_years(years: float) -> Json:
    return observation("8664-5", years, "{PackYears}", "2026-06-01", patient="case", id="years")


NEVER, FORMER, CURRENT = "266919005", "8517006", "449868002"


@for_rows(
    ("age", "more", "reason", "outside"),
    [
        (50, [], None, False),
        (80, [], None, False),
        (49, [], "at 49", True),
        (81, [], "at 81", True),
        (None, [], None, None),
        (60, [_smoking(NEVER)], "in somebody who never smoked", True),
        (60, [_smoking(CURRENT)], None, False),
        (None, [_smoking(NEVER)], "in somebody who never smoked", True),
        (60, [_pack_years(19.5)], "with 19.5 pack-years", True),
        (60, [_pack_years(20)], None, False),
        # Stopped 15 years ago at the longest.
        (60, [_smoking(FORMER, "2011-11-19")], "after smoking stopped by 2011-11-19", True),
        (60, [_smoking(FORMER, "2011-11-20")], None, False),
    ],
)
def test_what_stands_against_lung_screening(
    age: int | None, more: list[Json], reason: str | None, outside: bool | None
) -> None:
    context = study_context_of(LUNG, age=age, more=more)
    assert _word("lung_reason", context) == reason
    assert answer({"outside_lung_screening": True}, context, FAMILY) is outside
    never = [one["valueCodeableConcept"]["coding"][0]["code"] for one in more if one["id"] == "smoking"] == [NEVER]
    assert answer({"never_smoked": True}, context, FAMILY) is never


def test_what_is_told_of_smoking() -> None:
    context = study_context_of(LUNG, more=[_smoking(FORMER, text="Former smoker"), _pack_years(12.5)])
    assert told({"outside_lung_screening": True}, context, FAMILY) == [
        Fact("smoking", "Former smoker", "former", effective="2026-06-01", source="Observation/smoking"),
        Fact("pack_years", "12.5 pack-years", "12.5", effective="2026-06-01", source="Observation/years"),
    ]
    assert told({"outside_lung_screening": True}, study_context_of(LUNG), FAMILY) == []


@for_rows(
    ("spec", "words"),
    [
        ({"contrast_reaction": {"to": "iodinated"}}, "a reaction to iodinated contrast"),
        (
            {"contrast_reaction": {"to": "gadolinium", "how": ["severe", "not severe"], "class_stated": False}},
            "a reaction to gadolinium contrast (severe or not severe), the class not stated",
        ),
        ({"contrast_reaction": {"to": "iodinated", "class_stated": True}}, "a reaction to iodinated contrast"),
        ({"implant": "unsafe"}, "an implant whose MR safety is unsafe"),
        ({"gadolinium_group": "II"}, "gadolinium group II"),
        ({"study_group": "ct"}, "a study of the group ct"),
        ({"done_within_days": 30}, "the same done in the last 30 days"),
        ({"done_within_days": 30, "of_group": "hpv"}, "hpv done in the last 30 days"),
        ({"onset_known": False}, "the problem list does not say when the low back pain began"),
        ({"red_flag": False}, "no red flag of back pain is in the order or on the problem list"),
    ],
)
def test_the_words_of_a_page(spec: Json, words: str) -> None:
    assert FAMILY.vocabulary.say(spec) == words


def test_without_a_last_result_there_is_nothing_to_repeat() -> None:
    context = study_context_of({"drug": "HbA1c", "test": "4548-4"}, active=[{"drug": "metformin 500 MG Oral Tablet"}])
    assert told({"repeated_early": True}, context, FAMILY) == []
    assert answer({"repeated_early": True}, context, FAMILY) is False
    assert answer({"treatment_changed": True}, context, FAMILY) is False
    assert answer({"ordered_as_series": True}, context, FAMILY) is False
    series = {"drug": "HbA1c", "test": "4548-4", "more": {"occurrenceTiming": {"repeat": {"count": 3}}}}
    assert answer({"ordered_as_series": True}, study_context_of(series), FAMILY) is True
    hba1c, metformin = {"drug": "HbA1c", "test": "4548-4"}, {"drug": "metformin 500 MG Oral Tablet"}
    assert answer({"treatment_changed": True}, study_context_of(hba1c, metformin), FAMILY) is True
    # What is ordered after the day of the last result changes the treatment.
    result = observation("4548-4", when=_day(30), patient="case", id="hba1c")
    for dated, truth in (({"days_ago": 29}, True), ({"days_ago": 30}, False), ({"undated": True}, False)):
        context = study_context_of(hba1c, active=[metformin | dated], more=[result])
        assert answer({"treatment_changed": True}, context, FAMILY) is truth


def _long(words: str, length: int) -> tuple[str, str]:
    """Words that are too long, and what is left of them."""
    return f"{words} {'0' * 100}", f"{words} {'0' * (length - len(words) - 2)}…"


def test_long_words_of_the_chart_are_cut() -> None:
    words, entry = _long("Iodinated contrast", 60)
    context = study_context_of(CT, allergies=[_reaction(words, _long("Hives", 30)[0])])
    assert _word("iodine_entry", context) == f"Entry: {entry}."
    assert _word("iodine_reaction", context) == _long("hives", 30)[1]
    (fact,) = told({"contrast_reaction": {"to": "iodinated"}}, context, FAMILY)
    assert fact.text == _long("Iodinated contrast", 80)[1]
    words, device = _long("Cardiac pacemaker", 60)
    implant = study_context_of(MR_BRAIN, more=[_device(words)])
    assert _word("device", implant) == device
    (fact,) = told({"implant": "undocumented"}, implant, FAMILY)
    assert fact.text == _long("Cardiac pacemaker", 80)[1]
    words, smoker = _long("Former smoker", 60)
    (fact,) = told({"never_smoked": True}, study_context_of(LUNG, more=[_smoking(FORMER, text=words)]), FAMILY)
    assert fact.text == smoker
