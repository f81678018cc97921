"""A hospital's own codes, phrases and groups of conditions; a row that cannot be used is named by its line."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fhir.mapping.understanding import understand
from fhir.terminology import phrases
from fhir.terminology.caching import CACHES
from fhir.terminology.conditions import (
    CONDITION_GROUPS,
    SITE_CODES,
    ConditionGroup,
    condition_groups_of,
    is_known_condition,
)
from fhir.terminology.phrases import SITE_PHRASES, groups_in_words
from fhir.terminology.site_conditions import WrongConditions, use_site_conditions
from tests.cards.rules.site_folder import write_site_rules

LOCAL = "https://st-marys.example/problems"
ROWS = f"""group,name,history,implies,system,code,phrase
hf,,,,{LOCAL},C-17,
hf,,,,,,weak pump
site_tube_feeding,Fed by a tube,any,dysphagia,,,PEG tube
site_tube_feeding,,,,{LOCAL},T-2,
,,,,{LOCAL},Z-01,
"""


@pytest.fixture
def tables_as_before() -> Iterator[None]:
    """The tables are those of the package again when the test is over."""
    groups: dict[str, ConditionGroup] = CONDITION_GROUPS  # type: ignore[assignment]  # a dictionary
    before = dict(groups)
    yield
    groups.clear()
    groups.update(before)
    SITE_CODES.clear()
    SITE_PHRASES.clear()
    phrases._compiled.cache_clear()
    for cache in CACHES.values():
        cache.clear()


def _condition(text: str = "", code: str = "") -> str:
    coding = [{"system": f"{LOCAL}/", "code": code}] if code else []
    return json.dumps({"resourceType": "Condition", "id": "1", "code": {"coding": coding, "text": text}})


def test_codes_and_words_of_a_site_are_read(tmp_path: Path) -> None:
    folder = tmp_path / "rules"
    write_site_rules(folder, "St. Mary's")
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


@pytest.mark.usefixtures("tables_as_before")
def test_rows_of_a_site_become_groups_codes_and_phrases(tmp_path: Path) -> None:
    assert condition_groups_of(LOCAL, "T-2") == ()
    path = tmp_path / "conditions.csv"
    path.write_text(ROWS + f"hf,,,,{LOCAL}/,T-2,\nsite_former,Formerly fed,,,,,\nsite_once,Once fed,5 years,;,,,\n")
    use_site_conditions(path)
    phrases._compiled.cache_clear()
    plain = "http://st-marys.example/problems"
    assert {
        (plain, "C-17"): ("hf",), (plain, "T-2"): ("site_tube_feeding", "hf"), (plain, "Z-01"): (),
    } == SITE_CODES  # fmt: skip
    assert SITE_PHRASES == [("hf", "weak pump"), ("site_tube_feeding", "PEG tube")]
    assert [group for key, group in CONDITION_GROUPS.items() if key.startswith("site_")] == [
        ConditionGroup("site_tube_feeding", "Fed by a tube", "any", ("dysphagia",), history_in_words=True),
        ConditionGroup("site_former", "Formerly fed"),
        ConditionGroup("site_once", "Once fed", "5 years", history_in_words=True),
    ]
    assert condition_groups_of(LOCAL, "T-2")[:2] == ("site_tube_feeding", "hf")
    assert [is_known_condition(LOCAL, code) for code in ("Z-01", "Z-02")] == [True, False]
    mentions = [groups_in_words(text) for text in ("weak pump", "no weak pump", "weak heart pump")]
    assert [{(mention.group, mention.assertion.is_of_patient) for mention in groups} for groups in mentions] == [
        {("hf", True), ("heart_failure", True)}, {("hf", False), ("heart_failure", False)}, set(),
    ]  # fmt: skip
    read = understand(json.loads(_condition("PEG tube in place")))
    assert set(read.groups) == {"site_tube_feeding", "dysphagia"}


@pytest.mark.usefixtures("tables_as_before")
@pytest.mark.parametrize(
    ("row", "fault"),
    [
        ("hf,,,,,C-17,", "a code stands beside the address of its code system"),
        ("site_new,New,,hf;nosuch,,,", "'site_new' implies 'nosuch', which is no group"),
        ("site_new,New,ever,,,,", "history is empty, any or 5 years, not 'ever'"),
        (" nosuch ,New,,,,,", "there is no group 'nosuch'; the id of a new one begins with site_"),
        ("site_new, ,,,,,", "the new group 'site_new' needs a name"),
        (f",,,,{LOCAL},C-17,weak pump", "a phrase needs the group that it means"),
        ("hf,,,,,,---", "the phrase '---' has no word"),
        (",,,,,,", "the row has neither a group nor a code"),
        ("hf,,,,,,", None),
        (f"hf,,,,{LOCAL},C-17,weak pump,more", None),
    ],
)
def test_a_row_is_used_or_its_whole_fault_is_stated(row: str, fault: str | None, tmp_path: Path) -> None:
    path = tmp_path / "conditions.csv"
    path.write_text(f"group,name,history,implies,system,code,phrase\nhf,,,,,,weak heart\n{row}\n")
    if fault is None:
        use_site_conditions(path)
        return
    with pytest.raises(WrongConditions) as caught:
        use_site_conditions(path)
    assert str(caught.value) == f"{path}, line 3: {fault}"
    assert not SITE_CODES
    assert "site_new" not in CONDITION_GROUPS


def test_a_file_without_the_column_of_groups_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "conditions.csv"
    for head in ("", "name,code\n", "group,snomed\nhf,1\n"):
        path.write_text(head)
        with pytest.raises(WrongConditions) as caught:
            use_site_conditions(path)
        columns = "group, name, history, implies, system, code, phrase"
        assert str(caught.value) == f"{path}, line 1: the columns are {columns}"
