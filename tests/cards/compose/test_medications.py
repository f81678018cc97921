"""The cards about what is taken already: lines, headlines, and which suggestions fit the sentence of a finding."""

from typing import Any

import pytest
from msgspec.structs import replace

from cards.card import SEVERITY, Action, Card, CardIdentity, Coding, Suggestion
from cards.compose.medications import ReviewedDrug, fits_finding, genes_card, may_be_stopped, review_card
from cards.extension import EXTENSION_KEY, CardExtension, Fact, FindingReference
from cards.rules.conditions.condition import Predicate
from cards.rules.engine.compile import CompiledSuggestion
from cards.rules.engine.finding import Finding, OfferedSuggestion
from cards.rules.engine.rule_book import rule_book
from cards.rules.language.rule import Evidence, NewOrder, OrderChange, Product, Sig, SuggestionTemplate
from fhir.mapping.medications.identity import MedicationIdentity, identify_concept
from fhir.record.datatypes import CodeableConcept
from tests.cards.rules.cases import check_case
from tests.cards.rules.pinned import AS_OF, cases_of_bands, named_cases
from tests.each import for_rows

IDENTITY = CardIdentity("card", lambda number: f"suggestion-{number}", "https://example.org/why")
GUIDE = Evidence(
    "The guide", "The society", "2026", "1", "Guide 2026", "A", "society", "guideline", "https://example.org/g"
)
LABEL = replace(GUIDE, label="Label 2025", url=None)
REASON = Coding(system="s", code="c", display="d")


def finding(rule: str = "rule", **more: Any) -> Finding:
    """A finding of a rule, a warning of priority 10 with this evidence."""
    words: dict[str, Any] = {
        "rule": rule, "band": "band", "indicator": "warning", "is_certain": True, "summary": f"{rule} speaks.",
        "detail": f"Detail of {rule}.", "priority": 10, "facts": (), "notes": (), "suggestions": (), "partners": (),
        "evidence": (GUIDE,), "override_reasons": (REASON,),
    }  # fmt: skip
    return Finding(**(words | more))


def reviewed(name: str, of: Finding | None = None, *offers: Suggestion) -> ReviewedDrug:
    return ReviewedDrug(name, of or finding(name), offers)


def lines_of(card: Card) -> list[str]:
    assert card.detail is not None
    return card.detail.split("\n")


# The review


def test_one_finding_about_one_drug_is_the_headline() -> None:
    card = review_card([reviewed("digoxin")], IDENTITY)
    assert card.summary == "Medication review: digoxin speaks."
    assert lines_of(card) == ["- **digoxin speaks.** Detail of digoxin. (Guide 2026)"]
    assert (card.indicator, card.source.label, card.source.url) == ("warning", "Guide 2026", "https://example.org/g")
    assert (card.suggestions, card.selection_behavior) == ((), None)
    assert card.extension == {
        EXTENSION_KEY: CardExtension(findings=(FindingReference("digoxin", "band"),), output="medication-review")
    }


def test_one_finding_about_several_drugs_is_one_line_that_names_them() -> None:
    of_each = finding("class")
    card = review_card([reviewed(name, of_each) for name in ("b", "a", "b", "c", "d")], IDENTITY)
    assert card.summary == "Medication review, one finding: b, a, c and 1 more."
    assert lines_of(card) == ["- **b, a, c, d: class speaks.** Detail of class. (Guide 2026)"]


def test_a_pair_is_told_once_by_the_drug_that_names_most_partners() -> None:
    partner: Any = object()
    one_partner = finding("pair", summary="One partner.", partners=(partner,))
    two_partners = finding("pair", summary="Two partners.", partners=(partner, partner))
    card = review_card([reviewed("a", one_partner), reviewed("b", two_partners)], IDENTITY)
    assert card.summary == "Medication review: Two partners."
    assert lines_of(card) == ["- **Two partners.** Detail of pair. (Guide 2026)"]


def test_six_findings_have_lines_and_of_seven_the_last_two_share_one() -> None:
    drugs = [reviewed(name) for name in "abcdefg"]
    assert len(lines_of(review_card(drugs[:6], IDENTITY))) == 6
    assert lines_of(review_card(drugs[:6], IDENTITY))[5] == "- **f speaks.** Detail of f. (Guide 2026)"
    lines = lines_of(review_card(drugs, IDENTITY))
    assert lines[4:] == ["- **e speaks.** Detail of e. (Guide 2026)", "- Also: f (Guide 2026); g (Guide 2026)."]


@pytest.mark.parametrize(("words", "is_whole"), [(75, True), (76, False)])
def test_the_lines_of_a_review_have_160_words_at_most(words: int, is_whole: bool) -> None:
    # Five words of each line are those of the headline and the label.
    drugs = [
        reviewed(name, finding(name, detail=" ".join(["x"] * number))) for name, number in (("a", 75), ("b", words))
    ]
    assert lines_of(review_card(drugs, IDENTITY))[1].startswith("- **b speaks.**" if is_whole else "- Also: b (")


