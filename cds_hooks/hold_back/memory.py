"""What hold-back remembers of a patient: cards shown, answers, overrides and accepted orders.

It holds for the patient, because the fact is the patient's, and for one client: another one knows other people by the
same id. It is one row for each patient in the views of the record (`cds_hooks/decision_views`). What this process
showed or was answered and is not in the views yet lies over it, so that the next call of a visit knows it.

What became worse is shown again. Beside that, of cards about a patient as a whole:

- A card that was answered is suppressed for the period of its answer (`PERIOD_DAYS`). Of a card that lists several
  findings an accepted suggestion settles what it orders or ends, which the chart then says, and "already done",
  "declines" and "does not fit" let it rest for a day: what is still true is shown at the next opening.
- A card that nobody answered is shown at each opening for a day, because several people open a chart at one visit, and
  then is suppressed until `rest_days` after it was first shown. One with the indicator critical, and that of abnormal
  results, are never suppressed for this reason.
- The card of high-alert drugs that no rule is about is shown once for each drug of a patient in 90 days.
"""

import sqlite3
from collections.abc import Callable, Collection, Hashable, Iterable, Mapping
from threading import RLock
from time import time
from typing import ClassVar, Final, Generic, TypeVar

import msgspec
from msgspec import Struct, field
from msgspec.structs import replace

from cards.card import SEVERITY, Card
from cards.finding import Finding
from cards.rules.engine.governance import Override, ingredients_of, numeric_values
from cards.text import plain
from cds_hooks.decision_views.file import Views
from cds_hooks.decision_views.follow import Batch, Projection
from cds_hooks.hold_back.sent_cards import (
    ACCEPTED,
    LONGEST_DAYS,
    Caller,
    SentCard,
    SentCardAnswer,
    SentSuggestion,
    answer_of,
    shown_decision,
)
from cds_hooks.logs import log
from cds_hooks.storage.content import ContentUnreadable, load_content, store_content
from cds_hooks.storage.decision import RecordUnavailable

LONGEST_ID: Final = 200
"""Nothing is remembered of a patient with a longer id; FHIR allows 64 characters."""
TEST_DAYS: Final = 90
"""In so many days a patient is offered the same test once; the project's own choice."""
MOST_CARDS: Final = 3
"""So many cards about a patient as a whole are shown at one opening of the chart; the project's own choice."""
ONCE_DAYS: Final = 90
"""For so long a card that is shown once is suppressed, as an information that was answered is (cards/rules/engine)."""
SHOWN_AGAIN_DAYS: Final = 1
"""So long a card that nobody answered is shown at each opening; the project's own choice."""
REST_DAYS: Final = 14
"""The value of `Constants.shown_rest_days`; the project's own choice."""
VISIT_SECONDS: Final = 600.0
"""Cards that were shown to a patient within so long are those of one visit; the project's own choice."""
_MOST_RECENT: Final = 20
LOOP_SECONDS: Final = 3_600.0
"""So long after an acceptance the loop guard holds; the project's own choice: a session of ordering is over by then."""
SHOWN: Final = "shown"
"""How a finding was answered that nobody answered."""
_TEST = "a test: "
"""How the kinds of turns begin of a test that is offered, and of any card about the patient as a whole."""

_DAY_SECONDS: Final = 86_400.0
_ACCEPTED_OF_ONE: Final = 50
"""So many acceptances of one patient are remembered, the newest."""
_OVERRIDES_OF_ONE: Final = 20
"""So many overrides of one finding of a patient are remembered, the newest."""
_NOT_FOLLOWED: Final = 20_000
"""Of so many patients this process remembers what is not in the views yet."""
_LATE_SECONDS: Final = 5.0
"""Rows can become readable so long after they were committed, where PostgreSQL writes several at once."""
_LONGEST_WORDS: Final = 200

_Key = TypeVar("_Key", bound=Hashable)
_Value = TypeVar("_Value")


