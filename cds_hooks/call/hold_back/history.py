"""The history of a patient's cards: what was shown, how it was answered, and until when a finding is suppressed.

A history is kept for each patient of one client: another client knows other people by the same id. It is one row for
each patient in the views of the record (`evidence/decision_views`). What this process showed or was answered lies over
it, so that the next call of a visit knows what is not in the views yet; what is in both counts once.

A finding that became worse is shown again. Beside that, of cards about a patient as a whole:

- A card that was answered is suppressed for the period of its answer (`PERIOD_DAYS`). Of a card that lists several
  findings an accepted suggestion settles what it orders or ends, which the chart then says, and "already done",
  "declines" and "does not fit" suppress it for a day: what is still true is shown at the next opening.
- A card that nobody answered is shown at each opening for a day, because several people open a chart at one visit, and
  then is suppressed until `REST_DAYS` after it was first shown. One with the indicator critical, and that of abnormal
  results, are never suppressed for this reason.
- The offer of a test is shown for a day, and then again after 90 days.
- The card of high-alert drugs that no rule is about is shown once for each drug of a patient in 90 days.
"""

import sqlite3
from collections.abc import Callable, Collection, Iterable, Mapping
from threading import Lock
from time import time
from typing import Any, ClassVar, Final

import msgspec
from msgspec import Struct, field
from msgspec.structs import replace

from cards.card import OVERRIDE_REASONS, PATIENT_DECLINES, SEVERITY, Indicator
from cards.extension import CardExtension, Fact, FindingReference
from cards.finding import Finding
from cards.rules.engine.finding import DRUG_FACTS, RuleFinding
from cards.rules.engine.governance import drafts_of
from cards.text import plain
from cds_hooks.call.protocol.hooks import PATIENT_VIEW
from cds_hooks.evidence.decision_views.file import Views
from cds_hooks.evidence.decision_views.follow import Batch, Projection
from cds_hooks.evidence.storage.content import ContentUnreadable, load_content, store_content
from cds_hooks.evidence.storage.decision import Decision, FeedbackItem, RecordUnavailable
from cds_hooks.evidence.storage.sent import SentCard, SentSuggestion, read_response
from cds_hooks.telemetry.logs import log

SHOWN: Final = "shown"
"""How a card was answered that nobody answered."""
ACCEPTED: Final = "accepted"
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
REST_DAYS: Final = 14
"""So many days after its first showing a card that nobody answered is suppressed; the project's own choice."""
TEST_DAYS: Final = 90
"""In so many days a patient is offered the same test once; the project's own choice."""
_OF_ONE_FINDING: Final = frozenset({"action-completed", "patient-ineligible", "patient-declines"})
"""Reasons that are said of one finding: of a card that lists several nobody knows of which."""
_KNOWN_REASONS: Final = frozenset(reason.code for reason in (*OVERRIDE_REASONS, PATIENT_DECLINES)) | {
    "cds-not-applicable"
}
"""Codes of overrides that count whatever the card offered: the project's own, and HL7's parent of "does not fit"."""
_LONGEST_DAYS: Final = 365
"""So far back an event can count: as long as a rules file lets an answer count (site_file.py)."""
_ONCE_DAYS: Final = 90
"""For so long a card that is shown once is suppressed, as an information that was answered is (cards/rules/engine)."""
_SHOWN_AGAIN_DAYS: Final = 1
"""So long a card that nobody answered is shown at each opening; the project's own choice."""
_REST_PERIODS: Final = {"one-test": (_SHOWN_AGAIN_DAYS, TEST_DAYS), "once": (float("-inf"), _ONCE_DAYS)}
"""From and to how many days after it was shown a finding is suppressed, of those that are not shown at each opening."""
_DISCHARGE_DAYS: Final = 2
"""An answer at discharge holds for this discharge; the project's own choice."""
_VISIT_SECONDS: Final = 600.0
"""Cards that were shown to a patient within so long are those of one visit; the project's own choice."""
_LOOP_SECONDS: Final = 3_600.0
"""So long after an acceptance the loop guard holds; the project's own choice: a session of ordering is over by then."""
_DAY_SECONDS: Final = 86_400.0
_MOVED: Final = 0.2
"""A finding of a rule is shown again when one of its values has moved by more than this share."""
_LONGEST_WORDS: Final = 200
_LONGEST_ID: Final = 200
"""Nothing is remembered of a patient with a longer id; FHIR allows 64 characters."""
_MOST_EVENTS: Final = 200
"""So many cards that were shown, and so many answers, are remembered of one patient, the newest."""
_PATIENTS: Final = 5_000
"""Of so many patients this process remembers what may not be in the views yet, for so many seconds."""
_NOTED_SECONDS: Final = 3_600.0


