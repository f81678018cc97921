"""What the conditions of a rule may ask of one drafted drug: doubts, notes, pairs, running orders, what is missing."""

from datetime import timedelta
from typing import Any

import pytest

from cards.extension import Fact
from cards.rules.language.trigger import CompiledTrigger, Selector
from cards.rules.patient.context import RuleContext, meant_name
from tests.cards.rules.contexts import AS_OF, beside_of, context_of, session_of
from tests.each import for_rows
from tests.fhir.builders import medication_order, observation, problem

Json = dict[str, Any]
METFORMIN: Json = {"drug": "metformin 500 MG Oral Tablet", "dose": "1 tablet", "times": 2}
WARFARIN: Json = {"drug": "warfarin 5 MG Oral Tablet", "dose": "1 tablet", "times": 1}
ASPIRIN: Json = {"drug": "aspirin 81 MG Oral Tablet", "dose": "1 tablet", "times": 1}
WARFARIN_CODE, ASPIRIN_CODE, METFORMIN_CODE = "11289", "1191", "6809"


def _negative_test(days_ago: int) -> Json:
    day = (AS_OF - timedelta(days=days_ago)).date().isoformat()
    return observation("2106-3", when=day, patient="case", id="hcg", valueCodeableConcept={"text": "Negative"})


@for_rows(
    ("patient", "uses", "note"),
    [
        ({"conditions": [["pregnancy", 60]], "more": [_negative_test(10)]}, ["condition:pregnancy"],
         ["A pregnancy test on 2026-11-10 was negative."]),
        ({"conditions": [["pregnancy", 60]], "more": [_negative_test(10)]}, ["condition:hf"], []),
        ({"conditions": [["pregnancy", 60]], "more": [_negative_test(70)]}, ["condition:pregnancy"], []),
        ({"conditions": [["pregnancy", 60]]}, ["condition:pregnancy"], []),
        ({"more": [_negative_test(10)]}, ["condition:pregnancy"], []),
    ],
)  # fmt: skip
def test_a_negative_test_after_a_pregnancy_was_charted(patient: Json, uses: list[str], note: list[str]) -> None:
    context = context_of(METFORMIN, sex="female", age=30, **patient)
    assert context.notes(uses) == note
    assert context.is_unsure(uses, critical=False) is bool(note)


def test_what_is_doubtful_is_told_where_no_problem_of_a_finding_is_confirmed() -> None:
    doubt: Json = {"verificationStatus": {"coding": [{"code": "provisional"}]}, "patient": "case"}
    failure, gout = (problem(words, id=words.lower(), **doubt) for words in ("Failure", "Gout"))
    context = context_of(METFORMIN, more=[failure, gout, problem("Asthma", patient="case", id="asthma")])
    for names, doubts in (
        (["failure"], ("Failure: charted as provisional.",)),
        (["gout", "failure"], ("Failure: charted as provisional.", "Gout: charted as provisional.")),
        (["failure", "asthma"], ()),
        (["asthma"], ()),
    ):
        assert context.doubts_of([Fact("condition", source=f"Condition/{name}") for name in names]) == doubts
    assert context.doubts_of([Fact("result", source="Condition/failure")]) == ()


def test_a_pregnancy_is_shown_with_its_date() -> None:
    context = context_of(METFORMIN, sex="female", age=30, conditions=[["pregnancy", 60]])
    (fact,) = context.condition_facts("pregnancy")
    assert (fact.text, fact.value, fact.effective) == ("pregnancy", "72892002", "2026-09-21")
    assert context.condition_facts("hf") == []
    assert [context.has_condition(key) for key in ("pregnancy", "hf")] == [True, False]
    assert context_of(METFORMIN, not_sent=["Condition"]).has_condition("hf") is None


UNREADABLE: Json = medication_order("Zaubertrank", patient="case", id="u", authoredOn="2026-11-01")


@for_rows(("uses", "is_said"), [(["without-drug"], True), (["childbearing"], True), (["active"], False), ([], False)])
def test_what_cannot_be_read_on_the_list_matters_where_a_drug_is_not_taken(uses: list[str], is_said: bool) -> None:
    note = ["Not readable on the medication list: Zaubertrank."] if is_said else []
    assert context_of(METFORMIN, more=[UNREADABLE]).notes(uses) == note
    assert context_of(METFORMIN).notes(uses) == []


