"""Drafted orders to cards: what is judged, what is passed over and why, and one card for each order."""

import os
import subprocess
import sys
from datetime import datetime
from typing import Any

import pytest

from cards.compose.orders import check_orders
from cards.rules.engine.rule_book import rule_book
from cards.rules.patient.orders import read_draft, read_drafts
from tests.cards.rules.cases import check, findings, reasons, uuids
from tests.cards.rules.patients import draft_of, drafts_of, record_of
from tests.conftest import ROOT

Json = dict[str, Any]

METFORMIN = {"drug": "861007", "dose": "1 tablet", "times": 2}
SICK = {"labs": [["egfr", 20]]}


def test_only_what_is_named_is_judged(as_of: datetime) -> None:
    drafts = drafts_of(draft_of(METFORMIN, "a"), draft_of({"drug": "198014", "dose": "1 tablet", "times": 2}, "b"))
    record = record_of(SICK, as_of)
    for judged, cards in ((["MedicationRequest/b"], 1), (["b"], 1), ([], 0), (None, 2)):
        outcome = check_orders(record, drafts, judged, uuids())
        assert len(outcome.cards) == cards
        named = [card.suggestions[-1].actions[0].resource_id for card in outcome.cards]
        assert named in (["MedicationRequest/b"], [], ["MedicationRequest/a", "MedicationRequest/b"])


def test_other_drafts_count_as_active(as_of: datetime) -> None:
    apixaban = draft_of({"drug": "1364445", "dose": "1 tablet", "times": 2}, "a")
    ketoconazole = draft_of({"drug": "ketoconazole 200 MG Oral Tablet"}, "k")
    outcome = check(record_of({"conditions": ["vte"]}, as_of), drafts_of(apixaban, ketoconazole), ["a"])
    assert findings(outcome) == [("renal-apixaban", "combined_inhibitor", "warning")]


@pytest.mark.parametrize("end", ["", "/_history/2"])
@pytest.mark.parametrize("start", ["", "https://ehr.example/fhir/"])
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


def test_what_rests_on_the_problem_list_is_not_offered_without_it(as_of: datetime) -> None:
    record = record_of(SICK, as_of)
    record = record.with_requested(frozenset({"Patient", "creatinine", "egfr"}))
    (card,) = check(record, drafts_of(draft_of(METFORMIN))).cards
    assert card.indicator == "critical"
    assert [suggestion.label for suggestion in card.suggestions] == ["Cancel this order"]


def test_results_that_did_not_come_are_not_said_to_be_missing_for_a_year(as_of: datetime) -> None:
    record = record_of({}, as_of)
    record = record.with_requested(frozenset({"Patient", "Condition"}))
    (card,) = check(record, drafts_of(draft_of(METFORMIN))).cards
    assert card.summary == "Kidney function did not come with this call; metformin needs it."
    assert "12 months" not in (card.detail or "")
    assert "on the record" not in (card.detail or "")


NAPROXEN = {"drug": "198014", "dose": "1 tablet", "times": 2, "days": 10}


def test_dialysis_is_said_in_a_summary_that_reads_well(as_of: datetime) -> None:
    (card,) = check(record_of({"conditions": ["dialysis"]}, as_of), drafts_of(draft_of(NAPROXEN))).cards
    assert card.summary == "Naproxen with dialysis on record: consider avoiding NSAIDs."


def test_values_that_contradict_each_other_are_named_once_each(as_of: datetime) -> None:
    labs = [["egfr", 20, 3], ["creatinine", 0.8, 3], ["creatinine", 0.8, 3]]
    (card,) = check(record_of({"labs": labs}, as_of), drafts_of(draft_of(NAPROXEN))).cards
    assert (card.detail or "").count("from creatinine 0.8 mg/dL") == 1


NOT_CHECKED: list[tuple[str, Json]] = [
    ("not-recognised", {"resourceType": "MedicationRequest", "medicationCodeableConcept": {"text": "Zaubertrank <b>"}}),
    ("not-recognised", {"resourceType": "MedicationRequest"}),
    ("not-recognised", {"resourceType": "MedicationRequest", "medicationReference": {"reference": "Medication/9"}}),
    ("not-recognised", {"resourceType": "ServiceRequest", "status": "draft"}),
    ("not-a-medication", {"resourceType": "NutritionOrder"}),
    ("not-a-medication", {"resourceType": ""}),
    ("not-to-be-given", {"resourceType": "MedicationRequest", "doNotPerform": True}),
    ("not-to-be-given", {"resourceType": "MedicationRequest", "status": "cancelled"}),
    ("draft-unreadable", {"resourceType": "MedicationRequest", "dosageInstruction": "two a day"}),
    ("draft-unreadable", {"resourceType": "MedicationRequest", "medicationCodeableConcept": []}),
    ("no-rule", {"resourceType": "MedicationRequest", "medicationCodeableConcept": {"text": "psyllium powder"}}),
]


@pytest.mark.parametrize(("reason", "resource"), NOT_CHECKED)
def test_what_is_not_checked_is_said(reason: str, resource: Json, as_of: datetime) -> None:
    outcome = check(record_of(SICK, as_of), drafts_of(resource))
    assert outcome.cards == ()
    ((subject, said),) = [one for one in reasons(outcome) if one[1] != "scope"]
    assert said == reason
    assert subject == "draftOrders.entry[0]"
    assert "<" not in outcome.silences[0].text


def test_one_broken_draft_does_not_take_the_others_away(as_of: datetime) -> None:
    broken = {"resourceType": "MedicationRequest", "id": "x", "dispenseRequest": 7}
    outcome = check(record_of(SICK, as_of), drafts_of(broken, draft_of(METFORMIN)))
    assert findings(outcome) == [("renal-metformin", "lt30", "critical")]
    assert ("MedicationRequest/x", "draft-unreadable") in reasons(outcome)


