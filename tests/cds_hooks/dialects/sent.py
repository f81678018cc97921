"""The sample cards as each dialect sends them, the same on every run; `python -m` this module writes the snapshots."""

import json
import re
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from cds_hooks.dialects import find_dialects
from cds_hooks.package_tests.sample_calls import SAMPLE_CALLS, sample_cards
from cds_hooks.settings import Settings

AS_OF = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)
FOLDER = Path(__file__).parent / "snapshots"
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


def without_floats(value: Any) -> Any:
    """The same JSON with contributions rounded: they differ in the last bits from machine to machine."""
    if isinstance(value, float):
        return round(value, 6)
    if isinstance(value, dict):
        return {name: without_floats(each) for name, each in value.items()}
    return [without_floats(each) for each in value] if isinstance(value, list) else value


def snapshot(dialect: str) -> str:
    """What stands in the file."""
    return json.dumps(without_floats(sent(dialect)), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name in DIALECTS:
        (FOLDER / f"{name}.json").write_text(snapshot(name), encoding="utf-8")
        print(f"{name}.json: {len(every_card(name))} cards")
