"""What did not come with a call, and what is charted as uncertain, is neither true nor false."""

from datetime import datetime
from typing import Any

import orjson
import pytest

from cards.casebook.patients import PATIENT_ID
from cards.orders import check_orders
from cards.rules.patient.orders import read_drafts
from fhir.record.record import read_record
from fhir.record.resources import decoder
from tests.cards.rules.cases import findings, originals, texts, uuids
from tests.cards.rules.drafted import bundle_of_case, draft_resource, outcome_of
from tests.fhir.builders import medication_order, observation, problem

_LISTS = ["MedicationRequest", "MedicationStatement"]


def _silences(chart: dict[str, Any], draft: Any, as_of: datetime) -> dict[str, tuple[str, str]]:
    found = outcome_of({"chart": chart, "draft": draft}, as_of).silences
    return {one.subject if one.reason != "scope" else "scope": (one.reason, one.text) for one in found}


def _problem(verification: str) -> dict[str, Any]:
    verified = {"coding": [{"code": verification}]}
    return problem(
        "Heart failure", "I50.9", patient="case", id="hf", verificationStatus=verified, onsetDateTime="2026-05-01"
    )


def test_three_brain_active_drugs_are_not_ruled_out_without_a_medication_list(as_of: datetime) -> None:
    chart = {"age": 70, "not_sent": _LISTS}
    assert _silences(chart, "zolpidem 5 mg tablet | 1 tablet nightly", as_of)["age-cns-three"][0] == (
        "medications-missing"
    )


def test_a_provisional_diagnosis_warns_one_step_lower_and_says_so(as_of: datetime) -> None:
    draft = "pioglitazone 30 mg tablet | 1 tablet daily"
    (sure,) = outcome_of({"chart": {"more": [_problem("confirmed")]}, "draft": draft}, as_of).cards
    (unsure,) = outcome_of({"chart": {"more": [_problem("provisional")]}, "draft": draft}, as_of).cards
    assert (sure.indicator, unsure.indicator) == ("critical", "warning")
    assert "Heart failure: charted as provisional." in (unsure.detail or "")
    assert "provisional" not in (sure.detail or "")


def test_a_confirmed_diagnosis_goes_before_a_newer_provisional_one(as_of: datetime) -> None:
    newer = _problem("differential") | {"id": "newer", "onsetDateTime": "2026-10-01"}
    chart = {"more": [newer, _problem("confirmed")]}
    (card,) = outcome_of({"chart": chart, "draft": "pioglitazone 30 mg tablet | 1 tablet daily"}, as_of).cards
    assert card.indicator == "critical"


def test_an_order_that_has_ended_is_not_offered_to_be_held(as_of: datetime) -> None:
    taken = {"drug": "sertraline 50 MG Oral Tablet", "days_ago": 40, "ended": 10}
    outcome = outcome_of(
        {"chart": {"takes": [taken]}, "draft": "linezolid 600 mg tablet | 1 tablet twice daily"}, as_of
    )
    assert [one.label for one in outcome.cards[0].suggestions] == ["Cancel linezolid and choose another agent"]
    assert any("the other drug ended on" in one.text for one in outcome.silences)


def test_an_anticoagulant_that_is_taken_is_not_ended_for_a_warning(as_of: datetime) -> None:
    """At discharge active orders are judged: nothing would stand in their place."""
    enoxaparin = {"drug": "enoxaparin 40 mg injection", "more": {"dosageInstruction": [{"text": "40 mg daily"}]}}
    case = {"chart": {"labs": [["platelets", 40, 1]]}, "draft": enoxaparin}
    _is_not_stopped(case, "platelets 40", "nothing would stand in its place", as_of)


def test_a_taken_drug_is_not_stopped_at_once_for_another_one_however_grave_it_is(as_of: datetime) -> None:
    case = {"chart": {"takes": ["phenelzine 15 MG Oral Tablet"]}, "draft": "levodopa 100 MG / carbidopa 25 MG tablet"}
    _is_not_stopped(case, "is contraindicated", "no order says how it is tapered", as_of)


