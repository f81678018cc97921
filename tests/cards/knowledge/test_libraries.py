"""What translators of older libraries write: functions without a signature, elements by the name that JSON has."""

import json
from pathlib import Path

from cards.knowledge.lines import Session

LIBRARY = json.loads((Path(__file__).parent / "test_libraries.json").read_text(encoding="utf-8"))
OBSERVATION = {"resourceType": "Observation", "valueInteger": 5, "effectiveDateTime": "2026-05-01"}


def test_functions_of_one_name_are_told_apart_by_their_operands_and_elements_are_found_by_their_json_name() -> None:
    session = Session()
    session.answer(json.dumps({"library": LIBRARY}))
    asked = {"expressions": ["Whole", "Text", "Truth", "Number", "Day"], "resources": [OBSERVATION], "now": "2026"}
    answer = session.answer(json.dumps(asked))
    assert answer is not None
    assert "ELM node Conjure is not supported" in answer["values"].pop("Truth")["error"]
    assert answer == {"values": {"Whole": 7, "Text": 7, "Number": 5, "Day": "2026-05-01"}}
