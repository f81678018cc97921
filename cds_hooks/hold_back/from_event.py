"""Holds back every card of a call that an event made: nobody asked, so nothing is shown and the worklist has it."""

from typing import Final

from msgspec.structs import replace

from cards.card import Card
from cards.compose.equation import worklist_entry
from cards.extension import WorklistEntry
from cards.rules.engine.finding import Silence
from cds_hooks.hold_back.checks import Check, CheckedCall, Reason

FROM_EVENT: Final = "from-event"


class FromEvent(Check):
    """A new result or visit made the server compute this; no clinician has a chart open."""

    codes = (FROM_EVENT,)
    title = "Computed because of an event: it goes to the worklist and to no screen"
    lets_through = "A call of the EHR: whoever opens the chart is shown the card, and this worklist entry is replaced."
    remembers = True
    is_replayed_by_card = True

    def is_idle(self, call: CheckedCall) -> bool:
        """Return whether a client called."""
        return not call.from_event

    async def check(self, card: Card, call: CheckedCall) -> Reason | None:
        """Hold the card back and put what it says on the worklist."""
        subject = call.subject_of(card)
        entry = replace(_entry(card, call, subject), because=FROM_EVENT)
        text = f"On the worklist, because an event and no call made it: {card.summary}"
        return Reason(Silence(subject, FROM_EVENT, text), worklist=entry)


def _entry(card: Card, call: CheckedCall, subject: str) -> WorklistEntry:
    finding = call.patient_finding(card)
    if finding is not None and finding.asks:
        return worklist_entry(card, FROM_EVENT)
    return call.reminders.get(card.uuid) or WorklistEntry(test=card.summary, purpose=subject, because=FROM_EVENT)
