"""Doses: the tables and the triggers agree, limits are sharp, one dose in other words is the same, older rules win."""

from datetime import datetime
from typing import Any

import pytest

from cards.rules.engine.rule_book import rule_book
from cards.rules.families.dose.knowledge import EVIDENCE, LIMITS, PLAUSIBLE_DOSES, Limit
from cards.rules.families.dose.sums import TIMES_RECOMMENDED
from fhir.terminology.conditions import CONDITION_GROUPS
from fhir.terminology.medications import INGREDIENTS
from tests.cards.rules.cases import check, findings, texts
from tests.cards.rules.patients import draft_of, drafts_of, record_of

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
    draft = {"drug": row.drug + form, "dose": f"{row.most * 2000} mg", "times": 1}
    patient = {"age": 50, "conditions": [row.condition], "labs": [["body_weight", 70, 5]]}
    assert [band for rule, band, _ in _dose_findings(as_of, patient, draft) if rule == "dose-max"] == ["ten_fold"]


FIRM = [
    (row.drug, row.most, row.unit)
    for rows in LIMITS.values()
    for row in rows
    if row.is_firm and not (row.per_kg or row.per_dose or row.form or row.condition or row.setting)
    # The lowest of several rows of one drug and age is the one that speaks.
    if row.ages.start == 18 and row.most == min(one.most for one in rows if one.ages.start == 18)
]


@pytest.mark.parametrize(("drug", "most", "unit"), FIRM)
def test_a_maximum_dose_is_sharp(drug: str, most: float, unit: str, as_of: datetime) -> None:
    def bands(amount: float) -> set[str]:
        draft = {"drug": drug, "dose": f"{amount} {unit}", "times": 1}
        return {band for rule, band, _ in _dose_findings(as_of, {"age": 50}, draft) if rule == "dose-max"}

    assert bands(most) == set()
    assert bands(most * 0.999) == set()
    assert bands(most * 1.001) == {"over_max"}


@pytest.mark.parametrize(
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


def test_two_drafts_of_one_drug_add_up_whatever_their_order(as_of: datetime) -> None:
    one = {"drug": "sertraline 100 MG Oral Tablet", "dose": "1 tablet", "times": 1}
    other = {"drug": "sertraline 50 MG Oral Tablet", "dose": "3 tablet", "times": 1}
    assert set(_dose_findings(as_of, {}, one, other)) == set(_dose_findings(as_of, {}, other, one))
    assert ("dose-max", "over_max", "warning") in _dose_findings(as_of, {}, one, other)


def test_where_an_older_rule_says_it_the_card_says_it_once(as_of: datetime) -> None:
    draft = draft_of({"drug": "acetaminophen 500 MG Oral Tablet", "dose": "2 tablet", "times": 6})
    outcome = check(record_of({}, as_of), drafts_of(draft))
    rules = {rule for rule, _, _ in findings(outcome)}
    assert rules == {"dup-same-ingredient", "dose-max"}
    assert len(outcome.cards) == 1
    assert texts(outcome).count("6,000 mg/day") == 2, "the summary and the facts, not another line"


def test_the_source_of_a_card_is_that_of_the_row(as_of: datetime) -> None:
    drafts = {"amlodipine": "20 mg", "rosuvastatin": "80 mg", "sertraline": "300 mg"}
    sources = {}
    for drug, dose in drafts.items():
        outcome = check(record_of({}, as_of), drafts_of(draft_of({"drug": drug, "dose": dose, "times": 1})))
        sources[drug] = outcome.cards[0].source.label
    assert sources == {
        "amlodipine": "Amlodipine label, Dosage",
        "rosuvastatin": "Rosuvastatin (Crestor) label, 2.1",
        "sertraline": "Arizona ADHS/DBHS: FDA maximum daily doses",
    }


def test_a_loading_dose_is_measured_by_limits_of_one_dose_not_by_what_is_taken_for_months(as_of: datetime) -> None:
    def bands(words: str) -> set[str]:
        draft = {"drug": "clopidogrel 75 mg tablet", "more": {"dosageInstruction": [{"text": words}]}}
        return {band for _, band, _ in _dose_findings(as_of, {"age": 50}, draft)}

    assert bands("600 mg once") == set()
    assert bands("6000 mg once") == {"ten_fold"}
    assert bands("750 mg once daily") != set()
