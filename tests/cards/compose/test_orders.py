"""Drafted orders to cards: what is judged, what is passed over and why, and one card for each order."""

import asyncio
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from cards.card import SEVERITY
from cards.extension import MOST_FACTS
from tests.cards.rules.cases import check, findings, reasons
from tests.cards.rules.patients import draft_of, drafts_of, record_of
from tests.cds_hooks.call.services.chart_cases import AS_OF, as_call, patient, result
from tests.cds_hooks.calls import client
from tests.each import each_row, for_rows
from tests.fhir.builders import allergy, bundle, medication_order

Json = dict[str, Any]

METFORMIN = {"drug": "861007", "dose": "1 tablet", "times": 2}
SICK = {"labs": [["egfr", 20]]}


@for_rows("end", ["", "/_history/2"])
@for_rows("start", ["", "https://ehr.example/fhir/"])
def test_a_draft_is_no_partner_of_itself_nor_of_the_order_it_renews(start: str, end: str, as_of: datetime) -> None:
    renewed = {"reference": f"{start}MedicationRequest/active-0{end}"}
    draft = draft_of(METFORMIN) | {"priorPrescription": renewed}
    outcome = check(record_of({"labs": [["egfr", 38]], "active": ["861007"]}, as_of), drafts_of(draft))
    assert findings(outcome) == []
    assert ("renal-metformin", "within-limits") in reasons(outcome)


def test_a_problem_list_that_did_not_come_is_not_an_empty_one(as_of: datetime) -> None:
    apixaban = drafts_of(draft_of({"drug": "1364445", "dose": "1 tablet", "times": 2}))
    record = record_of({"age": 86, "labs": [["creatinine", 1.8], ["body_weight", 70]]}, as_of)
    assert ("renal-apixaban", "within-limits") in reasons(check(record, apixaban))
    record = record.with_requested(frozenset({"Patient", "creatinine", "egfr", "body_weight", "MedicationRequest"}))
    outcome = check(record, apixaban)
    assert findings(outcome) == []
    assert ("renal-apixaban", "conditions-missing") in reasons(outcome)


def test_results_that_did_not_come_are_not_said_to_be_missing_for_a_year(as_of: datetime) -> None:
    record = record_of({}, as_of)
    record = record.with_requested(frozenset({"Patient", "Condition"}))
    (card,) = check(record, drafts_of(draft_of(METFORMIN))).cards
    assert card.summary == "Metformin: kidney function did not come with this call. Check it first."
    assert "12 months" not in (card.detail or "")
    assert "on the record" not in (card.detail or "")


def test_one_broken_draft_does_not_take_the_others_away(as_of: datetime) -> None:
    broken = {"resourceType": "MedicationRequest", "id": "x", "dispenseRequest": 7}
    outcome = check(record_of(SICK, as_of), drafts_of(broken, draft_of(METFORMIN)))
    assert findings(outcome) == [("renal-metformin", "lt30", "critical")]
    assert ("MedicationRequest/x", "draft-unreadable") in reasons(outcome)


@for_rows("days", [300, 20])
def test_a_headline_from_a_problem_has_its_date(days: int, as_of: datetime) -> None:
    record = record_of({"conditions": [["hf_decompensated", days]]}, as_of)
    (card,) = check(record, drafts_of(draft_of({"drug": "metoprolol tartrate 100 MG Oral Tablet"}))).cards
    since = (as_of - timedelta(days=days)).date().isoformat()
    assert f"decompensated heart failure ({since})" in card.summary


@for_rows("days", [7000, 20])
def test_a_drug_last_recorded_years_ago_is_not_the_headline_beside_a_present_danger(days: int, as_of: datetime) -> None:
    """A naproxen of 2007 stood before 80 mg of enoxaparin twice daily at an old clearance of 25 mL/min."""
    patient = {
        "active": [["naproxen 500 MG Oral Tablet", days]],
        "age": 75,
        "labs": [["creatinine", 3.0, 375], ["body_weight", 80]],
    }
    syringe = {"drug": "0.8 ML enoxaparin sodium 100 MG/ML Prefilled Syringe", "route": "subcutaneous"}
    draft = draft_of({**syringe, "dose": "80 mg", "times": 2})
    (card,) = check(record_of(patient, as_of), drafts_of(draft), signing=True).cards
    assert ("naproxen" in card.summary) == (days < 365)


def test_the_card_of_a_child_names_age_and_weight(as_of: datetime) -> None:
    record = record_of({"age": 6, "labs": [["body_weight", 20]]}, as_of)
    (card,) = check(record, drafts_of(draft_of({"drug": "ciprofloxacin 500 MG Oral Tablet"}))).cards
    assert "(age 6, weight 20 kg on" in (card.detail or "").partition("\n")[0]


