"""Suppresses cards about a patient as a whole that were shown or answered lately.

It holds for the patient and not for one user, because the fact is the patient's, and for one client: another one knows
other people by the same id. What became worse is shown again. Everything is kept in memory, bounded, and comes from the
record: it is read at the start and every two seconds, so that all workers know it. At the start the newest 100,000
decisions with cards are read (some 7 s, beside the calls); what was shown before them is shown once more.

- A card that was answered is suppressed for the period of its answer (`PERIOD_DAYS`).
- A card that nobody answered is shown at each opening for a day, because several people open a chart at one visit, and
  then is suppressed until `rest_days` after it was first shown. One with the indicator critical is never suppressed for
  this reason.
- The card of high-alert drugs that no rule is about is shown once for each drug of a patient in 90 days.
- A card that only asks for a test is shown to a patient by one service in 90 days, for a day; the others go to the
  worklist.
- A reminder (vaccines due, preventive services due, a test) is shown to a patient by one service in a day; the others
  go to the worklist.
- At discharge one service shows a card for a patient in a day, because several estimate who comes back.
"""

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from threading import Lock
from time import time
from typing import Any, Final

import msgspec
from msgspec import Struct

from cards.card import Card
from cards.compose.equation import worklist_entry
from cards.extension import RestingFinding, WorklistEntry
from cards.rules.engine.finding import Silence
from cds_hooks.hold_back.patient_finding import FOLLOW_UP, Caller, PatientFinding, patient_finding
from cds_hooks.hold_back.sent_cards import AnsweredRows, SentCard, ShownDecision, ShownRows
from cds_hooks.hold_back.turns import SHOWN_AGAIN_DAYS, TEST_DAYS, Claims, Turn, Turns, kinds_of