class Bounded(Generic[_Key, _Value]):
    """Values by key in memory; beyond `most` of them the oldest are forgotten. Used from any thread."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._values: dict[_Key, _Value] = {}
        self.writing = RLock()
        """Held by whoever reads a value in order to replace it."""

    def __len__(self) -> int:
        """How many values there are."""
        return len(self._values)

    def get(self, key: _Key) -> _Value | None:
        """Return the value of this key; None where there is none."""
        return self._values.get(key)

    def put(self, key: _Key, value: _Value) -> None:
        """Take a value as the newest."""
        with self.writing:
            self._values.pop(key, None)
            self._values[key] = value
            while len(self._values) > self._most:
                self._values.pop(next(iter(self._values)))

    def remove(self, key: _Key) -> None:
        """Forgets the value of this key, if there is one."""
        with self.writing:
            self._values.pop(key, None)

    def forget(self, is_over: Callable[[_Value], bool]) -> None:
        """Leaves out what can no longer count."""
        with self.writing:
            self._values = {key: value for key, value in self._values.items() if not is_over(value)}


class ShownFinding(Struct, frozen=True):
    """When a finding was shown or answered (epoch seconds), the answer ("shown" without one), and its severity."""

    at: float
    how: str
    finding: Finding
    by: str = ""
    """The user to whom the card was shown that was answered, as it is recorded."""
    reason: str = ""
    """The reason of an override, in words."""


class RecentCard(Struct, frozen=True):
    """A card that a service showed a moment ago (epoch seconds), and what it is about."""

    at: float
    service: str
    about: str


class Accepted(Struct, frozen=True):
    """A suggestion that was accepted: what it said, on which findings and draft, and which orders came of it.

    `draft` has the references of the draft, not its words: the same drug drafted anew is judged anew. `orders` has the
    words and the references of the orders.
    """

    at: float
    label: str
    findings: frozenset[tuple[str, str]]
    draft: frozenset[str]
    orders: frozenset[str]


class PatientMemory(Struct):
    """What is remembered of one patient of a client. To take the same again changes nothing."""

    answers: dict[str, ShownFinding] = field(default_factory=dict)
    """The newest answer to each finding about the patient as a whole."""
    shown: dict[str, ShownFinding] = field(default_factory=dict)
    """When each of them was shown first, in the period that counts."""
    overrides: dict[str, tuple[Override, ...]] = field(default_factory=dict)
    """The overrides of findings of the medication rules, by rule and band (`override_key`)."""
    accepted: tuple[Accepted, ...] = ()
    offered: dict[str, float] = field(default_factory=dict)
    """When each kind of card of which a patient gets one was shown (epoch seconds)."""
    recent: tuple[RecentCard, ...] = ()
    """The cards of this visit."""

    def take_shown(self, service: str, findings: Iterable[Finding], at: float, now: float, rest_days: float) -> None:
        """Take what a service showed at `at`; all times in epoch seconds."""
        for finding in findings:
            self._take_offered(finding, at, now)
            earlier = (card for card in self.recent if card.about != finding.about and at - card.at < VISIT_SECONDS)
            self.recent = (*earlier, RecentCard(at, service, finding.about))[-_MOST_RECENT:]
            if not once_kind(finding):
                self._take_finding(finding, at, now, rest_days)

    def _take_offered(self, finding: Finding, at: float, now: float) -> None:
        kind = once_kind(finding)
        before = self.offered.get(kind)
        if kind and (before is None or at - before > once_days(kind) * _DAY_SECONDS or before > now):
            self.offered[kind] = at

    def others_recently(self, service: str, about: Collection[str], now: float) -> int:
        """Return how many cards other services showed in this visit, beside those about the same."""
        return sum(
            card.service != service and card.about not in about and 0 <= now - card.at < VISIT_SECONDS
            for card in self.recent
        )

    def _take_finding(self, finding: Finding, at: float, now: float, rest_days: float) -> None:
        shown = self.shown.get(finding.about)
        longest = rest_period(finding, rest_days)[1] * _DAY_SECONDS
        is_over = shown is not None and (at - shown.at > longest or shown.at > now)
        if finding.repeat == "once" and shown is not None and not is_over:
            finding = replace(finding, parts=tuple(dict.fromkeys((*finding.parts, *shown.finding.parts))))
        if shown is None or is_over or finding.is_worse_than(shown.finding):
            self.shown[finding.about] = ShownFinding(at, SHOWN, finding)

    def take_answer(self, answer: SentCardAnswer, now: float) -> None:
        """Take a clinician's answer; of several about one finding the newest counts."""
        finding = answer.card.our_extension.finding
        if finding is not None and finding.is_list and (answer.is_accepted or answer.how in OF_ONE_FINDING):
            self.shown.pop(finding.about, None)  # the others of the list are shown at the next opening
        if finding is not None and not (finding.is_list and answer.is_accepted):
            before = self.answers.get(finding.about)
            if before is None or before.at <= answer.at or before.at > now:
                self.answers[finding.about] = ShownFinding(answer.at, answer.how, finding, answer.user, answer.reason)
        if answer.suggestions:
            self._take_accepted(answer)
        if answer.is_known_reason and answer.reason:
            self._take_override(answer)

    def _take_accepted(self, answer: SentCardAnswer) -> None:
        accepted = (
            _accepted(answer.card, suggestion, answer.at)
            for suggestion in answer.card.suggestions
            if suggestion.uuid in answer.suggestions
        )
        new = tuple(suggestion for suggestion in accepted if suggestion not in self.accepted)
        self.accepted = (*self.accepted, *new)[-_ACCEPTED_OF_ONE:]

    def _take_override(self, answer: SentCardAnswer) -> None:
        facts = [(fact.name, fact.value) for fact in answer.card.our_extension.facts]
        drafts = frozenset(
            fact.source for fact in answer.card.our_extension.facts if fact.name == "draft" and fact.source
        )
        override = Override(
            answer.at,
            answer.card.indicator,
            answer.reason,
            ingredients_of(facts),
            numeric_values(facts),
            answer.user,
            drafts,
        )
        for rule, band in answer.card.findings:
            key = override_key(rule, band)
            earlier = self.overrides.get(key, ())
            if override not in earlier:
                kept = (other for other in earlier if not _is_replaced(other, override))
                self.overrides[key] = (*kept, override)[-_OVERRIDES_OF_ONE:]

    def without_old(self, now: float, rest_days: float, oldest: float) -> "PatientMemory":
        """Return what can still count and is not older than `oldest`; an empty memory where nothing is left."""
        year = max(oldest, now - LONGEST_DAYS * _DAY_SECONDS)
        shown_since = max(oldest, now - max(rest_days, SHOWN_AGAIN_DAYS, ONCE_DAYS) * _DAY_SECONDS)
        overrides = {
            key: tuple(override for override in overrides if override.at >= year)
            for key, overrides in self.overrides.items()
        }
        return PatientMemory(
            {about: answer for about, answer in self.answers.items() if answer.at >= year},
            {about: shown for about, shown in self.shown.items() if shown.at >= shown_since},
            {key: kept for key, kept in overrides.items() if kept},
            tuple(accepted for accepted in self.accepted if accepted.at >= now - LOOP_SECONDS),
            {kind: at for kind, at in self.offered.items() if at >= max(oldest, now - once_days(kind) * _DAY_SECONDS)},
            tuple(card for card in self.recent if now - card.at < VISIT_SECONDS),
        )


