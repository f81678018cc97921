"""A worklist from the record: the tests and vaccines that patient-view found missing and did not interrupt for.

Of each patient the newest decision of a service counts: what it no longer finds missing is done. One row per patient,
in the order of risk times what can be done times the time since the last contact; nothing else about a patient is read
for the order, and equal rows stand in an order that depends on no attribute of theirs.
"""

import hashlib
import sqlite3
from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from time import time
from typing import ClassVar, Final, Literal

import msgspec
from msgspec import Struct, field

from cards.extension import WorklistEntry
from cds_hooks.call.hold_back.history import SHOWN, read_history
from cds_hooks.call.services._model import NOT_RELEASED
from cds_hooks.evidence.decision_views.file import Views
from cds_hooks.evidence.decision_views.follow import Batch, Projection
from cds_hooks.evidence.storage.content import load_content, store_content
from cds_hooks.evidence.storage.decision import each_scores
from cds_hooks.evidence.storage.queries import DecisionRow, get_decision
from models_onnx.equations.declaration import find_equations

_DAY_SECONDS = 86_400.0
_COUNTED_DAYS: Final = 90
"""How far back decisions count."""
# Where the newest word on a patient is one of these, there is nothing to order any more (docs/services.md).
_NOTHING_TO_DO = frozenset({"deceased", "palliative", "opted-out"})


class WorklistRow(Struct, frozen=True):
    """One patient: what can be ordered, why it is asked, and what decides the place in the list.

    `risk` is the share (0 to 1) of the reference cohort of `risk_of` with a lower estimate; None where no model has
    scored the patient, and where all that is to order is due in itself. `days` since the newest call about the patient;
    `decisions` are those that found it missing.
    """

    client: str
    patient: str
    entries: tuple[WorklistEntry, ...]
    risk: float | None
    risk_of: str
    days: float
    decisions: tuple[str, ...]
    shown: tuple[WorklistEntry, ...] = ()
    """Findings that were shown, that nobody answered, and that are not shown again for now."""

    @property
    def priority(self) -> float:
        """Risk times the number of things to order times the days since the last contact; 0 where no risk is known."""
        return (self.risk or 0.0) * len(self.entries) * self.days


class Noted(Struct, frozen=True):
    """What the list needs to know of a decision: small, so that those of many patients can be kept.

    `ends` says that there is nothing to order any more; `risk` is the share below the estimate and the model's name.
    """

    decision: str
    at: float
    entries: tuple[WorklistEntry, ...] = ()
    ends: bool = False
    risk: tuple[float, str] | None = None


def note(row: DecisionRow) -> Noted:
    """Return what the list needs to know of this decision; msgspec.MsgspecError for a record of another form."""
    decision, basis = row.decision, row.basis
    # What a model in shadow computed is on record, and decides nothing.
    in_shadow = {subject for subject, reason, _ in basis.silence if reason == NOT_RELEASED}
    estimates = [scores for scores in each_scores(basis.scores) if scores.get("id") not in in_shadow]
    risks = ((scores["percentile"] / 100, scores["id"]) for scores in estimates if scores.get("percentile") is not None)
    risk = max(risks, default=None)
    ends = any(reason in _NOTHING_TO_DO for _, reason, _ in basis.silence)
    entries = row.response.extension.ours.worklist
    return Noted(decision.id, decision.decided_at / 1e6, entries, ends, risk)


_noted: Final = msgspec.json.Decoder(Noted)


class PatientNotes(Struct):
    """The newest decision of each service about a patient."""

    services: dict[str, Noted] = field(default_factory=dict)

    @property
    def newest(self) -> float:
        """Epoch seconds of the newest of them."""
        return max((noted.at for noted in self.services.values()), default=0.0)


def list_patients(
    patients: Mapping[tuple[str, str], PatientNotes],
    answered: Mapping[tuple[str, str], Collection[str]],
    now: datetime,
) -> tuple[WorklistRow, ...]:
    """Return the list at `now` of patients by client and id; `answered` are equations and services by the same.

    With it stand patients about whom something was said before and nothing is to order.
    """
    rows = (_row(*of, of_patient, answered.get(of, ()), now) for of, of_patient in patients.items())
    return tuple(sorted((row for row in rows if row is not None), key=lambda row: _rank(row, now)))


def _rank(row: WorklistRow, now: datetime) -> tuple[bool, float, float, str]:
    """Known risks first, the greatest priority first; without a risk by what can be done times the days; then a digest.

    The digest changes from day to day, so that nobody always stands behind the same other one.
    """
    tie = hashlib.sha256(f"{now.date()} {row.client} {row.patient}".encode()).hexdigest()
    return row.risk is None, -row.priority, -row.days * len(row.entries), tie


