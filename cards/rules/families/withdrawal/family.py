"""Ends of drugs: whether the draft only pauses the drug."""

from cards.rules.conditions.condition import flag
from cards.rules.engine.family import Family

FAMILY = Family(
    "withdrawal",
    conditions=(
        flag(
            "paused",
            lambda context: context.drafted.order.status == "on-hold",
            "the draft puts the drug on hold",
            frozenset(),
        ),
    ),
)
