"""What a card advises takes its hazard away, and pairs speak whichever drug is drafted."""

from collections.abc import Iterator
from datetime import datetime
from itertools import permutations
from typing import Any

import pytest

from cards.rules.engine.rule_book import rule_book
from cards.rules.patient.orders import read_draft
from cards.rules.patient.session import PatientSession
from fhir.terminology.medications import CLASS_MEMBERS
from tests.cards.rules.cases import Case, all_cases, check, every_case
from tests.cards.rules.patients import draft_of, drafts_of, record_of


@every_case("fires")
def test_what_is_advised_on_a_warning_takes_the_headline_away(rule: str, case: Case, as_of: datetime) -> None:
    """The whole book on the patient of every firing case: a test alone is no advice against a hazard."""
    signing = case.get("hook") != "order-select"
    _advice_takes_the_headline_away(case["patient"], case["draft"], as_of, signing=signing)


@pytest.mark.slow
@pytest.mark.parametrize("signing", [True, False], ids=["order-sign", "order-select"])
def test_the_same_where_two_bands_of_any_families_meet_on_one_card(signing: bool, as_of: datetime) -> None:
    """Every two bands that speak about the same drug, on one patient who has what both of them ask for."""
    told = sum(
        _advice_takes_the_headline_away(_both(one["patient"], other["patient"]), one["draft"], as_of, signing=signing)
        for one, other in _pairs_of_bands(as_of)
    )
    assert told > 500


def _pairs_of_bands(as_of: datetime) -> Iterator[tuple[Case, Case]]:
    """For each ingredient one firing case of each band, and every two of these in both orders."""
    by_drug: dict[str, dict[tuple[str, str], Case]] = {}
    for rule, case in all_cases():
        drafted = PatientSession(record_of({}, as_of), drafts_of(draft_of(case["draft"]))).drafted
        if case["kind"] == "fires" and drafted and drafted[0].medication.ingredients:
            drug = drafted[0].medication.ingredients[0].name
            by_drug.setdefault(drug, {}).setdefault((rule, case["band"]), case)
    return (pair for cases in by_drug.values() for pair in permutations(cases.values(), 2))


def _both(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """A patient with the facts of two; where they contradict each other those of the first."""
    lists = ("labs", "conditions", "active", "allergies", "more", "ordered", "not_sent")
    merged = {key: [*one.get(key, ()), *other.get(key, ())] for key in lists if key in one or key in other}
    return {**other, **one, **merged}


def _advice_takes_the_headline_away(
    patient: dict[str, Any], draft: dict[str, Any], as_of: datetime, *, signing: bool
) -> int:
    """How many suggestions were advised; each of them takes away what the card's headline warns of."""
    record = record_of(patient, as_of)
    drafts = drafts_of(draft_of(draft))
    told = 0
    for card in check(record, drafts, signing=signing).cards:
        headline = card.own_extension.findings[0]
        asks_for_tests = headline.rule.startswith("mon-")
        for one in card.suggestions:
            if not one.is_recommended or card.indicator == "info" or asks_for_tests:
                continue
            told += 1
            after = [draft for draft in drafts if draft.reference not in {a.resource_id for a in one.actions}]
            changed = [a.resource for a in one.actions if (a.resource or {}).get("resourceType") == "MedicationRequest"]
            assert changed or len(after) < len(drafts), f"{one.label} is advised, but the order stays as it is"
            created = [action.resource for action in one.actions if action.resource is not None]
            ids = {resource.get("id") for resource in created}
            kept = [draft for draft in after if draft.resource.get("id") not in ids]
            later = PatientSession(record, [*kept, *(read_draft(each) for each in created)], signing=signing)
            found = {pair for each in later.drafted for pair in rule_book().evaluate(later, each).finding_keys}
            assert (headline.rule, headline.band) not in found, one.label
    return told


def _codes(selectors: object) -> set[str]:
    members: set[str] = set()
    for one in selectors:  # type: ignore[attr-defined]
        members |= set(one.ingredients)
        for name in one.classes:
            members |= set(CLASS_MEMBERS[name])
    return members


@pytest.mark.parametrize("rule", [one.id for one in rule_book().rules if one.trigger.sides])
def test_a_pair_wakes_its_rule_whichever_drug_is_drafted(rule: str, as_of: datetime) -> None:
    """Every ingredient of either side, drafted: the rule is among those that the draft meets."""
    compiled = next(one for one in rule_book().rules if one.id == rule)
    met: dict[str, bool] = {}
    for side in compiled.trigger.sides:
        for code in _codes(side):
            resource = draft_of({"drug": "x", "more": {}})
            if any(selector.route == "injected" for selector in side):
                resource["dosageInstruction"] = [{"route": {"text": "intravenous"}}]
            resource["medicationCodeableConcept"] = {
                "coding": [{"system": "http://www.nlm.nih.gov/research/umls/rxnorm", "code": code}]
            }
            drafted = PatientSession(record_of({}, as_of), drafts_of(resource)).drafted
            if drafted and drafted[0].medication.recognised:
                met[code] = any(one.rule is compiled for one in rule_book().rules_for(drafted[0].medication))
    assert met
    assert not [code for code, wakes in met.items() if not wakes]
