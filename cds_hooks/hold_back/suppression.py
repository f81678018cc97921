"""Suppresses cards about a patient as a whole that were shown or answered lately.

It holds for the patient and not for one user, because the fact is the patient's, and for one client: another one knows
other people by the same id. What became worse is shown again. Everything is kept in memory, bounded, and comes from the
record (`sent_cards.py`).

- A card that was answered is suppressed for the period of its answer (`PERIOD_DAYS`).
- A card that nobody answered is shown at each opening for a day, because several people open a chart at one visit, and
  then is suppressed until `rest_days` after it was first shown. One with the indicator critical is never suppressed for
  this reason.
- The card of high-alert drugs that no rule is about is shown once for each drug of a patient in 90 days.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from time import time
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from cards.card import Card
from cards.extension import RestingFinding
from cards.rules.engine.finding import Silence
from cds_hooks.hold_back.checks import LONGEST_ID, Check, CheckedCall, Reason
from cds_hooks.hold_back.patient_finding import FOLLOW_UP, Caller, PatientFinding, patient_finding
from cds_hooks.hold_back.remembered import Remembered
from cds_hooks.hold_back.sent_cards import ACCEPTED, LONGEST_DAYS, Answer, ShownDecision

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
ONCE_DAYS: Final = 90
"""For so long a card that is shown once is suppressed, as an information that was answered is (cards/rules/engine)."""
SHOWN_AGAIN_DAYS: Final = 1
"""So long a card that nobody answered is shown at each opening; the project's own choice."""
REST_DAYS: Final = 14
"""The default of CDS_SHOWN_REST_DAYS; the project's own choice."""

_COMPLETED: Final = "action-completed"
_NEEDS_MORE: Final = "need-more-info"
_DAY_SECONDS: Final = 86_400.0
_MOST: Final = 100_000
"""So many findings of each kind are remembered; beyond it the oldest are forgotten, and are shown once more."""

_Key = tuple[str, str, str]
"""Client, patient, and what the finding is about."""


class _Shown(Struct, frozen=True, gc=False):
    """When a finding was shown or answered (epoch seconds), the answer, and its severity."""

    at: float
    how: str
    finding: PatientFinding


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
        self._answers = Remembered[_Key, _Shown](_MOST)
        self._shown = Remembered[_Key, _Shown](_MOST)

    async def check(self, card: Card, call: CheckedCall) -> Reason | None:
        """Returns why the card rests, and until when."""
        finding = call.patient_finding(card)
        if finding is None or (resting := self._resting(call.caller, card, finding)) is None:
            return None
        return Reason(Silence(finding.subject, SAID_ONCE, _sentence(resting)), resting=resting)

    def note_shown(self, cards: Sequence[Card], call: CheckedCall) -> None:
        """Remembers what is shown just now and on record."""
        findings = (call.patient_finding(card) for card in cards)
        self._take(call.caller, (finding for finding in findings if finding is not None), call.as_of)

    def take_shown(self, decision: ShownDecision) -> None:
        """Remembers what another process showed, or this one before it was started again."""
        caller = Caller(decision.client, decision.patient, decision.service, decision.hook)
        self._take(caller, decision.findings, decision.as_of)

    def take_answer(self, answer: Answer) -> None:
        """Remembers an answer; of several about one finding the newest counts."""
        finding = patient_finding(answer.card.our_extension, answer.hook)
        if finding is None or len(answer.patient) > LONGEST_ID:
            return
        key = (answer.client, answer.patient, finding.about)
        with self._answers.writing:
            before = self._answers.get(key)
            if before is None or before.at <= answer.at or before.at > self._now():
                self._answers.put(key, _Shown(answer.at, answer.how, finding))

    def forget(self) -> None:
        """Leaves out what can no longer count."""
        now = self._now()
        longest = max(self._rest_days, SHOWN_AGAIN_DAYS, ONCE_DAYS)
        self._answers.forget(lambda answer: now - answer.at > LONGEST_DAYS * _DAY_SECONDS)
        self._shown.forget(lambda shown: now - shown.at > longest * _DAY_SECONDS)

    def _resting(self, caller: Caller, card: Card, finding: PatientFinding) -> RestingFinding | None:
        key, now = (caller.client, caller.patient, finding.about), self._now()
        answer = self._answers.get(key)
        if answer is not None:
            days = self._answer_days(answer, finding)
            if 0 <= now - answer.at <= days * _DAY_SECONDS and not _is_shown_again(finding, answer):
                return _resting(card, answer, days)
        entry = self._shown.get(key)
        if entry is None or card.indicator == "critical" or finding.is_worse_than(entry.finding):
            return None
        since, until = self._rest_period(finding)
        elapsed = now - entry.at
        is_suppressed = elapsed >= 0 and since * _DAY_SECONDS < elapsed <= until * _DAY_SECONDS
        return _resting(card, entry, until) if is_suppressed else None

    def _answer_days(self, answer: _Shown, finding: PatientFinding) -> float:
        """For how many days this answer silences the finding."""
        if finding.about == FOLLOW_UP:
            return DISCHARGE_DAYS
        days = float(PERIOD_DAYS.get(answer.how, OTHER_DAYS))
        return min(days, self._horizons.get(finding.subject, days)) if answer.how == _COMPLETED else days

    def _rest_period(self, finding: PatientFinding) -> tuple[float, float]:
        """From and to how many days after it was shown a finding is suppressed; a site can forbid it with 0 days."""
        if finding.once and self._rest_days:
            return float("-inf"), ONCE_DAYS
        return SHOWN_AGAIN_DAYS, self._rest_days

    def _take(self, caller: Caller, findings: Iterable[PatientFinding], at: float) -> None:
        if len(caller.patient) > LONGEST_ID:
            return
        for finding in findings:
            if finding.asks or finding.about == FOLLOW_UP:
                continue
            key = (caller.client, caller.patient, finding.about)
            with self._shown.writing:
                shown = self._shown.get(key)
                longest = self._rest_period(finding)[1] * _DAY_SECONDS
                is_over = shown is not None and (at - shown.at > longest or shown.at > self._now())
                if finding.once and shown is not None and not is_over:
                    finding = replace(finding, parts=finding.parts | shown.finding.parts)
                if shown is None or is_over or finding.is_worse_than(shown.finding):
                    self._shown.put(key, _Shown(at, "shown", finding))


def _is_shown_again(finding: PatientFinding, answer: _Shown) -> bool:
    """Returns whether the finding is worse than what was answered, or what the clinician waited for has arrived."""
    arrived = answer.how == _NEEDS_MORE and finding.has_arrived_since(answer.finding)
    return arrived or finding.is_worse_than(answer.finding)


def _resting(card: Card, shown_before: _Shown, days: float) -> RestingFinding:
    return RestingFinding(
        card.summary, shown_before.how, _iso(shown_before.at), _iso(shown_before.at + days * _DAY_SECONDS)
    )


def _sentence(resting: RestingFinding) -> str:
    since, until, because = resting.since[:10], resting.until[:10], resting.because
    how = f"shown on {since} and not answered" if because == "shown" else f"answered on {since} ({because})"
    return f"Still there, not shown again: {resting.summary} It was {how} and is no worse; silent until {until}."


def _iso(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")
