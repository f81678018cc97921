"""On which side of its limit a number lies is taken from the words of the source, not from the comparison in a rule.

A band that compares with a number and has words about this number ("under 30", "at most 20 mg a day") is asked whether
the two agree. "At most 20" may also be what the label allows, beyond which the band speaks.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cards.rules import families

FAMILIES = Path(families.__path__[0])
_BEFORE = {
    "lt": "below|under|less than|lower than|fewer than|<|younger than",
    "le": "at most|up to|no more than|not over|≤",
    "gt": "above|over|more than|greater than|>|older than|exceeds?|longer than|beyond",
    "ge": "at least|≥|not below",
}
_AFTER = {"or|and": {"more higher older over above longer": "ge", "less lower younger under below shorter fewer": "le"}}
_AGREES = {"gt": {"gt", "le"}, "ge": {"ge", "lt"}, "lt": {"lt", "ge"}, "le": {"le", "gt"}}
# By rule, limit, and why the words are about another limit than that of the band.
EXCUSED = {
    ("ddi-dabigatran-pgp", 50.0): "up to 50 in atrial fibrillation; the words under 50 are those of venous thrombosis",
    ("dose-frequency", 2.0): "the dose is what tells the form for a week; at most 2 mg is another drug's",
    ("renal-dabigatran", 30.0): "2.2 reduces the dose at 15 to 30; under 30 is the limit of the European label",
    ("renal-gabapentin", 15.0): "300 mg is the most at 15, and less under 15",
    ("renal-mra", 5.5): "the words over 5.5 are those of eplerenone at its start, which the band asks for beside it",
    ("screen-interval", 65.0): "cervical to 65; the words under 65 are those of bone density",
}


def _comparisons(part: Any) -> Iterator[tuple[str, float]]:
    if isinstance(part, dict):
        yield from ((name, float(part[name])) for name in _BEFORE if isinstance(part.get(name), int | float))
        part = list(part.values())
    for inner in part if isinstance(part, list) else ():
        yield from _comparisons(inner)


def _sides(value: float, words: str) -> set[str]:
    """Return the comparisons that the words make with this number."""
    number = rf"{re.escape(f'{value:g}')}(?!\.?\d)"
    sides = {side for side, before in _BEFORE.items() if re.search(rf"(?<!\w)(?:{before})\s?{number}", words)}
    after = re.search(rf"(?<![\d.]){number}(?: \S+)?,? (?:or|and) (\w+)", words)
    return sides | {side for names, side in _AFTER["or|and"].items() if after and after[1] in names.split()}


def _bands() -> Iterator[tuple[str, str, str, float, set[str]]]:
    for path in sorted(FAMILIES.rglob("*.json")):
        rule = json.loads(path.read_text("utf-8"))
        for band in rule.get("bands", ()) if isinstance(rule, dict) else ():
            sections = [evidence["section"] for evidence in rule["evidence"] if isinstance(evidence, dict)]
            words = " | ".join([rule["title"], band.get("summary", ""), band.get("detail", ""), *sections])
            for side, value in _comparisons(band.get("when")):
                yield path.stem, band["id"], side, value, _sides(value, words)


def test_the_words_of_a_source_and_the_comparison_of_a_rule_agree() -> None:
    agreed, differ = 0, {}
    for rule, band, side, value, said in _bands():
        agreed += bool(said & _AGREES[side])
        if said and not said & _AGREES[side]:
            differ[rule, value] = (band, side, said)
    assert differ.keys() == EXCUSED.keys()
    assert agreed > 130


@pytest.mark.parametrize(
    ("side", "words"), [("lt", "under 30"), ("ge", "30 or more"), ("le", "≤30"), ("gt", "over 30")]
)
def test_words_have_one_side(side: str, words: str) -> None:
    assert _sides(30.0, words) == {side}
    assert not _sides(3.0, words)
