"""A decision replayed at the press of a button: with what is in force here now, in this process, nothing written."""

from dataclasses import dataclass
from typing import Final

import orjson

from cds_hooks.replay import Replayer, Verdict, open_site
from cds_hooks.replay.comparing import Difference
from cds_hooks.settings import Settings
from cds_hooks.storage.decision import Decision

_LONGEST: Final = 600
_BY: Final = {
    "request": "the whole call",
    "facts": "the whole call, from the facts that were kept of it",
    "values": "the scores, from the recorded values",
}


@dataclass(frozen=True, slots=True)
class DifferenceRow:
    """One place where record and replay differ, as text."""

    where: str
    recorded: str
    replayed: str


@dataclass(frozen=True, slots=True)
class Replay:
    """What came of it; `by` says what was computed again, `because` why nothing was."""

    outcome: str
    by: str
    because: str
    differences: tuple[DifferenceRow, ...]
    causes: tuple[str, ...]


def replay(configured: Settings, decision: Decision) -> Replay:
    """Computes the decision again; it takes some seconds, in a thread without an event loop.

    Raises:
        RecordUnavailable: the record cannot be read.
        msgspec.MsgspecError: the decision is recorded in another form.
    """
    (verdict,) = Replayer(open_site(configured), configured.database_url).verdicts([decision])
    return _shown(verdict)


def _shown(verdict: Verdict) -> Replay:
    return Replay(
        verdict.outcome,
        _BY.get(verdict.by, ""),
        f"{verdict.because[:1].upper()}{verdict.because[1:]}",
        tuple(_row(each) for each in verdict.differences),
        verdict.causes,
    )


def _row(difference: Difference) -> DifferenceRow:
    return DifferenceRow(difference.where, _text(difference.recorded), _text(difference.replayed))


def _text(value: object) -> str:
    if value is None:
        return "nothing"
    text = value if isinstance(value, str) else orjson.dumps(value).decode()
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
