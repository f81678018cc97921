"""What is said to have been looked for about a drug is what its rules can find."""

from datetime import datetime

import pytest

from cards.rules.families.dose.knowledge import LIMITS, PLAUSIBLE_DOSES
from fhir.terminology.medications import INGREDIENTS
from tests.cards.rules.cases import check
from tests.cards.rules.patients import draft_of, drafts_of, record_of


def _scope(drug: str, as_of: datetime, **more: object) -> str:
    drafts = drafts_of(draft_of({"drug": drug, "dose": "1 tablet", "times": 1, **more}))
    outcome = check(record_of({"age": 50}, as_of), drafts)
    return next(one.text for one in outcome.silences if one.reason == "scope")


@pytest.mark.parametrize("drug", ["hydroxocobalamin 1 mg/mL injection", "cyanocobalamin 1000 mcg/mL injection"])
def test_no_dose_is_looked_for_where_no_row_is_about_the_drug_by_its_route(drug: str, as_of: datetime) -> None:
    assert "dose" not in _scope(drug, as_of, dose="1 mg").partition("Not known")[0]


def test_a_dose_is_looked_for_where_a_row_is_about_it(as_of: datetime) -> None:
    assert ", dose" in _scope("sertraline 50 MG Oral Tablet", as_of)


def test_conditions_are_named_and_the_pairs_of_a_table_are_counted(as_of: datetime) -> None:
    scope = _scope("ranolazine 500 mg tablet", as_of)
    assert "interactions" in scope
    assert "1 interaction," not in scope
    assert "condition" not in scope or "(" in scope


def _scope_at(age: int, drug: str, as_of: datetime) -> str:
    drafts = drafts_of(draft_of({"drug": drug, "dose": "1 tablet", "times": 1}))
    outcome = check(record_of({"age": age}, as_of), drafts)
    return next(one.text for one in outcome.silences if one.reason == "scope")


def test_the_dose_of_a_child_without_limits_is_said_to_be_measured_by_the_adults_maximum(as_of: datetime) -> None:
    assert "dose (by the adult's maximum)" in _scope_at(10, "ezetimibe 10 MG Oral Tablet", as_of)
    assert "(by the adult's maximum)" not in _scope_at(40, "ezetimibe 10 MG Oral Tablet", as_of)


def test_no_dose_is_looked_for_where_the_limits_are_for_other_ages(as_of: datetime) -> None:
    rows_of_children = {key: rows for key, rows in LIMITS.items() if all(40 not in row.ages for row in rows)}
    of_tablets = [
        f"{INGREDIENTS[key].name} 500 MG Oral Tablet"
        for key, rows in rows_of_children.items()
        if key not in PLAUSIBLE_DOSES and any(10 in row.ages and not row.route and not row.form for row in rows)
    ]
    assert any(", dose" in _scope_at(10, drug, as_of) for drug in of_tablets)
    assert not any(", dose" in _scope_at(40, drug, as_of) for drug in of_tablets)


def test_from_the_eighteenth_birthday_on_the_adults_limits_are_the_patients_own(as_of: datetime) -> None:
    assert "(by the adult's maximum)" in _scope_at(17, "ezetimibe 10 MG Oral Tablet", as_of)
    assert ", dose" in _scope_at(18, "ezetimibe 10 MG Oral Tablet", as_of)
    assert "(by the adult's maximum)" not in _scope_at(18, "ezetimibe 10 MG Oral Tablet", as_of)


def test_what_did_not_come_is_named_and_nothing_else(as_of: datetime) -> None:
    drafts = drafts_of(draft_of({"drug": "ezetimibe 10 MG Oral Tablet", "dose": "1 tablet", "times": 1}))
    record = record_of({"age": 50}, as_of)
    whole = next(silence.text for silence in check(record, drafts).silences if silence.reason == "scope")
    without = record.with_requested(frozenset({"Patient", "MedicationRequest"}))
    part = next(silence.text for silence in check(without, drafts).silences if silence.reason == "scope")
    assert "Not known" not in whole
    assert " Not known: " in part
    assert "Not known: ." not in part
