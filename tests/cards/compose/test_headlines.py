"""The headline of a card is the worst finding on it: for the first case of each band of every rule about orders."""

from cards.card import SEVERITY, Card
from cards.rules.engine.rule_book import rule_book
from tests.cards.rules.cases import check_case
from tests.cards.rules.pinned import AS_OF, cases_of_bands, named_cases

_DECLARED = {(rule.id, band.declared.id): band.declared.indicator for rule in rule_book().rules for band in rule.bands}
# In hospice care the rule about valves is one step lower than it is declared.
_ONE_STEP_LOWER = {("disease-doac-valve", "hospice care")}


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
