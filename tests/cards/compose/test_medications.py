"""The cards about what is taken already: lines, headlines, and which suggestions fit the sentence of a finding."""

from typing import Any

from msgspec.structs import replace

from cards.card import Action, Card, CardIdentity, Coding, Suggestion
from cards.compose.medications import review_card
from cards.extension import Fact, FindingReference
from cards.rules.conditions.condition import Predicate
from cards.rules.engine.compile import CompiledSuggestion
from cards.rules.engine.finding import OfferedSuggestion, RuleFinding
from cards.rules.language.rule import Evidence, SuggestionTemplate

IDENTITY = CardIdentity("card", lambda number: f"suggestion-{number}", "https://example.org/why")
GUIDE = Evidence(
    "The guide", "The society", "2026", "1", "Guide 2026", "A", "society", "guideline", "https://example.org/g"
)
REASON = Coding(system="s", code="c", display="d")


def finding(rule: str = "rule", summary: str = "", **more: Any) -> RuleFinding:
    """A finding of a rule, a warning of priority 10 with this evidence."""
    said = summary or f"{rule} speaks."
    text = {"summary": said, "detail": f"Detail of {rule}.", "evidence": (GUIDE,), "override_reasons": (REASON,)}
    declared: dict[str, Any] = {"indicator": "warning", **text}
    return RuleFinding(rule, "band", is_certain=True, priority=10, **(declared | more))


def reviewed(name: str, of: RuleFinding | None = None, *offers: Suggestion) -> RuleFinding:
    return replace(of or finding(name), facts=(Fact("draft", value=name),), offers=offers)


def lines_of(card: Card) -> list[str]:
    assert card.detail is not None
    return card.detail.split("\n")


# The review


def test_one_finding_about_one_drug_is_the_headline() -> None:
    card = review_card([reviewed("digoxin")], IDENTITY, since="2026-11-06")
    assert card.summary == "digoxin speaks."
    assert lines_of(card) == ["- Detail of digoxin."]
    assert (card.indicator, card.source.label, card.source.url) == ("warning", "Guide 2026", "https://example.org/g")
    assert (card.suggestions, card.selection_behavior) == ((), None)
    assert card.own_extension.findings == (FindingReference("digoxin", "band"),)


def test_a_pair_is_told_once_by_the_drug_that_names_most_partners() -> None:
    partner: Any = object()
    one_partner = finding("pair", summary="One partner.", partners=(partner,))
    two_partners = finding("pair", summary="Two partners.", partners=(partner, partner))
    card = review_card([reviewed("a", one_partner), reviewed("b", two_partners)], IDENTITY, since="2026-11-06")
    assert card.summary == "Two partners."
    assert lines_of(card) == ["- Detail of pair."]


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
    card = review_card([first, second, reviewed("c", None, suggestion("Stop c", "3"))], IDENTITY, since="2026-11-06")
    labels = ["Stop it", "Test", "Hold it", "Test 2"]
    assert [(offer.label, offer.uuid, offer.is_recommended) for offer in card.suggestions] == [
        (label, f"suggestion-{number}", False) for number, label in enumerate(labels, start=1)
    ]
    assert card.selection_behavior == "any"


def test_of_a_drug_the_worst_finding_alone_changes_the_order() -> None:
    """A lower dose beside "the level is toxic: hold it" would be the wrong button."""
    lower = reviewed("a", finding("dose"), suggestion("Halve it", "1"), suggestion("Test", "1", "create"))
    held = reviewed("a", finding("level", indicator="critical"))
    assert [offer.label for offer in review_card([lower, held], IDENTITY, since="2026-11-06").suggestions] == ["Test"]
    assert [offer.label for offer in review_card([lower], IDENTITY, since="2026-11-06").suggestions] == [
        "Halve it",
        "Test",
    ]


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
# In hospice care the rule about valves is one step lower than it is declared, and so are a deficiency of unknown degree
# and a second order of a drug in another strength.
