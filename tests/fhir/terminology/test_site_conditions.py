"""A hospital's own codes, phrases and groups of conditions; a row that cannot be used is named by its line."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from cds_hooks.commands.rules.new import new
from fhir.terminology.conditions import CONDITION_GROUPS, SITE_CODES
from fhir.terminology.site_conditions import WrongConditions, use_site_conditions

LOCAL = "https://st-marys.example/problems"
ROWS = f"""group,name,history,implies,system,code,phrase
hf,,,,{LOCAL},C-17,
hf,,,,,,weak pump
site_tube_feeding,Fed by a tube,any,dysphagia,,,PEG tube
site_tube_feeding,,,,{LOCAL},T-2,
,,,,{LOCAL},Z-01,
"""


def _condition(text: str = "", code: str = "") -> str:
    coding = [{"system": f"{LOCAL}/", "code": code}] if code else []
    return json.dumps({"resourceType": "Condition", "id": "1", "code": {"coding": coding, "text": text}})


def test_codes_and_words_of_a_site_are_read(tmp_path: Path) -> None:
    folder = tmp_path / "rules"
    new(folder, "St. Mary's")
    (folder / "conditions.csv").write_text(ROWS)
    asked = [
        _condition(code="C-17"), _condition("weak pump since 2019"), _condition("no weak pump"),
        _condition("PEG tube in place"), _condition(code="T-2"), _condition(code="Z-01"), _condition(code="Z-02"),
    ]  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-m", "cds_hooks", "understand", "-"],
        input="\n".join(asked), capture_output=True, text=True, check=True,
        env={**os.environ, "CDS_SITE_RULES": str(folder)},
    )  # fmt: skip
    readings = [json.loads(line) for line in done.stdout.splitlines()]
    groups = [set(reading["groups"]) & {"hf", "site_tube_feeding", "dysphagia"} for reading in readings]
    fed = {"site_tube_feeding", "dysphagia"}
    assert groups == [{"hf"}, {"hf"}, set(), fed, fed, set(), set()]
    assert [reading["understood"] for reading in readings] == [True] * 6 + [False]


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        ("nosuch,,,,,,x", "there is no group 'nosuch'"),
        ("site_new,,,,,,x", "the new group 'site_new' needs a name"),
        ("site_new,New,ever,,,,x", "history is empty, any or 5 years"),
        ("site_new,New,,nosuch,,,x", "implies 'nosuch'"),
        (f"hf,,,,{LOCAL},,", "a code stands beside the address"),
        (",,,,,,weak pump", "a phrase needs the group"),
        ("hf,,,,,,---", "has no word"),
        (",,,,,,", "neither a group nor a code"),
    ],
)
def test_a_wrong_row_is_named_by_its_line(row: str, fault: str, tmp_path: Path) -> None:
    path = tmp_path / "conditions.csv"
    path.write_text(f"group,name,history,implies,system,code,phrase\n{row}\n")
    with pytest.raises(WrongConditions, match=r"conditions\.csv, line 2: ") as caught:
        use_site_conditions(path)
    assert fault in str(caught.value)
    assert not SITE_CODES
    assert "site_new" not in CONDITION_GROUPS


def test_another_column_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "conditions.csv"
    path.write_text("group,snomed\nhf,1\n")
    with pytest.raises(WrongConditions, match=r"line 1: the columns are"):
        use_site_conditions(path)