def test_no_sentence_of_the_card_of_a_child_has_the_amount_of_an_adult(as_of: datetime) -> None:
    record = record_of({"age": 12, "active": ["diltiazem 120 MG Oral Tablet", "amiodarone 200 MG Oral Tablet"]}, as_of)
    draft = draft_of({"drug": "simvastatin 40 MG Oral Tablet", "dose": "1 tablet", "times": 1})
    (card,) = check(record, drafts_of(draft)).cards
    assert "amiodarone" in (card.detail or "")
    assert "20 mg" not in (card.detail or "")


def test_ten_times_the_first_dose_of_a_drug_that_has_no_other_limit_is_critical(as_of: datetime) -> None:
    draft = draft_of({"drug": "mavacamten 10 MG Oral Capsule", "dose": "60 mg", "times": 1})
    (card,) = check(record_of({"age": 50}, as_of), drafts_of(draft)).cards
    assert card.indicator == "critical"


# Many equal drafts: one card for a dose that is far too high, and an answer whose size has a bound.
TEN = 10
MG = {"unit": "mg", "system": "http://unitsofmeasure.org", "code": "mg"}


def _draft(number: int, words: str, mg: float, times: int) -> Json:
    timing = {"repeat": {"frequency": times, "period": 1, "periodUnit": "d"}}
    dosage = {"timing": timing, "doseAndRate": [{"doseQuantity": {"value": mg, **MG}}]}
    return medication_order(words, status="draft", patient="chart-1", id=f"draft-{number}", dosageInstruction=[dosage])


async def _signed(folder: Path, drafts: list[Json], *chart: Json) -> list[Json]:
    body = as_call("order-safety", "order-sign", 1, [patient(60, "male"), result("2160-0", 1.0, "mg/dL"), *chart])
    body["context"]["draftOrders"] = bundle(*drafts, type="collection")
    async with client(folder, as_of=AS_OF) as calls:
        answer = await calls.post("/cds-services/order-safety", json=body)
    cards: list[Json] = answer.json()["cards"]
    return cards


@each_row(("words", "mg", "times", "a_day"))
def test_the_headline_of_ten_drafts_is_what_they_give_together(
    tmp_path: Path, words: str, mg: float, times: int, a_day: str
) -> None:
    cards = asyncio.run(_signed(tmp_path, [_draft(number, words, mg, times) for number in range(TEN)]))
    worst = cards[0]
    assert worst["indicator"] == "critical"
    assert a_day in worst["summary"]
    about_doses = [card for card in cards if "mg/day" in card["summary"]]
    assert len(about_doses) == 1, [card["summary"] for card in cards]
    severities = [SEVERITY[card["indicator"]] for card in cards]
    assert severities == sorted(severities, reverse=True)


def _listed(number: int, drug: str, reaction: str) -> Json:
    return allergy(
        drug, status=None, patient="chart-1", id=f"allergy-{number}", reaction=[{"manifestation": [{"text": reaction}]}]
    )


def test_a_list_of_hundreds_of_allergies_is_told_by_some_entries_and_a_count(tmp_path: Path) -> None:
    draft = _draft(0, "amoxicillin 500 MG Oral Capsule", 500, 3)
    entries = [_listed(number, "amoxicillin", f"anaphylaxis number {number}") for number in range(300)]
    (card,) = asyncio.run(_signed(tmp_path, [draft], *entries))
    more = f"{300 - MOST_FACTS} more of this kind"
    assert f"amoxicillin: anaphylaxis number {MOST_FACTS - 1}; {more}." in card["detail"]
    facts = card["extension"]["org.cds-hooks-onnx"]["facts"]
    assert [fact["text"] for fact in facts if fact["name"] == "more_allergy"] == [more]
    assert len([fact for fact in facts if fact["name"] == "allergy"]) == MOST_FACTS
    assert len(str(card)) < 10_000


# Why an order is not checked, and what of the medication list was not counted: whole sentences.
def order(**fields: Any) -> Json:
    return {"resourceType": "MedicationRequest", "id": "a", "status": "draft", "intent": "order"} | fields


@for_rows(("patient", "draft", "headline", "offers"))
def test_the_buttons_of_a_card_do_what_it_advises(
    patient: Json, draft: Json, headline: str, offers: list[str], as_of: datetime
) -> None:
    """No proton pump inhibitor beside "avoid every NSAID", and no end of rifampin for the level of a statin."""
    record, drafts = record_of(patient, as_of), drafts_of(draft_of({"dose": "1 unit", "times": 3, **draft}))
    (card,) = check(record, drafts, signing=True).cards
    assert headline in card.summary
    assert [suggestion.label for suggestion in card.suggestions] == offers
    if "Cancel this order" in offers:
        kept = ("keep the course short", "Adjust the dose", "one is enough: review")
        assert [words for words in kept if words in (card.detail or "")] == []
