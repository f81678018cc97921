"""Rules about two drugs: which drugs are a pair, whose card it stands on, and what is done about the other order."""

from datetime import datetime
from typing import Any

import pytest

from cards.compose.orders import OrderOutcome, check_orders
from cards.rules.engine.rule_book import rule_book
from cards.rules.language.trigger import Selector
from cards.rules.patient.session import PatientSession
from tests.cards.rules.cases import check, findings, originals, reasons, uuids
from tests.cards.rules.patients import bundle_of, draft_of, drafts_of, record_of

Json = dict[str, Any]

WARFARIN: Json = {"drug": "855332", "dose": "1 tablet", "times": 1}
IBUPROFEN: Json = {"drug": "197806", "dose": "1 tablet", "times": 3}
PHENELZINE: Json = {"drug": "312347", "dose": "1 tablet", "times": 3}


def _both(first: Json, second: Json, as_of: datetime, patient: Json | None = None) -> OrderOutcome:
    drafts = drafts_of(draft_of(first, "one"), draft_of(second, "two"))
    return check(record_of(patient or {}, as_of), drafts)


@pytest.mark.parametrize("turned", [False, True])
def test_two_drafts_that_are_a_pair_are_said_on_the_card_of_the_one_to_change(turned: bool, as_of: datetime) -> None:
    first, second = (IBUPROFEN, WARFARIN) if turned else (WARFARIN, IBUPROFEN)
    outcome = _both(first, second, as_of, {"age": 70})
    told = [one for one in findings(outcome) if one[0] == "ddi-warfarin-nsaid"]
    assert told == [("ddi-warfarin-nsaid", "risk_factor", "warning")]
    (card,) = [one for one in outcome.cards if "Warfarin with ibuprofen" in one.summary]
    facts = card.own_extension.facts
    assert facts[0].value == "ibuprofen"
    assert ("ddi-warfarin-nsaid", "said-once") in reasons(outcome)


def test_what_only_one_of_two_cards_knows_is_not_lost(as_of: datetime) -> None:
    # Naproxen is on the list: warfarin's own finding names both NSAIDs, that of the drafted one only itself.
    outcome = _both(WARFARIN, IBUPROFEN, as_of, {"age": 60, "active": ["198014"]})
    said = " ".join(f"{card.summary} {card.detail}" for card in outcome.cards).lower()
    assert "ibuprofen" in said
    assert "naproxen" in said


def test_a_drug_is_never_its_own_partner(as_of: datetime) -> None:
    outcome = _both(PHENELZINE, PHENELZINE, as_of, {"active": ["312347"]})
    assert "ddi-maoi-serotonergic" not in {rule for rule, _, _ in findings(outcome)}


def test_each_partner_is_looked_at_by_itself(as_of: datetime) -> None:
    """A harmless partner must not hide a contraindicated one: linezolid is a warning, phenelzine is critical."""
    patient = {"active": ["linezolid 600 MG Oral Tablet", "312347"]}
    draft = {"drug": "pseudoephedrine 30 MG Oral Tablet", "dose": "1 tablet", "times": 3}
    (card,) = check(record_of(patient, as_of), drafts_of(draft_of(draft))).cards
    assert card.indicator == "critical"
    assert "phenelzine" in card.summary
    assert "milder: linezolid" in (card.detail or "")


def test_a_stopped_order_among_the_drafts_is_no_partner(as_of: datetime) -> None:
    record = record_of({"active": ["855332"]}, as_of)
    stopped = draft_of({**WARFARIN, "more": {"status": "stopped"}}, "active-0")
    outcome = check(record, drafts_of(draft_of(IBUPROFEN), stopped))
    assert "ddi-warfarin-nsaid" not in {rule for rule, _, _ in findings(outcome)}


def test_an_id_that_is_used_twice_hides_no_other_drug(as_of: datetime) -> None:
    record = record_of({"age": 70, "active": ["855332"]}, as_of)
    outcome = check(record, drafts_of(draft_of(IBUPROFEN, "active-0")))
    assert "ddi-warfarin-nsaid" in {rule for rule, _, _ in findings(outcome)}


