"""The sample cards as each dialect sends them, the same on every run."""

import json
import re
from datetime import UTC, datetime
from functools import cache
from typing import Any

from cds_hooks.call.dialects import find_dialects
from cds_hooks.settings import Settings
from tests.contracts.sample_calls import SAMPLE_CALLS, sample_cards

AS_OF = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)
DIALECTS = tuple(find_dialects())
NAMES = [f"{each.service} {each.hook} {each.patient}" for each in SAMPLE_CALLS]

Card = dict[str, Any]

# The decision's own part of a uuid is another on every run; its last four digits number what the decision names.
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{8}([0-9a-f]{4})")


@cache
def sent(dialect: str, version: str | None = None) -> dict[str, list[Card]]:
    """The cards of each specimen, by name."""
    text = json.dumps(sample_cards(Settings(public_url="https://cds.example"), dialect, AS_OF, version))
    cards: list[list[Card]] = json.loads(_UUID.sub(r"uuid-\1", text))
    return dict(zip(NAMES, cards, strict=True))


def every_card(dialect: str) -> list[Card]:
    """All of them in one list."""
    return [card for cards in sent(dialect).values() for card in cards]