def test_facts_that_are_not_said_yet_follow_with_their_day() -> None:
    facts = (
        Fact("draft", "the draft"),
        Fact("medication", "digoxin 250"),
        Fact("daily_dose", "0.25 mg a day"),
        Fact("egfr", "eGFR 25 mL/min", effective="2026-11-01T08:00:00Z"),
        Fact("potassium", "K 3.1", effective="2026-11-02T08:00:00Z"),
        Fact("potassium", "K 3.1", effective="2026-11-02T09:00:00Z"),
        Fact("age", ""),
        Fact("pregnancy", ""),
        Fact("pregnancy", "Detail of", effective="2026-09-21"),
        Fact("falls", "a fall in 2026-10-03 at home", effective="2026-10-03"),
        Fact("sex", "female *"),
    )
    card = review_card([reviewed("x", finding("x", summary="eGFR 25 is low.", facts=facts))], IDENTITY)
    said = r"On record: K 3.1 (2026-11-02); Detail of (2026-09-21); a fall in 2026-10-03 at home; female \*."
    assert lines_of(card) == [f"- **eGFR 25 is low.** Detail of x. {said} (Guide 2026)"]
    assert card.own_extension.facts == facts


def suggestion(label: str, order: str = "", kind: Any = "update") -> Suggestion:
    """A suggestion that changes this order."""
    action = Action(type=kind, description="d", resource={"resourceType": "MedicationRequest", "id": order})
    return Suggestion(label=label, uuid="its own", is_recommended=True, actions=(action,))


def test_an_order_is_changed_once_and_no_more_than_four_suggestions_are_made() -> None:
    first = reviewed(
        "a", None, suggestion("Stop it", "1"), suggestion("Halve it", "1"), suggestion("Test", "1", "create")
    )
    second = reviewed(
        "b", None, suggestion("Stop it", "2"), suggestion("Hold it", "2"), suggestion("Test 2", "1", "create")
    )
    card = review_card([first, second, reviewed("c", None, suggestion("Stop c", "3"))], IDENTITY)
    labels = ["Stop it", "Test", "Hold it", "Test 2"]
    assert [(offer.label, offer.uuid, offer.is_recommended) for offer in card.suggestions] == [
        (label, f"suggestion-{number}", False) for number, label in enumerate(labels, start=1)
    ]
    assert card.selection_behavior == "any"


def test_of_a_drug_the_worst_finding_alone_changes_the_order() -> None:
    """A lower dose beside "the level is toxic: hold it" would be the wrong button."""
    lower = reviewed("a", finding("dose"), suggestion("Halve it", "1"), suggestion("Test", "1", "create"))
    held = reviewed("a", finding("level", indicator="critical"))
    assert [offer.label for offer in review_card([lower, held], IDENTITY).suggestions] == ["Test"]
    assert [offer.label for offer in review_card([lower], IDENTITY).suggestions] == ["Halve it", "Test"]


# Suggestions that fit


def identity_of(words: str) -> MedicationIdentity:
    return identify_concept(CodeableConcept(text=words))


@for_rows(
    ("words", "stops"),
    [
        ("lisinopril", True), ("metformin", True), ("sertraline", False), ("warfarin", False), ("ropinirole", False),
        ("carbidopa / levodopa", False), ("baclofen", False), ("something new", True),
        ("clopidogrel", False),
    ],
)  # fmt: skip
def test_a_drug_whose_course_is_tapered_is_not_stopped_at_once(words: str, stops: bool) -> None:
    assert may_be_stopped(identity_of(words)) is stops


def offer(label: str = "Stop it", **declared: Any) -> OfferedSuggestion:
    always = Predicate(lambda _: True)
    return OfferedSuggestion(
        CompiledSuggestion(SuggestionTemplate(label=label, **declared), None, always, ()),
        is_recommended=False,
        orders=(),
    )


CHANGE = OrderChange(label="Change it")
PARTS: dict[str, dict[str, Any]] = {
    "cancel": {"cancel": True}, "hold": {"hold": True}, "change": {"change": CHANGE},
    "step": {"change": CHANGE, "in_steps": True},
    "partner stopped": {"cancel": True, "stop_partner": "stopped"},
    "partner changed": {"cancel": True, "change_partner": CHANGE},
    "another drug": {"cancel": True, "create": (NewOrder(Product("1", "x"), Sig(text="daily")),)}, "test": {},
}  # fmt: skip