class Accepted(Struct, frozen=True):
    """A suggestion that was accepted: what it said, and the words and references of the orders that came of it."""

    label: str
    orders: frozenset[str]


class Event(Struct, frozen=True, omit_defaults=True):
    """A card that was shown (`how` is "shown"), or the answer to one: "accepted", or the code of the override.

    `at` is in epoch seconds, `last` when the card was last shown on that day, `service` the one that showed it at an
    opening. `by` is the user to whom the card was shown, as it is recorded, `reason` the reason of an override in
    words. `finding` is what the card says of the patient as a whole.

    Of a card about orders `bands` are its rules and bands (none where the reason of an override is not known),
    `ingredients` what is drafted and taken, because an answer to one drug is none to another, `numbers` its values by
    name, and `drafts` the references of the drafts, not their words: the same drug drafted anew is judged anew.
    """

    at: float
    how: str
    finding: Finding | None = None
    service: str = ""
    last: float = 0.0
    by: str = ""
    reason: str = ""
    indicator: Indicator = "info"
    bands: frozenset[FindingReference] = frozenset()
    ingredients: frozenset[str] = frozenset()
    numbers: Mapping[str, float] = field(default_factory=dict)
    drafts: frozenset[str] = frozenset()
    accepted: tuple[Accepted, ...] = ()

    @property
    def is_of_list(self) -> bool:
        """Whether the card listed several findings."""
        return self.finding is not None and self.finding.is_list

    def answers(self, finding: RuleFinding) -> bool:
        """Whether it overrides this finding of a rule: the same drugs, no more severe, and about the same values."""
        if self.how == ACCEPTED or FindingReference(finding.rule, finding.band) not in self.bands:
            return False
        moved = (
            abs(value - self.numbers[name]) > _MOVED * abs(self.numbers[name])
            for name, value in _numbers_of(finding.facts).items()
            if name in self.numbers
        )
        is_milder = SEVERITY[finding.indicator] <= SEVERITY[self.indicator]
        return is_milder and _ingredients_of(finding.facts) <= self.ingredients and not any(moved)

    def is_showing_of(self, event: "Event") -> bool:
        """Whether both are one showing: the same finding by the same service within a day."""
        is_same_day = self.how == event.how == SHOWN and 0 <= event.at - self.at <= _DAY_SECONDS
        return is_same_day and (self.service, self.finding) == (event.service, event.finding)


def _numbers_of(facts: Iterable[Fact]) -> dict[str, float]:
    """Return the values that are numbers, by name; of several with one name the last."""
    return {fact.name: float(fact.value) for fact in facts if isinstance(fact.value, int | float)}


def _ingredients_of(facts: Iterable[Fact]) -> frozenset[str]:
    """Return the ingredients that facts are about: of the draft, and of what is taken beside it."""
    values = (str(fact.value) for fact in facts if fact.name in DRUG_FACTS and fact.value is not None)
    return frozenset(ingredient for value in values for ingredient in value.split("/"))


def shown_events(service: str, hook: str, cards: Iterable[CardExtension], at: float) -> list[Event]:
    """Return that cards about the patient as a whole were shown; of cards about orders only answers are remembered."""
    at_opening = service if hook == PATIENT_VIEW else ""
    findings = (extension.finding for extension in cards)
    return [Event(at, SHOWN, finding, at_opening, at) for finding in findings if finding is not None]


