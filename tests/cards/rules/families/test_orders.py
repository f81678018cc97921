"""Orders of imaging and tests: accepted suggestions silence, urgency silences, drafts of drugs are not disturbed."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from cards.rules.engine.rule_book import rule_book
from tests.cards.rules.cases import accepted, check, findings, reasons
from tests.cards.rules.patients import draft_of, drafts_of, record_of
from tests.fhir.builders import encounter, observation

Json = dict[str, Any]
CT_CHEST = {"drug": "CT chest with contrast", "test": "24628-0"}
KIDNEYS: Json = {"labs": [["egfr", 20]]}


def test_the_order_without_contrast_is_the_same_order_with_another_code(as_of: datetime) -> None:
    resource = draft_of({**CT_CHEST, "more": {"note": [{"text": "after lunch"}]}})
    record = record_of(KIDNEYS, as_of)
    outcome = check(record, drafts_of(resource))
    changed = next(
        action.resource for one in outcome.cards[0].suggestions for action in one.actions if action.type == "update"
    )
    assert changed is not None
    assert {**changed, "code": resource["code"]} == resource
    assert changed["code"]["text"] == "CT Chest WO contrast"
    for _label, after in accepted(outcome, [resource]):
        assert findings(check(record, after)) == []


@pytest.mark.parametrize("kind", ["EMER"])
def test_nothing_is_said_in_the_emergency_department(kind: str, as_of: datetime) -> None:
    visit = {"resourceType": "Encounter", "id": "e", "status": "in-progress", "class": {"code": kind}}
    patient = {**KIDNEYS, "more": [{**visit, "subject": {"reference": "Patient/case"}}]}
    outcome = check(record_of(patient, as_of), drafts_of(draft_of(CT_CHEST)))
    assert findings(outcome) == []
    assert ("img-iodine-kidney", "urgent") in reasons(outcome)


@pytest.mark.parametrize("status", ["completed", "entered-in-error", "on-hold"])
def test_an_order_that_is_not_to_be_done_is_not_judged(status: str, as_of: datetime) -> None:
    draft = draft_of({**CT_CHEST, "more": {"status": status}})
    assert check(record_of(KIDNEYS, as_of), drafts_of(draft)).cards == ()


def test_of_two_drafts_of_one_test_the_later_one_is_named(as_of: datetime) -> None:
    drafts = drafts_of(*(draft_of({"drug": "Ferritin", "test": "2276-4"}, f"d{number}") for number in (1, 2)))
    outcome = check(record_of({}, as_of), drafts)
    assert outcome.drafts == ("ServiceRequest/d2",)
    assert findings(outcome) == [("lab-repeat", "duplicate_draft", "info")]


def test_a_study_wakes_no_rule_about_drugs_and_a_drug_none_about_studies(as_of: datetime) -> None:
    drafts = drafts_of(draft_of(CT_CHEST, "ct"), draft_of({"drug": "metformin 500 MG Oral Tablet"}, "drug"))
    outcome = check(record_of(KIDNEYS, as_of), drafts)
    families = {
        name: {rule_book_family(rule) for card, draft in zip(outcome.cards, outcome.drafts, strict=True)
               if draft.endswith(name) for rule in (one.rule for one in card.own_extension.findings)}
        for name in ("ct", "drug")
    }  # fmt: skip
    assert families["ct"] == {"orders"}
    assert "orders" not in families["drug"]


def rule_book_family(rule: str) -> str:
    """The family of a rule."""
    return next(one.family.name for one in rule_book().rules if one.id == rule)


def test_metformin_is_drafted_beside_a_scan(as_of: datetime) -> None:
    """What is drafted counts as taken."""
    drug = draft_of({"drug": "metformin 500 MG Oral Tablet", "dose": "1 tablet", "times": 2}, "drug")
    outcome = check(record_of({"labs": [["egfr", 20]]}, as_of), drafts_of(draft_of(CT_CHEST, "ct"), drug))
    assert ("img-metformin-contrast", "lt30", "warning") in findings(outcome)


def test_the_later_day_is_the_same_order_moved_behind_the_interval(as_of: datetime) -> None:
    """An order with a period loses it: an order has one occurrence."""
    hba1c = observation("4548-4", 6.8, "%", "2026-11-02T08:30:00Z", patient="case", id="last")
    period = {"occurrencePeriod": {"start": "2026-11-20"}, "note": [{"text": "fasting"}]}
    draft = draft_of({"drug": "HbA1c", "test": "4548-4", "more": period})
    outcome = check(record_of({"more": [hba1c]}, as_of), drafts_of(draft))
    later = outcome.cards[0].suggestions[0]
    assert later.label == "Do it on 2026-12-13 instead"
    (action,) = later.actions
    kept = {name: value for name, value in draft.items() if name != "occurrencePeriod"}
    assert (action.type, action.resource) == ("update", {**kept, "occurrenceDateTime": "2026-12-13"})
    for _label, after in accepted(outcome, [draft]):
        assert findings(check(record_of({"more": [hba1c]}, as_of), after)) == []


def test_without_the_problem_list_a_red_flag_is_not_ruled_out(as_of: datetime) -> None:
    draft = draft_of(
        {"drug": "MR lumbar spine", "test": "30679-5", "more": {"reasonCode": [{"text": "Low back pain"}]}}
    )
    told = check(record_of({}, as_of), drafts_of(draft))
    assert findings(told) == [("img-lbp-early", "onset_unknown", "info")]
    untold = check(record_of({"not_sent": ["Condition"]}, as_of), drafts_of(draft))
    assert findings(untold) == []
    assert ("img-lbp-early", "conditions-missing") in reasons(untold)


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


@pytest.mark.parametrize(
    ("more", "counts"),
    [
        ({"valueCodeableConcept": {"text": "NILM"}}, True),
        ({}, True),
        ({"valueCodeableConcept": {"text": "Unsatisfactory specimen"}}, False),
        ({"valueString": "Pending"}, False),
        ({"dataAbsentReason": {"text": "not performed"}}, False),
        ({"effectiveDateTime": "2290-01-01"}, False),
        ({"status": "cancelled"}, False),
    ],
)
def test_a_smear_without_a_result_or_of_the_future_is_no_screening(more: Json, counts: bool, as_of: datetime) -> None:
    smear: Json = observation("10524-7", when=(as_of - timedelta(days=300)).isoformat(), patient="case", id="smear")
    record = record_of({"sex": "female", "age": 45, "more": [smear | more]}, as_of)
    outcome = check(record, drafts_of(draft_of({"drug": "Cervical cytology", "test": "10524-7"})))
    assert bool(findings(outcome)) is counts
