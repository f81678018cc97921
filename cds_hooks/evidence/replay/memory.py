"""What was remembered when a decision was made: answers of clinicians, and what was shown before, as it recorded them.

A replay must not ask today's memory: what was answered or shown since then would silence cards. So what the decision
recorded as silent for such a reason is silent again, and nothing else is.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any, Final

from cards.card import Card
from cards.rules.engine.finding import RuleFinding
from cards.rules.engine.governance import (
    SWITCHED_OFF,
    SuppressionCheck,
    finding_key,
)
from cds_hooks.call.hold_back.checks import (
    OVERRIDDEN_BEFORE,
    CheckedCall,
    choose_again,
    with_sentences,
    without_suggestions,
)
from cds_hooks.call.hold_back.history import SHOWN
from cds_hooks.call.hold_back.reasons import FROM_EVENT, REMEMBERED, SHOWN_BEFORE, WORKLIST
from cds_hooks.call.hold_back.restraint import Restraint
from cds_hooks.evidence.storage.sent import SentCard, read_response
from fhir.record.refusals import WhyNot

_COLLEAGUE_ANSWER: Final = OVERRIDDEN_BEFORE.encode()
_KEPT_BECAUSE: Final = {WORKLIST: "offered-before", FROM_EVENT: FROM_EVENT, SHOWN_BEFORE: SHOWN}
"""Why an entry stands in the worklist, by the reason against its card."""


def _colleague_sentences(card: SentCard) -> list[str]:
    return [part for part in card.detail.split("\n\n") if part.startswith(OVERRIDDEN_BEFORE)]


class Remembered:
    """What one decision recorded of its memory: which findings were answered or shown before."""

    def __init__(
        self, response: bytes, silences: Sequence[tuple[str, str, str]], withheld: Mapping[str, int] | None = None
    ) -> None:
        """`response`, `silences` and `withheld` (the place of a reason by uuid or key) as they were recorded."""
        sent = read_response(response)
        self.worklist = sent.extension.ours.worklist
        reasons = {key: WhyNot(*silences[position]) for key, position in (withheld or {}).items()}
        self.withheld = {key: silence for key, silence in reasons.items() if silence.reason in REMEMBERED}
        """Why a card, a suggestion or a finding was not shown because of what was remembered, by its uuid or key."""
        self._sentences = (
            {card.uuid: _colleague_sentences(card) for card in sent.cards} if _COLLEAGUE_ANSWER in response else {}
        )
        """What cards said of a colleague's answer, by their uuid."""
        self._details = {card.uuid: card.detail for card in sent.cards}

    def answered(self, finding: RuleFinding) -> WhyNot | None:
        """Return the recorded reason of a finding that was answered before; None if it was not."""
        return self.withheld.get(finding_key(finding))

    def repeat(self, cards: Sequence[Card], call: CheckedCall) -> list[Card]:
        """Return the cards without what the decision recorded as shown before, kept for the worklist or withheld."""
        shown = [self._as_long(card, call.notes_of(card).brief) for card in cards]
        if self._sentences:
            shown = [with_sentences(card, self._sentences.get(card.uuid, ())) for card in shown]
        return self._without_withheld(shown, call) if self.withheld else shown

    def _as_long(self, card: Card, shorter: Card | None) -> Card:
        """Return the shorter form of a card where that was sent."""
        sent = self._details.get(card.uuid, "")
        is_whole = shorter is None or sent.startswith(card.detail or "") or not sent.startswith(shorter.detail or "")
        return card if is_whole or shorter is None else shorter

    def _without_withheld(self, cards: Sequence[Card], call: CheckedCall) -> list[Card]:
        """Take out what was withheld then, with the reasons of then, and keep it for the worklist as then."""
        uuids = {uuid for card in cards for uuid in (card.uuid, *(suggestion.uuid for suggestion in card.suggestions))}
        call.withheld |= {uuid: silence for uuid, silence in self.withheld.items() if uuid in uuids}
        kept_because = {_KEPT_BECAUSE.get(silence.reason) for silence in self.withheld.values()}
        call.worklist += [entry for entry in self.worklist if entry.because in kept_because]
        return [without_suggestions(card, self.withheld) for card in cards if card.uuid not in self.withheld]


_NOTHING: Final = Remembered(b'{"cards":[]}', ())


class RecordedRestraint(Restraint):
    """The rules of a site as they are now, with the memory of the decision that is replayed."""

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        """As `Restraint`; `recall` says whose memory it is."""
        super().__init__(*arguments, **keywords)
        self._remembered = _NOTHING
        self.day = datetime.now(UTC).date()
        """The day of the decision that is replayed, for approvals with an end."""
        self.tried: Mapping[str, bool] = {}
        """Rules that are tried here: True shows cards whatever the site says of it, False is switched off."""

    def recall(self, remembered: Remembered, day: date) -> None:
        """From now on memory and day are those of another decision."""
        self._remembered, self.day = remembered, day

    def choose(self, cards: Sequence[Card], call: CheckedCall) -> list[Card]:
        """Return what is decided now of releases; the rest as the decision recorded it."""
        return self._remembered.repeat(choose_again(cards, call), call)

    def check_findings(self, call: CheckedCall) -> SuppressionCheck:
        """Approvals and switches as they are now, but for the rules that are tried; answers as they were recorded."""
        check_now = super().check_findings(call)
        remembered, tried = self._remembered, self.tried

        def check(finding: RuleFinding) -> WhyNot | None:
            if finding.rule not in tried:
                return check_now(finding) or remembered.answered(finding)
            off = WhyNot(finding.rule, SWITCHED_OFF, f"The rule {finding.rule} is switched off in this simulation.")
            return remembered.answered(finding) if tried[finding.rule] else off

        return check
