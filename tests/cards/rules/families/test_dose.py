"""Doses: the tables and the triggers agree, limits are sharp, one dose in other words is the same, older rules win."""

from datetime import datetime
from typing import Any

import pytest
from msgspec.structs import replace

from cards.extension import Fact
from cards.rules.conditions.condition import needs
from cards.rules.engine.rule_book import rule_book
from cards.rules.families.ddi.conditions import is_treatment
from cards.rules.families.dose import texts
from cards.rules.families.dose.family import FAMILY
from cards.rules.families.dose.knowledge import EVIDENCE, LIMITS, PLAUSIBLE_DOSES, Limit
from cards.rules.families.dose.rows import infusion_hours, per_hour_of, rows_for
from cards.rules.families.dose.sums import TIMES_RECOMMENDED, Excess, judged, taken_beside
from cards.rules.language.rule import OrderChange, Sig
from fhir.mapping.medications.daily_dose import daily_dose
from fhir.mapping.medications.identity import identify_concept
from fhir.record.datatypes import CodeableConcept
from fhir.terminology.conditions import CONDITION_GROUPS
from fhir.terminology.medications import INGREDIENTS
from tests.cards.rules.cases import check, findings
from tests.cards.rules.contexts import answer, context_of, predicate_of, told
from tests.cards.rules.patients import draft_of, drafts_of, record_of
from tests.each import for_rows
from tests.fhir.builders import coded, encounter, identity_of, order

Json = dict[str, Any]


def _dose_findings(as_of: datetime, patient: Json, *drafts: Json) -> list[tuple[str, str, str]]:
    resources = [draft_of(draft, f"draft-{number}") for number, draft in enumerate(drafts)]
    outcome = check(record_of(patient, as_of), drafts_of(*resources), None)
    return [one for one in findings(outcome) if one[0].startswith("dose-")]


def _triggered(rule: str) -> dict[str, str]:
    declared = next(one.declared for one in rule_book().rules if one.id == rule)
    return {drug.rxcui: drug.name for selector in declared.trigger.draft for drug in selector.ingredients}


def test_a_rule_is_activated_by_the_drugs_of_its_table() -> None:
    assert _triggered("dose-max") == {rxcui: rows[0].drug for rxcui, rows in LIMITS.items()}
    assert _triggered("dose-plausible") == {rxcui: row.drug for rxcui, row in PLAUSIBLE_DOSES.items()}


def test_every_row_names_a_known_drug_a_known_condition_and_a_document() -> None:
    for rxcui, rows in LIMITS.items():
        for row in rows:
            assert INGREDIENTS[rxcui].name == row.drug
            assert row.source in EVIDENCE
            assert {row.condition, row.without_condition} <= {"", *CONDITION_GROUPS}
            assert row.most > 0
            assert row.ages
    used = {row.source for rows in LIMITS.values() for row in rows}
    assert used == set(EVIDENCE) - {"fda_mrdd"}
    assert all(INGREDIENTS[rxcui].name == row.drug for rxcui, row in PLAUSIBLE_DOSES.items())


def test_no_maximum_dose_is_taken_for_an_error() -> None:
    for rxcui, rows in LIMITS.items():
        row = PLAUSIBLE_DOSES.get(rxcui)
        most = max(
            (one.most for one in rows if not (one.per_kg or one.per_dose or one.route == "injected")), default=0.0
        )
        assert row is None or most <= TIMES_RECOMMENDED * row.recommended_mg_day, rows[0].drug


def test_a_rule_yields_to_rules_that_exist() -> None:
    known = {rule.id for rule in rule_book().rules}
    bands = {f"{rule.id}/{band.declared.id}" for rule in rule_book().rules for band in rule.bands}
    named = {name for rule in rule_book().rules for name in rule.declared.yields_to}
    assert named
    assert named <= known | bands


LIMITED_IN = [row for rows in LIMITS.values() for row in rows if row.condition and not row.form]


@pytest.mark.parametrize("row", LIMITED_IN, ids=lambda row: f"{row.drug}-{row.condition}")
def test_a_limit_in_a_disease_is_put_into_words(row: Limit, as_of: datetime) -> None:
    form = " injection" if row.route else " Oral Tablet"
    draft = {"drug": row.drug + form, "dose": f"{row.most * 2000} {row.unit}", "times": 1}
    patient = {"age": 40, "sex": "female", "conditions": [row.condition], "labs": [["body_weight", 70, 5]]}
    assert [band for rule, band, _ in _dose_findings(as_of, patient, draft) if rule == "dose-max"] == ["ten_fold"]


FIRM = [
    (row.drug, row.most, row.unit)
    for rows in LIMITS.values()
    for row in rows
    if row.is_firm and not (row.per_kg or row.per_dose or row.form or row.condition or row.setting)
    # The lowest of several rows of one drug and age is the one that speaks.
    if row.ages.start == 18 and row.most == min(one.most for one in rows if one.ages.start == 18)
]


@for_rows(("drug", "most", "unit"), FIRM)
def test_a_maximum_dose_is_sharp(drug: str, most: float, unit: str, as_of: datetime) -> None:
    def bands(amount: float) -> set[str]:
        draft = {"drug": drug, "dose": f"{amount} {unit}", "times": 1}
        return {band for rule, band, _ in _dose_findings(as_of, {"age": 50}, draft) if rule == "dose-max"}

    assert bands(most) == set()
    assert bands(most * 0.999) == set()
    assert bands(most * 1.001) == {"over_max"}


@for_rows(
    "draft",
    [
        {"drug": "sertraline 100 MG Oral Tablet", "dose": "3 tablet", "times": 1},
        {"drug": "sertraline 50 MG Oral Tablet", "dose": "3 tablet", "times": 2},
        {"drug": "sertraline", "dose": "300 mg", "times": 1},
        {"drug": "sertraline", "dose": "0.3 g", "times": 1},
        {"drug": "sertraline", "dose": "300000 ug", "times": 1},
        {"drug": "Zoloft 100 mg tablet", "more": {"dosageInstruction": [{"text": "take 3 tablets once daily"}]}},
    ],
)
def test_one_dose_in_other_words_is_the_same_finding(draft: Json, as_of: datetime) -> None:
    assert _dose_findings(as_of, {}, draft) == [("dose-max", "over_max", "warning")]


def test_a_loading_dose_is_measured_by_limits_of_one_dose_not_by_what_is_taken_for_months(as_of: datetime) -> None:
    def bands(words: str) -> set[str]:
        draft = {"drug": "clopidogrel 75 mg tablet", "more": {"dosageInstruction": [{"text": words}]}}
        return {band for _, band, _ in _dose_findings(as_of, {"age": 50}, draft)}

    assert bands("600 mg once") == set()
    assert bands("6000 mg once") == {"ten_fold"}
    assert bands("750 mg once daily") != set()


# Doses that single families judge by themselves, on the limit and beside it.