@for_rows(
    ("active", "note"),
    [
        ([], None),
        ([{**METFORMIN, "days_ago": 10}],
         "Metformin is on the active list (ordered 2026-11-10): that order needs the same decision."),
        ([{**METFORMIN, "undated": True}], "Metformin is on the active list: that order needs the same decision."),
        ([WARFARIN], None),
    ],
)  # fmt: skip
def test_an_order_of_the_drug_goes_on_whatever_is_done_with_the_draft(active: list[Json], note: str | None) -> None:
    assert context_of(METFORMIN, active=active).running_note() == note
    # Another draft of the drug is no order that goes on.
    assert context_of(METFORMIN, METFORMIN).running_note() is None


NOT_SENT = ["MedicationRequest", "MedicationStatement"]
BARE: Json = {"drug": METFORMIN["drug"]}


@for_rows(
    ("draft", "patient", "uses", "why"),
    [
        (BARE, {}, ["dose"], ("dose-not-entered", "the dose is not stated.")),
        ({**BARE, "dose": "1 tablet"}, {}, ["dose"],
         ("dose-unknown", "the daily dose cannot be computed: the frequency is not stated.")),
        (METFORMIN, {"not_sent": NOT_SENT}, ["active"], ("medications-missing", "the medication list is not known.")),
        (BARE, {}, ["each_dose"], ("dose-not-entered", "the dose is not stated.")),
        (BARE, {}, ["frequency"], ("dose-not-entered", "the frequency is not stated.")),
        (BARE, {}, ["duration"], ("duration-not-entered", "the duration is not stated.")),
        (METFORMIN, {}, ["weight"], ("weight-missing", "no weight on record.")),
        (METFORMIN, {"age": 10, "labs": [["body_weight", 30, 91]]}, ["weight"],
         ("weight-missing", "the weight on record is too old for a child.")),
        (METFORMIN, {"age": None}, ["age"], ("age-missing", "no birth date on record.")),
        (METFORMIN, {"sex": None}, ["sex"], ("sex-missing", "no sex on record.")),
        (METFORMIN, {"age": None, "labs": [["body_weight", 70, 3]]}, ["age"],
         ("age-missing", "no birth date on record.")),
        (METFORMIN, {"sex": None, "not_sent": ["body_weight"]}, ["sex"], ("sex-missing", "no sex on record.")),
        (METFORMIN, {"not_sent": ["Condition"]}, ["lab:potassium"], ("data-missing", "not known: potassium.")),
        (METFORMIN, {}, ["gestation"], ("gestation-unknown", "the week of pregnancy is not on record.")),
        (METFORMIN, {"not_sent": ["Condition"]}, ["conditions"],
         ("conditions-missing", "the problem list is not known.")),
        (METFORMIN, {}, ["lab:potassium", "lab:body_weight"], ("data-missing", "not known: potassium, weight.")),
        (METFORMIN, {}, ["something"], ("data-missing", "not known: a fact that it needs.")),
        # The dose comes before the list, the list before the rest.
        (BARE, {"not_sent": NOT_SENT}, ["dose", "active", "sex"], ("dose-not-entered", "the dose is not stated.")),
        (METFORMIN, {"not_sent": NOT_SENT}, ["dose", "active", "lab:inr"],
         ("medications-missing", "the medication list is not known.")),
    ],
)  # fmt: skip
def test_why_something_is_not_known(draft: Json, patient: Json, uses: list[str], why: tuple[str, str]) -> None:
    assert context_of(draft, **patient).why_unknown(uses) == why


def test_before_signing_what_is_missing_is_not_entered_yet() -> None:
    context = context_of(BARE)
    assert context.not_entered == "not stated"
    context.session.signing = False
    assert (context.not_entered, context.why_no_dose()) == (
        "not entered yet", ("dose-not-entered", "the dose is not entered yet."))  # fmt: skip


