"""What would take too long, or is not of the language, ends with a sentence; the next expression has its value."""

import json
import time
from pathlib import Path
from typing import Any

from cards.knowledge.lines import Session
from tests.each import for_rows

ROWS = json.loads((Path(__file__).parent / "hostile.json").read_text(encoding="utf-8"))
_INTEGER = "{urn:hl7-org:elm-types:r1}Integer"


def _number(value: int) -> dict[str, Any]:
    return {"type": "Literal", "valueType": _INTEGER, "value": str(value)}


def _library(expression: Any) -> dict[str, Any]:
    numbers = {"type": "List", "element": [_number(index) for index in range(100)]}
    definitions = {"A": expression, "Hundred": numbers, "Two": _number(2)}
    return {
        "library": {
            "identifier": {"id": "Hostile", "version": "1"},
            "statements": {
                "def": [{"name": name, "context": "Patient", "expression": body} for name, body in definitions.items()]
            },
        }
    }


@for_rows("row", ROWS)
def test_what_has_no_end_ends_with_a_sentence_and_disturbs_no_other_expression(row: Any) -> None:
    session = Session()
    session.answer(json.dumps({"library": _library(row["expression"])}))
    began = time.thread_time()
    answer = session.answer(json.dumps({"expressions": ["A", "Two"], "resources": [], "now": "2026-11-28"}))
    assert answer is not None
    assert answer["values"]["Two"] == 2
    assert answer["values"]["A"]["error"]
    assert time.thread_time() - began < 1