def override_key(rule: str, band: str) -> str:
    """Return under which name the overrides of a rule's band are kept."""
    return f"{rule} {band}"


def once_kind(finding: Finding) -> str:
    """Return the kind of cards of which a patient gets one that this card is of; "" for most cards."""
    if finding.repeat == "one-test":
        return f"{_TEST}{finding.subject}"
    return finding.about if finding.repeat == "one-follow-up" else ""


def once_days(kind: str) -> int:
    """Return for how many days a card of this kind is not shown again after the day on which it was."""
    return TEST_DAYS if kind.startswith(_TEST) else SHOWN_AGAIN_DAYS


def is_offered_before(kind: str, at: float, now: float) -> bool:
    """Return whether a card of this kind was shown before this day: several people open a chart at one visit."""
    return SHOWN_AGAIN_DAYS * _DAY_SECONDS < now - at <= once_days(kind) * _DAY_SECONDS


def rest_period(finding: Finding, rest_days: float) -> tuple[float, float]:
    """From and to how many days after it was shown a finding is suppressed; a site can forbid it with 0 days."""
    if finding.repeat == "once" and rest_days:
        return float("-inf"), ONCE_DAYS
    return SHOWN_AGAIN_DAYS, rest_days


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


def _accepted(sent: SentCard, suggestion: SentSuggestion, at: float) -> Accepted:
    resources = [msgspec.json.decode(action.resource) for action in suggestion.actions if action.resource]
    orders = frozenset(
        word
        for resource in resources
        for word in (*words_of(resource), f"{resource.get('resourceType')}/{resource.get('id')}")
    )
    references = frozenset(fact.source for fact in sent.our_extension.facts if fact.name == "draft" and fact.source)
    return Accepted(at, plain(suggestion.label, 80), frozenset(sent.findings), references, orders)