@for_rows(
    ("drug", "sig", "treats"),
    [
        ("dalteparin", "inject 5,000 units subcutaneously once daily", False),
        ("dalteparin", "inject 7,500 units subcutaneously once daily", False),
        ("dalteparin", "inject 7,501 units subcutaneously once daily", True),
        ("dalteparin", "inject 5,000 units subcutaneously twice daily", True),
        ("dalteparin 7,500 units", "once daily", False),
        ("dalteparin 7,500 units", "twice daily", True),
        ("dalteparin", "once daily", None),
        ("dalteparin 7,500 units", "as directed", None),
        ("enoxaparin", "60 mg subcutaneously once daily", False),
        ("enoxaparin", "30 mg subcutaneously twice daily", False),
        ("enoxaparin", "61 mg subcutaneously once daily", True),
        ("fondaparinux", "2.5 mg subcutaneously once daily", False),
        ("fondaparinux", "5 mg subcutaneously once daily", True),
        ("warfarin", "2 mg daily", True),
        ("apixaban", "as directed", True),
        ("heparin", "5000 units subcutaneously every 8 hours", False),
        ("heparin", "heparin drip per protocol", True),
        ("heparin", "18 units/kg/h", True),
        ("aspirin", "81 mg daily", False),
    ],
)
def test_an_anticoagulant_is_given_for_treatment_from_its_dose_on(drug: str, sig: str, treats: bool | None) -> None:
    identity, drafted = identity_of(drug), order(drug, {"text": sig})
    assert is_treatment(identity, daily_dose(drafted, identity), sig) is treats


# Doses over a maximum: how far over is too far, what adds up, what is not known, and what a card says of it.
SERTRALINE: Json = {"drug": "sertraline 100 MG Oral Tablet", "dose": "3 tablet", "times": 1}
ONE_MORE: Json = {"drug": "sertraline 50 MG Oral Tablet", "dose": "1 tablet", "times": 1, "days_ago": 10}
SYRUP: Json = {"drug": "acetaminophen 160 MG/5 ML Oral Solution", "dose": "750 mg", "times": 4}
OUTPATIENT: Json = {"category": [{"coding": [{"code": "Outpatient"}]}]}
CISPLATIN_VIAL = "cisplatin 1 MG/ML Injection"
TALL: Json = {"labs": [["body_weight", 70, 3], ["body_height", 170, 3]]}
WORKDAYS = ["mon", "tue", "wed", "thu", "fri"]
PAGE = "An alarm by plausibility: the label's own maximum has not been read."


def _limit(**more: Any) -> Limit:
    row: Json = {
        "drug": "x", "rxcui": "1", "route": "", "form": "", "population": "", "ages": range(18, 201), "condition": "",
        "without_condition": "", "setting": "", "weight_from_kg": None, "weight_to_kg": None, "most": 100.0,
        "per_dose": False, "per_kg": False, "per_week": False, "is_firm": False, "is_narrow": False, "is_wide": False,
        "labelled_from": None, "note": "", "source": "", "page": "",
    }  # fmt: skip
    return Limit(**{**row, **more})


FIRST = {"population": "first order"}


@for_rows(
    ("limit", "more", "far", "ten_fold"),
    [
        # A target of a label and what some uses reach: three times. A narrow range: twice.
        ({}, {}, 3.0, 5.0),
        ({"is_wide": True}, {}, 3.0, 10.0),
        ({"is_firm": True}, {}, 3.0, 5.0),
        ({"is_narrow": True}, {}, 2.0, 5.0),
        # What no label says: an alarm by plausibility.
        ({"is_lead": True}, {}, 5.0, 10.0),
        ({"is_lead": True, "is_narrow": True}, {}, 5.0, 5.0),
        # For each kilogram one and a half times, for each square metre one and a quarter.
        ({"per_kg": True}, {}, 1.5, 5.0),
        ({"per_kg": True, "is_wide": True}, {}, 2.0, 10.0),
        ({"per_area": True}, {}, 1.25, 5.0),
        # Many begin with more than the usual first dose.
        (FIRST, {}, 3.0, 10.0),
        ({**FIRST, "is_narrow": True}, {}, 2.0, 10.0),
        ({**FIRST, "per_kg": True}, {}, 2.0, 50.0),
        ({}, {"is_least": True}, 2.0, 5.0),
        ({"ten_fold_from": 250.0}, {}, 3.0, 2.5),
    ],
)
def test_how_far_over_a_limit_is_too_far(limit: Json, more: Json, far: float, ten_fold: float) -> None:
    def excess(times: float) -> Excess:
        return Excess(_limit(**limit), 100.0 * times, (), **more)

    assert [excess(far * part).is_far_over for part in (0.999, 1.0, 1.001)] == [False, True, True]
    assert [excess(ten_fold * part).is_ten_fold for part in (0.999, 1.0, 1.001)] == [False, True, True]


def test_a_tenth_is_that_of_a_limit_for_every_child(monkeypatch: pytest.MonkeyPatch) -> None:
    """What holds in a disease, or for adults, does not make a child's dose a usual one."""
    every, low = (_limit(rxcui="161", most=most, per_kg=True) for most in (10.0, 0.5))
    in_disease = _limit(rxcui="161", most=0.5, per_kg=True, condition="hf")
    syrup = {"drug": SYRUP["drug"], "dose": "5 mg", "times": 1}
    for others, is_under in (
        ([], True), ([(in_disease, False)], True), ([(low, True)], True), ([(low, False)], False),
    ):  # fmt: skip
        rows = [(every, False), *others]
        monkeypatch.setattr("cards.rules.families.dose.sums.rows_for", lambda *_, rows=rows: rows)
        context = context_of(syrup, age=3, labs=[["body_weight", 10, 3]])
        assert answer({"under_tenth": True}, context, FAMILY) is is_under
        adult = context_of(syrup | {"dose": "30 mg"}, age=18, labs=[["body_weight", 60, 3]])
        assert answer({"under_tenth": True}, adult, FAMILY) is False