def _valid(start: str, end: str) -> Json:
    return {"dispenseRequest": {"validityPeriod": {"start": start, "end": end}}}


@for_rows(
    ("more", "patient", "days"),
    [
        (_valid("2026-11-20", "2026-11-30"), {}, None),
        (_valid("2026-11-20", "2026-11-30"), {"inpatient": True}, 11.0),
        (_valid("2026-11-20T08:00:00Z", "2026-11-20T20:00:00Z"), {}, 0.5),
        ({**_valid("2026-11-20", "2026-11-30"), "category": [{"coding": [{"code": "discharge"}]}]}, {"inpatient": True},
         None),
        (_valid("2026-11-20", "2026-11-20"), {}, None),
        ({}, {"inpatient": True}, None),
        ({**_valid("2026-11-20", "2026-11-30"), "encounter": {"display": "Ward 3"}}, {"inpatient": True}, 11.0),
        ({**_valid("2026-11-20", "2026-11-30"), "category": ["x", {}, {"coding": ["x", {"code": "Inpatient"}]}]}, {},
         11.0),
    ],
)  # fmt: skip
def test_how_long_a_hospitals_order_lasts(more: Json, patient: Json, days: float | None) -> None:
    assert context_of({**METFORMIN, "more": more}, **patient).duration_days == days
    stated = context_of({**METFORMIN, "days": 7, "more": {}}, **patient)
    assert stated.duration_days == 7.0


STATEMENT: Json = {"resourceType": "MedicationStatement", "id": "s", "status": "unknown",
                   "subject": {"reference": "Patient/case"}, "dateAsserted": "2026-11-10",
                   "medicationCodeableConcept": {"text": WARFARIN["drug"]}}  # fmt: skip


def test_partners_of_which_nobody_knows_are_told_where_all_are_such() -> None:
    session = session_of(METFORMIN, ASPIRIN, more=[STATEMENT])
    drafted = session.drafted[0]
    partners = list(session.partners_of(drafted, [Selector(frozenset({WARFARIN_CODE, ASPIRIN_CODE}))]))
    assert [one.is_uncertain for one in partners] == [False, True]
    one_key = session.partners_of(drafted, [_selector(WARFARIN_CODE, ASPIRIN_CODE)], frozenset({ASPIRIN_CODE}))
    assert [one.medication.name for one in one_key] == ["aspirin"]
    ingredient = drafted.medication.ingredients[0]
    uncertain = RuleContext(session, drafted, ingredient, partners=(partners[1],))
    assert uncertain.uncertain_partners() == (
        "Whether warfarin is taken is not known: its status on the chart is unknown.",)  # fmt: skip
    assert RuleContext(session, drafted, ingredient, partners=tuple(partners)).uncertain_partners() == ()
    assert RuleContext(session, drafted, ingredient).uncertain_partners() == ()


def _selector(*codes: str) -> Selector:
    return Selector(frozenset(codes))


@pytest.mark.parametrize(
    ("codes", "selected", "name"),
    [
        ("aspirin 25 MG / dipyridamole 200 MG Oral Capsule", [ASPIRIN_CODE], "aspirin"),
        ("aspirin 25 MG / dipyridamole 200 MG Oral Capsule", ["0"], "aspirin/dipyridamole"),
    ],
)
def test_what_is_meant_of_a_mixture_has_its_name(codes: str, selected: list[str], name: str) -> None:
    context = beside_of(METFORMIN, {"drug": codes})
    assert meant_name(_selector(*selected), context.partners[0]) == name


SIDES = CompiledTrigger((), ((_selector(WARFARIN_CODE, METFORMIN_CODE),), (_selector(ASPIRIN_CODE, METFORMIN_CODE),)))
OF_GLIPIZIDE = CompiledTrigger((), ((_selector(METFORMIN_CODE),), (_selector("4821", METFORMIN_CODE),)))
MIXED_WITH_METFORMIN: Json = {"drug": "glipizide 5 MG / metformin 500 MG Oral Tablet"}
MIXED: Json = {"drug": "aspirin 25 MG / dipyridamole 200 MG Oral Capsule"}


