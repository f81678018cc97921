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
from typing import Any, Final

import msgspec
from msgspec import Struct

from cards.card import Card, Suggestion
from cards.extension import CardExtension
from cards.rules.engine.finding import Silence
from cards.text import plain
from cds_hooks.hold_back.checks import Check, CheckedCall, Reason
from cds_hooks.hold_back.patient_finding import Caller
from cds_hooks.hold_back.remembered import Remembered
from cds_hooks.hold_back.sent_cards import Answer, SentCard, SentSuggestion

LOOP_GUARD: Final = "loop-guard"
"""The reason code of what an acceptance a moment ago holds back."""
LOOP_SECONDS: Final = 3_600.0
"""So long after an acceptance; the project's own choice: a session of ordering is over by then."""

_MOST: Final = 20_000
"""So many patients are remembered; beyond it the oldest are forgotten."""
_OF_ONE: Final = 50
"""So many acceptances of one patient are remembered, the newest."""
_LONGEST_WORDS: Final = 200

_Patient = tuple[str, str]


class Accepted(Struct, frozen=True):
    """A suggestion that was accepted: what it said, on which findings and draft, and which orders came of it.

    `draft` has the references of the draft, not its words: the same drug drafted anew is judged anew. `orders` has the
    words and the references of the orders.
    """

    at: float
    label: str
    findings: frozenset[tuple[str, str]]
    draft: frozenset[str]
    orders: frozenset[str]


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
        self._accepted = Remembered[_Patient, tuple[Accepted, ...]](_MOST)

    def take_answer(self, answer: Answer) -> None:
        """Takes the suggestions of a card that were accepted."""
        if not answer.suggestions or self._now() - answer.at > LOOP_SECONDS:
            return
        accepted = [
            _accepted(answer.card, suggestion, answer.at)
            for suggestion in answer.card.suggestions
            if suggestion.uuid in answer.suggestions
        ]
        patient = (answer.client, answer.patient)
        with self._accepted.writing:
            accepted_before = self._accepted.get(patient) or ()
            new = tuple(suggestion for suggestion in accepted if suggestion not in accepted_before)
            self._accepted.put(patient, (*accepted_before, *new)[-_OF_ONE:])

    def is_idle(self, call: CheckedCall) -> bool:
        """Returns whether nothing was accepted about the patient."""
        return not self._accepted.get((call.caller.client, call.caller.patient))

    async def check(self, card: Card, call: CheckedCall) -> Reason | None:
        """Returns why a card with the same findings on the same order is not shown again."""
        extension = card.own_extension
        findings, draft = _findings(extension), _draft(extension)
        for accepted in self._accepted_lately(card, call.caller):
            if findings <= accepted.findings and draft & (accepted.orders | accepted.draft):
                text = f"Accepted a moment ago (“{accepted.label}”), so not shown again: {card.summary}"
                return Reason(Silence(extension.findings[0].rule, LOOP_GUARD, text))
        return None

    def check_suggestion(self, suggestion: Suggestion, card: Card, call: CheckedCall) -> Silence | None:
        """Returns why the suggestion is not offered: it is the opposite of one that was accepted, or the same."""
        changes = any(action.type in ("update", "delete") for action in suggestion.actions)
        created = (action.resource for action in suggestion.actions if action.type == "create")
        added = {word for resource in created for word in _words(resource)}
        for accepted in self._accepted_lately(card, call.caller):
            rule = card.own_extension.findings[0].rule
            if changes and _draft(card.own_extension) & accepted.orders:
                text = f"“{suggestion.label}” is not offered: it would change what was just accepted"
                return Silence(rule, LOOP_GUARD, f"{text} (“{accepted.label}”).")
            if added & accepted.orders:
                text = f"“{suggestion.label}” is not offered again: it was just accepted."
                return Silence(rule, LOOP_GUARD, text)
        return None

    def _accepted_lately(self, card: Card, caller: Caller) -> list[Accepted]:
        """What was accepted within the hour about this patient; nothing for cards that the guard does not hold back."""
        remembered = self._accepted.get((caller.client, caller.patient))
        if not remembered or card.indicator == "critical" or not card.own_extension.findings:
            return []
        now = self._now()
        return [accepted for accepted in remembered if 0 <= now - accepted.at <= LOOP_SECONDS]


def _accepted(sent: SentCard, suggestion: SentSuggestion, at: float) -> Accepted:
    resources = [msgspec.json.decode(action.resource) for action in suggestion.actions if action.resource]
    orders = frozenset(
        word
        for resource in resources
        for word in (*_words(resource), f"{resource.get('resourceType')}/{resource.get('id')}")
    )
    references = frozenset(fact.source for fact in sent.our_extension.facts if fact.name == "draft" and fact.source)
    return Accepted(at, plain(suggestion.label, 80), frozenset(sent.findings), references, orders)


def _findings(extension: CardExtension) -> frozenset[tuple[str, str]]:
    return frozenset((finding.rule, finding.band) for finding in extension.findings)


def _draft(extension: CardExtension) -> frozenset[str]:
    """Words and reference of the order that a card is about."""
    facts = [fact for fact in extension.facts if fact.name == "draft"]
    words = [_plain(fact.text) for fact in facts]
    return frozenset(filter(None, [*words, *(fact.source or "" for fact in facts)]))


def _words(resource: Any) -> tuple[str, ...]:
    """Returns what an order is called: the text and the display names of its medication or code."""
    if not isinstance(resource, dict):
        return ()
    concept = resource.get("medicationCodeableConcept") or resource.get("code") or {}
    names = [concept.get("text"), *(coding.get("display") for coding in concept.get("coding") or ())]
    return tuple(filter(None, (_plain(name) for name in names if isinstance(name, str))))


def _plain(text: str) -> str:
    return plain(text, _LONGEST_WORDS).casefold()