def test_the_other_order_is_stopped_whole_or_not_at_all(as_of: datetime) -> None:
    patient: Json = {"age": 70, "active": ["197806"]}
    bundle, record, drafts = bundle_of(patient, as_of), record_of(patient, as_of), drafts_of(draft_of(WARFARIN))
    bundle["entry"][-1]["resource"]["vendorOwn"] = {"kept": True}
    whole = check_orders(record, drafts, None, uuids(), original=originals(bundle))
    labels = [one.label for one in whole.cards[0].suggestions]
    stop = next(one for one in whole.cards[0].suggestions if one.label.startswith("Stop the NSAID"))
    stopped = [action.resource for action in stop.actions if action.type == "update"]
    assert stopped == [bundle["entry"][-1]["resource"] | {"status": "stopped"}]
    assert not stop.is_recommended
    without = check_orders(record, drafts, None, uuids())
    assert [one.label for one in without.cards[0].suggestions] == [one for one in labels if one != stop.label]
    assert any("did not come whole" in one.text for one in without.silences)


def test_every_order_of_the_other_drug_is_stopped(as_of: datetime) -> None:
    """A finding names one of two orders of ibuprofen; to stop one would leave the hazard as it is."""
    patient: Json = {"age": 70, "active": ["197806", {"drug": "ibuprofen 200 MG Oral Tablet"}]}
    bundle, record, drafts = bundle_of(patient, as_of), record_of(patient, as_of), drafts_of(draft_of(WARFARIN))
    whole = check_orders(record, drafts, None, uuids(), original=originals(bundle))
    stop = next(one for one in whole.cards[0].suggestions if one.label.startswith("Stop the NSAID"))
    updated = [action.resource for action in stop.actions if action.type == "update" and action.resource is not None]
    assert {resource["id"]: resource["status"] for resource in updated} == dict.fromkeys(
        ("active-0", "active-1"), "stopped"
    )


@pytest.mark.parametrize(
    ("route", "words", "answer"),
    [
        ("oral", "baclofen 10 MG Oral Tablet", True),
        ("oral", "baclofen", True),
        ("oral", "baclofen 0.5 MG/ML Injectable Solution", False),
        ("injected", "haloperidol 5 MG/ML Injectable Solution", True),
        ("not injected", "72 HR fentanyl 0.025 MG/HR Transdermal System", True),
        ("oral", "72 HR fentanyl 0.025 MG/HR Transdermal System", False),
        ("not injected", "morphine sulfate 10 MG/ML Injectable Solution", False),
    ],
)
def test_a_selector_knows_routes(route: str, words: str, answer: bool, as_of: datetime) -> None:
    (drafted,) = PatientSession(record_of({}, as_of), drafts_of(draft_of({"drug": words}))).drafted
    assert Selector.read({"any_drug": True, "route": route}).matches(drafted.medication) is answer


@pytest.mark.parametrize("drafts", [5, 10, 20])
def test_a_draft_meets_only_the_rules_of_its_drugs(drafts: int, as_of: datetime) -> None:
    """The cost is one of drafts and medications: a draft that no rule is about wakes those about every drug only."""
    session = PatientSession(
        record_of({}, as_of), drafts_of(*(draft_of({"drug": "198440"}, f"d{n}") for n in range(drafts)))
    )
    woken = {wake.rule.id for one in session.drafted for wake in rule_book().rules_for(one.medication)}
    assert woken <= {
        "allergy-class-named", "allergy-same-ingredient", "dup-same-ingredient", "dup-acetaminophen-dose", "dose-max",
        "dose-plausible", "dz-apap-liver",
    }  # fmt: skip


def test_many_drafts_of_one_drug_cost_a_bounded_number_of_judgements(as_of: datetime) -> None:
    drafts = drafts_of(*(draft_of(IBUPROFEN, f"d{number}") for number in range(60)))
    outcome = check(record_of({"age": 70, "active": ["855332"]}, as_of), drafts)
    assert len(outcome.cards) == 60
    assert any("too many drafts came together" in one.text for one in outcome.silences)
