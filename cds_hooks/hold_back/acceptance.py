"""Counts how the cards of each rule and service are answered, and says which are hardly ever accepted or do not fit.

A card of the medication rules counts for each of its rules, any other for its service; critical cards do not count. A
patient counts once a day for each of them, however often the card is shown. Only clients that report answers at all
count: of the others nobody knows what became of a card. The counts are kept in memory, by day, and come from the record
at the start.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from threading import Lock
from time import time
from typing import Final, Literal

from msgspec import Struct

from cards.card import Card, Indicator
from cards.extension import CardExtension
from cds_hooks.hold_back.acts import MOST_NOT_APPLICABLE, Key
from cds_hooks.hold_back.checks import CheckedCall
from cds_hooks.hold_back.sent_cards import Answer, ShownDecision

WINDOW_DAYS: Final = 90
"""So far back cards count; the project's own choice."""
_DAY_SECONDS: Final = 86_400.0
_DAYS_APART: Final = 3
"""On so many of the newest days patients are told apart: cards and answers of a day come together."""
_MOST_SEEN: Final = 200_000
"""So many patients of a day are told apart; beyond it they may count twice."""


LEAST_ANSWERS: Final = 100
"""So many answers are needed before those that say "not applicable" pause anything (responsible-ai.md 4.2, point 5)."""
NOT_APPLICABLE: Final = frozenset({"patient-ineligible", "cds-not-applicable"})
"""The override reasons that say that the advice does not fit the patient (CDS Hooks 3.0, `non-adherence-reason-codes`).

Other codes below `cds-not-applicable` there, such as that the action is done, say that it did fit.
"""


class LowAcceptance(Struct, frozen=True):
    """A rule or service with its cards and how they were answered."""

    key: Key
    cards: int
    accepted: int
    answered: int = 0
    not_applicable: int = 0

    @property
    def does_not_fit(self) -> bool:
        """Whether so many answers say "not applicable" that this alone is a reason for a pause."""
        return self.answered >= LEAST_ANSWERS and self.not_applicable > MOST_NOT_APPLICABLE * self.answered


_Counted = Literal["cards", "accepted", "answered", "not_applicable"]


class _Day(Struct):
    cards: int = 0
    accepted: int = 0
    answered: int = 0
    not_applicable: int = 0


class _Card(Struct, frozen=True):
    """Of which client's patient a card is, by which service, and when it was decided (epoch seconds)."""

    client: str
    patient: str
    service: str
    decided_at: float
    day: int


