"""Keeps accepted suggestions from coming back: an order that was accepted is not alerted on, undone or offered again.

Accepting a suggestion places or changes an order, and the client then calls the next hook with it ("alert loop":
accepting fired order-sign, which alerted again). So for an hour after an acceptance, about the same patient of the same
client,

- a card with the same findings on that order, or on the draft it came from, is not shown again,
- a suggestion that would change or remove that order is not offered (the opposite),
- a suggestion that would add the same order is not offered (the same).

Critical cards are shown all the same, with all of their suggestions.
"""

from collections.abc import Callable, Sequence
from threading import Lock
from time import time
from typing import Any, Final

import msgspec
from msgspec import Struct, structs

from cards.card import Card, Suggestion
from cards.extension import CardExtension
from cards.rules.engine.finding import Silence
from cards.text import plain
from cds_hooks.hold_back.patient_finding import Caller
from cds_hooks.hold_back.sent_cards import SentCard, SentSuggestion
from cds_hooks.hold_back.suppression import Chosen

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


class LoopGuard:
    """The suggestions that were accepted lately. Used from any thread."""

    def __init__(self, now: Callable[[], float] = time) -> None:
        """`now` gives epoch seconds by the clock of the calls."""
        self._now = now
        self.accepted: dict[_Patient, tuple[Accepted, ...]] = {}
        """By client and patient; read only."""
        self._writing = Lock()

    def remember(self, client: str, patient: str, sent: SentCard, accepted: Sequence[str], at: float) -> None:
        """Takes the suggestions of a sent card (their uuids) that were accepted at `at` (epoch seconds)."""
        if self._now() - at > LOOP_SECONDS:
            return
        chosen = [each for each in sent.suggestions if each.uuid in accepted]
        new = [_accepted(sent, each, at) for each in chosen]
        with self._writing:
            known = self.accepted.pop((client, patient), ())
            more = tuple(each for each in new if each not in known)
            self.accepted[client, patient] = (*known, *more)[-_OF_ONE:]
            while len(self.accepted) > _MOST:
                self.accepted.pop(next(iter(self.accepted)))

    def withhold(self, caller: Caller, chosen: Chosen) -> None:
        """Takes out of `chosen` what an acceptance of the last hour holds back, each with its reason."""
        known = self.accepted.get((caller.client, caller.patient))
        if not known:
            return
        now = self._now()
        lately = [each for each in known if 0 <= now - each.at <= LOOP_SECONDS]
        for card in list(chosen.cards) if lately else ():
            if card.indicator != "critical" and card.own_extension.findings:
                self._check(card, lately, chosen)

    def _check(self, card: Card, lately: Sequence[Accepted], chosen: Chosen) -> None:
        said = card.own_extension
        rule, draft = said.findings[0].rule, _draft(said)
        for each in lately:
            if _findings(said) <= each.findings and draft & (each.orders | each.draft):
                text = f"Accepted a moment ago (“{each.label}”), so not shown again: {card.summary}"
                chosen.withhold(card.uuid, Silence(rule, LOOP_GUARD, text))
                chosen.cards.remove(card)
                return
        kept = []
        for suggestion in card.suggestions:
            reason = _against(suggestion, draft, lately)
            if reason is None:
                kept.append(suggestion)
            else:
                chosen.withhold(suggestion.uuid, Silence(rule, LOOP_GUARD, reason))
        if len(kept) < len(card.suggestions):
            chosen.cards[chosen.cards.index(card)] = with_suggestions(card, kept)


def with_suggestions(card: Card, kept: Sequence[Suggestion]) -> Card:
    """The card with these of its suggestions; without any it has no selection behaviour either (CARD-13)."""
    return structs.replace(card, suggestions=tuple(kept), selection_behavior=card.selection_behavior if kept else None)


def _against(suggestion: Suggestion, draft: frozenset[str], lately: Sequence[Accepted]) -> str | None:
    """Why the suggestion is not offered: it is the opposite of one that was accepted, or the same; else None."""
    changes = any(action.type in ("update", "delete") for action in suggestion.actions)
    added = frozenset(
        word for action in suggestion.actions for word in _words(action.resource) if action.type == "create"
    )
    for each in lately:
        if changes and draft & each.orders:
            return f"“{suggestion.label}” is not offered: it would change what was just accepted (“{each.label}”)."
        if added & each.orders:
            return f"“{suggestion.label}” is not offered again: it was just accepted."
    return None


def _accepted(sent: SentCard, suggestion: SentSuggestion, at: float) -> Accepted:
    resources = [msgspec.json.decode(action.resource) for action in suggestion.actions if action.resource]
    orders = frozenset(
        word for each in resources for word in (*_words(each), f"{each.get('resourceType')}/{each.get('id')}")
    )
    references = frozenset(fact.source for fact in sent.said.facts if fact.name == "draft" and fact.source)
    return Accepted(at, plain(suggestion.label, 80), _findings(sent.said), references, orders)


def _findings(said: CardExtension) -> frozenset[tuple[str, str]]:
    return frozenset((one.rule, one.band) for one in said.findings)


def _draft(said: CardExtension) -> frozenset[str]:
    """Words and reference of the order that a card is about."""
    facts = [fact for fact in said.facts if fact.name == "draft"]
    words = [_plain(fact.text) for fact in facts]
    return frozenset(filter(None, [*words, *(fact.source or "" for fact in facts)]))


def _words(resource: Any) -> tuple[str, ...]:
    """What an order is called: the text and the display names of its medication or code."""
    if not isinstance(resource, dict):
        return ()
    concept = resource.get("medicationCodeableConcept") or resource.get("code") or {}
    names = [concept.get("text"), *(coding.get("display") for coding in concept.get("coding") or ())]
    return tuple(filter(None, (_plain(name) for name in names if isinstance(name, str))))


def _plain(text: str) -> str:
    return plain(text, _LONGEST_WORDS).casefold()
