"""What is judged of a chart, kept for the next call of a visit: a signature after the selections, a chart opened again.

A call takes the record of an earlier one with the same chart, and nobody else has it until the call is over; so what is
kept is as of one instant. What was worked out of the record is kept with it. A draft is the same where its JSON and its
place are. Of its rules those are evaluated again that look for something that differs beside it; every text is written
anew.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from msgspec.structs import replace

from cards.rules.conditions.words.patient import SIGNING
from cards.rules.engine.finding import Evaluation, Match, NoMatch
from cards.rules.patient.orders import DraftMedication, DraftOrder
from cards.rules.patient.session import PatientSession
from fhir.record.datatypes import write_exactly
from fhir.record.record import PatientRecord

_MOST_SESSIONS: Final = 24
"""Sessions of which each is made of the one before: all of them stay while the last one does."""


class KeptJudgements:
    """The last session of a visit, with what each of its drafts was judged by each rule, and in which session."""

    def __init__(self, keep: Callable[[PatientRecord], None]) -> None:
        """`keep` takes the record of a call that is over, for the next one."""
        self.keep = keep
        self.session: PatientSession | None = None
        """None where no draft was judged yet."""
        self._judged: dict[int, tuple[PatientSession, dict[str, Evaluation | None]]] = {}
        self._sessions = 0

    def open(self, record: PatientRecord, drafts: Iterable[DraftOrder], **kind: bool) -> PatientSession:
        """Return the session of the next call, made of that of the call before."""
        before = self.session
        if before is None or before.active_orders != kind["active_orders"] or self._sessions >= _MOST_SESSIONS:
            before, self._judged, self._sessions = None, {}, 0
        sent_before = {_identity(draft): draft for draft in before.drafts} if before is not None else {}
        same = ((draft, sent_before.pop(_identity(draft), draft)) for draft in drafts)
        drafts = [earlier if earlier.read == draft.read else draft for draft, earlier in same]
        self._sessions += 1
        self.session = PatientSession(record, drafts, **kind, base=before)
        return self.session

    def evaluations(
        self, drafted: DraftMedication, rules: Iterable[Any], evaluate: Callable[[Any], Evaluation | None]
    ) -> Sequence[Evaluation | None]:
        """Return the evaluation of each activated rule in the session, by `evaluate` where none is kept."""
        session = self.session
        assert session is not None  # noqa: S101 - the drafted medication is of it
        judged_in, kept = self._judged.get(id(drafted), (session, {}))
        changed = session.changes_since(judged_in) | ({SIGNING} if judged_in.signing != session.signing else set())
        evaluations = {
            activated.rule.id: _as_of(session, kept[activated.rule.id])
            if activated.rule.id in kept and activated.looks_for.isdisjoint(changed)
            else evaluate(activated)
            for activated in rules
        }
        self._judged[id(drafted)] = session, evaluations
        return list(evaluations.values())


def open_session(
    record: PatientRecord, drafts: Iterable[DraftOrder], *, signing: bool, active_orders: bool
) -> PatientSession:
    """Return the session of a call, made of what is kept with the record where something is."""
    kept = record.resources.judgements
    begin = kept.open if isinstance(kept, KeptJudgements) else PatientSession
    return begin(record, drafts, signing=signing, active_orders=active_orders)


def judgements_of(session: PatientSession) -> KeptJudgements | None:
    """Return what is kept where this is the session of a call; None where no later call can have it."""
    kept = session.record.resources.judgements
    return kept if isinstance(kept, KeptJudgements) and kept.session is session else None


def hand_back(record: PatientRecord) -> None:
    """Give the record of a call that is over to the next call of the visit."""
    kept = record.resources.judgements
    if isinstance(kept, KeptJudgements):
        kept.keep(record)


def _identity(draft: DraftOrder) -> tuple[int, str | None, str | None, bool, bytes]:
    return draft.position, draft.reference, draft.full_url, draft.may_hold_runs, write_exactly(draft.resource)


def _as_of(session: PatientSession, evaluation: Evaluation | None) -> Evaluation | None:
    """Return the evaluation in the new session, in which its texts are written."""
    if isinstance(evaluation, Match | NoMatch):
        return replace(evaluation, context=replace(evaluation.context, session=session))
    return evaluation