def answer_event(
    card: SentCard, how: str, at: float, reason: str = "", suggestions: Collection[str] = (), user: str = ""
) -> Event:
    """Return the answer to a card that was sent; `suggestions` are the uuids of those that were accepted."""
    extension = card.own_extension
    is_known = how == ACCEPTED or how in _KNOWN_REASONS or any(how == offered.code for offered in card.override_reasons)
    findings = extension.findings if is_known and (reason or how == ACCEPTED) else ()
    chosen = [suggestion for suggestion in card.suggestions if suggestion.uuid in suggestions]
    return Event(
        at,
        how,
        extension.finding,
        by=user,
        reason=reason,
        indicator=card.indicator,
        bands=frozenset(findings),
        ingredients=_ingredients_of(extension.facts),
        numbers=_numbers_of(extension.facts),
        drafts=drafts_of(extension.facts),
        accepted=tuple(Accepted(plain(offer.label, 80), _orders_of(offer)) for offer in chosen),
    )


def _orders_of(suggestion: SentSuggestion) -> frozenset[str]:
    resources = [action.resource for action in suggestion.actions if isinstance(action.resource, dict)]
    references = {f"{resource.get('resourceType')}/{resource.get('id')}" for resource in resources}
    return frozenset(references.union(*map(words_of, resources)))


def words_of(resource: object) -> tuple[str, ...]:
    """Return what an order is called: the text and the display names of its medication or code."""
    if not isinstance(resource, dict):
        return ()
    concept = resource.get("medicationCodeableConcept") or resource.get("code") or {}
    names = [concept.get("text"), *(coding.get("display") for coding in concept.get("coding") or ())]
    return tuple(filter(None, (plain_words(name) for name in names if isinstance(name, str))))


def plain_words(text: str) -> str:
    """Return words in the form in which they are compared."""
    return plain(text, _LONGEST_WORDS).casefold()


def answers_to(decision: Decision, items: Iterable[FeedbackItem]) -> list[Event]:
    """Return the answers that came just now to the cards of a decision."""
    answers = (_answer(item, decision, item.accepted_suggestions) for item in items)
    return [answer for answer in answers if answer is not None]


def _answer(item: Any, decision: Decision, suggestions: Collection[str]) -> Event | None:
    card = next((card for card in read_response(decision.response).cards if card.uuid == item.card), None)
    if card is None:
        return None
    at, user = item.received_at / 1e6, decision.user_id or ""
    if item.outcome == ACCEPTED:
        return answer_event(card, ACCEPTED, at, suggestions=suggestions, user=user)
    how, reason = item.override_reason_code, item.override_reason_display or item.override_reason_code
    return answer_event(card, how or "overridden", at, reason or "", user=user)