PERIOD_DAYS: Final = {
    "accepted": 90,
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
REST_DAYS: Final = 14
"""The default of CDS_SHOWN_REST_DAYS; the project's own choice."""

_COMPLETED: Final = "action-completed"
_NEEDS_MORE: Final = "need-more-info"
_DAY_SECONDS: Final = 86_400.0
_LONGEST_DAYS: Final = 365
_FORGET_SECONDS: Final = 3_600.0
_MOST: Final = 100_000
"""So many findings of each kind are remembered; beyond it the oldest are forgotten, and are shown once more."""

_OWN_DECISIONS: Final = 20_000
"""So many decisions of this process are known by their id, so that their content is not read back from the record."""

_LONGEST_ID: Final = 200
"""Nothing is remembered of a patient with a longer id; FHIR allows 64 characters."""

_Key = tuple[str, str, str]


class Chosen(Struct):
    """The cards to show, and what became of the others.

    `withheld` has, by the uuid of a card or suggestion, the place in `silences` of the reason why it is not shown; of
    what `Restraint` withholds, so that a replay withholds the same.
    """

    cards: list[Card] = []
    silences: list[Silence] = []
    resting: list[RestingFinding] = []
    worklist: list[WorklistEntry] = []
    withheld: dict[str, int] = {}
    findings: dict[str, PatientFinding] = {}
    """What the cards say about the patient as a whole, by the uuid of those that do."""

    def withhold(self, uuid: str, silence: Silence) -> None:
        """Notes why the card or suggestion of this uuid is not shown."""
        self.withheld[uuid] = len(self.silences)
        self.silences.append(silence)


class _Said(Struct, frozen=True, gc=False):
    """When a finding was shown or answered (epoch seconds), the answer, and its severity."""

    at: float
    how: str
    finding: PatientFinding


class SaidOnce:
    """The findings that were shown or answered and are still suppressed. Used from any thread."""

    def __init__(
        self,
        now: Callable[[], float] = time,
        rest_days: float = REST_DAYS,
        claims: Claims | None = None,
        horizons: Mapping[str, float] | None = None,
    ) -> None:
        """`now` gives epoch seconds: the clock by which calls are answered. `claims` where there are several workers.

        With 0 `rest_days` a card that nobody answered is shown at each opening. `horizons` has the days over which each
        model looks ahead, by its id.
        """
        self._horizons = horizons or {}
        self._now = now
        self._rest_days = rest_days
        self._turns = Turns(now, claims)
        self._answers: dict[_Key, _Said] = {}
        self._shown: dict[_Key, _Said] = {}
        self._answered_rows = AnsweredRows(_LONGEST_DAYS)
        self._shown_rows = ShownRows(max(TEST_DAYS, rest_days))
        self._own: OrderedDict[str, None] = OrderedDict()
        self._writing = Lock()
        self._forgot_at = now()

    async def choose(
        self, caller: Caller, cards: Sequence[Card], reminders: Mapping[str, WorklistEntry] | None = None
    ) -> Chosen:
        """The cards to show now; for each of the others the reason, since when it is suppressed, or its worklist entry.

        `reminders` has the worklist entry of a card that only reminds, by its uuid.
        """
        chosen = Chosen()
        if len(caller.patient) > _LONGEST_ID:
            chosen.cards.extend(cards)
            return chosen
        for card in cards:
            finding = patient_finding(card.own_extension, caller.hook)
            if finding is None:
                chosen.cards.append(card)
                continue
            chosen.findings[card.uuid] = finding
            if (rest := self._rest_of(caller, card, finding)) is not None:
                chosen.resting.append(rest)
                chosen.silences.append(Silence(finding.subject, "said-once", _rest_words(rest)))
            elif (turn := await self._turns.of_another(caller, finding)) is None:
                chosen.cards.append(card)
            elif finding.asks or finding.reminds:
                known = (reminders or {}).get(card.uuid)
                entry = msgspec.structs.replace(known or worklist_entry(card, ""), because="offered-before")
                chosen.worklist.append(entry)
                chosen.silences.append(Silence(finding.subject, "worklist", _worklist_words(entry, turn)))
            else:
                text = f"One card for each discharge: {turn.owner or 'another service'} shows it."
                chosen.silences.append(Silence(finding.subject, "said-once", text))
        return chosen

    def note_shown(self, caller: Caller, decision_id: str, chosen: Chosen, as_of: float) -> None:
        """Takes what was shown just now and is on record; `as_of` in epoch seconds."""
        if chosen.cards:
            found = chosen.findings
            self._take_shown(caller, [found[card.uuid] for card in chosen.cards if card.uuid in found], as_of)
            self._own[decision_id] = None
            if len(self._own) > _OWN_DECISIONS:
                self._own.popitem(last=False)

    def remember(self, client: str, patient: str, hook: str, sent: SentCard, how: str, at: float) -> None:
        """Takes an answer ("accepted" or the code of the override) to a card that was sent."""
        finding = patient_finding(sent.said, hook)
        if finding is None or len(patient) > _LONGEST_ID:
            return
        key = (client, patient, finding.about)
        with self._writing:
            known = self._answers.get(key)
            if known is None or known.at <= at or known.at > self._now():
                _keep(self._answers, key, _Said(at, how, finding))

    def read(self, url: str, also: Callable[[Any, SentCard], None] = lambda _row, _sent: None) -> None:
        """Takes what was answered since the last reading; RecordUnavailable where the record cannot be read.

        `also` is given each row of feedback with its card, too.
        """
        for row, sent in self._answered_rows.read(url, self._now()):
            also(row, sent)
            how = "accepted" if row.outcome == "accepted" else row.override_reason_code or "overridden"
            self.remember(row.client, row.patient, row.hook, sent, how, row.received_at / 1e6)
        if self._now() - self._forgot_at >= _FORGET_SECONDS:
            self._forget()

    def read_shown(self, url: str, also: Callable[[ShownDecision], None] = lambda _: None) -> None:
        """Takes what others showed since the last reading; RecordUnavailable where the record cannot be read.

        `also` is given each decision that showed cards, too.
        """
        for each in self._shown_rows.read(url, self._own):
            also(each)
            caller = Caller(each.client, each.patient, each.service, each.hook)
            found = [patient_finding(card.said, caller.hook) for card in each.cards]
            self._take_shown(caller, [finding for finding in found if finding is not None], each.as_of)

    # What is suppressed

    def _rest_of(self, caller: Caller, card: Card, finding: PatientFinding) -> RestingFinding | None:
        key, now = (caller.client, caller.patient, finding.about), self._now()
        answer = self._answers.get(key)
        if answer is not None:
            days = self._days_of(answer, finding)
            if 0 <= now - answer.at <= days * _DAY_SECONDS and not _is_shown_again(finding, answer):
                return _resting(card, answer, days)
        shown = self._shown.get(key)
        if shown is None or card.indicator == "critical" or finding.is_worse_than(shown.finding):
            return None
        since, until = self._rest_period(finding)
        elapsed = now - shown.at
        is_suppressed = elapsed >= 0 and since * _DAY_SECONDS < elapsed <= until * _DAY_SECONDS
        return _resting(card, shown, until) if is_suppressed else None

    def _days_of(self, answer: _Said, finding: PatientFinding) -> float:
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

    def _take_shown(self, caller: Caller, findings: Sequence[PatientFinding], at: float) -> None:
        if len(caller.patient) > _LONGEST_ID:
            return
        for finding in findings:
            if kinds_of(finding):
                self._turns.take(caller, finding, at)
            if finding.asks or finding.about == FOLLOW_UP:
                continue
            key = (caller.client, caller.patient, finding.about)
            with self._writing:
                known = self._shown.get(key)
                longest = self._rest_period(finding)[1] * _DAY_SECONDS
                is_over = known is not None and (at - known.at > longest or known.at > self._now())
                if finding.once and known is not None and not is_over:
                    finding = msgspec.structs.replace(finding, parts=finding.parts | known.finding.parts)
                if known is None or is_over or finding.is_worse_than(known.finding):
                    _keep(self._shown, key, _Said(at, "shown", finding))

    def _forget(self) -> None:
        """Leaves out what can no longer count."""
        now = self._now()
        with self._writing:
            self._answers = {
                key: one for key, one in self._answers.items() if now - one.at <= _LONGEST_DAYS * _DAY_SECONDS
            }
            rest = max(self._rest_days, SHOWN_AGAIN_DAYS, ONCE_DAYS) * _DAY_SECONDS
            self._shown = {key: one for key, one in self._shown.items() if now - one.at <= rest}
            self._forgot_at = now
        self._turns.forget()


def _is_shown_again(finding: PatientFinding, answer: _Said) -> bool:
    """Whether the finding is worse than what was answered, or what the clinician waited for has arrived."""
    arrived = answer.how == _NEEDS_MORE and finding.has_arrived_since(answer.finding)
    return arrived or finding.is_worse_than(answer.finding)


def _keep(kept: dict[_Key, _Said], key: _Key, value: _Said) -> None:
    kept.pop(key, None)
    kept[key] = value
    while len(kept) > _MOST:
        kept.pop(next(iter(kept)))


def _resting(card: Card, said: _Said, days: float) -> RestingFinding:
    return RestingFinding(card.summary, said.how, _iso(said.at), _iso(said.at + days * _DAY_SECONDS))


def _rest_words(rest: RestingFinding) -> str:
    since, until = rest.since[:10], rest.until[:10]
    came = f"shown on {since} and not answered" if rest.because == "shown" else f"answered on {since} ({rest.because})"
    return f"Still there, not shown again: {rest.summary} It was {came} and is no worse; silent until {until}."


def _worklist_words(entry: WorklistEntry, turn: Turn) -> str:
    by = f" by {turn.owner}" if turn.owner else ""
    return (
        f"{entry.test}: kept for the worklist, because this patient had a reminder{by} on {_iso(turn.at)[:10]} "
        f"(one a day, and one test in {TEST_DAYS} days)."
    )


def _iso(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")