def _is_not_stopped(case: dict[str, Any], said: str, why: str, as_of: datetime) -> None:
    bundle, drafts = bundle_of_case(case, as_of), read_drafts([{"resource": draft_resource(case)}])
    record = read_record({"all": decoder.decode(orjson.dumps(bundle))}, PATIENT_ID, as_of)
    outcome = check_orders(record, drafts, None, uuids(), None, originals(bundle), signing=True, active_orders=True)
    (card,) = outcome.cards
    assert said in card.summary
    assert "Stop this order" not in [one.label for one in card.suggestions]
    assert any(why in one.text for one in outcome.silences)


_EPILEPSY = problem("Epilepsy", "G40.909", patient="case", id="epilepsy", onsetDateTime="2020-05-01")


@pytest.mark.parametrize(
    ("draft", "taken", "problems", "is_offered"),
    [
        ("valproic acid 250 MG Oral Capsule", "meropenem 1000 MG Injection", [_EPILEPSY], False),
        ("valproic acid 250 MG Oral Capsule", "meropenem 1000 MG Injection", [], True),
        ("meropenem 1000 MG Injection", "valproic acid 250 MG Oral Capsule", [_EPILEPSY], True),
        ("cyclosporine 100 MG Oral Capsule", "digoxin 0.125 MG Oral Tablet", [], False),
        ("phenytoin 50 MG Chewable Tablet", "fostemsavir 600 MG Extended Release Oral Tablet", [_EPILEPSY], False),
        ("tacrolimus 1 MG Oral Capsule", "ziprasidone 40 MG Oral Capsule", [], False),
        ("ziprasidone 40 MG Oral Capsule", "tacrolimus 1 MG Oral Capsule", [], True),
    ],
)
def test_a_drug_that_the_patient_depends_on_is_not_given_up_for_another(
    draft: str, taken: str, problems: list[dict[str, Any]], is_offered: bool, as_of: datetime
) -> None:
    chart = {"takes": [taken], "more": problems, "labs": [["digoxin_level", 2.1, 3]]}
    outcome = outcome_of({"chart": chart, "draft": draft}, as_of)
    assert ("Cancel this order" in [offer.label for card in outcome.cards for offer in card.suggestions]) is is_offered


# A result such as ">6.4" says on which side of a number it lies: it decides what it can, and cards write the side.


_SUBJECT = {"reference": f"Patient/{PATIENT_ID}"}


def _potassium(day: str, value: dict[str, Any]) -> dict[str, Any]:
    code = {"coding": [{"system": "http://loinc.org", "code": "2823-3"}]}
    return {"resource": observation(code, when=f"2026-07-{day}", patient=_SUBJECT, id=f"potassium-{day}") | value}


def _said(as_of: datetime, *results: dict[str, Any]) -> tuple[list[str], str]:
    patient = {"resourceType": "Patient", "id": PATIENT_ID, "gender": "male", "birthDate": "1950-01-01"}
    bundle = {"resourceType": "Bundle", "type": "searchset", "entry": [{"resource": patient}, *results]}
    order = medication_order("lisinopril 10 mg tablet", status="draft", patient=_SUBJECT, id="draft-1")
    record = read_record({"all": decoder.decode(orjson.dumps(bundle))}, PATIENT_ID, as_of)
    drafts = read_drafts([{"resource": order}])
    outcome = check_orders(record, drafts, None, uuids(), None, lambda _: None, signing=True)
    return [rule for rule, _, _ in findings(outcome)], texts(outcome)


ABOVE = {"valueString": ">6.4 mmol/L"}
QUANTITY = {"valueQuantity": {"value": 6.4, "comparator": ">", "unit": "mmol/L", "code": "mmol/L"}}
NORMAL = {"valueQuantity": {"value": 4.1, "unit": "mmol/L", "code": "mmol/L"}}


@pytest.mark.parametrize("value", [ABOVE, QUANTITY])
def test_a_potassium_above_a_number_counts_and_the_card_says_the_side(value: dict[str, Any]) -> None:
    as_of = datetime.fromisoformat("2026-07-30T12:00:00+00:00")
    rules, said = _said(as_of, _potassium("20", NORMAL), _potassium("29", value))
    assert "disease-raas-potassium" in rules
    assert "potassium &gt;6.4" in said or "potassium >6.4" in said