def test_a_firm_maximum_goes_before_a_target_that_is_more_exceeded(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [(_limit(rxcui="36437", most=110.0), False), (_limit(rxcui="36437", most=200.0, is_firm=True), False)]
    monkeypatch.setattr("cards.rules.families.dose.sums.rows_for", lambda *_: rows)
    excess = judged(context_of(SERTRALINE)).excess
    assert excess is not None
    assert excess.limit.most == 200.0


def test_a_child_is_never_above_the_maximum_of_adults() -> None:
    firm = _limit(is_firm=True)
    assert [Excess(firm, 200.0, (), of_adult).is_firm for of_adult in (False, True)] == [True, True]
    assert not Excess(_limit(), 200.0, ()).is_firm
    assert 1.999 < Excess(firm, 200.0, ()).times < 2.001


NOTHING = dict.fromkeys(FAMILY.placeholders) | {"note": "", "micrograms_meant": ""}
ONCE: Json = {"how_often": "once a day", "times": "1"}


@for_rows(
    ("draft", "patient", "words"),
    [
        (SERTRALINE, {}, {"over_drug": "sertraline", "amount": "300 mg/day", "most": "the maximum of 200 mg/day"}),
        ({**SERTRALINE, "dose": "2 tablet"}, {}, {"times": None}),
        # 200 mg and 50 mg; 25 mg more; the same product is replaced by the draft.
        (
            {**SERTRALINE, "dose": "2 tablet"}, {"active": [ONE_MORE]},
            {"over_drug": "sertraline", "amount": "250 mg/day with the other order",
             "most": "the maximum of 200 mg/day"},
        ),
        (
            {**SERTRALINE, "dose": "2 tablet"}, {"active": [ONE_MORE, {**ONE_MORE, "drug":
                                                 "sertraline 25 MG Oral Tablet"}]},
            {"over_drug": "sertraline", "amount": "275 mg/day with 2 other orders",
             "most": "the maximum of 200 mg/day"},
        ),
        ({**SERTRALINE, "dose": "2 tablet"}, {"active": [{**SERTRALINE, "dose": "1 tablet"}]}, {"times": None}),
        # FDA's recommended maximum is 199.8 mg a day: over three times that is an error of writing.
        (
            {**SERTRALINE, "dose": "30 tablet"}, {},
            {"over_drug": "sertraline", "amount": "3,000 mg/day", "most": "the maximum of 200 mg/day", "times": "15",
             "times_recommended": "15", "far_drug": "sertraline", "written": "3,000 mg/day",
             "recommended": "199.8 mg/day"},
        ),
        # 750 mg at 10 kg are 75 mg/kg in one dose.
        (
            SYRUP, {"age": 3, "labs": [["body_weight", 10, 3]]},
            {"over_drug": "acetaminophen", "amount": "75 mg/kg a dose", "most": "the usual maximum of 15 mg/kg a dose",
             "note": PAGE, "times": "5", "how_often": "4 times a day"},
        ),
        # What is given beside it is no part of one dose.
        (
            SYRUP,
            {"age": 3, "labs": [["body_weight", 10, 3]],
             "active": [{"drug": "acetaminophen 80 MG Chewable Tablet", "dose": "1 tablet", "times": 1}]},
            {"over_drug": "acetaminophen", "amount": "75 mg/kg a dose", "most": "the usual maximum of 15 mg/kg a dose",
             "note": PAGE, "times": "5", "how_often": "4 times a day"},
        ),
        (
            {"drug": "alprazolam 3 MG Extended Release Oral Tablet", "dose": "3 tablet", "times": 1}, {"age": 70},
            {"over_drug": "alprazolam", "amount": "9 mg/day", "most": "the maximum of 6 mg/day (extended release)"},
        ),
        (
            {"drug": "bisoprolol 10 MG Oral Tablet", "dose": "12 mg", "times": 1},
            {"conditions": ["hf"], "active": ["bisoprolol 10 MG Oral Tablet"]},
            {"over_drug": "bisoprolol", "amount": "12 mg/day",
             "most": "the usual maximum of 10 mg/day in heart failure",
             "note": "In heart failure; other uses may go higher."},
        ),
        ({"drug": "bisoprolol 10 MG Oral Tablet", "dose": "12 mg", "times": 1}, {}, {"times": None}),
        (
            {"drug": "ezetimibe 10 MG Oral Tablet", "dose": "20 mg", "times": 1}, {"age": 10},
            {"over_drug": "ezetimibe", "amount": "20 mg/day", "most": "the adult maximum of 10 mg/day", "times": "2"},
        ),
        (
            {"drug": "dulaglutide injection", "dose": "3 mg", "times": 1}, {},
            {"over_drug": "dulaglutide", "amount": "21 mg a week", "most": "the usual maximum of 4.5 mg a week",
             "note": "", "times": "4"},
        ),
        (
            {"drug": "potassium chloride 20 MEQ Oral Tablet", "dose": "250 meq", "times": 1}, {},
            {"over_drug": "potassium chloride", "amount": "250 mEq/day", "most": "the maximum of 200 mEq/day"},
        ),
        (
            {"drug": "levothyroxine 0.3 MG Oral Tablet", "dose": "1 tablet", "times": 1}, {"age": 70},
            {"over_drug": "levothyroxine", "amount": "300 mcg/day",
             "most": "the usual maximum first dose of 50 mcg/day",
             "note": "Over 50 years it begins with less than 50 mcg a day, with heart disease 25 mcg. " + PAGE,
             "times": "6"},
        ),
        (
            {"drug": "levothyroxine 0.2 MG Oral Tablet", "dose": "1 tablet", "times": 1},
            {"age": 70, "active": ["levothyroxine 0.2 MG Oral Tablet"]}, {"times": None},
        ),
        # 150 mg is the maximum of outpatients, 300 mg that of others.
        (
            {"drug": "amitriptyline 50 MG Oral Tablet", "dose": "200 mg", "times": 1, "more": OUTPATIENT}, {},
            {"over_drug": "amitriptyline", "amount": "200 mg/day", "most": "the maximum of 150 mg/day",
             "note": "For outpatients."},
        ),
        ({"drug": "amitriptyline 50 MG Oral Tablet", "dose": "200 mg", "times": 1}, {}, {"times": None}),
        # Of the products of both drugs the one with the least acetaminophen has 300 mg beside 10 mg: 6000 × 300 / 310.
        (
            {"drug": "acetaminophen 500 MG / oxycodone 5 MG Oral Tablet", "dose": "6000 mg", "times": 1}, {},
            {"over_drug": "acetaminophen", "amount": "at least 5,806.5 mg/day", "most": "the maximum of 4,000 mg/day",
             "note": "Combination products count. The order does not say of which ingredient the mass is; counted is "
                     "the least that it can be."},
        ),
        # What such a mass is at least is not added to what is taken beside it.
        (
            {"drug": "acetaminophen 500 MG / oxycodone 5 MG Oral Tablet", "dose": "6000 mg", "times": 1},
            {"active": [{"drug": "acetaminophen 500 MG Oral Tablet", "dose": "1 tablet", "times": 1}]},
            {"over_drug": "acetaminophen", "amount": "at least 5,806.5 mg/day", "most": "the maximum of 4,000 mg/day",
             "note": "Combination products count. The order does not say of which ingredient the mass is; counted is "
                     "the least that it can be."},
        ),
        (
            {"drug": "chlorpheniramine 4 MG Oral Tablet", "dose": "4 mg", "times": 1},
            {"age": 1, "labs": [["body_weight", 10, 3]]}, {"times": None, "labelled_age": "2"},
        ),
        ({"drug": "sertraline 100 MG Oral Tablet"}, {}, {"times": None, "how_often": None}),
        ({**SERTRALINE, "dose": "1 tablet", "days": 30}, {}, {"times": None, "duration": "30"}),
    ],
)  # fmt: skip
def test_the_words_of_the_cards(draft: Json, patient: Json, words: Json) -> None:
    context = context_of(draft, **patient)
    assert {name: word(context) for name, word in FAMILY.placeholders.items()} == {**NOTHING, **ONCE, **words}


def test_a_single_dose_beside_the_draft_adds_nothing() -> None:
    once = {"drug": "sertraline 50 MG Oral Tablet", "dose": "1 tablet", "single": True}
    assert answer({"over_maximum": True}, context_of({**SERTRALINE, "dose": "2 tablet"}, once), FAMILY) is False


def test_a_draft_of_the_same_product_adds_up_and_an_order_of_it_does_not() -> None:
    one = {**SERTRALINE, "dose": "2 tablet"}
    assert answer({"over_maximum": True}, context_of(one, one), FAMILY) is True
    assert answer({"over_maximum": True}, context_of(one, active=[one]), FAMILY) is False
    # Of two mixtures with the same strengths one takes the place of itself alone.
    mixtures = [{"drug": f"acetaminophen 325 MG / {drug} 5 MG Oral Tablet"} for drug in ("hydrocodone", "oxycodone")]
    assert [len(taken_beside(context_of(mixtures[0], active=[other]), "161")) for other in mixtures] == [0, 1]
    # The same drug that releases slowly goes on beside it.
    fast = {"drug": "bupropion 100 MG Oral Tablet", "dose": "3 tablet", "times": 1}
    slow = {"drug": "bupropion 100 MG Extended Release Oral Tablet", "dose": "3 tablet", "times": 1}
    assert [len(taken_beside(context_of(fast, active=[one]), "42347")) for one in (slow, fast)] == [1, 0]
    # One code with two strengths in its words is two products.
    hundred, fifty = (
        {"drug": "x", "dose": "100 mg", "times": 1,
         "more": {"medicationCodeableConcept": {**coded("36437"), "text": f"sertraline {strength} MG"}}}
        for strength in (100, 50)
    )  # fmt: skip
    assert [len(taken_beside(context_of(hundred, active=[one]), "36437")) for one in (fifty, hundred)] == [1, 0]
    # Words alone without a strength may be two products.
    words_alone = {"drug": "sertraline", "dose": "100 mg", "times": 1}
    assert len(taken_beside(context_of(words_alone, active=[words_alone]), "36437")) == 1
    # One code without a strength is one entry that is charted twice.
    nameless = {**one, "more": {"medicationCodeableConcept": coded("36437")}}
    assert not taken_beside(context_of(nameless, active=[nameless]), "36437")


def test_the_facts_are_the_sum_the_weight_and_what_is_taken_beside() -> None:
    spec: Json = {"over_maximum": True}
    context = context_of({**SERTRALINE, "dose": "2 tablet"}, active=[ONE_MORE])
    name = "MedicationRequest/draft-0"
    assert told(spec, context, FAMILY) == [
        Fact("daily_dose", "250 mg/day with the other order", 250.0, source=name),
        Fact("medication", "sertraline 50 MG Oral Tablet, 50 mg/day", "sertraline", None, "2026-11-10",
             "MedicationRequest/active-0"),
    ]  # fmt: skip
    unknown = context_of(SERTRALINE, active=[{"drug": "sertraline 50 MG Oral Tablet", "days_ago": 10}])
    assert told(spec, unknown, FAMILY)[1].text == "sertraline 50 MG Oral Tablet"
    child = context_of(SYRUP, age=3, labs=[["body_weight", 10, 3]])
    assert [(fact.name, fact.text) for fact in told(spec, child, FAMILY)] == [
        ("daily_dose", "75 mg/kg a dose"), ("body_weight", "weight 10 kg on 2026-11-17")]  # fmt: skip
    # Without a height the dose for each square metre is that of the tallest; without a weight, of the largest child.
    liquid = {"drug": "mycophenolate mofetil 200 MG/ML Oral Suspension", "dose": "2500 mg", "times": 1}
    weight, height = ["body_weight", 40, 3], ["body_height", 150, 3]
    for labs, text in (([weight, height], "1,936.5 mg/m2 a dose"), ([weight], "at least 1,500 mg/m2 a dose")):
        facts = told(spec, context_of(liquid, age=12, labs=labs), FAMILY)
        assert [fact.text for fact in facts] == [text, "weight 40 kg on 2026-11-17"]
    assert [fact.text for fact in told(spec, context_of(liquid, age=3), FAMILY)] == ["at least 1,525 mg/m2 a dose"]
    failing = context_of({"drug": "bisoprolol 10 MG Oral Tablet", "dose": "12 mg", "times": 1}, conditions=["hf"])
    assert [fact.name for fact in told(spec, failing, FAMILY)] == ["daily_dose", "hf"]
    assert told(spec, context_of({**SERTRALINE, "dose": "1 tablet"}), FAMILY) == []
    predicate = predicate_of(spec, FAMILY)
    assert predicate.uses == {"dose", "maximum", "active"}
    assert predicate.needs == needs(
        "MedicationRequest", "MedicationStatement", "Observation", "Condition", "Encounter",
        analytes=["body_weight", "body_height"], beside=["="])  # fmt: skip


@for_rows(
    ("draft", "patient", "gap"),
    [
        (SERTRALINE, {}, None),
        ({**SERTRALINE, "dose": "1 tablet"}, {}, None),
        # Without a limit of its own nothing is wanted.
        ({"drug": "hydroxocobalamin 1 MG/ML Injection"}, {"age": None}, None),
        ({"drug": "ezetimibe 10 MG Oral Tablet"}, {"age": 10}, None),
        ({"drug": CISPLATIN_VIAL, "dose": "46 mg", "times": 1}, {"labs": [["body_weight", 70, 3]]},
         ("weight-missing", "the body surface is not known: no weight or no height on record.")),
        ({"drug": "sertraline 100 MG Oral Tablet"}, {}, ("dose-not-entered", "the dose is not stated.")),
        ({"drug": "sertraline 100 MG Oral Tablet", "dose": "1 tablet"}, {},
         ("dose-unknown", "the daily dose cannot be computed: the frequency is not stated.")),
        (SERTRALINE, {"age": None}, ("age-missing", "no birth date on record.")),
        ({**SYRUP, "dose": "300 mg"}, {"age": 3}, ("weight-missing", "no weight on record.")),
        ({**SYRUP, "dose": "100 mg"}, {"age": 3, "labs": [["body_weight", 10, 300]]},
         ("weight-missing", "the weight on record is too old (10 kg on 2026-01-24).")),
        ({**SYRUP, "dose": "300 mg"}, {"age": 3, "not_sent": ["body_weight", "Observation"]},
         ("weight-missing", "the weight did not come with the call.")),
        ({**SERTRALINE, "dose": "1 tablet"}, {"active": [{"drug": "sertraline 50 MG Oral Tablet"}]},
         ("dose-not-known", "the dose of another order of the drug is not known.")),
        # The row for each square metre of body surface is not what is open here.
        ({"drug": "mycophenolate mofetil 500 MG Oral Tablet", "dose": "1 tablet", "times": 2},
         {**TALL, "age": 12, "active": [{"drug": "mycophenolate mofetil 250 MG Oral Capsule"}]},
         ("dose-not-known", "the dose of another order of the drug is not known.")),
        ({"drug": "bisoprolol 10 MG Oral Tablet", "dose": "12 mg", "times": 1}, {"not_sent": ["Condition"]},
         ("conditions-missing", "the problem list is not known.")),
    ],
)  # fmt: skip
def test_why_a_maximum_could_not_be_compared(draft: Json, patient: Json, gap: tuple[str, str] | None) -> None:
    assert FAMILY.gaps["maximum"](context_of(draft, **patient)) == gap


@for_rows(
    ("draft", "patient", "truths"),
    [
        ({**SERTRALINE, "dose": "599 mg"}, {}, (False, False)),
        ({**SERTRALINE, "dose": "600 mg"}, {}, (True, False)),
        ({**SERTRALINE, "dose": "1990 mg"}, {}, (True, False)),
        ({**SERTRALINE, "dose": "1998 mg"}, {}, (True, True)),
        ({"drug": SERTRALINE["drug"]}, {}, (None, None)),
        ({**SERTRALINE, "dose": "399 mg"}, {"age": 10, "labs": [["body_weight", 30, 3]]}, (False, False)),
        ({**SERTRALINE, "dose": "599 mg"}, {"age": 10, "labs": [["body_weight", 60, 3]]}, (False, False)),
        # A row of its own gives a child up to 200 mg: it measures the dose.
        ({**SERTRALINE, "dose": "600 mg"}, {"age": 10, "labs": [["body_weight", 30, 3]]}, (False, False)),
        ({**SERTRALINE, "dose": "599 mg"}, {"age": 10}, (False, False)),
        ({**SERTRALINE, "dose": "599 mg"}, {"age": 18, "labs": [["body_weight", 30, 3]]}, (False, False)),
        ({"drug": "allopurinol 300 MG Oral Tablet", "dose": "2394 mg", "times": 1}, {}, (False, False)),
        ({"drug": "allopurinol 300 MG Oral Tablet", "dose": "2394.1 mg", "times": 1}, {}, (True, False)),
        ({"drug": "sertraline injection", "dose": "2000 mg", "times": 1}, {}, (False, False)),
        ({"drug": SERTRALINE["drug"], "dose": "2000 mg", "single": True}, {}, (False, False)),
        # A single dose is left to the limits in milligrams, where there are some.
        ({"drug": "azathioprine 50 MG Oral Tablet", "dose": "930 mg", "single": True}, {}, (True, False)),
    ],
)  # fmt: skip
def test_a_dose_that_cannot_be_meant(draft: Json, patient: Json, truths: tuple[bool | None, ...]) -> None:
    context = context_of(draft, **patient)
    assert tuple(answer({word: True}, context, FAMILY) for word in ("far_over", "ten_fold_recommended")) == truths


def test_for_a_child_it_is_said_at_which_weight() -> None:
    child = context_of({"drug": "allopurinol 300 MG Oral Tablet", "dose": "2000 mg", "times": 1}, age=10,
                       labs=[["body_weight", 30, 3]])  # fmt: skip
    words = {name: FAMILY.placeholders[name](child) for name in ("far_drug", "written", "recommended")}
    assert words == {"far_drug": "allopurinol", "written": "2,000 mg/day", "recommended": "399 mg/day scaled to 30 kg"}


@for_rows(
    ("word", "draft", "truth"),
    [
        ("one_instruction", SERTRALINE, True),
        ("one_instruction", {"drug": "aspirin 81 MG", "more": {"dosageInstruction": [
            {"text": "1 daily"}, {"text": "2 at night"}]}}, False),
        ("depot", {"drug": "haloperidol decanoate 50 MG/ML Injection"}, True),
        ("depot", {"drug": "haloperidol 5 MG/ML Injection"}, False),
        ("depot", {"drug": "octreotide ER 20 mg", "route": "intramuscular"}, True),
        ("depot", {"drug": "medroxyprogesterone 150 mg/mL suspension", "route": "intravenous"}, True),
        ("depot", {"drug": "medroxyprogesterone 150 mg/mL suspension", "route": "oral"}, False),
        ("depot", {"drug": "octreotide 20 mg", "route": "intramuscular"}, False),
        ("depot", {"drug": "sertraline ER tablet"}, False),
        ("u_500", {"drug": "Humulin R U-500"}, True),
        ("u_500", {"drug": "insulin regular 100 units/mL"}, False),
        ("undiluted_salt", {"drug": "sodium chloride 23.4 % Injection"}, True),
        ("undiluted_salt", {"drug": "sodium chloride 23.4 % Injection", "more": {"dosageInstruction": [
            {"text": "add to TPN"}]}}, False),
        ("undiluted_salt", {"drug": "sodium chloride 0.9 % Injection"}, False),
        ("hypertonic_salt", {"drug": "Sodium chloride 3% 500 mL"}, True),
        ("hypertonic_salt", {"drug": "Sodium chloride 0.9% 500 mL"}, False),
        ("hypertonic_salt", {"drug": "sodium chloride 23.4 % Injection"}, False),
        ("hypertonic_salt", {"drug": "Dextrose 5% and sodium chloride 0.45% 1000 mL"}, False),
        ("water", {"drug": "Dextrose 5% in water 1000 mL"}, True),
        ("water", {"drug": "Dextrose 5% and sodium chloride 0.45% 1000 mL"}, False),
        ("water", {"drug": "glucose 50 % Injection"}, False),
        ("day_named", {"drug": "methotrexate 2.5 MG Oral Tablet", "more": {"dosageInstruction": [
            {"text": "10 mg every Monday"}]}}, True),
        ("day_named", SERTRALINE, False),
    ],
)  # fmt: skip
def test_the_words_of_an_order(word: str, draft: Json, truth: bool) -> None:
    assert answer({word: True}, context_of(draft), FAMILY) is truth


@pytest.mark.parametrize(("age", "truth"), [(1, True), (2, False), (None, None)])
def test_the_age_from_which_a_drug_is_labelled(age: int | None, truth: bool | None) -> None:
    context = context_of({"drug": "chlorpheniramine 4 MG Oral Tablet"}, age=age)
    assert answer({"under_labelled_age": True}, context, FAMILY) is truth


TAKEN: Json = {"active": [{**SERTRALINE, "dose": "1 tablet"}]}


@for_rows(
    ("draft", "patient", "sig"),
    [
        (SERTRALINE, TAKEN, Sig("200 mg once daily", 200.0, times_per_day=1)),
        ({**SERTRALINE, "times": 2}, TAKEN, None),
        ({**SERTRALINE, "dose": "150 mg", "times": 3}, TAKEN, None),
        ({"drug": "sertraline 25 MG Oral Tablet", "dose": "6 tablet", "times": 2},
         {"active": [{"drug": "sertraline 25 MG Oral Tablet"}]}, Sig("100 mg twice daily", 100.0, times_per_day=2)),
        ({"drug": "sertraline 25 MG Oral Tablet", "dose": "100 mg", "times": 5}, TAKEN, None),
        ({"drug": "sertraline", "dose": "100 mg", "times": 3}, TAKEN, None),
        ({"drug": "sertraline", "dose": "110 mg", "times": 2}, TAKEN, Sig("50 mg twice daily", 50.0, times_per_day=2)),
        ({"drug": "sertraline", "dose": "70 mg", "times": 3},
         {"active": [{**ONE_MORE, "drug": "sertraline 25 MG Oral Tablet"}]}, None),
        ({**SERTRALINE, "dose": "2 tablet"}, {"active": [ONE_MORE]}, Sig("100 mg once daily", 100.0, times_per_day=1)),
        (SERTRALINE, {}, None),
        ({**SERTRALINE, "as_needed": True}, TAKEN, None),
        ({**SERTRALINE, "dose": "2 tablet"}, TAKEN, None),
    ],
)  # fmt: skip
def test_the_largest_dose_within_the_maximum(draft: Json, patient: Json, sig: Sig | None) -> None:
    context = context_of(draft, **patient)
    assert FAMILY.changes["to_maximum"](context) == (OrderChange(sig=sig) if sig is not None else None)
    assert FAMILY.changes["tenth"](context) is None  # under four times the limit


@for_rows(
    ("drug", "milligrams", "age", "offered"),
    [
        ("ezetimibe", 50, 40, 5.0), ("sertraline", 1000, 40, 100.0),
        # The limit of adults is a guess for a child, and so is what an order begins with.
        ("ezetimibe", 50, 10, None), ("levothyroxine", 0.3, 70, None),
    ],
)  # fmt: skip
def test_a_tenth_is_offered_of_no_guess(drug: str, milligrams: float, age: int, offered: float | None) -> None:
    change = FAMILY.changes["tenth"](context_of({"drug": drug, "dose": f"{milligrams} mg", "times": 1}, age=age))
    assert (change.sig.dose_mg if change is not None and change.sig is not None else None) == offered


@for_rows(
    ("limits", "worst"),
    [
        # Under three times a target, and fifteen times what it begins with.
        ([{"most": 100.0}, {"most": 10.0, **FIRST}], 10.0),
        # Far over one and a little over the other maximum, which is firm.
        ([{"most": 50.0}, {"most": 100.0, "is_firm": True}], 50.0),
        ([{"most": 100.0, "is_firm": True}, {"most": 10.0, **FIRST}], 100.0),
    ],
)
def test_the_worst_of_several_limits(limits: list[Json], worst: float, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [(_limit(rxcui="36437", **limit), False) for limit in limits]
    for ordered in (rows, rows[::-1]):
        monkeypatch.setattr("cards.rules.families.dose.sums.rows_for", lambda *_, ordered=ordered: ordered)
        excess = judged(context_of({**SERTRALINE, "dose": "150 mg"})).excess
        assert excess is not None
        assert excess.limit.most == worst


LEVOTHYROXINE = "levothyroxine 0.05 MG Oral Tablet"  # FDA's recommended maximum is 0.5 mg a day


@for_rows(
    ("dose", "times", "sig"),
    [
        ("100 mg", 1, Sig("100 micrograms once daily", 0.1, times_per_day=1)),
        ("100 mg", 2, Sig("100 micrograms twice daily", 0.1, times_per_day=2)),
        ("500 mg", 1, Sig("500 micrograms once daily", 0.5, times_per_day=1)),
        ("501 mg", 1, None),
        ("25 mg", 1, Sig("25 micrograms once daily", 0.025, times_per_day=1)),
        ("24 mg", 1, None),
        ("10 mg", 5, None),
        ("0.1 mg", 1, None),
    ],
)
def test_the_same_number_in_micrograms(dose: str, times: int, sig: Sig | None) -> None:
    context = context_of({"drug": LEVOTHYROXINE, "dose": dose, "times": times})
    assert FAMILY.changes["micrograms"](context) == (OrderChange(sig=sig) if sig is not None else None)
    assert FAMILY.placeholders["micrograms_meant"](context) == (" Micrograms meant?" if sig is not None else "")


METHOTREXATE = "methotrexate 2.5 MG Oral Tablet"


@for_rows(
    ("change", "draft", "sig"),
    [
        ("once_daily", SERTRALINE, Sig("300 mg once daily", 300.0, times_per_day=1)),
        ("once_daily_with_food", SERTRALINE, Sig("300 mg once daily with food", 300.0, times_per_day=1)),
        ("twice_daily", SERTRALINE, Sig("300 mg twice daily", 300.0, times_per_day=2)),
        ("once_daily", {"drug": SERTRALINE["drug"]}, None),
        ("once_daily", {**SERTRALINE, "as_needed": True}, None),
        ("once_daily", {"drug": "acetaminophen 325 MG / oxycodone 5 MG Oral Tablet", "dose": "1 tablet", "times": 1},
         None),
        ("once_daily", {"drug": SERTRALINE["drug"], "more": {"dosageInstruction": [
            {"text": "1-2 tablets once daily"}]}}, None),
        ("once_weekly", {"drug": METHOTREXATE, "dose": "10 tablet", "times": 1},
         Sig("25 mg once weekly on Monday", 25.0, times_per_week=1, weekday="mon", is_written=True)),
        ("once_weekly", {"drug": METHOTREXATE, "dose": "11 tablet", "times": 1}, None),
        ("once_weekly", {"drug": METHOTREXATE}, None),
        ("once_weekly", {"drug": "alendronate 70 MG Oral Tablet", "dose": "1 tablet", "times": 1},
         Sig("70 mg once weekly on Monday", 70.0, times_per_week=1, weekday="mon", is_written=True)),
    ],
)  # fmt: skip
def test_the_ordered_dose_at_other_times(change: str, draft: Json, sig: Sig | None) -> None:
    assert FAMILY.changes[change](context_of(draft)) == (OrderChange(sig=sig) if sig is not None else None)


def _identity(words: str) -> Any:
    return identify_concept(CodeableConcept(text=words))


def test_how_many_limits_there_are_for_a_product() -> None:
    covers, ages = FAMILY.covers, FAMILY.ages["dose-max"]
    tablet, nothing = _identity("sertraline 100 MG Oral Tablet"), _identity("Zaubertrank")
    # limits.csv: adults; leads.csv: 6 to 17.
    assert sorted(ages(tablet), key=lambda years: years.start) == [range(6, 18), range(18, 201)]
    assert covers["dose-max"](tablet) == 2
    assert (covers["dose-max"](nothing), ages(nothing)) == (0, ())
    # Of the form alone, and without the row for an hour, which is that of an infusion.
    names = ("24 HR bupropion hydrochloride 300 MG Extended Release Oral Tablet", "bupropion 100 MG Oral Tablet",
             "bupropion", "fosphenytoin 50 MG/ML Injection")  # fmt: skip
    assert [covers["dose-max"](_identity(name)) for name in names] == [1, 2, 4, 1]
    injection, both = _identity("sertraline injection"), _identity("acetaminophen 325 MG / oxycodone 5 MG Oral Tablet")
    assert [covers["dose-plausible"](one) for one in (tablet, injection, both)] == [1, 0, 2]
    assert {row.unit for rows in LIMITS.values() for row in rows} == {"mg", "unit", "meq", "mmol"}


def test_the_evidence_is_that_of_the_row() -> None:
    evidence = FAMILY.evidence["dose-max"]
    (adhs,) = evidence(context_of(SERTRALINE))
    assert (adhs.label, adhs.section != "") == ("Arizona ADHS/DBHS: FDA maximum daily doses", True)
    (label,) = evidence(context_of({"drug": "dulaglutide injection", "dose": "3 mg", "times": 1}))
    assert "4.5 mg injected subcutaneously once weekly" in label.section
    assert label.label.startswith("Dulaglutide label (US), section 2, set ")
    (labelled,) = evidence(context_of({"drug": "chlorpheniramine 4 MG Oral Tablet"}, age=1))
    assert labelled.organisation != ""
    assert evidence(context_of({**SERTRALINE, "dose": "1 tablet"})) == ()


CANDESARTAN, LITHIUM, ALPRAZOLAM, DIAZEPAM, ALBUTEROL = "214354", "6448", "596", "3322", "435"
VANCOMYCIN, BUPROPION = "11124", "42347"


def _child(age: int, kilograms: float | None = None) -> Json:
    return {"age": age, "labs": [] if kilograms is None else [["body_weight", kilograms, 3]]}


@for_rows(
    ("rxcui", "drug", "patient", "rows"),
    [
        # limits.csv, leads.csv and label_limits.csv, in this order: 0.4 mg/kg from 1 to 5, 16 mg from 6 to 17 up to
        # 49.9 kg, 32 mg of adults (twice, once in heart failure).
        (CANDESARTAN, "candesartan 8 MG Oral Tablet", _child(10, 49.9), [(16.0, False)]),
        (CANDESARTAN, "candesartan 8 MG Oral Tablet", _child(10, 50), [(32.0, True)]),
        (CANDESARTAN, "candesartan 8 MG Oral Tablet", _child(10), [(32.0, True)]),
        (CANDESARTAN, "candesartan 8 MG Oral Tablet", _child(5, 20), [(0.4, False), (32.0, True)]),
        # A child below all rows is measured by those of the older, by no amount for each kilogram.
        (CANDESARTAN, "candesartan 8 MG Oral Tablet", _child(0, 8), [(16.0, True), (32.0, True)]),
        (CANDESARTAN, "candesartan 8 MG Oral Tablet", _child(18), [(32.0, False), (32.0, False)]),
        (CANDESARTAN, "candesartan 8 MG Oral Tablet", {"age": None}, []),
        # A row of one form; where the order does not say its form the highest limit of a day.
        (LITHIUM, "lithium carbonate 300 MG Oral Tablet", {}, [(600.0, False), (1800.0, False)]),
        (LITHIUM, "lithium carbonate 450 MG Extended Release Oral Tablet", {}, [(1200.0, False)]),
        (LITHIUM, "lithium", {}, [(1800.0, False)]),
        # A nebuliser that runs on is measured by no limit of single nebules.
        (ALBUTEROL, "albuterol 5 MG/ML nebulizer solution, 10 mg every hour", {}, [(5.0, False), (40.0, False)]),
        (ALBUTEROL, "albuterol 5 MG/ML nebulizer solution, 10 mg/h", {}, []),
        # A limit of an hour is for what says how fast it runs.
        (VANCOMYCIN, "vancomycin 50 MG/ML Injection, 1 g IV", {}, [(2000.0, False)]),
        (VANCOMYCIN, "vancomycin 50 MG/ML Injection, 1 g IV over 1 hour", {}, [(1000.0, False), (2000.0, False)]),
        (VANCOMYCIN, "vancomycin 50 MG/ML Injection, 500 mg/h IV", {}, [(1000.0, False), (2000.0, False)]),
        # A form that releases for twelve hours or for a day; where it is not said, the higher one.
        (BUPROPION, "bupropion SR 150 mg", {}, [(400.0, False)]),
        (BUPROPION, "24 HR bupropion hydrochloride 300 MG Extended Release Oral Tablet", {}, [(450.0, False)]),
        (BUPROPION, "bupropion hydrochloride 150 MG Extended Release Oral Tablet", {}, [(450.0, False)]),
        # From 20 to 30 kg.
        (
            LITHIUM,
            "lithium carbonate 300 MG Oral Tablet",
            _child(10, 20),
            [(1500.0, False), (600.0, True), (1800.0, True)],
        ),
        (
            LITHIUM,
            "lithium carbonate 300 MG Oral Tablet",
            _child(10, 30),
            [(1500.0, False), (600.0, True), (1800.0, True)],
        ),
        (LITHIUM, "lithium carbonate 300 MG Oral Tablet", _child(10, 19.9), [(600.0, True), (1800.0, True)]),
        (LITHIUM, "lithium carbonate 300 MG Oral Tablet", _child(10, 30.1), [(600.0, True), (1800.0, True)]),
        (LITHIUM, "lithium carbonate 300 MG Oral Tablet", _child(10), [(600.0, True), (1800.0, True)]),
        # A row without a form holds beside that of a form.
        (ALPRAZOLAM, "alprazolam 1 MG Extended Release Oral Tablet", {"age": 65}, [(6.0, False), (10.0, False)]),
        (ALPRAZOLAM, "alprazolam 1 MG Extended Release Oral Tablet", {"age": 64}, [(10.0, False)]),
        (ALPRAZOLAM, "alprazolam 1 MG Oral Tablet", {"age": 65}, [(10.0, False)]),
        (ALPRAZOLAM, "alprazolam", {"age": 65}, [(10.0, False)]),
        (DIAZEPAM, "diazepam 5 MG/ML Injection", _child(10), [(0.5, False)]),
    ],
)
def test_the_rows_for_a_patient(rxcui: str, drug: str, patient: Json, rows: list[tuple[float, bool]]) -> None:
    drug, _, sig = drug.partition(", ")
    found = rows_for(context_of(_dosed(drug, sig) if sig else {"drug": drug}, **patient), rxcui)
    assert [(row.most, of_adult) for row, of_adult in found] == rows


def test_of_several_forms_the_highest_limit_is_firm_where_one_of_them_is() -> None:
    # Memantine: 20 mg a day of tablets is firm, 28 mg of capsules that release slowly is not; pregabalin the reverse.
    for drug, rxcui, most in (("memantine", "6719", 28.0), ("pregabalin", "187832", 600.0)):
        rows = [row for row, _ in rows_for(context_of({"drug": drug}), rxcui)]
        assert (rows[-1].most, rows[-1].is_firm) == (most, True)


def _dosed(drug: str, words: str, **more: Any) -> Json:
    return {"drug": drug, "more": {"dosageInstruction": [{"text": words, **more}]}}


HYDRALAZINE_VIAL = "hydralazine 20 MG/ML Injection"
FIVE_AN_HOUR: Json = {"numerator": {"value": 5, "unit": "mg"}, "denominator": {"value": 1, "unit": "h"}}


@for_rows(
    ("words", "rate", "is_there"),
    [
        ("10 mg IV once", None, True),
        ("10 mg IV every 6 hours as needed", None, True),
        ("10 mg IV push", None, True),
        ("10 mg in 250 mL IV over 4 hours daily", None, False),
        ("10 mg/h IV continuous infusion", None, False),
        ("10 mg IV", None, False),
        ("10 mg IV push", {"rateQuantity": {"value": 5, "unit": "mg/h"}}, False),
        ("10 mg IV push", {"rateRatio": FIVE_AN_HOUR}, False),
        ("10 mg IV over 1 hour", None, True),
        ("10 mg IV over 61 min", None, False),
    ],
)
def test_a_row_of_one_dose_is_for_an_order_that_is_given_in_doses(
    words: str, rate: Json | None, is_there: bool
) -> None:
    draft = _dosed(HYDRALAZINE_VIAL, words, **({"doseAndRate": [rate]} if rate else {}))
    assert any(row.population == "one dose" for row, _ in rows_for(context_of(draft), "5470")) is is_there


@for_rows(
    ("words", "repeat", "hours"),
    [
        ("10 mg IV", {"duration": 2, "durationUnit": "h"}, 2.0),
        ("10 mg IV", {"duration": 90, "durationUnit": "min"}, 1.5),
        ("10 mg IV", {"duration": 2, "durationUnit": "d"}, None),
        ("10 mg IV over 30 to 60 min", {}, 1.0),
        ("10 mg IV over 0 min", {}, None),
    ],
)
def test_the_hours_of_an_infusion(words: str, repeat: Json, hours: float | None) -> None:
    assert infusion_hours(context_of(_dosed(HYDRALAZINE_VIAL, words, timing={"repeat": repeat}))) == hours


@pytest.mark.parametrize("unit", [{"code": "mg/h"}, {"unit": "mg/h"}, {"unit": "milligrams per hour", "code": "mg/h"}])
def test_the_rate_of_an_infusion(unit: Json) -> None:
    draft = _dosed(HYDRALAZINE_VIAL, "IV", doseAndRate=[{"rateQuantity": {"value": 5, **unit}}])
    assert per_hour_of(context_of(draft), "mg") == 5.0


GLARGINE, DULAGLUTIDE_PEN = "insulin glargine 100 UNT/ML Injection", "dulaglutide injection"
WEEKLY: Json = {"drug": DULAGLUTIDE_PEN, "dose": "1.5 mg", "single": True}


@for_rows(
    ("draft", "patient", "is_over"),
    [
        # 25 mg/m2 is for what is given daily; how often has to be stated.
        (_dosed(CISPLATIN_VIAL, "50 mg/m2 IV daily"), TALL, True),
        (_dosed(CISPLATIN_VIAL, "50 mg/m2 IV"), TALL, False),
        (_dosed(CISPLATIN_VIAL, "50 mg/m2 IV", timing={"repeat": {"dayOfWeek": WORKDAYS}}), TALL, True),
        (_dosed(CISPLATIN_VIAL, "50 mg/m2 IV", timing={"repeat": {"dayOfWeek": WORKDAYS[1:]}}), TALL, False),
        (
            _dosed(
                CISPLATIN_VIAL,
                "IV daily",
                doseAndRate=[{"doseQuantity": {"value": 50, "unit": "milligram by surface", "code": "mg/m2"}}],
            ),
            TALL,
            True,
        ),
        (
            _dosed(CISPLATIN_VIAL, "IV daily", doseAndRate=[{"doseQuantity": {"value": 50, "unit": "mg/m2"}}]),
            TALL,
            True,
        ),
        (
            _dosed(CISPLATIN_VIAL, "50 mg/m2 IV daily", doseAndRate=[{"doseRange": {"low": {"value": 50}}}]),
            TALL,
            True,
        ),
        # Milligrams are worked out for the body surface: 1.82 m2; without one it is not known.
        ({"drug": CISPLATIN_VIAL, "dose": "45 mg", "times": 1}, TALL, False),
        ({"drug": CISPLATIN_VIAL, "dose": "46 mg", "times": 1}, TALL, True),
        ({"drug": CISPLATIN_VIAL, "dose": "46 mg", "times": 1}, {"labs": TALL["labs"][:1]}, None),
        ({"drug": CISPLATIN_VIAL, "dose": "46 mg", "times": 1}, {}, None),
        (SERTRALINE, {"inpatient": True}, True),
        # A usual first dose that is no maximum is of interest far over it.
        ({"drug": GLARGINE, "dose": "12 unit", "times": 1}, {"labs": [["body_weight", 50, 3]]}, False),
        ({"drug": GLARGINE, "dose": "30 unit", "times": 1}, {"labs": [["body_weight", 50, 3]]}, True),
        # A single dose is that of a week.
        ({"drug": DULAGLUTIDE_PEN, "dose": "4.5 mg", "single": True}, {"active": [WEEKLY]}, False),
        ({"drug": DULAGLUTIDE_PEN, "dose": "4.5 mg", "times": 1}, {"active": [WEEKLY]}, True),
        ({"drug": DULAGLUTIDE_PEN}, {}, None),
    ],
)
def test_what_a_limit_is_about(draft: Json, patient: Json, is_over: bool | None) -> None:
    assert answer({"over_maximum": True}, context_of(draft, **patient), FAMILY) is is_over


def _visit(code: str, status: str = "in-progress") -> Json:
    return encounter(code, status, patient="case", id="v")


@for_rows(
    ("category", "visits", "is_over"),
    [
        # 150 mg of amitriptyline are the maximum of outpatients.
        ("community", [], True),
        ("Discharge", [], True),
        ("inpatient", [], False),
        ("", [_visit("AMB")], True),
        ("", [_visit("AMB", "finished")], False),
        ("", [_visit("IMP")], False),
        ("", [{name: part for name, part in _visit("AMB").items() if name != "class"}], False),
    ],
)
def test_who_is_an_outpatient(category: str, visits: list[Json], is_over: bool) -> None:
    more = {"category": [{"coding": [{"code": category}]}]} if category else {}
    draft = {"drug": "amitriptyline 50 MG Oral Tablet", "dose": "200 mg", "times": 1, "more": more}
    assert answer({"over_maximum": True}, context_of(draft, more=visits), FAMILY) is is_over


def test_a_first_dose_of_insulin_is_none_where_insulin_is_taken() -> None:
    draft = {"drug": "insulin lispro 100 UNT/ML Injection", "dose": "60 unit", "times": 1}
    first = context_of(draft | {"dose": "250 unit"}, labs=[["body_weight", 50, 3]])
    assert FAMILY.placeholders["amount"](first) == "5 units/kg a dose"
    glargine = {"drug": "insulin glargine 100 UNT/ML Injection", "days_ago": 10}
    again = context_of(draft, labs=[["body_weight", 50, 3]], active=[glargine])
    assert answer({"over_maximum": True}, again, FAMILY) is False


_ANY_LIMIT = Limit(
    *("drug_x", "1", "oral", "", "", range(200), "", "", "", None, None, 20.0, False, False, False, True),
    *(False, False, None, "", next(iter(EVIDENCE)), ""),
)


@pytest.mark.parametrize(
    ("changes", "about", "says"),
    [
        ({}, "drug x, at every age, oral", "at most 20 mg a day"),
        ({"ages": range(1, 12)}, "drug x, 1 to 11 years, oral", "at most 20 mg a day"),
        ({"ages": range(18)}, "drug x, 0 to 17 years, oral", "at most 20 mg a day"),
        ({"ages": range(65, 150)}, "drug x, 65 to 149 years, oral", "at most 20 mg a day"),
        ({"ages": range(65, 151)}, "drug x, from 65 years, oral", "at most 20 mg a day"),
        ({"ages": range(19)}, "drug x, at every age, oral", "at most 20 mg a day"),
        ({"weight_from_kg": 40.0}, "drug x, at every age, from 40 kg, oral", "at most 20 mg a day"),
        ({"weight_to_kg": 39.9}, "drug x, at every age, up to 39.9 kg, oral", "at most 20 mg a day"),
        (
            {"form": "slow", "population": "p", "condition": "gout", "setting": "s", "without_condition": "copd"},
            "drug x, at every age, oral, extended release, p, gout, s, without copd",
            "at most 20 mg a day",
        ),
        ({"per_kg": True, "per_dose": True}, "drug x, at every age, oral", "at most 20 mg/kg in one dose"),
        ({"per_area": True, "per_week": True}, "drug x, at every age, oral", "at most 20 mg/m2 a week"),
        (
            {"unit": "unit", "per_hour": True, "is_firm": False, "note": "n"},
            "drug x, at every age, oral",
            "usually at most 20 units an hour (n)",
        ),
    ],
)
def test_a_page_shows_all_that_a_limit_is_bound_to(
    changes: Json, about: str, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit = replace(_ANY_LIMIT, **changes)
    monkeypatch.setattr(texts, "limits_of_route", lambda *_: [limit])
    (row,) = texts.rows_of(identity_of("metformin 500 MG Oral Tablet"))
    assert (row.about, row.says) == (about, says)
