"""The history of a patient's cards: what was shown and what was answered, and what follows from it for a card now.

It holds for the patient, because the fact is the patient's, and for one client: another one knows other people by the
same id. It is one row for each patient in the views of the record (`evidence/decision_views`). What this process
showed or was answered lies over it, so that the next call of a visit knows what is not in the views yet; what is in
both counts once.

What became worse is shown again. Beside that, of cards about a patient as a whole:

- A card that was answered is suppressed for the period of its answer (`PERIOD_DAYS`). Of a card that lists several
  findings an accepted suggestion settles what it orders or ends, which the chart then says, and "already done",
  "declines" and "does not fit" let it rest for a day: what is still true is shown at the next opening.
- A card that nobody answered is shown at each opening for a day, because several people open a chart at one visit, and
  then is suppressed until `rest_days` after it was first shown. One with the indicator critical, and that of abnormal
  results, are never suppressed for this reason.
- The offer of a test is shown for a day, and then again after 90 days.
- The card of high-alert drugs that no rule is about is shown once for each drug of a patient in 90 days.
"""

import sqlite3
from collections.abc import Callable, Collection, Iterable
from threading import Lock
from time import time
from typing import ClassVar, Final

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from cards.card import Card
from cards.finding import Finding
from cds_hooks.call.hold_back.card_events import ACCEPTED, SHOWN, Accepted, Event, answer_of, shown_decision
from cds_hooks.evidence.decision_views.file import Views
from cds_hooks.evidence.decision_views.follow import Batch, Projection
from cds_hooks.evidence.storage.content import ContentUnreadable, load_content, store_content
from cds_hooks.evidence.storage.decision import RecordUnavailable
from cds_hooks.telemetry.logs import log

_LONGEST_ID: Final = 200
"""Nothing is remembered of a patient with a longer id; FHIR allows 64 characters."""
_LONGEST_DAYS: Final = 365
"""So far back an event can count: as long as a rules file lets an answer count (site_file.py)."""
TEST_DAYS: Final = 90
"""In so many days a patient is offered the same test once; the project's own choice."""
MOST_CARDS: Final = 3
"""So many cards about a patient as a whole are shown at one opening of the chart; the project's own choice."""
_ONCE_DAYS: Final = 90
"""For so long a card that is shown once is suppressed, as an information that was answered is (cards/rules/engine)."""
_SHOWN_AGAIN_DAYS: Final = 1
"""So long a card that nobody answered is shown at each opening; the project's own choice."""
REST_DAYS: Final = 14
"""The value of `Constants.shown_rest_days`; the project's own choice."""
_VISIT_SECONDS: Final = 600.0
"""Cards that were shown to a patient within so long are those of one visit; the project's own choice."""
_LOOP_SECONDS: Final = 3_600.0
"""So long after an acceptance the loop guard holds; the project's own choice: a session of ordering is over by then."""
_DAY_SECONDS: Final = 86_400.0
_MOST_EVENTS: Final = 200
"""So many cards that were shown, and so many answers, are remembered of one patient, the newest."""
_PATIENTS: Final = 5_000
"""Of so many patients this process remembers what may not be in the views yet, for so many seconds."""
_NOTED_SECONDS: Final = 3_600.0


