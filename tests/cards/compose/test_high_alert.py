"""A high-alert drug that no rule is about gives one line instead of silence; all other drugs give none."""

from datetime import datetime
from typing import Any

from msgspec.structs import replace

from cards.card import OVERRIDE_REASONS, Card, check_card
from cards.compose.high_alert import NOT_COVERED, UncoveredDrug, high_alert_class, uncovered_card, uncovered_finding
from cards.extension import Fact
from fhir.mapping.medications.identity import MedicationIdentity, identify_concept
from fhir.record.datatypes import CodeableConcept
from tests.cards.rules.cases import check, findings, reasons
from tests.cards.rules.patients import PATIENT_ID, draft_of, drafts_of, record_of
from tests.each import for_rows


def _of(words: str) -> MedicationIdentity:
    return identify_concept(CodeableConcept(text=words))


def _uncovered(as_of: datetime, *drugs: str, patient: dict[str, Any] | None = None) -> list[Card]:
    drafts = drafts_of(*(draft_of({"drug": drug}) | {"id": f"draft-{index}"} for index, drug in enumerate(drugs)))
    cards = check(record_of(patient or {}, as_of), drafts).cards
    return [check_card(card) for card in cards if card.own_extension.output == NOT_COVERED]


@for_rows(
    ("words", "name"),
    [
        ("Pomalyst", "immunosuppressant agents"),
        ("argatroban", "anticoagulants"),
        ("Ibrance 125 mg", "chemotherapeutic agents"),
        ("insulin lispro", "insulins"),
        ("eptifibatide", "glycoprotein IIb/IIIa inhibitors"),
        ("norepinephrine IV", "adrenergic agonists, IV"),
        ("magnesium sulfate 2 g / 50 mL bag", "magnesium sulfate injection"),
        ("Brand-new-one (Chemo)", "chemotherapeutic agents"),
        ("TPN", "parenteral nutrition"),
    ],
)
def test_a_drug_of_ismps_lists_has_its_class(words: str, name: str) -> None:
    assert high_alert_class(_of(words)) == name


def test_a_drug_may_be_one_by_the_route_that_is_ordered() -> None:
    routes = [replace(_of("norepinephrine"), route=route) for route in (None, "IV")]
    assert [high_alert_class(medication) for medication in routes] == [None, "adrenergic agonists, IV"]


@for_rows(
    "words",
    [
        "lisinopril", "levothyroxine", "celecoxib", "Tecfidera", "midodrine 5 mg tablet", "magnesium oxide",
        "tretinoin 0.1 % topical cream", "herbal drops", "", "aminolevulinic acid",
    ],
)  # fmt: skip
def test_an_ordinary_drug_has_none(words: str) -> None:
    assert high_alert_class(_of(words)) is None


def test_what_is_not_recognised_says_that_nothing_was_looked_for(as_of: datetime) -> None:
    (card,) = _uncovered(as_of, "Brand-new-one (Chemo)")
    assert card.summary == "Brand-new-one (Chemo) is not covered by these checks."
    assert card.detail is not None
    assert "nothing was checked" in card.detail


def test_several_share_one_card_within_its_length(as_of: datetime) -> None:
    names = ("temsirolimus", "basiliximab", "altretamine", "amsacrine", "o" * 200 + " chemo")
    (card,) = _uncovered(as_of, *names)
    assert card.summary.startswith("Temsirolimus, basiliximab, altretamine and 2 more are not covered")
    assert {fact.source for fact in card.own_extension.facts} >= {"MedicationRequest/draft-0"}
    (long,) = _uncovered(as_of, *("o" * 200 + f" {index} chemo" for index in range(3)))
    assert len(long.summary) < 140


@for_rows("drug", ["warfarin", "lisinopril", "amoxicillin", "herbal drops", "Xarelto 20 mg"])
def test_a_drug_with_rules_and_an_ordinary_one_stay_silent(as_of: datetime, drug: str) -> None:
    assert _uncovered(as_of, drug) == []


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


def test_the_card_and_the_finding_of_uncovered_drugs_whole() -> None:
    drugs = (
        UncoveredDrug("MedicationRequest/a", _of("etoposide"), "chemotherapeutic agents", in_pairs=True),
        UncoveredDrug("MedicationRequest/b", _of("Abciximab 2 mg/mL"), "glycoprotein IIb/IIIa inhibitors"),
        UncoveredDrug("MedicationRequest/c", _of("New *Chemo*"), "chemotherapeutic agents"),
        UncoveredDrug("MedicationRequest/d", _of("etoposide"), "chemotherapeutic agents", in_pairs=True),
    )
    card = uncovered_card(drugs, "card")
    assert card.summary == "Etoposide, Abciximab 2 mg/mL, New *Chemo* are not covered by these checks."
    assert card.detail == (
        "etoposide: a high-alert medication (ISMP: chemotherapeutic agents); no rule here is about its use, so only "
        "allergies, duplicates and single warnings (such as of interactions or pregnancy) were checked. "
        "Abciximab 2 mg/mL: a high-alert medication (ISMP: glycoprotein IIb/IIIa inhibitors); no rule here is about "
        "it, so only allergies and duplicates were checked. "
        r"New \*Chemo\*: a high-alert medication (ISMP: chemotherapeutic agents); its name is not recognised, so "
        "nothing was checked."
    )
    finding = uncovered_finding(drugs)
    (etoposide,), (abciximab,) = _of("etoposide").rxcuis, _of("abciximab").rxcuis
    assert (
        card.own_extension.facts
        == finding.facts
        == (
            Fact("draft", "etoposide", etoposide, source="MedicationRequest/a"),
            Fact("draft", "Abciximab 2 mg/mL", abciximab, source="MedicationRequest/b"),
            Fact("draft", "New *Chemo*", "new *chemo*", source="MedicationRequest/c"),
            Fact("draft", "etoposide", etoposide, source="MedicationRequest/d"),
        )
    )
    assert (finding.rule, finding.band, finding.indicator) == (NOT_COVERED, NOT_COVERED, "info")
    assert (finding.is_certain, finding.priority) == (True, 0)
    codes = [reason.code for reason in OVERRIDE_REASONS if reason.code != "recipient-does-not-trust"]
    assert [reason.code for reason in card.override_reasons] == codes
