"""Suppresses cards about a patient as a whole that were shown or answered lately.

It holds for the patient and not for one user, because the fact is the patient's. What became worse is shown again. What
was shown and answered is in `memory.py`.

- A card that was answered is suppressed for the period of its answer (`PERIOD_DAYS`).
- A card that nobody answered is shown at each opening for a day, because several people open a chart at one visit, and
  then is suppressed until `rest_days` after it was first shown. One with the indicator critical is never suppressed for
  this reason.
- The card of high-alert drugs that no rule is about is shown once for each drug of a patient in 90 days.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from time import time
from typing import Final

from cards.card import Card
from cards.extension import RestingFinding
from cards.rules.engine.finding import Silence
from cds_hooks.hold_back.checks import Check, CheckedCall, Reason
from cds_hooks.hold_back.memory import REST_DAYS, PatientMemory, ShownFinding, rest_period
from cds_hooks.hold_back.patient_finding import FOLLOW_UP, PatientFinding
from cds_hooks.hold_back.sent_cards import ACCEPTED

SAID_ONCE: Final = "said-once"
"""The reason code of a card that was shown or answered before."""
PERIOD_DAYS: Final = {
    ACCEPTED: 90,
    "action-completed": 365,
    "patient-ineligible": 180,
    "patient-declines": 365,
    "action-not-priority": 30,
    "wrong-time-workflow": 1,
    "inappropriate-recipient": 1,
    "need-more-info": 30,
    "recipient-does-not-trust": 180,
}
"""How long a card that was answered so is not shown again (docs/operations/restraint.md).

`patient-ineligible` is of responsible-ai.md 4.2, the others are the project's own choice. "Already done" holds until
the model's next horizon where that is shorter, "Not now" until the next day, "I need to know more first" no longer than
until a value arrives that was missing. "I am not the person for this" is said of the reader and not of the patient, so
the card is suppressed for this visit only.
"""
OTHER_DAYS: Final = 30
"""The period of an override without one of the project's reasons."""
DISCHARGE_DAYS: Final = 2
"""An answer at discharge holds for this discharge; the project's own choice."""

_COMPLETED: Final = "action-completed"
_NEEDS_MORE: Final = "need-more-info"
_DAY_SECONDS: Final = 86_400.0


class ShownBefore(Check):
    """The same finding about the patient was shown or answered, and it is no worse."""

    codes = (SAID_ONCE,)
    title = "Shown or answered before, and no worse since"
    remembers = True
    lets_through = "Time (the reason says until when), a worse finding, or another answer."

    def __init__(
        self,
        now: Callable[[], float] = time,
        rest_days: float = REST_DAYS,
        horizons: Mapping[str, float] | None = None,
    ) -> None:
        """`now` gives epoch seconds: the clock by which calls are answered.

        With 0 `rest_days` a card that nobody answered is shown at each opening. `horizons` has the days over which each
        model looks ahead, by its id.
        """
        self._horizons = horizons or {}
        self._now = now
        self._rest_days = rest_days

    async def check(self, card: Card, call: CheckedCall) -> Reason | None:
        """Returns why the card rests, and until when."""
        finding = call.patient_finding(card)
        if finding is None or (resting := self._resting(call.memory, card, finding)) is None:
            return None
        return Reason(Silence(finding.subject, SAID_ONCE, _sentence(resting)), resting=resting)

    def _resting(self, memory: PatientMemory, card: Card, finding: PatientFinding) -> RestingFinding | None:
        now = self._now()
        answer = memory.answers.get(finding.about)
        if answer is not None:
            days = self._answer_days(answer, finding)
            if 0 <= now - answer.at <= days * _DAY_SECONDS and not _is_shown_again(finding, answer):
                return _resting(card, answer, days)
        entry = memory.shown.get(finding.about)
        if entry is None or card.indicator == "critical" or finding.is_worse_than(entry.finding):
            return None
        since, until = rest_period(finding, self._rest_days)
        elapsed = now - entry.at
        is_suppressed = elapsed >= 0 and since * _DAY_SECONDS < elapsed <= until * _DAY_SECONDS
        return _resting(card, entry, until) if is_suppressed else None

    def _answer_days(self, answer: ShownFinding, finding: PatientFinding) -> float:
        """For how many days this answer silences the finding."""
        if finding.about == FOLLOW_UP:
            return DISCHARGE_DAYS
        days = float(PERIOD_DAYS.get(answer.how, OTHER_DAYS))
        return min(days, self._horizons.get(finding.subject, days)) if answer.how == _COMPLETED else days


def _is_shown_again(finding: PatientFinding, answer: ShownFinding) -> bool:
    """Returns whether the finding is worse than what was answered, or what the clinician waited for has arrived."""
    arrived = answer.how == _NEEDS_MORE and finding.has_arrived_since(answer.finding)
    return arrived or finding.is_worse_than(answer.finding)


def _resting(card: Card, shown_before: ShownFinding, days: float) -> RestingFinding:
    return RestingFinding(
        card.summary, shown_before.how, _iso(shown_before.at), _iso(shown_before.at + days * _DAY_SECONDS)
    )


def _sentence(resting: RestingFinding) -> str:
    since, until, because = resting.since[:10], resting.until[:10], resting.because
    how = f"shown on {since} and not answered" if because == "shown" else f"answered on {since} ({because})"
    return f"Still there, not shown again: {resting.summary} It was {how} and is no worse; silent until {until}."


def _iso(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")