class PatientMemory(Struct):
    """The history of one patient of a client. To take the same event again changes nothing that is asked."""

    events: tuple[Event, ...] = ()

    def add(self, new: Iterable[Event]) -> None:
        """Take events; a card that is shown again on the same day, with the same finding, is one event."""
        events = list(self.events)
        for event in new:
            places = (place for place, earlier in enumerate(events) if _is_same_showing(earlier, event))
            if (place := next(places, None)) is not None:
                events[place] = replace(events[place], last=max(events[place].last, event.last))
            else:
                events.append(event)
        self.events = tuple(sorted(events, key=lambda event: event.at))

    def without_old(self, oldest: float) -> "PatientMemory":
        """Return what can still count and is not older than `oldest`, in epoch seconds."""
        recent = [event for event in self.events if event.at >= oldest]
        shown = [event for event in recent if event.how == SHOWN][-_MOST_EVENTS:]
        answers = [event for event in recent if event.how != SHOWN][-_MOST_EVENTS:]
        return PatientMemory((*shown, *answers))

    def answer(self, finding: Finding, now: float) -> Event | None:
        """Return the newest answer to a finding; to accept a part of a list is not an answer to the others."""
        answers = [
            event
            for event in self.events
            if event.how != SHOWN and event.finding is not None and event.finding.about == finding.about
        ]
        counted = [event for event in answers if event.at <= now and not (event.how == ACCEPTED and event.is_of_list)]
        return counted[-1] if counted else None

    def first_shown(self, finding: Finding, now: float, rest_days: float) -> Event | None:
        """Return the event with which the finding was first shown in the period that counts, or became worse."""
        longest = rest_period(finding, rest_days)[1] * _DAY_SECONDS
        first: Event | None = None
        for event in self.events:
            if event.finding is None or event.at > now or not _is_same(event.finding, finding):
                continue
            earlier = first.finding if first is not None else None
            if event.how != SHOWN:
                is_settled = event.is_of_list and event.how in (ACCEPTED, *OF_ONE_FINDING)
                first = None if is_settled else first  # the others of the list are shown at the next opening
            elif first is None or earlier is None or event.at - first.at > longest:
                first = event
            elif event.finding.is_worse_than(earlier):
                shown_parts = earlier.parts if finding.repeat == "once" else ()
                parts = tuple(dict.fromkeys((*event.finding.parts, *shown_parts)))
                first = replace(event, finding=replace(event.finding, parts=parts))
        return first

    def accepted_lately(self, now: float) -> list[tuple[Event, Accepted]]:
        """Return the suggestions that were accepted within the hour, each with its answer."""
        recent = (event for event in self.events if 0 <= now - event.at <= _LOOP_SECONDS)
        return [(event, accepted) for event in recent for accepted in event.accepted]

    def others_recently(self, service: str, about: Collection[str], now: float) -> int:
        """Return how many cards other services showed in this visit, beside those about the same."""
        recent = (event for event in self.events if event.how == SHOWN and 0 <= now - event.last < _VISIT_SECONDS)
        others = {event.finding.about for event in recent if event.service != service and event.finding is not None}
        return len(others.difference(about))


def _is_same_showing(earlier: Event, event: Event) -> bool:
    return (
        earlier.how == event.how == SHOWN
        and 0 <= event.at - earlier.at <= _DAY_SECONDS
        and (earlier.service, earlier.finding) == (event.service, event.finding)
    )


def _is_same(finding: Finding, other: Finding) -> bool:
    """Return whether both are about the same: tests for one estimate are, whichever of them is offered."""
    if "one-test" in (finding.repeat, other.repeat):
        return finding.repeat == other.repeat and finding.subject == other.subject
    return finding.about == other.about


def rest_period(finding: Finding, rest_days: float) -> tuple[float, float]:
    """From and to how many days after it was shown a finding is suppressed; a site can forbid it with 0 days."""
    if finding.repeat == "one-test":
        return _SHOWN_AGAIN_DAYS, TEST_DAYS
    if finding.repeat == "once" and rest_days:
        return float("-inf"), _ONCE_DAYS
    return _SHOWN_AGAIN_DAYS, rest_days


_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(PatientMemory).decode
_Patient = tuple[str, str]
"""Client and patient."""


class PatientMemories(Projection):
    """The history of every patient, one row for each."""

    tables: ClassVar[str] = """
CREATE TABLE history (
    client TEXT, patient TEXT, at REAL, events BLOB NOT NULL, PRIMARY KEY (client, patient)
) WITHOUT ROWID;
CREATE INDEX history_by_time ON history (at);
"""

    def __init__(self, now: Callable[[], float] = time) -> None:
        """`now` gives epoch seconds by the clock of the calls."""
        self._now = now

    def take(self, connection: sqlite3.Connection, batch: Batch) -> None:
        """Take what was shown and answered, of each patient with one reading and one writing."""
        events, now = dict[_Patient, list[Event]](), self._now()
        for row in batch.decisions:
            if (shown := shown_decision(row.decision)) is not None and shown.events:
                events.setdefault((row.decision.client, row.decision.patient), []).extend(shown.events)
        for answered in batch.answers:
            if (answer := answer_of(answered)) is not None and answered.decision is not None:
                decision = answered.decision.decision
                events.setdefault((decision.client, decision.patient), []).append(answer)
        for patient, new in events.items():
            if len(patient[1]) <= _LONGEST_ID:
                memory = _read(connection.execute(_QUERY, patient).fetchall())
                memory.add(new)
                content = store_content(_encode(memory.without_old(now - _LONGEST_DAYS * _DAY_SECONDS)))
                connection.execute("REPLACE INTO history VALUES (?, ?, ?, ?)", (*patient, now, content))

    def forget(self, connection: sqlite3.Connection, oldest: int) -> None:
        """Leaves out what counts no more and what was taken out; it looks at some patients at a time."""
        now = self._now()
        since = max(oldest / 1e6, now - _LONGEST_DAYS * _DAY_SECONDS)
        query = "SELECT client, patient, events FROM history WHERE at < ? ORDER BY at LIMIT 5000"
        for client, patient, content in connection.execute(query, (now - _DAY_SECONDS,)).fetchall():
            kept = _read([(content,)]).without_old(since)
            if kept.events:
                values = (now, store_content(_encode(kept)), client, patient)
                connection.execute("UPDATE history SET at = ?, events = ? WHERE client = ? AND patient = ?", values)
            else:
                connection.execute("DELETE FROM history WHERE client = ? AND patient = ?", (client, patient))


