"""What happened to the cards of a patient: each card that was shown and each answer to one, as an event."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any, Final

import msgspec
from msgspec import Struct, field

from cards.card import OVERRIDE_REASONS, PATIENT_DECLINES, SEVERITY, Indicator
from cards.extension import CardExtension
from cards.finding import Finding
from cards.rules.engine.finding import DRUG_FACTS, RuleFinding
from cards.text import plain
from cds_hooks.evidence.decision_views.follow import AnswerRow
from cds_hooks.evidence.storage.decision import Decision, FeedbackItem
from cds_hooks.evidence.storage.sent import SentCard, SentSuggestion, read_response


class Caller(Struct, frozen=True, gc=False):
    """Who is shown cards about whom, by which service at which hook."""

    client: str
    patient: str
    service: str
    hook: str


SHOWN: Final = "shown"
"""How a card was answered that nobody answered."""
ACCEPTED: Final = "accepted"
_KNOWN_REASONS: Final = frozenset(reason.code for reason in (*OVERRIDE_REASONS, PATIENT_DECLINES)) | {
    "cds-not-applicable"
}
"""Codes of overrides that count whatever the card offered: the project's own, and HL7's parent of "does not fit"."""
_LONGEST_WORDS: Final = 200
_MOVED: Final = 0.2
"""A finding of a rule is shown again when one of its values has moved by more than this share."""


class Accepted(Struct, frozen=True):
    """A suggestion that was accepted: what it said, and the words and references of the orders that came of it."""

    label: str
    orders: frozenset[str]


class Event(Struct, frozen=True, omit_defaults=True):
    """A card that was shown (`how` is "shown"), or the answer to one: "accepted", or the code of the override.

    `at` is in epoch seconds. `by` is the user to whom the card was shown, as it is recorded, `reason` the reason of an
    override in words. `finding` is what the card says of the patient as a whole.

    Of a card about orders `bands` are its rules and bands (none where the reason of an override is not known),
    `ingredients` what is drafted and taken, because an answer to one drug is none to another, `numbers` its values by
    name, and `drafts` the references of the drafts, not their words: the same drug drafted anew is judged anew.
    """

    at: float
    how: str
    finding: Finding | None = None
    service: str = ""
    last: float = 0.0
    """When the card was last shown on that day."""
    by: str = ""
    reason: str = ""
    indicator: Indicator = "info"
    bands: frozenset[tuple[str, str]] = frozenset()
    ingredients: frozenset[str] = frozenset()
    numbers: Mapping[str, float] = field(default_factory=dict)
    drafts: frozenset[str] = frozenset()
    accepted: tuple[Accepted, ...] = ()

    @property
    def is_of_list(self) -> bool:
        """Whether the card listed several findings."""
        return self.finding is not None and self.finding.is_list

    def answers(self, finding: RuleFinding) -> bool:
        """Whether it overrides this finding of a rule: the same drugs, no more severe, and about the same values."""
        if self.how == ACCEPTED or (finding.rule, finding.band) not in self.bands:
            return False
        values = [(fact.name, fact.value) for fact in finding.facts]
        return (
            SEVERITY[finding.indicator] <= SEVERITY[self.indicator]
            and _ingredients_of(values) <= self.ingredients
            and all(
                abs(value - self.numbers[name]) <= _MOVED * abs(self.numbers[name])
                for name, value in _numbers_of(values).items()
                if name in self.numbers
            )
        )


def _numbers_of(facts: Iterable[tuple[str, object]]) -> dict[str, float]:
    """Return the values that are numbers, by name; of several with one name the last."""
    return {name: float(value) for name, value in facts if isinstance(value, int | float)}


def _ingredients_of(facts: Iterable[tuple[str, object]]) -> frozenset[str]:
    """Return the ingredients that facts (name, value) are about: of the draft, and of what is taken beside it."""
    parts = (str(value).split("/") for name, value in facts if name in DRUG_FACTS and value is not None)
    return frozenset(ingredient for part in parts for ingredient in part)


def answer_event(
    card: SentCard, how: str, at: float, reason: str = "", suggestions: Iterable[str] = (), user: str = ""
) -> Event:
    """Return the answer to a card that was sent; `suggestions` are the uuids of those that were accepted."""
    extension = card.own_extension
    facts = [(fact.name, fact.value) for fact in extension.facts]
    is_known = reason and (how in _KNOWN_REASONS or any(how == offered.code for offered in card.override_reasons))
    findings = extension.findings if how == ACCEPTED or is_known else ()
    return Event(
        at,
        how,
        extension.finding,
        by=user,
        reason=reason,
        indicator=card.indicator,
        bands=frozenset((finding.rule, finding.band) for finding in findings),
        ingredients=_ingredients_of(facts),
        numbers=_numbers_of(facts),
        drafts=frozenset(fact.source for fact in extension.facts if fact.name == "draft" and fact.source),
        accepted=tuple(
            Accepted(plain(suggestion.label, 80), _orders_of(suggestion))
            for suggestion in card.suggestions
            if suggestion.uuid in suggestions
        ),
    )


def _orders_of(suggestion: SentSuggestion) -> frozenset[str]:
    resources = [action.resource for action in suggestion.actions if isinstance(action.resource, dict)]
    references = {f"{resource.get('resourceType')}/{resource.get('id')}" for resource in resources}
    return frozenset(references.union(*map(words_of, resources)))


def words_of(resource: object) -> tuple[str, ...]:
    """Return what an order is called: the text and the display names of its medication or code."""
    if not isinstance(resource, dict):
        return ()
    concept = resource.get("medicationCodeableConcept") or resource.get("code") or {}
    names = [concept.get("text"), *(coding.get("display") for coding in concept.get("coding") or ())]
    return tuple(filter(None, (plain_words(name) for name in names if isinstance(name, str))))


def plain_words(text: str) -> str:
    """Return words in the form in which they are compared."""
    return plain(text, _LONGEST_WORDS).casefold()


class _Basis(Struct):
    as_of: datetime | None = None
    units: tuple[str, ...] = ()


_basis: Final = msgspec.json.Decoder(_Basis)


def answer_of(row: AnswerRow) -> Event | None:
    """Return the answer of a row of the record; None where its decision or card is not there."""
    if row.decision is None:
        return None
    suggestions = msgspec.json.decode(row.feedback.accepted_suggestions)
    return _answer(row.feedback, row.decision.decision, suggestions)


def answers_to(decision: Decision, items: Iterable[FeedbackItem]) -> Iterator[Event]:
    """Yield the answers that came just now to the cards of a decision."""
    answers = (_answer(item, decision, item.accepted_suggestions) for item in items)
    yield from (answer for answer in answers if answer is not None)


def _answer(item: Any, decision: Decision, suggestions: Iterable[str]) -> Event | None:
    card = next((card for card in read_response(decision.response).cards if card.uuid == item.card), None)
    if card is None:
        return None
    at, user = item.received_at / 1e6, decision.user_id or ""
    if item.outcome == ACCEPTED:
        return answer_event(card, ACCEPTED, at, suggestions=tuple(suggestions), user=user)
    how, reason = item.override_reason_code, item.override_reason_display or item.override_reason_code
    return answer_event(card, how or "overridden", at, reason or "", user=user)


class ShownDecision(Struct, frozen=True):
    """A decision with its cards; `as_of` in epoch seconds by the clock of its call, `units` are the patient's."""

    decision: Decision
    as_of: float
    cards: tuple[SentCard, ...]
    units: tuple[str, ...] = ()

    @property
    def events(self) -> list[Event]:
        """What its cards say about the patient as a whole."""
        return shown_events(self.decision.service, (card.own_extension for card in self.cards), self.as_of)


def shown_events(service: str, cards: Iterable[CardExtension], at: float) -> list[Event]:
    """Return that cards about the patient as a whole were shown; of cards about orders only answers are remembered."""
    findings = (extension.finding for extension in cards)
    return [Event(at, SHOWN, finding, service, at) for finding in findings if finding is not None]


def shown_decision(decision: Decision) -> ShownDecision | None:
    """Return what a decision on record showed; None where it showed no card."""
    if decision.outcome != "cards":
        return None
    basis = _basis.decode(decision.basis)
    if basis.as_of is None:
        return None
    cards = read_response(decision.response).cards
    return ShownDecision(decision, basis.as_of.timestamp(), cards, basis.units)
