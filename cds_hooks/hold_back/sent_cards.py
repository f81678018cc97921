"""The cards of a decision as they were sent, and the answers to them."""

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any, Final

import msgspec
from msgspec import Struct

from cards.card import OVERRIDE_REASONS, PATIENT_DECLINES, Indicator
from cards.extension import EXTENSION_KEY, NOTHING_SAID, CardExtension
from cards.finding import Finding
from cds_hooks.decision_views.follow import AnswerRow
from cds_hooks.storage.decision import Decision, FeedbackItem


class Caller(Struct, frozen=True, gc=False):
    """Who is shown cards about whom, by which service at which hook."""

    client: str
    patient: str
    service: str
    hook: str


ACCEPTED: Final = "accepted"
KNOWN_REASONS: Final = frozenset(reason.code for reason in (*OVERRIDE_REASONS, PATIENT_DECLINES)) | {
    "cds-not-applicable"
}
"""Codes of overrides that count whatever the card offered: the project's own, and HL7's parent of "does not fit"."""
LONGEST_DAYS: Final = 365
"""So far back an answer can count: the largest number of days that rules.schema.json lets a site set."""


class _Extension(Struct, rename={"ours": EXTENSION_KEY}):
    ours: CardExtension = NOTHING_SAID


class SentAction(Struct):
    """An action of a suggestion; its resource as it was sent."""

    resource: msgspec.Raw = msgspec.field(default_factory=msgspec.Raw)


class SentSuggestion(Struct):
    """What is needed of a suggestion that was sent."""

    label: str = ""
    uuid: str = ""
    actions: tuple[SentAction, ...] = ()


class SentReason(Struct):
    """A reason for which a clinician may override the card."""

    code: str = ""


class SentCard(Struct):
    """What is needed of a card that was sent."""

    uuid: str = ""
    indicator: Indicator = "info"
    suggestions: tuple[SentSuggestion, ...] = ()
    reasons: tuple[SentReason, ...] = msgspec.field(default=(), name="overrideReasons")
    extension: _Extension = msgspec.field(default_factory=_Extension)

    @property
    def our_extension(self) -> CardExtension:
        """Its extension."""
        return self.extension.ours

    @property
    def findings(self) -> list[tuple[str, str]]:
        """Rule and band of each of its findings."""
        return [(finding.rule, finding.band) for finding in self.our_extension.findings]


class SentCardAnswer(Struct, frozen=True):
    """A clinician's answer to a card that was sent; times in epoch seconds.

    `how` is "accepted" or the code of the override, `reason` the reason of an override in words or as a code, "" where
    none was given, `suggestions` the uuids of those that were accepted.
    """

    client: str
    patient: str
    card: SentCard
    how: str
    at: float
    reason: str = ""
    suggestions: tuple[str, ...] = ()
    user: str = ""
    """To whom the card was shown, as it is recorded; "" where users are not recorded."""

    @property
    def is_known_reason(self) -> bool:
        """Whether it is an override with a reason that the card offered, or that the project knows."""
        offered = {reason.code for reason in self.card.reasons}
        return self.how in offered or self.how in KNOWN_REASONS

    @property
    def is_accepted(self) -> bool:
        """Whether the card was accepted."""
        return self.how == ACCEPTED


class _Response(Struct):
    cards: tuple[SentCard, ...] = ()


class _Basis(Struct):
    as_of: datetime | None = None
    units: tuple[str, ...] = ()


_response: Final = msgspec.json.Decoder(_Response)
_basis: Final = msgspec.json.Decoder(_Basis)


def sent_cards(response: bytes) -> tuple[SentCard, ...]:
    """Return the cards of a response as it was sent."""
    return _response.decode(response).cards


def answer_of(row: AnswerRow) -> SentCardAnswer | None:
    """Return the answer of a row of the record; None where its decision or card is not there."""
    if row.decision is None:
        return None
    sent = row.decision.decision
    card = next((card for card in sent_cards(sent.response) if card.uuid == row.feedback.card), None)
    if card is None:
        return None
    return _answer(row.feedback, sent, card, msgspec.json.decode(row.feedback.accepted_suggestions))


def answers_to(decision: Decision, items: Iterable[FeedbackItem]) -> Iterator[SentCardAnswer]:
    """Yield the answers that came just now to the cards of a decision."""
    cards = {card.uuid: card for card in sent_cards(decision.response)}
    for item in items:
        if (card := cards.get(item.card)) is not None:
            yield _answer(item, decision, card, item.accepted_suggestions)


def _answer(item: Any, decision: Decision, card: SentCard, suggestions: Iterable[str]) -> SentCardAnswer:
    is_accepted = item.outcome == ACCEPTED
    return SentCardAnswer(
        decision.client,
        decision.patient,
        card,
        ACCEPTED if is_accepted else item.override_reason_code or "overridden",
        item.received_at / 1e6,
        "" if is_accepted else item.override_reason_display or item.override_reason_code or "",
        tuple(suggestions) if is_accepted else (),
        decision.user_id or "",
    )


class ShownDecision(Struct, frozen=True):
    """A decision with cards; `as_of` in epoch seconds, by the clock of its call, `decided_at` by that of the machine.

    `user` is as it is recorded; `units` are the patient's care units.
    """

    client: str
    patient: str
    service: str
    as_of: float
    cards: tuple[SentCard, ...]
    user: str = ""
    units: tuple[str, ...] = ()
    decided_at: float = 0.0

    @property
    def about_patient(self) -> list[Finding]:
        """What its cards say about the patient as a whole."""
        findings = (card.our_extension.finding for card in self.cards)
        return [finding for finding in findings if finding is not None]


def shown_decision(decision: Decision) -> ShownDecision | None:
    """Return what a decision on record showed; None where it showed no card."""
    if decision.outcome != "cards":
        return None
    basis = _basis.decode(decision.basis)
    if basis.as_of is None:
        return None
    return ShownDecision(
        decision.client,
        decision.patient,
        decision.service,
        basis.as_of.timestamp(),
        sent_cards(decision.response),
        decision.user_id or "",
        basis.units,
        decision.decided_at / 1e6,
    )