def _row(
    client: str, patient: str, patient_notes: PatientNotes, answered: Collection[str], now: datetime
) -> WorklistRow | None:
    entries: dict[WorklistEntry, str] = {}
    risk: tuple[float, str] | None = None
    if any(noted.ends for noted in patient_notes.services.values()):
        return None
    for noted in patient_notes.services.values():
        if noted.risk is not None:
            risk = max(risk or (0.0, ""), noted.risk)
        for entry in noted.entries:
            if entry.purpose not in answered and all(entry.test != other.test for other in entries):
                entries[entry] = noted.decision
    shown = {entry: decision for entry, decision in entries.items() if entry.because == SHOWN}
    entries = {entry: decision for entry, decision in entries.items() if entry.because != SHOWN}
    if not entries and not shown:
        return None
    days = max(0.0, (now.timestamp() - patient_notes.newest) / _DAY_SECONDS)
    if entries and all(entry.purpose not in find_equations() for entry in entries):
        risk = None  # a vaccine, a screening or a review is due whatever a model estimates
    share, of = risk if risk is not None else (None, "")
    decisions = dict.fromkeys([*entries.values(), *shown.values()])
    return WorklistRow(client, patient, tuple(entries), share, of, days, tuple(decisions), tuple(shown))


WORK_EVENT: Final = "worklist-act"
"""The entry of the record by which a person takes a finding off the list, or puts it back."""
KEPT_DAYS: Final = 365
"""So far back the newest decisions about patients are kept."""


class WorkAct(Struct, frozen=True):
    """What a person did about a finding; `finding` is its digest, `until` in epoch seconds.

    It names the decision that found it and not the patient, because entries of the record are not encrypted.
    """

    decision: str
    finding: str
    act: Literal["done", "snooze", "back"]
    until: float = 0.0


class PatientWork(Projection):
    """The newest decision of each service about each patient, and what people did."""

    tables: ClassVar[str] = """
CREATE TABLE work (
    client TEXT, patient TEXT, service TEXT, at REAL NOT NULL, listed INTEGER NOT NULL, body BLOB NOT NULL,
    PRIMARY KEY (client, patient, service)
) WITHOUT ROWID;
CREATE INDEX work_listed ON work (at) WHERE listed;
CREATE TABLE work_acts (
    client TEXT, patient TEXT, finding TEXT, act TEXT NOT NULL, actor TEXT NOT NULL, at REAL NOT NULL,
    until REAL NOT NULL, PRIMARY KEY (client, patient, finding)
) WITHOUT ROWID;
"""

    def __init__(self, url: str, now: Callable[[], float] = time) -> None:
        """`url` is that of the record, from which the patient of an act is read; `now` gives epoch seconds."""
        self._url = url
        self._now = now

    def take(self, connection: sqlite3.Connection, batch: Batch) -> None:
        """Take what the list needs to know."""
        for row in batch.decisions:
            decision = row.decision
            if decision.patient:
                noted = note(row)
                is_listed = bool(noted.entries)
                body = store_content(msgspec.json.encode(noted))
                connection.execute(
                    "INSERT INTO work VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET at = excluded.at, "
                    "listed = excluded.listed, body = excluded.body WHERE excluded.at > at",
                    (decision.client, decision.patient, decision.service, noted.at, is_listed, body),
                )
        for entry in batch.acts:
            if entry.kind == WORK_EVENT:
                act = msgspec.json.decode(entry.detail, type=WorkAct)
                about = get_decision(self._url, act.decision)
                if about is not None:
                    values = (act.finding, act.act, entry.actor, entry.at / 1e6, act.until)
                    connection.execute(
                        "REPLACE INTO work_acts VALUES (?, ?, ?, ?, ?, ?, ?)", (about.client, about.patient, *values)
                    )

    def forget(self, connection: sqlite3.Connection, oldest: int) -> None:
        """Leaves out what is too old or was taken out."""
        now = self._now()
        since = max(now - KEPT_DAYS * _DAY_SECONDS, oldest / 1e6)
        connection.execute("DELETE FROM work WHERE at < ?", (since,))
        connection.execute("DELETE FROM work_acts WHERE until < ? OR act = 'back'", (now,))


def read_worklist(views: Views, now: datetime) -> tuple[WorklistRow, ...]:
    """Return the list at `now` from the views of the record.

    Raises:
        RecordUnavailable: The views cannot be read.
    """
    moment = now.timestamp()
    since = moment - _COUNTED_DAYS * _DAY_SECONDS
    listed = "(client, patient) IN (SELECT client, patient FROM work WHERE listed AND at >= ?)"
    rows = views.read(
        f"SELECT client, patient, service, body FROM work WHERE at >= ? AND {listed} ORDER BY at DESC",  # noqa: S608
        since,
        since,
    )
    patients = dict[tuple[str, str], PatientNotes]()
    for of, patient, service, body in rows:
        noted = _noted.decode(load_content(body))
        patients.setdefault((of, patient), PatientNotes()).services[service] = noted
    histories = views.read(f"SELECT client, patient, events FROM history WHERE {listed}", since)  # noqa: S608
    answered = {(of, patient): read_history(events).answered(moment) for of, patient, events in histories}
    return list_patients(patients, answered, now)
