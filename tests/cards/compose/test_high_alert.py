"""A high-alert drug that no rule is about gives one line instead of silence; all other drugs give none."""

from datetime import datetime
from typing import Any

from cards.card import Card, check_card
from cards.compose.high_alert import NOT_COVERED, high_alert_class
from fhir.mapping.medications.identity import MedicationIdentity, identify_concept
from fhir.record.datatypes import CodeableConcept
from tests.cards.rules.cases import check, findings, reasons
from tests.cards.rules.patients import PATIENT_ID, draft_of, drafts_of, record_of
from tests.each import for_rows, rows_of


def _of(words: str) -> MedicationIdentity:
    return identify_concept(CodeableConcept(text=words))


def _uncovered(as_of: datetime, *drugs: str, patient: dict[str, Any] | None = None) -> list[Card]:
    drafts = drafts_of(*(draft_of({"drug": drug}) | {"id": f"draft-{index}"} for index, drug in enumerate(drugs)))
    cards = check(record_of(patient or {}, as_of), drafts).cards
    return [check_card(card) for card in cards if card.own_extension.output == NOT_COVERED]


@for_rows(
    ("words", "name"),
    rows_of(__file__, "a_drug_of_ismps_lists_has_its_class"),
)
def test_a_drug_of_ismps_lists_has_its_class(words: str, name: str) -> None:
    assert high_alert_class(_of(words)) == name


@for_rows(
    "words",
    [
        "lisinopril", "levothyroxine", "celecoxib", "Tecfidera", "midodrine 5 mg tablet", "magnesium oxide",
        "tretinoin 0.1 % topical cream", "herbal drops", "", "aminolevulinic acid",
    ],
)  # fmt: skip
def test_an_ordinary_drug_has_none(words: str) -> None:
    assert high_alert_class(_of(words)) is None


def test_several_share_one_card_within_its_length(as_of: datetime) -> None:
    names = ("temsirolimus", "basiliximab", "altretamine", "amsacrine", "o" * 200 + " chemo")
    (card,) = _uncovered(as_of, *names)
    assert card.summary.startswith("Temsirolimus, basiliximab, altretamine and 2 more are not covered")
    assert {fact.source for fact in card.own_extension.facts} >= {"MedicationRequest/draft-0"}
    (long,) = _uncovered(as_of, *("o" * 200 + f" {index} chemo" for index in range(3)))
    assert len(long.summary) < 140


def test_a_drug_that_has_a_card_is_not_named_again(as_of: datetime) -> None:
    allergy = {
        "resourceType": "AllergyIntolerance", "id": "allergy", "patient": {"reference": f"Patient/{PATIENT_ID}"},
        "code": {"text": "lomustine"}, "reaction": [{"manifestation": [{"text": "anaphylaxis"}]}],
    }  # fmt: skip
    outcome = check(record_of({"more": [allergy]}, as_of), drafts_of(draft_of({"drug": "Gleostine"})))
    assert [rule for rule, _, _ in findings(outcome)] == ["allergy-same-ingredient"]
    assert [card.own_extension.output for card in outcome.cards] == [None]


def test_the_scope_of_an_uncovered_drug_stays_among_the_silences(as_of: datetime) -> None:
    outcome = check(record_of({}, as_of), drafts_of(draft_of({"drug": "temsirolimus"})))
    assert "scope" in {reason for _, reason in reasons(outcome)}
    assert outcome.drafts == tuple(fact.source for fact in outcome.cards[0].own_extension.facts)