class AcceptanceCounts:
    """The cards and acceptances of the last 90 days. Used from any thread."""

    def __init__(
        self, now: Callable[[], float] = time, resumed: Callable[[], Mapping[Key, float]] = dict, most: int = _MOST_SEEN
    ) -> None:
        """`now` gives epoch seconds by the clock of the calls.

        `resumed` gives when somebody ended a pause (epoch seconds): what was decided before counts no more.
        """
        self._now = now
        self._resumed_now = resumed
        self._resumed: dict[Key, float] = {}
        self._most = most
        self._days: dict[tuple[Key, str], dict[int, _Day]] = {}
        self._seen: dict[int, set[tuple[Key, str, str, _Counted]]] = {}
        self._reporting: set[str] = set()
        self._has_changed = True
        self._found: dict[Key, _Day] = {}
        self._writing = Lock()

    def clear(self) -> None:
        """Forgets all counts, before the record is read from its beginning."""
        with self._writing:
            self._days, self._seen, self._has_changed = {}, {}, True

    def note_shown(self, cards: Sequence[Card], call: CheckedCall) -> None:
        """Counts cards that are shown now."""
        caller = call.caller
        about = _Card(caller.client, caller.patient, caller.service, time(), int(call.as_of // _DAY_SECONDS))
        self._count(about, ((card.indicator, card.own_extension) for card in cards), "cards")

    def take_shown(self, decision: ShownDecision) -> None:
        """Counts cards that the record has."""
        day = int(decision.as_of // _DAY_SECONDS)
        about = _Card(decision.client, decision.patient, decision.service, decision.decided_at, day)
        self._count(about, ((card.indicator, card.our_extension) for card in decision.cards), "cards")

    def take_answer(self, answer: Answer) -> None:
        """Counts an answer of the record; each comes here once.

        An answer that the client did not report, but a person gave on the page of the decision, does not make the
        client one that reports answers.
        """
        day = int(answer.at // _DAY_SECONDS)
        about = _Card(answer.client, answer.patient, answer.service, answer.decided_at, day)
        cards = [(answer.card.indicator, answer.card.our_extension)]
        self._count(about, cards, "answered")
        if answer.is_accepted:
            self._count(about, cards, "accepted")
        elif answer.how in NOT_APPLICABLE:
            self._count(about, cards, "not_applicable")
        if answer.is_reported:  # afterwards: before it the cards of this client count as if nobody had answered
            self._reporting.add(answer.client)
        self._has_changed = True

    def low(self, least_cards: int, least_share: float) -> list[LowAcceptance]:
        """Rules and services with so many cards of which a smaller share was accepted, and those that do not fit."""
        if self._has_changed or dict(self._resumed_now()) != self._resumed:
            self._has_changed = False
            self._forget()
            self._found = self._sums()
        counted = (
            LowAcceptance(key, sums.cards, sums.accepted, sums.answered, sums.not_applicable)
            for key, sums in sorted(self._found.items())
        )
        return [
            counted_key
            for counted_key in counted
            if counted_key.does_not_fit
            or (counted_key.cards >= least_cards and counted_key.accepted < least_share * counted_key.cards)
        ]

    def _sums(self) -> dict[Key, _Day]:
        totals: dict[Key, _Day] = {}
        with self._writing:
            for (key, client), days in self._days.items():
                if client in self._reporting:
                    sums = totals.setdefault(key, _Day())
                    for day in days.values():
                        sums.cards += day.cards
                        sums.accepted += day.accepted
                        sums.answered += day.answered
                        sums.not_applicable += day.not_applicable
        return totals

    def _count(self, about: _Card, cards: Iterable[tuple[Indicator, CardExtension]], counted: _Counted) -> None:
        if about.day <= self._today - WINDOW_DAYS:
            return
        with self._writing:
            for indicator, extension in cards:
                for key in keys_of(extension, about.service) if indicator != "critical" else ():
                    if about.decided_at > self._resumed.get(key, 0.0):
                        self._count_once(key, about, counted)

    def _count_once(self, key: Key, about: _Card, counted: _Counted) -> None:
        seen = self._seen.get(about.day)
        if seen is None:
            seen = self._seen[about.day] = set()
            for old in sorted(self._seen)[:-_DAYS_APART]:
                del self._seen[old]
        patient = (key, about.client, about.patient, counted)
        if patient in seen:
            return
        if len(seen) < self._most:
            seen.add(patient)
        day = self._days.setdefault((key, about.client), {}).setdefault(about.day, _Day())
        setattr(day, counted, getattr(day, counted) + 1)
        self._has_changed = True

    @property
    def _today(self) -> int:
        return int(self._now() // _DAY_SECONDS)

    def _forget(self) -> None:
        """Leaves out what is too old, and what was decided before somebody ended a pause."""
        resumed, oldest = dict(self._resumed_now()), self._today - WINDOW_DAYS
        with self._writing:
            resumed_keys = {key for key, at in resumed.items() if self._resumed.get(key) != at}
            self._resumed = resumed
            self._days = {
                (key, client): {day: counts for day, counts in days.items() if day > oldest}
                for (key, client), days in self._days.items()
                if key not in resumed_keys
            }
            for key in resumed_keys:
                for patients in self._seen.values():
                    patients.difference_update({patient for patient in patients if patient[0] == key})


def keys_of(extension: CardExtension, service: str) -> tuple[Key, ...]:
    """Returns what a card counts for: its rules, else its service."""
    return tuple({("rule", finding.rule): None for finding in extension.findings}) or (("service", service),)
