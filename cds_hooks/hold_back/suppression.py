"""Suppresses cards about a patient as a whole that were shown or answered lately.

It holds for the patient and not for one user, because the fact is the patient's. What became worse is shown again. What
was shown and answered is in `memory.py`.

- A card that was answered is suppressed for the period of its answer (`PERIOD_DAYS`).
- A card that nobody answered is shown at each opening for a day, because several people open a chart at one visit, and
  then is suppressed until `rest_days` after it was first shown. One with the indicator critical is never suppressed for
  this reason.
- The card of high-alert drugs that no rule is about is shown once for each drug of a patient in 90 days.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

from cards.card import Card
from cards.extension import RestingFinding
from cds_hooks.hold_back.memory import PatientMemory, ShownFinding, rest_period
from cds_hooks.hold_back.patient_finding import FOLLOW_UP, PatientFinding
from cds_hooks.hold_back.sent_cards import ACCEPTED

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


def resting_finding(
    card: Card,
    finding: PatientFinding,
    memory: PatientMemory,
    now: float,
    rest_days: float,
    horizons: Mapping[str, float],
) -> RestingFinding | None:
    """Return until when the card rests, because the finding was shown or answered and is no worse; None where shown.

    `now` is in epoch seconds. With 0 `rest_days` a card that nobody answered is shown at each opening. `horizons` has
    the days over which each model looks ahead, by its id.
    """
    answer = memory.answers.get(finding.about)
    if answer is not None:
        days = _answer_days(answer, finding, horizons)
        if 0 <= now - answer.at <= days * _DAY_SECONDS and not _is_shown_again(finding, answer):
            return _resting(card, answer, days)
    entry = memory.shown.get(finding.about)
    if entry is None or card.indicator == "critical" or finding.is_worse_than(entry.finding):
        return None
    since, until = rest_period(finding, rest_days)
    elapsed = now - entry.at
    is_suppressed = elapsed >= 0 and since * _DAY_SECONDS < elapsed <= until * _DAY_SECONDS
    return _resting(card, entry, until) if is_suppressed else None


def _answer_days(answer: ShownFinding, finding: PatientFinding, horizons: Mapping[str, float]) -> float:
    """Return for how many days this answer silences the finding."""
    if finding.about == FOLLOW_UP:
        return DISCHARGE_DAYS
    days = float(PERIOD_DAYS.get(answer.how, OTHER_DAYS))
    return min(days, horizons.get(finding.subject, days)) if answer.how == _COMPLETED else days


def _is_shown_again(finding: PatientFinding, answer: ShownFinding) -> bool:
    """Returns whether the finding is worse than what was answered, or what the clinician waited for has arrived."""
    arrived = answer.how == _NEEDS_MORE and finding.has_arrived_since(answer.finding)
    return arrived or finding.is_worse_than(answer.finding)


def _resting(card: Card, shown_before: ShownFinding, days: float) -> RestingFinding:
    return RestingFinding(
        card.summary, shown_before.how, _iso(shown_before.at), _iso(shown_before.at + days * _DAY_SECONDS)
    )


def _iso(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")