class PatientHistory(Struct):
    """The history of one patient of a client. To take the same event again changes nothing that is asked."""

    events: tuple[Event, ...] = ()

    def add(self, new: Iterable[Event]) -> None:
        """Take events; a card that is shown again on the same day, with the same finding, is one event."""
        events = list(self.events)
        for event in new:
            place = next((place for place, earlier in enumerate(events) if earlier.is_showing_of(event)), None)
            if place is None:
                events.append(event)
            else:
                events[place] = replace(events[place], last=max(events[place].last, event.last))
        self.events = tuple(sorted(events, key=lambda event: event.at))

    def without_old(self, oldest: float) -> "PatientHistory":
        """Return what can still count and is not older than `oldest`, in epoch seconds."""
        recent = [event for event in self.events if event.at >= oldest]
        shown = [event for event in recent if event.how == SHOWN][-_MOST_EVENTS:]
        return PatientHistory((*shown, *[event for event in recent if event.how != SHOWN][-_MOST_EVENTS:]))

    def accepted_lately(self, now: float) -> list[tuple[Event, Accepted]]:
        """Return the suggestions that were accepted within the hour, each with its answer."""
        return [
            (event, accepted)
            for event in self.events
            if 0 <= now - event.at <= _LOOP_SECONDS
            for accepted in event.accepted
        ]

    def others_recently(self, service: str, about: Collection[str], now: float) -> int:
        """Return how many cards other services showed at openings in this visit, beside those about the same."""
        recent = (event for event in self.events if event.how == SHOWN and 0 <= now - event.last < _VISIT_SECONDS)
        others = (event for event in recent if event.service not in ("", service))
        return len({event.finding.about for event in others if event.finding is not None}.difference(about))

    def suppression(self, finding: Finding, now: float, *, is_critical: bool) -> tuple[Event, float] | None:
        """Return how a finding was shown or answered before and until when it is suppressed; None where it is shown.

        `now` is in epoch seconds.
        """
        if (answered := self._suppressing_answer(finding, now)) is not None:
            return answered
        if is_critical or finding.repeat in ("until-answered", "one-follow-up"):
            return None
        since_days, until_days = _REST_PERIODS.get(finding.repeat, (_SHOWN_AGAIN_DAYS, REST_DAYS))
        first = self._first_shown(finding, now, until_days * _DAY_SECONDS)
        if first is None or first.finding is None:
            return None
        if finding.repeat != "one-test" and finding.is_worse_than(first.finding):
            return None
        since, until = first.at + since_days * _DAY_SECONDS, first.at + until_days * _DAY_SECONDS
        return (first, until) if since < now <= until else None

    def answered(self, now: float) -> set[str]:
        """Return the equations, models and services of whose last cards an answer suppresses every finding."""
        shown = {
            event.finding.about: (event.finding, event.last)
            for event in self.events
            if event.finding is not None and event.how == SHOWN
        }
        last = dict[str, float]()
        for finding, at in shown.values():
            last[finding.subject] = max(at, last.get(finding.subject, 0.0))
        lately = [finding for finding, at in shown.values() if last[finding.subject] - at < _VISIT_SECONDS]
        unanswered = {finding.subject for finding in lately if self._suppressing_answer(finding, now) is None}
        return {finding.subject for finding in lately} - unanswered

    def _suppressing_answer(self, finding: Finding, now: float) -> tuple[Event, float] | None:
        """Return the answer that suppresses the finding, and until when; none that it has become worse since."""
        answer = self._answer_to(finding, now)
        if answer is None or answer.finding is None:
            return None
        until = answer.at + _answer_days(answer, finding) * _DAY_SECONDS
        arrived = answer.how == "need-more-info" and finding.has_arrived_since(answer.finding)
        is_over = now > until or arrived or finding.is_worse_than(answer.finding)
        return None if is_over else (answer, until)

    def _answer_to(self, finding: Finding, now: float) -> Event | None:
        """Return the newest answer to a finding; to accept a part of a list is not an answer to the others."""
        for event in reversed(self.events):
            is_part_of_list = event.how == ACCEPTED and event.is_of_list
            is_about = event.finding is not None and event.finding.about == finding.about
            if is_about and event.how != SHOWN and event.at <= now and not is_part_of_list:
                return event
        return None

    def _first_shown(self, finding: Finding, now: float, longest: float) -> Event | None:
        """Return the event with which the finding was first shown in the period that counts, or became worse."""
        first: Event | None = None
        for event in self.events:
            if event.finding is None or event.at > now or not _is_same(event.finding, finding):
                continue
            earlier = first.finding if first is not None else None
            if event.how != SHOWN:
                is_settled = event.is_of_list and event.how in (ACCEPTED, *_OF_ONE_FINDING)
                first = None if is_settled else first  # the others of the list are shown at the next opening
            elif first is None or earlier is None or event.at - first.at > longest:
                first = event
            elif event.finding.is_worse_than(earlier):
                shown_parts = earlier.parts if finding.repeat == "once" else ()
                parts = tuple(dict.fromkeys((*event.finding.parts, *shown_parts)))
                first = replace(event, finding=replace(event.finding, parts=parts))
        return first


def _is_same(finding: Finding, other: Finding) -> bool:
    """Return whether both are about the same: tests for one estimate are, whichever of them is offered."""
    if "one-test" in (finding.repeat, other.repeat):
        return finding.repeat == other.repeat and finding.subject == other.subject
    return finding.about == other.about


def _answer_days(answer: Event, finding: Finding) -> float:
    """Return for how many days this answer silences the finding."""
    if finding.repeat == "one-follow-up":
        return _DISCHARGE_DAYS
    if answer.is_of_list and answer.how in _OF_ONE_FINDING:
        return _SHOWN_AGAIN_DAYS
    days = float(PERIOD_DAYS.get(answer.how, OTHER_DAYS))
    return min(days, finding.horizon_days or days) if answer.how == "action-completed" else days