def _pair(draft: Json, *taken: Json, trigger: CompiledTrigger | None = SIDES) -> RuleContext:
    context = beside_of(draft, *taken)
    return RuleContext(context.session, context.drafted, context.ingredient, partners=context.partners, trigger=trigger)


@for_rows(
    ("context", "first", "second", "partners"),
    [
        (_pair(WARFARIN, ASPIRIN), ["warfarin"], ["aspirin"], ["aspirin"]),
        (_pair(ASPIRIN, WARFARIN), ["warfarin"], ["aspirin"], ["warfarin"]),
        # Of a mixture only the part that is of the other side.
        (_pair(WARFARIN, MIXED), ["warfarin"], ["aspirin"], ["aspirin"]),
        (_pair(MIXED, WARFARIN), ["warfarin"], ["aspirin"], ["warfarin"]),
        (_pair(WARFARIN, ASPIRIN, MIXED), ["warfarin"], ["aspirin"], ["aspirin"]),
        # A drug of both sides stands on the one that the other is not.
        (_pair(METFORMIN, WARFARIN), ["warfarin"], ["metformin"], ["warfarin"]),
        (_pair(METFORMIN, ASPIRIN), ["metformin"], ["aspirin"], ["aspirin"]),
        # What is drafted is no partner of itself, also where a mixture holds it.
        (_pair(METFORMIN, MIXED_WITH_METFORMIN, trigger=OF_GLIPIZIDE), ["metformin"], ["glipizide"], ["glipizide"]),
        (_pair(WARFARIN, ASPIRIN, trigger=None), [], [], ["aspirin"]),
        (_pair(WARFARIN), [], [], []),
        (_pair(WARFARIN, MIXED, trigger=None), [], [], ["aspirin/dipyridamole"]),
    ],
)
def test_the_two_sides_of_a_pair(
    context: RuleContext, first: list[str], second: list[str], partners: list[str]
) -> None:
    assert (context.side_names(0), context.side_names(1), context.partner_names()) == (first, second, partners)
    assert {fact.value for fact in context.partner_facts()} == set(partners)


@for_rows(
    ("where", "others", "active", "is_beside"),
    [
        ("any", [], [ASPIRIN], True),
        ("draft", [], [ASPIRIN], False),
        ("draft", [ASPIRIN], [], True),
        ("any", [WARFARIN], [WARFARIN], False),
    ],
)
def test_a_product_that_is_drafted_or_taken(
    where: str, others: list[Json], active: list[Json], is_beside: bool
) -> None:
    assert context_of(METFORMIN, *others, active=active).is_beside(ASPIRIN_CODE, where) is is_beside


HYDROCHLOROTHIAZIDE, DIGOXIN = "5487", "3407"
TWO_DRUGS: Json = {"drug": "lisinopril 10 MG / hydrochlorothiazide 12.5 MG Oral Tablet"}


@for_rows(
    ("others", "active", "rxcui", "daily"),
    [
        ([], [], ASPIRIN_CODE, 0.0),
        ([], [ASPIRIN], ASPIRIN_CODE, 81.0),
        # An active order without a dosage counts as one unit a day, a draft does not; a solution has no units.
        ([], [TWO_DRUGS], HYDROCHLOROTHIAZIDE, 12.5),
        ([TWO_DRUGS], [], HYDROCHLOROTHIAZIDE, None),
        ([], [{"drug": "digoxin 0.05 MG/ML Oral Solution"}], DIGOXIN, None),
        ([], [ASPIRIN, {"drug": "aspirin 325 MG Oral Tablet"}], ASPIRIN_CODE, 325.0),
        ([], [ASPIRIN, {"drug": "aspirin 325 MG Oral Tablet", "dose": "1 tablet"}], ASPIRIN_CODE, None),
    ],
)
def test_the_milligrams_a_day_of_a_drug(
    others: list[Json], active: list[Json], rxcui: str, daily: float | None
) -> None:
    assert context_of(METFORMIN, *others, active=active).drug_daily_mg(rxcui) == daily


def test_a_product_that_is_not_known_is_beside_nothing() -> None:
    assert context_of(METFORMIN, active=[ASPIRIN]).is_beside("0", "any") is False
