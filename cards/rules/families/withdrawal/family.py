"""Ends of drugs: whether the draft only pauses the drug."""

from cards.rules.conditions.condition import flag
from cards.rules.engine.family import Family, Placeholder

FAMILY = Family(
    "withdrawal",
    placeholders={
        "order_status": Placeholder(lambda context: f"The order has the status {context.drafted.order.status}.")
    },
    conditions=(
        flag(
            "paused",
            lambda context: context.drafted.order.status == "on-hold",
            "the draft puts the drug on hold",
            frozenset(),
        ),
    ),
)
