"""Keeps accepted suggestions from coming back: an order that was accepted is not alerted on, undone or offered again.

Accepting a suggestion places or changes an order, and the client then calls the next hook with it ("alert loop":
accepting fired order-sign, which alerted again). So for an hour after an acceptance, about the same patient of the same
client,

- a card with the same findings on that order, or on the draft it came from, is not shown again,
- a suggestion that would change or remove that order is not offered (the opposite),
- a suggestion that would add the same order is not offered (the same).

Critical cards are shown all the same, with all of their suggestions.
"""

from collections.abc import Callable
from time import time
from typing import Final

from cards.card import Card, Suggestion
from cards.extension import CardExtension
from cards.rules.engine.finding import Silence
from cds_hooks.hold_back.checks import Check, CheckedCall, Reason
from cds_hooks.hold_back.memory import LOOP_SECONDS, Accepted, plain_words, words_of

LOOP_GUARD: Final = "loop-guard"
"""The reason code of what an acceptance a moment ago holds back."""


class LoopGuard(Check):
    """A suggestion about the same order was accepted within the hour."""

    codes = (LOOP_GUARD,)
    title = "Loop guard: a suggestion about this order was accepted within the hour"
    remembers = True
    lets_through = "Time: one hour after the acceptance; a new draft of the same drug is checked as usual."
    is_replayed_by_card = True

    def __init__(self, now: Callable[[], float] = time) -> None:
        """`now` gives epoch seconds by the clock of the calls."""
        self._now = now

    def is_idle(self, call: CheckedCall) -> bool:
        """Returns whether nothing was accepted about the patient."""
        return not call.memory.accepted

    async def check(self, card: Card, call: CheckedCall) -> Reason | None:
        """Returns why a card with the same findings on the same order is not shown again."""
        extension = card.own_extension
        findings, draft = _findings(extension), _draft(extension)
        for accepted in self._accepted_lately(card, call):
            if findings <= accepted.findings and draft & (accepted.orders | accepted.draft):
                text = f"Accepted a moment ago (“{accepted.label}”), so not shown again: {card.summary}"
                return Reason(Silence(extension.findings[0].rule, LOOP_GUARD, text))
        return None

    def check_suggestion(self, suggestion: Suggestion, card: Card, call: CheckedCall) -> Silence | None:
        """Returns why the suggestion is not offered: it is the opposite of one that was accepted, or the same."""
        changes = any(action.type in ("update", "delete") for action in suggestion.actions)
        created = (action.resource for action in suggestion.actions if action.type == "create")
        added = {word for resource in created for word in words_of(resource)}
        for accepted in self._accepted_lately(card, call):
            rule = card.own_extension.findings[0].rule
            if changes and _draft(card.own_extension) & accepted.orders:
                text = f"“{suggestion.label}” is not offered: it would change what was just accepted"
                return Silence(rule, LOOP_GUARD, f"{text} (“{accepted.label}”).")
            if added & accepted.orders:
                text = f"“{suggestion.label}” is not offered again: it was just accepted."
                return Silence(rule, LOOP_GUARD, text)
        return None

    def _accepted_lately(self, card: Card, call: CheckedCall) -> list[Accepted]:
        """What was accepted within the hour about this patient; nothing for cards that the guard does not hold back."""
        remembered = call.memory.accepted
        if not remembered or card.indicator == "critical" or not card.own_extension.findings:
            return []
        now = self._now()
        return [accepted for accepted in remembered if 0 <= now - accepted.at <= LOOP_SECONDS]


def _findings(extension: CardExtension) -> frozenset[tuple[str, str]]:
    return frozenset((finding.rule, finding.band) for finding in extension.findings)


def _draft(extension: CardExtension) -> frozenset[str]:
    """Words and reference of the order that a card is about."""
    facts = [fact for fact in extension.facts if fact.name == "draft"]
    words = [plain_words(fact.text) for fact in facts]
    return frozenset(filter(None, [*words, *(fact.source or "" for fact in facts)]))
