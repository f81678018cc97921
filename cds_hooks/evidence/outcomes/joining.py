"""Joins reports to the decisions of the client that sends them, by prediction id or by patient and time.

A client can report for its own decisions only: of another client's it learns nothing, not even that they are there.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

from msgspec import Struct, field
from sqlalchemy import select

from cds_hooks.call.protocol.feedback import plain_uuid
from cds_hooks.evidence.outcomes.labels import DAY, DEATH, Label, Labels
from cds_hooks.evidence.outcomes.report import Report, span_of
from cds_hooks.evidence.storage.database import parse_url
from cds_hooks.evidence.storage.decision import decision_of
from cds_hooks.evidence.storage.outcomes import Key, Kind, Outcome, Source, newest_outcomes, store_outcomes
from cds_hooks.evidence.storage.queries import get_decisions, read_rows
from cds_hooks.evidence.storage.sent import read_response
from cds_hooks.evidence.storage.tables import decisions

REFUSALS: Final = {
    "unknown-prediction": "No decision of this client has this id. Trials and sample patients have no outcome.",
    "unknown-card": "No decision of this client has this card or suggestion.",
    "no-score": "No model estimated a risk in this decision.",
    "other-model": "Another model estimated the risk in this decision.",
    "several-models": "Several models estimated a risk in this decision: give the intended one as `model`.",
    "unknown-event": "No model here predicts this event.",
    "no-prediction": "No model's estimate for this patient is about this time.",
    "outside-horizon": "It happened before the decision or after the model's horizon.",
    "not-yet": "It lies in the future: report it when it has happened, or when all of that day was sent.",
    "not-followed": "The patient was not followed to the end of the model's horizon, so nothing is known yet.",
}
"""Why a report is not stored, in words for whoever sent it."""

_AT_ONCE: Final = 200


class NotJoined(Struct, frozen=True):
    """`index` counts the reports from 0; `reason` is one of `REFUSALS`."""

    index: int
    reason: str


class Joined(Struct):
    """What is to be stored, and which reports are not."""

    items: list[Outcome] = field(default_factory=list)
    refused: list[NotJoined] = field(default_factory=list)


class Sender(Struct, frozen=True):
    """Who reports, in which form, and when (microseconds since 1970-01-01 UTC)."""

    client: str
    source: Source
    received_at: int


class Intake(Struct):
    """How many outcomes belong to decisions, how many of these are new, and which reports belong to none."""

    joined: int = 0
    stored: int = 0
    refused: list[NotJoined] = field(default_factory=list)


def take_reports(url: str, reports: Sequence[Report], sender: Sender, labels: Labels, *, stored: bool) -> Intake:
    """Join reports to decisions, some at a time, and store the outcomes that are new where that is wanted.

    Raises:
        RecordUnavailable: The record cannot be read or written.
    """
    intake = Intake()
    for start in range(0, len(reports), _AT_ONCE):
        joined = join_reports(url, reports[start : start + _AT_ONCE], sender, labels)
        intake.joined += len(joined.items)
        intake.stored += len(store_outcomes(parse_url(url), joined.items)) if stored else 0
        intake.refused += [NotJoined(refusal.index + start, refusal.reason) for refusal in joined.refused]
    return intake


def join_reports(url: str, reports: Sequence[Report], sender: Sender, labels: Labels) -> Joined:
    """Return what these checked reports say of the client's decisions.

    Raises:
        RecordUnavailable: The record cannot be read.
    """
    joiner = _Joiner(url, sender, labels)
    numbered = joiner.that_happened(enumerate(reports))
    for start in range(0, len(numbered), _AT_ONCE):
        some = numbered[start : start + _AT_ONCE]
        joiner.by_prediction([(index, report) for index, report in some if report.prediction is not None])
        joiner.by_card([(index, report) for index, report in some if report.card is not None])
        joiner.by_patient([(index, report) for index, report in some if report.patient is not None])
        joiner.complete([(index, report) for index, report in some if report.completeThrough is not None])
    joiner.joined.refused.sort(key=lambda refusal: refusal.index)
    return joiner.joined


Numbered = list[tuple[int, Report]]


class _Joiner:
    def __init__(self, url: str, sender: Sender, labels: Labels) -> None:
        self._url = url
        self._sender = sender
        self._labels = labels
        self.joined = Joined()

    def _refuse(self, index: int, reason: str) -> None:
        self.joined.refused.append(NotJoined(index, reason))

    def _keep(self, row: Any, kind: Kind, subject: str, value: str, happened: str | None) -> None:
        sender = self._sender
        item = Outcome(
            row.id, row.service, sender.client, kind, subject, value, happened, sender.source, sender.received_at
        )
        self.joined.items.append(item)

    def that_happened(self, reports: Iterable[tuple[int, Report]]) -> "Numbered":
        """Leave out the reports of a time to come, which a wrong year makes: all of it would seem to be known."""
        numbered: Numbered = []
        for index, report in reports:
            time = report.at or report.completeThrough
            if time is not None and span_of(time)[0] > self._sender.received_at + DAY:  # clocks and zones differ
                self._refuse(index, "not-yet")
            else:
                numbered.append((index, report))
        return numbered

    # By the decision's id

    def by_prediction(self, reports: Numbered) -> None:
        ids = {decision_of(report.prediction or "") or "" for _, report in reports}
        rows_by_id = {row.id: row for row in self._rows(decisions.c.id.in_(ids))} if ids else {}
        for index, report in reports:
            row = rows_by_id.get(decision_of(report.prediction or "") or "")
            if row is None:
                self._refuse(index, "unknown-prediction")
            elif reason := self._by_row(row, report):
                self._refuse(index, reason)

    def _by_row(self, row: Any, report: Report) -> str | None:
        """Keep what is said of one decision, or returns why not."""
        models = [model for model in row.estimated_by.split() if model in self._labels]
        if not models:
            return "no-score"
        model = report.model or (models[0] if len(models) == 1 else self._model_on_card(report.prediction or ""))
        if model is None:
            return "several-models"
        if model not in models:
            return "other-model"
        happened = report.at
        label = self._labels[model]
        if report.outcome == "yes" and happened is not None and not _within(happened, row.decided_at, label):
            return "outside-horizon"
        if report.outcome == "no":
            followed = span_of(happened)[1] if happened is not None else self._sender.received_at
            if followed < row.decided_at + label.horizon:
                return "not-followed"
        self._keep(row, "event", model, report.outcome or "unknown", happened)
        return None

    def _model_on_card(self, uuid: str) -> str | None:
        """Return the id of the model whose estimate is on a card; None where this is the id of no such card."""
        decision = decision_of(uuid) or ""
        for row in self._rows(decisions.c.id == decision, more=("response",)):
            for card in read_response(row.response).cards:
                if card.uuid == plain_uuid(uuid):
                    return (card.own_extension.model or {}).get("id")
        return None

    # By the card's uuid

    def by_card(self, reports: Numbered) -> None:
        decisions_by_id = get_decisions(self._url, {decision_of(report.card or "") or "" for _, report in reports})
        for index, report in reports:
            decision = decisions_by_id.get(decision_of(report.card or "") or "")
            subject = None if decision is None else _subject_on(decision.response, report)
            if decision is None or decision.client != self._sender.client or subject is None:
                self._refuse(index, "unknown-card")
            else:
                self._keep(decision, "order", subject, report.order or "", report.at)

    # By patient and time

    def by_patient(self, reports: Numbered) -> None:
        of_labels = []
        for index, report in reports:
            if any(_is_meant(label, report) for label in self._labels.values()):
                of_labels.append((index, report))
            else:
                self._refuse(index, "unknown-event")
        of_patient: dict[str, list[Any]] = {}
        for row in self._rows_of_patients(of_labels) if of_labels else ():
            of_patient.setdefault(_plain_patient(row.patient), []).append(row)
        before = newest_outcomes(self._url, {row.id for rows in of_patient.values() for row in rows})
        happened = {key for key, outcome in before.items() if outcome.value == "yes"}
        for index, report in of_labels:
            rows = of_patient.get(_plain_patient(report.patient or ""), [])
            if not self._about_patient(rows, report, happened):
                self._refuse(index, "no-prediction")

    def _rows_of_patients(self, some: Numbered) -> Iterator[Any]:
        """Decisions about these patients, early enough to be about the times that are reported."""
        plain_patients = {_plain_patient(report.patient or "") for _, report in some}
        forms = [*plain_patients, *(f"Patient/{plain_patient}" for plain_patient in plain_patients)]
        latest = max(span_of(report.at or "")[1] for _, report in some)
        return self._rows(
            decisions.c.patient.in_(forms), decisions.c.decided_at <= latest, decisions.c.estimated_by != ""
        )

    def _about_patient(self, rows: Iterable[Any], report: Report, happened: set[Key]) -> bool:
        """Return whether the report says something of one of these decisions; what it says is kept.

        `happened` has the outcomes that are known to have happened, and gets those of this report.
        """
        is_about_one = False
        for row, model in [(each, model) for each in rows for model in each.estimated_by.split()]:
            label = self._labels.get(model)
            if label is None or not _is_meant(label, report):
                continue
            value = _value_of(report, row.decided_at, label)
            if value is None:
                continue
            is_about_one = True
            key = (row.id, "event", model)
            # that nothing happened is said of a time; that it did, of one day in it
            if report.outcome == "no" and key in happened:
                continue
            if value == "yes":
                happened.add(key)
            self._keep(row, "event", model, value, report.at)
        return is_about_one

    def complete(self, reports: Numbered) -> None:
        events = {label.event for label in self._labels.values()}
        sender = self._sender
        for index, report in reports:
            if report.event not in events:
                self._refuse(index, "unknown-event")
                continue
            self.joined.items.append(
                Outcome(
                    None, "", sender.client, "complete", report.event or "", report.completeThrough or "", None,
                    sender.source, sender.received_at,
                )
            )  # fmt: skip

    def _rows(self, *conditions: Any, more: Sequence[str] = ()) -> Iterator[Any]:
        columns = [decisions.c[name] for name in ("id", "service", "patient", "decided_at", "estimated_by", *more)]
        query = select(*columns).where(decisions.c.client == self._sender.client, *conditions)
        yield from read_rows(self._url, query)


def _plain_patient(text: str) -> str:
    return text.strip().removeprefix("Patient/")


def _is_meant(label: Label, report: Report) -> bool:
    return label.model == report.model or (label.event is not None and label.event == report.event)


def _within(happened: str, decided_at: int, label: Label) -> bool:
    """Return whether it happened after the decision and within the horizon.

    A day without a time is that of the decision too where a patient died. An admission on the day of the decision can
    be the stay in which the decision was made: it counts only where its time is given.
    """
    start, end = span_of(happened)
    after = end > decided_at if label.event == DEATH else start > decided_at
    return after and start <= decided_at + label.horizon


def _value_of(report: Report, decided_at: int, label: Label) -> str | None:
    """Return what a report by patient and time says of a decision; None where it says nothing."""
    at = report.at or ""
    start, end = span_of(at)
    ends = decided_at + label.horizon
    if report.outcome == "no":
        return "no" if end >= ends else None
    if _within(at, decided_at, label):
        return "yes"
    # who died later was alive at the end of the horizon; who was admitted later can have been admitted before, too
    return "no" if label.event == DEATH and start > ends else None


def _subject_on(response: bytes, report: Report) -> str | None:
    """Return the uuid of the card or suggestion that the report is about, where the response has it."""
    wanted, suggested = plain_uuid(report.card or ""), plain_uuid(report.suggestion or "")
    for card in read_response(response).cards:
        if card.uuid == wanted:
            return wanted if not suggested else next((s.uuid for s in card.suggestions if s.uuid == suggested), None)
    return None