def _is_replaced(earlier: Override, newer: Override) -> bool:
    """Return whether the newer override counts for everything that the earlier one counts for."""
    is_wider = earlier.about <= newer.about and SEVERITY[earlier.indicator] <= SEVERITY[newer.indicator]
    return is_wider and earlier.at <= newer.at and earlier.by == newer.by and earlier.drafts <= newer.drafts


_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(PatientMemory).decode
_EMPTY: Final = PatientMemory()
_Patient = tuple[str, str]
"""Client and patient."""


class PatientMemories(Projection):
    """The memory of every patient, one row for each."""

    tables: ClassVar[str] = """
CREATE TABLE memory (
    client TEXT, patient TEXT, at REAL, body BLOB NOT NULL, PRIMARY KEY (client, patient)
) WITHOUT ROWID;
CREATE INDEX memory_by_time ON memory (at);
"""

    def __init__(self, now: Callable[[], float] = time, rest_days: float = REST_DAYS) -> None:
        """`now` gives epoch seconds by the clock of the calls; `rest_days` as `Constants.shown_rest_days` has it."""
        self._now = now
        self._rest_days = rest_days

    def take(self, connection: sqlite3.Connection, batch: Batch) -> None:
        """Take what was shown and answered, of each patient with one reading and one writing."""
        now, changed = self._now(), dict[_Patient, PatientMemory]()
        oldest = now - LONGEST_DAYS * _DAY_SECONDS
        for row in batch.decisions:
            shown = shown_decision(row.decision)
            if shown is not None and shown.as_of >= oldest and shown.about_patient and len(shown.patient) <= LONGEST_ID:
                memory = _changing(connection, changed, (shown.client, shown.patient))
                memory.take_shown(shown.service, shown.about_patient, shown.as_of, now, self._rest_days)
        for answered in batch.answers:
            answer = answer_of(answered)
            if answer is not None and answer.at >= oldest and len(answer.patient) <= LONGEST_ID:
                _changing(connection, changed, (answer.client, answer.patient)).take_answer(answer, now)
        rows = [(*patient, now, store_content(_encode(memory))) for patient, memory in changed.items()]
        connection.executemany("REPLACE INTO memory VALUES (?, ?, ?, ?)", rows)

    def forget(self, connection: sqlite3.Connection, oldest: int) -> None:
        """Leaves out what counts no more and what was taken out; it looks at some patients at a time."""
        now = self._now()
        query = "SELECT client, patient, body FROM memory WHERE at < ? ORDER BY at LIMIT 5000"
        for client, patient, body in connection.execute(query, (now - _DAY_SECONDS,)).fetchall():
            kept = _decode(load_content(body)).without_old(now, self._rest_days, oldest / 1e6)
            if kept == _EMPTY:
                connection.execute("DELETE FROM memory WHERE client = ? AND patient = ?", (client, patient))
            else:
                values = (now, store_content(_encode(kept)), client, patient)
                connection.execute("UPDATE memory SET at = ?, body = ? WHERE client = ? AND patient = ?", values)


def _changing(
    connection: sqlite3.Connection, changed: dict[_Patient, PatientMemory], patient: _Patient
) -> PatientMemory:
    memory = changed.get(patient)
    if memory is None:
        query = "SELECT body FROM memory WHERE client = ? AND patient = ?"
        row = connection.execute(query, patient).fetchone()
        memory = changed[patient] = _decode(load_content(row[0])) if row is not None else PatientMemory()
    return memory


class _Noted(Struct, frozen=True):
    """What this process showed or was answered, and when that was noted (epoch seconds of the machine)."""

    noted_at: float
    answer: SentCardAnswer | None = None
    service: str = ""
    findings: tuple[Finding, ...] = ()
    at: float = 0.0


