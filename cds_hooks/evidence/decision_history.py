"""Tells what one decision advised, what was chosen or rejected, what was held back, and why: always by uuid.

Every page, command and export that names a choice prints what `decision_history` returns. Cards and suggestions are
numbered in several ways (`storage/decision.py`), so the digits of a uuid say nothing about their place in an answer.
"""

from collections.abc import Callable, Iterable, Sequence

from msgspec import Struct

from cds_hooks.call.hold_back.reasons import WITHHELD
from cds_hooks.evidence.storage.decision import Decision, FeedbackItem, read_basis
from cds_hooks.evidence.storage.sent import SentCard, read_response
from cds_hooks.people.governance.origins import HeldBack, explain_held_back
from cds_hooks.people.governance.releases import Releases
from fhir.record.refusals import WhyNot


class CardAnswer(Struct, frozen=True):
    """One answer to a card, given at `at` (microseconds since 1970-01-01 UTC)."""

    at: int
    day: str
    is_accepted: bool
    chosen: tuple[str, ...] = ()
    """The labels of the accepted suggestions, as they stood on the card."""
    reason: str = ""
    """Why the card was overridden, in the words of the client or the code it sent; "" where none was given."""
    comment: str = ""

    @property
    def sentence(self) -> str:
        """The answer in one sentence, without its comment."""
        how = "; ".join(self.chosen) if self.is_accepted else self.reason
        return f"{'Followed' if self.is_accepted else 'Not followed'}{f' ({how})' if how else ''} on {self.day}"


class AdvisedCard(Struct, frozen=True):
    """A card that was shown, what it offered, and the answers to it, oldest first."""

    uuid: str
    summary: str
    indicator: str
    offered: tuple[str, ...]
    answers: tuple[CardAnswer, ...]


class DecisionHistory(Struct, frozen=True):
    """What was shown with its answers, and what was found and not shown, each with the check that held it back."""

    advised: tuple[AdvisedCard, ...]
    held_back: tuple[HeldBack, ...]

    @property
    def withheld(self) -> tuple[HeldBack, ...]:
        """Those of `held_back` for which something was found."""
        return tuple(reason for reason in self.held_back if reason.reason in WITHHELD)


def decision_history(
    decision: Decision,
    answers: Iterable[FeedbackItem],
    acts_then: Callable[[], Releases] = Releases,
) -> DecisionHistory:
    """Return what a decision advised and what came of it.

    Args:
        answers: The feedback on the decision's cards.
        acts_then: Gives the acts of the record up to the decision.

    Raises:
        msgspec.MsgspecError: the decision is recorded in another form.
    """
    silences = [WhyNot(*silence) for silence in read_basis(decision.basis).silence]
    cards, items = read_response(decision.response).cards, list(answers)
    others = dict.fromkeys(item.card for item in items if item.card not in {card.uuid for card in cards})
    unknown = [SentCard(f"Card {uuid}, which this answer did not have", uuid=uuid) for uuid in others]
    return DecisionHistory(
        tuple(_advised(card, items) for card in (*cards, *unknown)),
        tuple(explain_held_back(silences, decision.service, decision.caller, acts_then)),
    )


def is_refused(decision: Decision) -> bool:
    """Return whether the call was answered with an error: nothing was looked at."""
    return decision.outcome == "error"


def _advised(card: SentCard, items: Sequence[FeedbackItem]) -> AdvisedCard:
    labels = {suggestion.uuid: suggestion.label for suggestion in card.suggestions}
    answers = tuple(_answer(item, labels) for item in items if card.uuid and item.card == card.uuid)
    return AdvisedCard(
        card.uuid, card.summary, card.indicator, tuple(suggestion.label for suggestion in card.suggestions), answers
    )


def _answer(item: FeedbackItem, labels: dict[str, str]) -> CardAnswer:
    is_accepted = item.outcome == "accepted"
    chosen = (
        labels.get(uuid, f"suggestion {uuid}, which the card did not offer") for uuid in item.accepted_suggestions
    )
    return CardAnswer(
        item.received_at,
        item.outcome_timestamp[:10],
        is_accepted,
        tuple(chosen) if is_accepted else (),
        "" if is_accepted else item.override_reason_display or item.override_reason_code or "",
        item.user_comment or "",
    )
