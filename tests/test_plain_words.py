"""Ordinary sentences: turns that readers stumbled over do not come back into templates, rules or documentation."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.conftest import ROOT
from tests.each import for_rows

TURNS = {
    "nothing is worse": "say what has not become worse",
    "holds? the truth": "95 % confidence interval",
    "It counts once, and": "say what happens to the answer",
    "as if it had been": "say what is so",
    "what of it is": "name the thing",
    r"\b(?:last|next|within) 1 (?:days|weeks|months|years|hours)\b": "the last day",
    r"\b1 (?:medications|vaccines|results|drugs|cards|conditions|decisions) (?:are|were)\b": "1 … is",
    r"(?:nothing|something) to recommend": "say whether it was held back, not judged, or not found",
    r"\bNobody’s outcome\b.*\bknown\b.*\bnobody\b": "say what is not known",
}
"""What must not be written, and what to write instead."""


def _texts_of(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for entry in value.values():
            yield from _texts_of(entry)
    elif isinstance(value, list):
        for entry in value:
            yield from _texts_of(entry)
    elif isinstance(value, str):
        yield value


def _sentences() -> dict[Path, str]:
    pages = [*(ROOT / "cds_hooks").rglob("*.html"), *(ROOT / "docs").rglob("*.md"), ROOT / "README.md"]
    texts = {path: path.read_text(encoding="utf-8") for path in pages if "decisions" not in path.parent.name}
    for path in (ROOT / "cards" / "rules" / "families").rglob("*.json"):
        texts[path] = "\n".join(_texts_of(json.loads(path.read_text(encoding="utf-8"))))
    return texts


@for_rows("turn", TURNS)
def test_no_template_rule_or_page_uses_a_turn_that_readers_stumbled_over(turn: str) -> None:
    expression = re.compile(turn, re.IGNORECASE)
    found = {f"{path.relative_to(ROOT)}": match.group() for path, text in _sentences().items()
             if (match := expression.search(text))}  # fmt: skip
    assert found == {}, f"write instead: {TURNS[turn]}"


def test_the_search_reads_templates_rules_and_documentation() -> None:
    suffixes = {path.suffix for path in _sentences()}
    assert suffixes == {".html", ".md", ".json"}
    assert len(_sentences()) > 100