class Memory:
    """What is remembered of the patients of one server: the views, and what they do not have yet."""

    def __init__(self, now: Callable[[], float] = time, rest_days: float = REST_DAYS) -> None:
        """`now` gives epoch seconds by the clock of the calls; without views only this process is remembered."""
        self._now = now
        self._rest_days = rest_days
        self._views: Views | None = None
        self._noted = Bounded[_Patient, tuple[_Noted, ...]](_NOT_FOLLOWED)
        self._was_read = False

    def read_from(self, views: Views) -> None:
        """From now on the views are read too."""
        self._views = views

    def of_patient(self, client: str, patient: str) -> PatientMemory:
        """Return what is remembered; where the views cannot be read, what this process knows."""
        memory = self._in_views(client, patient)
        for noted in self._noted.get((client, patient)) or ():
            if noted.answer is not None:
                memory.take_answer(noted.answer, self._now())
            else:
                memory.take_shown(noted.service, noted.findings, noted.at, self._now(), self._rest_days)
        return memory

    def note_shown(self, caller: Caller, findings: Collection[Finding], at: float) -> None:
        """Take what was shown just now and is on record."""
        if findings:
            self._note(caller.client, caller.patient, _Noted(time(), None, caller.service, tuple(findings), at))

    def note_answer(self, answer: SentCardAnswer) -> None:
        """Take an answer that came just now and is on record."""
        self._note(answer.client, answer.patient, _Noted(time(), answer))

    def refresh(self) -> None:
        """Leaves out what the views have by now.

        Raises:
            RecordUnavailable: The views cannot be read.
        """
        if self._views is None:
            return
        until = self._views.whole_until() - _LATE_SECONDS
        self._noted.forget(lambda noted: all(entry.noted_at < until for entry in noted))

    def _note(self, client: str, patient: str, noted: _Noted) -> None:
        if len(patient) <= LONGEST_ID:
            with self._noted.writing:
                earlier = self._noted.get((client, patient)) or ()
                self._noted.put((client, patient), (*earlier, noted)[-_ACCEPTED_OF_ONE:])

    def _in_views(self, client: str, patient: str) -> PatientMemory:
        if self._views is None:
            return PatientMemory()
        try:
            rows = self._views.read("SELECT body FROM memory WHERE client = ? AND patient = ?", client, patient)
            self._was_read = True
            return _decode(load_content(rows[0][0])) if rows else PatientMemory()
        except (RecordUnavailable, ContentUnreadable, msgspec.DecodeError) as error:
            if self._was_read:  # not at the start of a new record, and once
                log().error("what was shown before cannot be read", error_type=type(error).__name__)
            self._was_read = False
            return PatientMemory()


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
    card: Card,
    finding: Finding,
    memory: PatientMemory,
    now: float,
    rest_days: float,
    horizons: Mapping[str, float],
) -> tuple[ShownFinding, float] | None:
    """Return how the finding was shown or answered before and until when it is suppressed; None where it is shown.

    `now` is in epoch seconds. With 0 `rest_days` a card that nobody answered is shown at each opening. `horizons` has
    the days over which each model looks ahead, by its id.
    """
    answer = memory.answers.get(finding.about)
    if answer is not None:
        days = _answer_days(answer, finding, horizons)
        if 0 <= now - answer.at <= days * _DAY_SECONDS and not _is_shown_again(finding, answer):
            return answer, answer.at + days * _DAY_SECONDS
    entry = memory.shown.get(finding.about)
    if (
        entry is None
        or card.indicator == "critical"
        or finding.repeat == "until-answered"
        or finding.is_worse_than(entry.finding)
    ):
        return None
    since, until = rest_period(finding, rest_days)
    elapsed = now - entry.at
    is_suppressed = elapsed >= 0 and since * _DAY_SECONDS < elapsed <= until * _DAY_SECONDS
    return (entry, entry.at + until * _DAY_SECONDS) if is_suppressed else None


def _answer_days(answer: ShownFinding, finding: Finding, horizons: Mapping[str, float]) -> float:
    """Return for how many days this answer silences the finding."""
    if finding.repeat == "one-follow-up":
        return DISCHARGE_DAYS
    if answer.finding.is_list and answer.how in OF_ONE_FINDING:
        return SHOWN_AGAIN_DAYS
    days = float(PERIOD_DAYS.get(answer.how, OTHER_DAYS))
    return min(days, horizons.get(finding.subject, days)) if answer.how == _COMPLETED else days


def _is_shown_again(finding: Finding, answer: ShownFinding) -> bool:
    """Return whether the finding is worse than what was answered, or what the clinician waited for has arrived."""
    arrived = answer.how == _NEEDS_MORE and finding.has_arrived_since(answer.finding)
    return arrived or finding.is_worse_than(answer.finding)
