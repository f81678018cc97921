"""The form by which a clinician answers a card on the page of its decision, and the answer that was given.

The choices are the card's own: one for each suggestion, one for each reason to override, and "This is wrong". Text is
offered only where the record encrypts it.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, Final

from msgspec import Struct

from cards.card import OVERRIDE_SYSTEM
from cds_hooks.decision_history import DecisionHistory
from cds_hooks.pages.explain.recorded_decision import SentCard
from cds_hooks.storage.decision import ANSWERED_ON_PAGE, FeedbackItem

MOST_WORDS: Final = 500
"""The longest text, in characters."""
WRONG: Final = "wrong"


class AnswerForm(Struct, frozen=True):
    """What is offered for one card, its answers by their values, or, in `given`, the answer that it has."""

    card: str
    number: int
    choices: dict[str, str]
    may_write: bool
    given: str = ""


class AnswerRefused(Exception):
    """The form cannot be taken; the message is a sentence."""


def answer_forms(cards: Iterable[SentCard], history: DecisionHistory, *, may_write: bool) -> dict[str, AnswerForm]:
    """Return the form of each card that has a uuid, by the uuid; of several answers to a card the first is shown."""
    given = {card.uuid: card.answers[0].sentence for card in history.advised if card.answers}
    return {
        card.uuid: AnswerForm(
            card.uuid,
            number,
            {value: words for value, (words, _) in _choices(card).items()},
            may_write,
            given.get(card.uuid, ""),
        )
        for number, card in enumerate(cards, 1)
        if card.uuid
    }


def read_answer(
    card: SentCard, chosen: str, written: str, about: tuple[str, str], received_at: int, *, may_write: bool
) -> FeedbackItem:
    """Return the answer that the form holds; `about` are service and client, `received_at` microseconds since 1970.

    Raises:
        AnswerRefused: No answer was chosen, or the text is too long or belongs to no answer.
    """
    text, choices = " ".join(written.split()), _choices(card)
    if text and (chosen != WRONG or not may_write):
        raise AnswerRefused("A text belongs to “This is wrong” only.")
    if len(text) > MOST_WORDS:
        raise AnswerRefused(f"The text has {len(text)} characters; {MOST_WORDS} can be kept.")
    if chosen not in choices:
        raise AnswerRefused("Choose one of the answers.")
    at = datetime.fromtimestamp(received_at / 1e6, UTC).isoformat().replace("+00:00", "Z")
    fields = {"outcome": "overridden", "user_comment": text or None} | choices[chosen][1]
    return FeedbackItem(card.uuid, *about, outcome_timestamp=at, received_at=received_at, **fields)


def _choices(card: SentCard) -> dict[str, tuple[str, dict[str, Any]]]:
    """Return by its value each answer that a card offers: its words, and the members of the feedback that it makes."""
    followed = {
        f"s{number}": (
            f"Followed: {suggestion.label}",
            {"outcome": "accepted", "accepted_suggestions": (suggestion.uuid,)} | _reason(None, None),
        )
        for number, suggestion in enumerate(card.suggestions)
        if suggestion.uuid
    }
    not_followed = {
        f"r{number}": (
            f"Not followed: {reason.display}", _reason(reason.code or reason.display, reason.display, reason.system)
        )
        for number, reason in enumerate(card.override_reasons)
    }  # fmt: skip
    return followed | not_followed | {WRONG: ("This is wrong", _reason("this-is-wrong", "This is wrong"))}


def _reason(code: str | None, display: str | None, system: str | None = None) -> dict[str, Any]:
    system = f"{system or OVERRIDE_SYSTEM}{ANSWERED_ON_PAGE}"
    return {"override_reason_code": code, "override_reason_system": system, "override_reason_display": display}