_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(PatientHistory).decode
_QUERY: Final = "SELECT events FROM history WHERE client = ? AND patient = ?"
_Patient = tuple[str, str]
"""Client and patient."""


def read_history(events: bytes) -> PatientHistory:
    """Return the history of a row of the views."""
    return _decode(load_content(events))


def _read(rows: list[tuple[bytes]]) -> PatientHistory:
    return read_history(rows[0][0]) if rows else PatientHistory()


class RecordedHistories(Projection):
    """The history of every patient in the views of the record, one row for each."""

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
            decision, cards = row.decision, row.response.cards
            if cards and (as_of := row.basis.as_of) is not None:
                extensions = (card.own_extension for card in cards)
                moment = row.basis.moment or decision.hook
                new = shown_events(decision.service, moment, extensions, as_of.timestamp())
                events.setdefault((decision.client, decision.patient), []).extend(new)
        for answered in batch.answers:
            if answered.decision is not None:
                decision, item = answered.decision.decision, answered.feedback
                suggestions = msgspec.json.decode(item.accepted_suggestions)
                if (answer := _answer(item, decision, suggestions)) is not None:
                    events.setdefault((decision.client, decision.patient), []).append(answer)
        for patient, new in events.items():
            if new and len(patient[1]) <= _LONGEST_ID:
                history = _read(connection.execute(_QUERY, patient).fetchall())
                history.add(new)
                content = store_content(_encode(history.without_old(now - _LONGEST_DAYS * _DAY_SECONDS)))
                connection.execute("REPLACE INTO history VALUES (?, ?, ?, ?)", (*patient, now, content))

    def forget(self, connection: sqlite3.Connection, oldest: int) -> None:
        """Leaves out what counts no more and what was taken out; it looks at some patients at a time."""
        now = self._now()
        since = max(oldest / 1e6, now - _LONGEST_DAYS * _DAY_SECONDS)
        query = "SELECT client, patient, events FROM history WHERE at < ? ORDER BY at LIMIT 5000"
        for client, patient, content in connection.execute(query, (now - _DAY_SECONDS,)).fetchall():
            kept = read_history(content).without_old(since)
            if kept.events:
                values = (now, store_content(_encode(kept)), client, patient)
                connection.execute("UPDATE history SET at = ?, events = ? WHERE client = ? AND patient = ?", values)
            else:
                connection.execute("DELETE FROM history WHERE client = ? AND patient = ?", (client, patient))


class Histories:
    """The histories of the patients of one server: the views, and what may not be in them yet."""

    def __init__(self) -> None:
        """Without views only this process is remembered."""
        self.views: Views | None = None
        self._noted: dict[_Patient, tuple[float, tuple[Event, ...]]] = {}
        self._writing = Lock()
        self._was_read = False

    def of_patient(self, client: str, patient: str) -> PatientHistory:
        """Return what is remembered; where the views cannot be read, what this process knows."""
        history = self._in_views(client, patient)
        if (noted := self._noted.get((client, patient))) is not None:
            history.add(noted[1])
        return history

    def note(self, client: str, patient: str, events: Iterable[Event]) -> None:
        """Take what was shown or answered just now and is on record."""
        if len(patient) > _LONGEST_ID or not (new := tuple(events)):
            return
        with self._writing:
            history = PatientHistory(self._noted.pop((client, patient), (0.0, ()))[1])
            history.add(new)
            self._noted[client, patient] = (time(), history.without_old(0.0).events)
            oldest = next(iter(self._noted))
            if len(self._noted) > _PATIENTS or self._noted[oldest][0] < time() - _NOTED_SECONDS:
                del self._noted[oldest]

    def _in_views(self, client: str, patient: str) -> PatientHistory:
        if self.views is None:
            return PatientHistory()
        try:
            history = _read(self.views.read(_QUERY, client, patient))
        except (RecordUnavailable, ContentUnreadable, msgspec.DecodeError) as error:
            if self._was_read:  # not at the start of a new record, and once
                log().error("what was shown before cannot be read", error_type=type(error).__name__)
            self._was_read = False
            return PatientHistory()
        self._was_read = True
        return history
