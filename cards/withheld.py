"""The reasons of what was found and not shown; all other reasons say that there was nothing to show.

They stand apart from the rules, which take half a second to load, because commands about the record need them.
"""

from typing import Final

WITHHELD: Final = frozenset(
    {
        "said-once",
        "worklist",
        "acknowledged",
        "switched-off",
        "shadow",
        "silent-mode",
        "canary",
        "model-not-released",
        "budget",
        "paused",
        "loop-guard",
    }
)
"""Codes of `Silence.reason`."""
