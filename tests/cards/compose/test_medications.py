"""The cards about what is taken already: lines, headlines, and which suggestions fit the sentence of a finding."""

from typing import Any

import pytest

from cards.card import SEVERITY, Action, Card, CardIdentity, Coding, Suggestion
from cards.compose.medications import ReviewedDrug, review_card
from cards.extension import FindingReference
from cards.rules.conditions.condition import Predicate
from cards.rules.engine.compile import CompiledSuggestion
from cards.rules.engine.finding import OfferedSuggestion, RuleFinding
from cards.rules.engine.rule_book import rule_book
from cards.rules.language.rule import Evidence, SuggestionTemplate
from tests.cards.rules.cases import check_case
from tests.cards.rules.pinned import AS_OF, cases_of_bands, named_cases

IDENTITY = CardIdentity("card", lambda number: f"suggestion-{number}", "https://example.org/why")
GUIDE = Evidence(
    "The guide", "The society", "2026", "1", "Guide 2026", "A", "society", "guideline", "https://example.org/g"
)
REASON = Coding(system="s", code="c", display="d")


def finding(rule: str = "rule", **more: Any) -> RuleFinding:
    """A finding of a rule, a warning of priority 10 with this evidence."""
    words: dict[str, Any] = {
        "rule": rule, "band": "band", "indicator": "warning", "is_certain": True, "summary": f"{rule} speaks.",
        "detail": f"Detail of {rule}.", "priority": 10, "facts": (), "notes": (), "suggestions": (), "partners": (),
        "evidence": (GUIDE,), "override_reasons": (REASON,),
    }  # fmt: skip
    return RuleFinding(**(words | more))


def reviewed(name: str, of: RuleFinding | None = None, *offers: Suggestion) -> ReviewedDrug:
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
    assert card.own_extension.findings == (FindingReference("digoxin", "band"),)


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


def offer(label: str = "Stop it", **declared: Any) -> OfferedSuggestion:
    always = Predicate(lambda _: True)
    return OfferedSuggestion(
        CompiledSuggestion(SuggestionTemplate(label=label, **declared), None, always, ()),
        is_recommended=False,
        orders=(),
    )


# Genes


# The headline of a card is the worst finding on it: for the first case of each band of every rule about orders.
_DECLARED = {(rule.id, band.declared.id): band.declared.indicator for rule in rule_book().rules for band in rule.bands}
# In hospice care the rule about valves is one step lower than it is declared, and so are a deficiency of unknown degree
# and a second order of a drug in another strength.
_ONE_STEP_LOWER = {
    ("disease-doac-valve", "hospice care"),
    ("mon-clozapine", "1.0"),
}


def _severities(card: Card) -> list[int]:
    """How severe the bands of its findings are declared; what is only missing is information."""
    findings = card.own_extension.findings
    return [SEVERITY[_DECLARED.get((finding.rule, finding.band), "info")] for finding in findings]


@pytest.mark.slow
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
