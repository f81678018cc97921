"""What a clinician may choose as the reason against the advice of a family of rules, word for word."""

import json
from pathlib import Path

import pytest

FILES = sorted((Path(__file__).parents[4] / "cards/rules/families").glob("*/family.json"))
WORDS = {
    "benefit": {"Benefit outweighs risk for this patient"}, "discussed": {"Discussed with radiology or the laboratory"},
    "done": {"Already adjusted or done", "Already arranged"},
    "external": {"Monitored elsewhere (result not in this chart)"}, "level": {"Dose guided by a drug level"},
    "monitor": {"Will monitor; already arranged"}, "notaccurate": {"Chart information is out of date or wrong"},
    "palliative": {"Palliative or comfort care"}, "refused": {"Patient declines the alternative"},
    "shortcourse": {"Short course only"}, "specialist": {"On specialist advice"},
    "tolerated": {"Patient has tolerated this combination before", "Patient has tolerated this dose before",
                  "Taken and tolerated before"},
}  # fmt: skip


@pytest.mark.parametrize("file", FILES, ids=[file.parent.name for file in FILES])
def test_each_reason_has_the_words_of_its_code(file: Path) -> None:
    reasons = json.loads(file.read_text(encoding="utf-8"))["override_reasons"]
    assert reasons
    assert [reason for reason in reasons if reason["display"] not in WORDS[reason["code"]]] == []
