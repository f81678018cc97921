"""What people did about the entries of the worklist: done, snoozed, put back. Each act is an entry of the record.

The entry names the decision that found it and a digest of the finding, not the patient and not the words of the
finding, because entries of the record are not encrypted. Acts on decisions that were taken out are not found any more.
"""

import hashlib
from typing import Final

from msgspec import Struct

from cds_hooks.hold_back.memory import PERIOD_DAYS
from cds_hooks.record.views import Views
from cds_hooks.storage.entries import add_event
from cds_hooks.worklist.worklist import WORK_EVENT

SNOOZE_DAYS: Final = (1, 7, 30)
DONE_DAYS: Final = PERIOD_DAYS["accepted"]
"""What was done is suppressed as long as a card that was accepted."""

_DAY_SECONDS: Final = 86_400.0


class Act(Struct, frozen=True):
    """The newest act on a finding of a patient; `until` in epoch seconds."""

    act: str
    by: str
    at: float
    until: float


def finding_digest(text: str) -> str:
    """16 hexadecimal digits that stand for the name of a test or the summary of a finding."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def record_act(url: str, actor: str, decision: str, finding: str, act: str, now: float, days: int = 0) -> None:
    """Record an act.

    Raises:
        RecordUnavailable: It cannot be recorded.
    """
    suppressed_days = {"done": DONE_DAYS, "snooze": days, "back": 0}[act]
    detail = {"decision": decision, "finding": finding, "act": act, "until": now + suppressed_days * _DAY_SECONDS}
    add_event(url, WORK_EVENT, actor, detail)


class Acts:
    """The newest act on each finding."""

    def __init__(self, views: Views) -> None:
        """Take the views of the record.

        Raises:
            RecordUnavailable: They cannot be read.
        """
        rows = views.read("SELECT client, patient, finding, act, actor, at, until FROM work_acts")
        self._newest = {tuple(row[:3]): Act(*row[3:]) for row in rows}
        self.patients = {row[:2] for row in rows}
        """Client and patient of every act."""

    def resting(self, client: str, patient: str, text: str, now: float) -> Act | None:
        """Return why a finding is not on the list now; None where it is."""
        act = self._newest.get((client, patient, finding_digest(text)))
        return act if act is not None and act.act != "back" and now < act.until else None
