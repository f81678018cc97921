"""The reasons for which a card is held back, apart from the rules, which take half a second to load.

The commands that list decisions need them, and start quickly.
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
"""The reasons of what was found and not shown (codes of `Silence.reason`)."""

SUPPRESSED: Final = WITHHELD | {"already-done", "already-ordered", "deceased", "palliative", "opted-out"}
"""These, and the reasons for which nothing is suggested about a patient whatever would be found.

All other reasons say that there was nothing to show.
"""
