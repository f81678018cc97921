"""Replays a decision at the press of a button: with what is in force here now, in this process, nothing written."""

from typing import Any, Final

import orjson

from cds_hooks.replay import Replayer, open_site
from cds_hooks.settings import Settings
from cds_hooks.storage.decision import Decision

_LONGEST: Final = 600


def replay(configured: Settings, decision: Decision) -> dict[str, Any]:
    """Compute the decision again, and return what the page says of it; it takes seconds, in a thread without a loop.

    `because` says why nothing was computed, `differences` are place, recorded and replayed value.

    Raises:
        RecordUnavailable: the record cannot be read.
        msgspec.MsgspecError: the decision is recorded in another form.
    """
    (verdict,) = Replayer(open_site(configured), configured.database_url).verdicts([decision])
    return {
        "outcome": verdict.outcome,
        "because": f"{verdict.because[:1].upper()}{verdict.because[1:]}",
        "differences": [
            (difference.where, _text(difference.recorded), _text(difference.replayed))
            for difference in verdict.differences
        ],
        "causes": verdict.causes,
    }


def _text(value: object) -> str:
    if value is None:
        return "nothing"
    text = value if isinstance(value, str) else orjson.dumps(value).decode()
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
