"""The form by which a clinician answers a card on the page of its decision, and the answer that was given.

The choices are the card's own: one for each suggestion, one for each reason to override, and "This is wrong". Text is
offered only where the record encrypts it.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from cards.card import OVERRIDE_SYSTEM
from cds_hooks.decision_history import DecisionHistory
from cds_hooks.pages.explain.recorded_decision import SentCard
from cds_hooks.storage.decision import ANSWERED_ON_PAGE, FeedbackItem

MOST_WORDS: Final = 500
"""The longest text, in characters."""
WRONG: Final = "wrong"
_ACCEPTED_SYSTEM: Final = f"{OVERRIDE_SYSTEM}{ANSWERED_ON_PAGE}"


class Choice(Struct, frozen=True):
    """One answer that a card offers."""

    value: str
    words: str


class AnswerForm(Struct, frozen=True):
    """What is offered for one card, or, in `given`, the answer that it has."""

    card: str
    number: int
    choices: tuple[Choice, ...]
    may_write: bool
    given: str = ""


class AnswerRefused(Exception):
    """The form cannot be taken; the message is a sentence."""


def answer_forms(cards: Iterable[SentCard], history: DecisionHistory, *, may_write: bool) -> dict[str, AnswerForm]:
    """Return the form of each card that has a uuid, by the uuid; of several answers to a card the first is shown."""
    given = {card.uuid: card.answers[0].sentence for card in history.advised if card.answers}
    return {
        card.uuid: AnswerForm(card.uuid, number, _choices(card), may_write, given.get(card.uuid, ""))
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
    words = " ".join(written.split())
    if words and (chosen != WRONG or not may_write):
        raise AnswerRefused("A text belongs to “This is wrong” only.")
    if len(words) > MOST_WORDS:
        raise AnswerRefused(f"The text has {len(words)} characters; {MOST_WORDS} can be kept.")
    item = FeedbackItem(
        card=card.uuid,
        service=about[0],
        client=about[1],
        outcome="overridden",
        outcome_timestamp=datetime.fromtimestamp(received_at / 1e6, UTC).isoformat().replace("+00:00", "Z"),
        received_at=received_at,
        override_reason_system=_ACCEPTED_SYSTEM,
        user_comment=words or None,
    )
    return _with_choice(card, chosen, item)


def _with_choice(card: SentCard, chosen: str, item: FeedbackItem) -> FeedbackItem:
    if chosen == WRONG:
        return replace(item, override_reason_code="this-is-wrong", override_reason_display="This is wrong")
    for number, suggestion in enumerate(card.suggestions):
        if chosen == f"s{number}" and suggestion.uuid:
            return replace(item, outcome="accepted", accepted_suggestions=(suggestion.uuid,))
    for number, reason in enumerate(card.override_reasons):
        if chosen == f"r{number}":
            system = f"{reason.system or OVERRIDE_SYSTEM}{ANSWERED_ON_PAGE}"
            code, display = reason.code or reason.display, reason.display
            return replace(
                item, override_reason_code=code, override_reason_system=system, override_reason_display=display
            )
    raise AnswerRefused("Choose one of the answers.")


def _choices(card: SentCard) -> tuple[Choice, ...]:
    followed = [
        Choice(f"s{number}", f"Followed: {suggestion.label}")
        for number, suggestion in enumerate(card.suggestions)
        if suggestion.uuid
    ]
    not_followed = [
        Choice(f"r{number}", f"Not followed: {override_reason.display}")
        for number, override_reason in enumerate(card.override_reasons)
    ]
    return (*followed, *not_followed, Choice(WRONG, "This is wrong"))