_QUERY: Final = "SELECT events FROM history WHERE client = ? AND patient = ?"


def _read(rows: list[tuple[bytes]]) -> PatientMemory:
    return _decode(load_content(rows[0][0])) if rows else PatientMemory()


class Memory:
    """The histories of the patients of one server: the views, and what may not be in them yet."""

    def __init__(self) -> None:
        """Without views only this process is remembered."""
        self._views: Views | None = None
        self._noted: dict[_Patient, tuple[float, tuple[Event, ...]]] = {}
        self._writing = Lock()
        self._was_read = False

    def read_from(self, views: Views) -> None:
        """From now on the views are read too."""
        self._views = views

    def of_patient(self, client: str, patient: str) -> PatientMemory:
        """Return what is remembered; where the views cannot be read, what this process knows."""
        memory = self._in_views(client, patient)
        if (noted := self._noted.get((client, patient))) is not None:
            memory.add(noted[1])
        return memory

    def note(self, client: str, patient: str, events: Iterable[Event]) -> None:
        """Take what was shown or answered just now and is on record."""
        if len(patient) > _LONGEST_ID or not (new := tuple(events)):
            return
        with self._writing:
            memory = PatientMemory(self._noted.pop((client, patient), (0.0, ()))[1])
            memory.add(new)
            self._noted[client, patient] = (time(), memory.without_old(0.0).events)
            oldest = next(iter(self._noted))
            if len(self._noted) > _PATIENTS or self._noted[oldest][0] < time() - _NOTED_SECONDS:
                del self._noted[oldest]

    def _in_views(self, client: str, patient: str) -> PatientMemory:
        if self._views is None:
            return PatientMemory()
        try:
            memory = _read(self._views.read(_QUERY, client, patient))
        except (RecordUnavailable, ContentUnreadable, msgspec.DecodeError) as error:
            if self._was_read:  # not at the start of a new record, and once
                log().error("what was shown before cannot be read", error_type=type(error).__name__)
            self._was_read = False
            return PatientMemory()
        self._was_read = True
        return memory


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
OF_ONE_FINDING: Final = frozenset({"action-completed", "patient-ineligible", "patient-declines"})
"""Reasons that are said of one finding: of a card that lists several nobody knows of which, and it rests for a day."""
OTHER_DAYS: Final = 30
"""The period of an override without one of the project's reasons."""
DISCHARGE_DAYS: Final = 2
"""An answer at discharge holds for this discharge; the project's own choice."""

_COMPLETED: Final = "action-completed"
_NEEDS_MORE: Final = "need-more-info"


def suppression(
    card: Card, finding: Finding, memory: PatientMemory, now: float, rest_days: float
) -> tuple[Event, float] | None:
    """Return how the finding was shown or answered before and until when it is suppressed; None where it is shown.

    `now` is in epoch seconds. With 0 `rest_days` a card that nobody answered is shown at each opening.
    """
    answer = memory.answer(finding, now)
    if answer is not None:
        until = answer.at + _answer_days(answer, finding) * _DAY_SECONDS
        if now <= until and not _is_shown_again(finding, answer):
            return answer, until
    first = memory.first_shown(finding, now, rest_days)
    if first is None or card.indicator == "critical" or finding.repeat in ("until-answered", "one-follow-up"):
        return None
    if first.finding is not None and finding.is_worse_than(first.finding) and finding.repeat != "one-test":
        return None
    since, until = (first.at + days * _DAY_SECONDS for days in rest_period(finding, rest_days))
    return (first, until) if since < now <= until else None


def _answer_days(answer: Event, finding: Finding) -> float:
    """Return for how many days this answer silences the finding."""
    if finding.repeat == "one-follow-up":
        return DISCHARGE_DAYS
    if answer.is_of_list and answer.how in OF_ONE_FINDING:
        return _SHOWN_AGAIN_DAYS
    days = float(PERIOD_DAYS.get(answer.how, OTHER_DAYS))
    return min(days, finding.horizon_days or days) if answer.how == _COMPLETED else days


def _is_shown_again(finding: Finding, answer: Event) -> bool:
    """Return whether the finding is worse than what was answered, or what the clinician waited for has arrived."""
    if answer.finding is None:
        return False
    arrived = answer.how == _NEEDS_MORE and finding.has_arrived_since(answer.finding)
    return arrived or finding.is_worse_than(answer.finding)