@pytest.mark.parametrize("entry", [None, 7, {}, {"resource": None}, {"resource": []}, {"fullUrl": 5, "resource": {}}])
def test_an_entry_without_a_resource_is_passed_over(entry: Any) -> None:
    assert all(draft.kind == "" for draft in read_drafts([entry]))


@pytest.mark.parametrize(
    ("identity", "full_url", "reference"),
    [
        ("1", None, "MedicationRequest/1"),
        ("1", "https://x.test/MedicationRequest/2", "MedicationRequest/1"),
        (None, "https://x.test/MedicationRequest/2", "MedicationRequest/2"),
        (None, "urn:uuid:abc", "MedicationRequest/abc"),
        (None, "https://x.test/2", None),
        (7, None, None),
        ("a/b", None, None),
        (" ", None, None),
        ("", "urn:uuid:", None),
    ],
)
def test_a_draft_goes_by_its_id_or_its_full_url(identity: Any, full_url: str | None, reference: str | None) -> None:
    resource = {"resourceType": "MedicationRequest"} | ({"id": identity} if identity is not None else {})
    assert read_draft(resource, full_url=full_url).reference == reference


def test_chart_words_stand_on_the_card_as_text(as_of: datetime) -> None:
    draft = draft_of(METFORMIN | {"drug": "Metformin 500 mg tablet **<img src=x>** [x](http://x.test)\u202e"})
    (card,) = check(record_of(SICK, as_of), drafts_of(draft)).cards
    assert card.detail is not None
    assert "<img" not in card.detail
    assert "\u202e" not in card.detail
    assert "**<" not in card.detail
    assert r"\[x\](http:\/\/x.test)" in card.detail


REPLAY = """
import sys, msgspec
from datetime import datetime
from itertools import count
from cards.casebook.patients import draft_of, drafts_of, record_of
from cards.compose.orders import check_orders
patient = {"conditions": ["afib"], "crcl": 20, "active": [
    "verapamil hydrochloride 120 MG Oral Tablet", "ketoconazole 200 MG Oral Tablet", "833528"]}
draft = draft_of({"drug": "1037179", "dose": "1 capsule", "times": 2})
record = record_of(patient, datetime.fromisoformat("2026-11-20T09:00:00+00:00"))
numbers = count(1)
outcome = check_orders(record, drafts_of(draft), None, lambda: f"uuid-{next(numbers)}", signing=True)
assert outcome.cards
sys.stdout.buffer.write(msgspec.json.encode(outcome))
"""


def test_the_source_of_a_card_is_what_its_band_rests_on(as_of: datetime) -> None:
    pregnant = {"age": 30, "sex": "female", "conditions": [["pregnancy", 253]]}
    nitrofurantoin = {"drug": "1648755", "dose": "1 capsule", "times": 2, "days": 5}
    (card,) = check(record_of(pregnant, as_of), drafts_of(draft_of(nitrofurantoin))).cards
    assert card.source.label.startswith("Nitrofurantoin label"), "Beers says nothing about pregnancy"
    assert "Beers" not in (card.detail or "")


@pytest.mark.slow
def test_the_same_call_gives_the_same_bytes_in_any_process() -> None:
    answers = {
        subprocess.run(
            [sys.executable, "-c", REPLAY],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(answers) == 1


def test_a_code_and_words_that_name_different_drugs_are_said(as_of: datetime) -> None:
    draft = draft_of(METFORMIN)
    draft["medicationCodeableConcept"]["text"] = "warfarin sodium 5 MG Oral Tablet"
    outcome = check(record_of(SICK, as_of), drafts_of(draft))
    assert ("MedicationRequest/draft-1", "identity-in-doubt") in reasons(outcome)


@pytest.mark.parametrize(("signing", "words"), [(False, "is not entered yet"), (True, "is not stated")])
def test_a_dose_that_is_not_there_is_waited_for_until_the_order_is_signed(
    signing: bool, words: str, as_of: datetime
) -> None:
    record = record_of({"labs": [["egfr", 40]], "active": ["861007"]}, as_of)
    outcome = check_orders(record, drafts_of(draft_of({"drug": "861007"})), None, uuids(), signing=signing)
    (text,) = [one.text for one in outcome.silences if one.reason == "dose-not-entered"][:1]
    assert words in text


def test_an_order_that_is_active_already_is_stopped_where_a_draft_is_cancelled(as_of: datetime) -> None:
    record, drafts = record_of(SICK, as_of), drafts_of(draft_of(METFORMIN))
    labels = [
        check_orders(record, drafts, None, uuids(), active_orders=active).cards[0].suggestions[-1].label
        for active in (False, True)
    ]
    assert labels == ["Cancel this order", "Stop this order"]


def test_no_suggestion_about_an_active_order_says_that_it_is_cancelled() -> None:
    rules = rule_book().rules
    offered = [one for rule in rules for band in rule.bands for one in band.suggestions]
    offered += [one for rule in rules for band in rule.missing for one in band.suggestions]
    labels = {one.declared.label_of(is_active=True) for one in offered}
    assert "Stop linezolid and choose another agent" in labels
    assert not [label for label in labels if "cancel" in label.lower()]


def test_each_card_comes_with_the_name_of_its_draft(as_of: datetime) -> None:
    drafts = drafts_of(draft_of({"drug": "ibuprofen 200 MG Oral Tablet"}, "a"), draft_of(METFORMIN, "b"))
    outcome = check_orders(record_of(SICK, as_of), drafts, None, uuids())
    named = [next(fact.source for fact in card.own_extension.facts if fact.name == "draft") for card in outcome.cards]
    assert list(outcome.drafts) == named != []
