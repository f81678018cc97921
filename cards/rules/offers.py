"""Which of a rule's suggestions fit this patient, and whether a finding has been answered by a test already ordered."""

from collections.abc import Iterable

from cards.rules.compiled import CompiledRule, CompiledSuggestion
from cards.rules.finding import Offer
from cards.rules.rule import Change
from cards.rules.situation import Situation


def offers_of(
    rule: CompiledRule, suggestions: Iterable[CompiledSuggestion], situation: Situation, doubtful: bool
) -> tuple[Offer, ...]:
    """The suggestions that fit. While the values are doubtful nothing but asking again is preselected."""
    offers = []
    for suggestion in suggestions:
        if _fits(suggestion, situation):
            recommended = not doubtful and suggestion.recommended.test(situation) is True
            change = _change(rule, suggestion, situation)
            if change is not None or suggestion.declared.change is None:
                offers.append(Offer(suggestion, recommended, _open_orders(suggestion, situation), change))
    if doubtful and rule.when_unsure is not None and _open_orders(rule.when_unsure, situation):
        # On a renewal nothing that takes a drug away is preselected.
        offers.insert(
            0, Offer(rule.when_unsure, situation.new_start is True, _open_orders(rule.when_unsure, situation))
        )
    return tuple(offers)


def _change(rule: CompiledRule, suggestion: CompiledSuggestion, situation: Situation) -> Change | None:
    declared = suggestion.declared.change
    if declared is None or declared.computed is None:
        return declared
    return rule.family.changes[declared.computed](situation)


def _fits(suggestion: CompiledSuggestion, situation: Situation) -> bool:
    if suggestion.only_if is not None and suggestion.only_if.test(situation) is not True:
        return False
    return not (suggestion.declared.from_estimate and situation.gives_no_dose)


def _applicable_orders(suggestion: CompiledSuggestion, situation: Situation) -> list[int]:
    return [
        position
        for position, order in enumerate(suggestion.orders)
        if order.only_if is None or order.only_if.test(situation) is True
    ]


def _open_orders(suggestion: CompiledSuggestion, situation: Situation) -> tuple[int, ...]:
    """Positions of the tests that apply and are not ordered yet."""
    where = suggestion.declared.answers or "any"
    return tuple(
        position
        for position in _applicable_orders(suggestion, situation)
        if not situation.is_ordered(suggestion.orders[position].codes, where)
    )


def is_answered(suggestions: Iterable[CompiledSuggestion], situation: Situation) -> bool:
    """Whether what one of the suggestions asks for, tests and added drugs, is ordered already."""
    return any(suggestion.declared.answers and _is_done(suggestion, situation) for suggestion in suggestions)


def _is_done(suggestion: CompiledSuggestion, situation: Situation) -> bool:
    applicable = _applicable_orders(suggestion, situation)
    if not applicable and not suggestion.declared.create:
        return False
    return not _open_orders(suggestion, situation) and _is_added(suggestion, situation)


def _is_added(suggestion: CompiledSuggestion, situation: Situation) -> bool:
    """Whether one of the drugs to add is there; nothing to add is there always."""
    codes = [order.product.rxcui for order in suggestion.declared.create]
    return not codes or any(situation.is_beside(code, suggestion.declared.answers) for code in codes)
