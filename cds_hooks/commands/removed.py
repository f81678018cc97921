"""Removed commands, and what to use instead: the old name answers with that sentence and exit code 2."""

from collections.abc import Mapping, Sequence
from typing import Final

REMOVED: Final[Mapping[str, str]] = {
    "audit": "cds-hooks record",
    "audit key": "cds-hooks record seal --new-key FILE",
    "audit seal": "cds-hooks record seal",
    "audit verify": "cds-hooks record verify --against SEALS",
    "check-file": "cds-hooks check FILE",
    "decisions find": "cds-hooks decisions list ID",
    "decisions verify": "cds-hooks record verify",
    "equation people": "the figures of PREVENT that docs/equations.md states",
    "genes": "cds-hooks knowledge",
    "genes import": "cds-hooks knowledge genes FOLDER",
    "knowledge medications": "cds-hooks understand FOLDER",
    "medications": "cds-hooks understand FOLDER",
    "model score": "cds-hooks score MODEL TABLE",
    "model verify": "cds-hooks model history NAME",
    "monitor report": "cds-hooks monitor",
    "monitor reviews": "cds-hooks monitor --reviews",
    "outcomes summary": "cds-hooks outcomes list --summary",
    "prefetch stats": "cds-hooks prefetch",
    "record archives": "cds-hooks record archive",
    "record holds": "cds-hooks record hold",
    "record release": "cds-hooks record hold --end HOLD --why TEXT",
    "reference write": "cds-hooks reference",
    "release activate": "cds-hooks release set active KIND NAME",
    "release canary": "cds-hooks release set canary KIND NAME",
    "release off": "cds-hooks release set off KIND NAME",
    "release on": "cds-hooks release set on KIND NAME",
    "release retire": "cds-hooks release set retired KIND NAME",
    "release rollback": "cds-hooks release set shadow KIND NAME",
    "release shadow": "cds-hooks release set shadow KIND NAME",
    "rules approve": "cds-hooks approve rule RULE, or approve rule --reviewed FILE",
    "rules to-review": "cds-hooks rules list --to-review",
    "samples list": "cds-hooks samples",
    "samples show": "cds-hooks samples NAME",
    "trust list": "cds-hooks trust check",
    "vaccines": "cds-hooks knowledge",
    "vaccines check": "cds-hooks knowledge vaccine-cases FILE",
    "vaccines import": "cds-hooks knowledge vaccines FOLDER",
}
"""What to use instead of each removed command, by the words that were typed."""


def removal(words: Sequence[str]) -> str | None:
    """Return what to say of a command line that begins with these words; None where no command was removed."""
    for typed in (" ".join(words[:2]), *words[:1]):
        if typed in REMOVED:
            return f"cds-hooks {typed} is no command any more: use {REMOVED[typed]}."
    return None