@for_rows(
    ("what", "drug", "more", "fits"),
    [
        ("cancel", "lisinopril", {}, True),
        ("hold", "lisinopril", {}, True),
        ("partner stopped", "lisinopril", {}, False),
        ("partner changed", "lisinopril", {}, False),
        ("another drug", "lisinopril", {}, False),
        ("cancel", "sertraline", {}, False),
        ("cancel", "lisinopril", {"is_certain": False}, False),
        ("cancel", "lisinopril", {"detail": "Reduce the dose."}, True),
        ("cancel", "lisinopril", {"asks": "change"}, False),
        ("hold", "lisinopril", {"asks": "change"}, False),
        ("cancel", "lisinopril", {"asks": "steps"}, True),
        ("change", "sertraline", {}, True),
        ("change", "sertraline", {"asks": "change"}, True),
        ("change", "sertraline", {"asks": "steps"}, False),
        ("step", "sertraline", {"asks": "steps"}, True),
        ("change", "lisinopril", {"asks": "steps"}, True),
        ("test", "sertraline", {"asks": "steps"}, True),
    ],
)
def test_a_suggestion_does_what_the_finding_asks_for_whatever_its_sentence_says(
    what: str, drug: str, more: dict[str, Any], fits: bool
) -> None:
    assert fits_finding(offer(**PARTS[what]), finding(**more), identity_of(drug)) is fits


# Genes


def gene_finding(rule: str, **more: Any) -> Finding:
    facts = (Fact("gene", "CYP2D6 *4/*4", effective="2026-10-01T08:00:00Z"), Fact("age", "70 years"))
    return finding(rule, facts=more.pop("facts", facts), **more)


def test_one_genetic_result_is_new_or_not() -> None:
    drug = reviewed("codeine", gene_finding("codeine", indicator="critical"))
    card = genes_card([drug], IDENTITY)
    assert card.summary == "New genetic result: codeine speaks."
    assert lines_of(card) == [r"- **codeine**: CYP2D6 \*4/\*4 (2026-10-01). Detail of codeine."]
    assert (card.indicator, card.source.url) == ("critical", "https://example.org/g")
    assert card.own_extension.output == "genes-and-medications"
    assert card.own_extension.findings == (FindingReference("codeine", "band"),)
    assert card.own_extension.facts == drug.finding.facts
    assert genes_card([drug], IDENTITY, is_new=False).summary == "Genetic result: codeine speaks."
    long = reviewed("codeine", gene_finding("codeine", summary="a result that is long " * 10))
    assert len(genes_card([long], IDENTITY).summary) < 140, "CDS Hooks: a summary is shorter than 140 characters"


def test_several_genetic_results_name_the_worst_two_drugs() -> None:
    drugs = [
        reviewed("info", gene_finding("a", indicator="info", priority=99)),
        reviewed("z", gene_finding("b")),
        reviewed("y", gene_finding("c", facts=(Fact("gene", "TPMT"), Fact("gene", "NUDT15", effective="2026")))),
    ]
    card = genes_card(drugs, IDENTITY)
    assert card.summary == "A new genetic result matters to 3 drugs that are taken: y, z and 1 more."
    assert lines_of(card) == [
        "- **y**: TPMT (undated); NUDT15 (2026). Detail of c.",
        r"- **z**: CYP2D6 \*4/\*4 (2026-10-01). Detail of b.",
        r"- **info**: CYP2D6 \*4/\*4 (2026-10-01). Detail of a.",
    ]
    older = genes_card(drugs[:2], IDENTITY, is_new=False)
    assert older.summary == "Genetic results matter to 2 drugs that are taken: z, info."


def test_of_four_drugs_the_last_two_share_a_line() -> None:
    drugs = [reviewed(name, gene_finding(name, facts=(), priority=20 - number)) for number, name in enumerate("abcd")]
    card = genes_card(drugs, IDENTITY)
    assert lines_of(card) == ["- **a**: Detail of a.", "- **b**: Detail of b.", "- Also: c speaks.; d speaks."]


# The headline of a card is the worst finding on it: for the first case of each band of every rule about orders.
_DECLARED = {(rule.id, band.declared.id): band.declared.indicator for rule in rule_book().rules for band in rule.bands}
# In hospice care the rule about valves is one step lower than it is declared, and so are a deficiency of unknown degree
# and a second order of a drug in another strength.
_ONE_STEP_LOWER = {
    ("disease-doac-valve", "hospice care"),
    ("mon-clozapine", "1.0"),
    ("pgx-azathioprine", "the problem TPMT deficiency"),
}


def _severities(card: Card) -> list[int]:
    """How severe the bands of its findings are declared; what is only missing is information."""
    findings = card.own_extension.findings
    return [SEVERITY[_DECLARED.get((finding.rule, finding.band), "info")] for finding in findings]


def test_the_headline_of_every_card_is_the_worst_that_was_found() -> None:
    cards = 0
    wrong = set()
    for rule in rule_book().rules:
        for case in cases_of_bands(rule.id) if rule.id in named_cases() else ():
            for card in check_case(case, AS_OF).cards:
                severities = _severities(card)
                cards += bool(severities)
                if severities and severities[0] < max(severities):
                    wrong.add((rule.id, case["id"]))
    assert wrong == _ONE_STEP_LOWER
    assert cards > 500
