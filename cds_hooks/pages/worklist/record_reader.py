"""What the page knows of the record: the newest decisions about each patient, read once and then followed.

The first reading goes on beside the calls, in a thread of its own; the page says how far it is. At most the newest
100,000 decisions of 90 days are read, and of each only what the list needs is kept.
"""

import threading
from collections.abc import Callable
from datetime import datetime
from time import monotonic
from typing import Final

import msgspec
from msgspec import Struct
from sqlalchemy import func, select

from cds_hooks.logs import log
from cds_hooks.one_run import OneRun
from cds_hooks.pages.worklist.acts import Acts
from cds_hooks.panel.worklist import (
    Answered,
    Noted,
    PatientNotes,
    Worklist,
    answers_of_a_year,
    list_patients,
    note,
    resting_answers,
)
from cds_hooks.storage.decision import Decision, RecordUnavailable
from cds_hooks.storage.following import Mark, is_there, settled
from cds_hooks.storage.queries import LISTED, read_rows
from cds_hooks.storage.tables import decisions

DAYS: Final = 90
MOST_DECISIONS: Final = 100_000
_AT_ONCE: Final = 500
_DAY_SECONDS: Final = 86_400.0
_WAIT_SECONDS: Final = 1.5
_MADE_SECONDS: Final = 60.0
"""The list is put in order again when something is new, and for the days that go by once a minute."""
_FORGET_SECONDS: Final = 3_600.0
_CAPACITY: Final = 100_000


class Progress(Struct, frozen=True):
    """How much of the record was read: decisions done and in all, and whether older ones are left out."""

    done: int
    total: int
    is_cut: bool

    @property
    def is_whole(self) -> bool:
        """Whether everything was read."""
        return self.done >= self.total


class WorklistKeeper:
    """Reads the record when the page is opened; one for each server process."""

    def __init__(self, url: str, now: Callable[[], datetime], most: int = MOST_DECISIONS) -> None:
        """`now` is the clock by which calls are answered."""
        self._url = url
        self._now = now
        self._most = most
        self._lock = threading.Lock()
        self._patients: dict[tuple[str, str], PatientNotes] = {}
        self._listed: dict[tuple[str, str], PatientNotes] = {}
        """Those of the patients about whom there is anything to show; most have nothing."""
        self._forgot = monotonic()
        self._answers: dict[Answered, float] = {}
        self._answered = answers_of_a_year()
        self._first: int | None = None
        self._sequence = 0
        self._last = Mark()
        self._top = 0
        self._is_cut = False
        self._reader = OneRun("worklist")
        self._failure: RecordUnavailable | None = None
        self._version = 0
        self._made: tuple[int, float, Worklist] | None = None
        self.acts = Acts()
        """What people did about the findings."""

    def follow(self) -> Progress:
        """Reads what is new; a long reading goes on after this returns.

        Raises:
            RecordUnavailable: The record cannot be read.
        """
        self._reader.begin(self._read).join(_WAIT_SECONDS)
        if self._failure is not None:
            raise self._failure
        first = self._first or 0
        return Progress(max(0, self._sequence - first), max(0, self._top - first), self._is_cut)

    def worklist(self) -> Worklist:
        """Return everybody who is on the list now, and of whom something was said before."""
        now = self._now()
        moment = monotonic()
        with self._lock:
            if self._made is not None and self._made[0] == self._version and moment - self._made[1] < _MADE_SECONDS:
                return self._made[2]
            answers = {answered for answered, until in self._answers.items() if now.timestamp() <= until}
            made = list_patients(self._listed, answers, now, _CAPACITY, with_shown=True)
            self._made = (self._version, moment, made)
            return made

    def _read(self) -> None:
        self._failure = None
        try:
            self._read_decisions()
            now = self._now().timestamp()
            if self._answered.has_lost_rows(self._url):
                self._answered = answers_of_a_year()
            answers = list(resting_answers(self._answered, self._url, now))
            with self._lock:
                self._version += len(answers)
                self._answers |= {answered: max(until, self._answers.get(answered, 0.0)) for answered, until in answers}
            self.acts.read(self._url)
        except RecordUnavailable as error:
            self._failure = error

    def _read_decisions(self) -> None:
        oldest = int((self._now().timestamp() - DAYS * _DAY_SECONDS) * 1e6)
        if not is_there(self._url, decisions, self._last):  # the record lost decisions, and new ones get their numbers
            with self._lock:
                self._first, self._patients, self._listed, self._last = None, {}, {}, Mark()
                self._version += 1
        newest = settled(self._url, self._last)
        self._top = newest.sequence
        if self._first is None:
            since = select(func.min(decisions.c.sequence)).where(decisions.c.sequence > self._top - self._most)
            self._first = (read_rows(self._url, since)[0][0] or 1) - 1
            self._is_cut = self._first > 0
            self._sequence = self._first
        query = select(decisions.c.sequence, *LISTED).where(decisions.c.sequence <= self._top)
        query = query.order_by(decisions.c.sequence).limit(_AT_ONCE)
        while rows := read_rows(self._url, query.where(decisions.c.sequence > self._sequence)):
            self._take([Decision(*row[1:]) for row in rows], oldest)
            self._sequence = rows[-1].sequence
        self._last = newest
        self._sequence = self._top
        self._forget(oldest / 1e6)

    def _take(self, decisions_read: list[Decision], oldest: int) -> None:
        for decision in decisions_read:
            if not decision.patient or decision.decided_at < oldest:
                continue
            try:
                noted = note(decision)
            except msgspec.MsgspecError as error:
                log().error("record in another form", decision=decision.id, error_type=type(error).__name__)
                continue
            with self._lock:
                self._note((decision.client, decision.patient), decision.service, noted)

    def _note(self, patient: tuple[str, str], service: str, noted: Noted) -> None:
        """Takes the newest decision of a service; the list is made anew only where it can be another one."""
        notes = self._patients.setdefault(patient, PatientNotes())
        earlier = notes.services.get(service)
        if earlier is not None and noted.at <= earlier.at:
            return
        notes.services[service] = noted
        was_listed = patient in self._listed
        if any(service.entries or service.shown for service in notes.services.values()):
            self._listed[patient] = notes
        elif was_listed:
            del self._listed[patient]
        self._version += was_listed or patient in self._listed

    def _forget(self, oldest: float) -> None:
        """Leaves out who was not called about for 90 days, once an hour: it looks at every patient."""
        if monotonic() - self._forgot < _FORGET_SECONDS:
            return
        with self._lock:
            self._forgot = monotonic()
            for key in [key for key, notes in self._patients.items() if notes.newest < oldest]:
                del self._patients[key]
                self._version += self._listed.pop(key, None) is not None
