"""Faults are put into a copy, one at a time and the same for the same seed; each differs from the file in one point."""

import csv
import json
import random
from collections import Counter
from pathlib import Path

import pytest

from benchmarks.faults import Fault, faults_of
from benchmarks.mutants import EQUIVALENT, ROOT, Verdict, asked_tests, near_tests, source_of, summary, verdict_of
from tests.each import for_rows

FILES = {
    "a.py": "def dose(mg: float) -> float:\n    return (mg * 2) / (1 + 3) if mg > 10 and mg != 7 else 0.0\n",
    "a.json": json.dumps({"when": {"ge": 30, "code": "2160-0"}, "texts": ["eGFR"]}, indent=1) + "\n",
    "a.csv": "drug,most\nwarfarin,10\nmetformin,3000\n",
    "a.html": '{% if row.found %}<a href="rules">{{ row.name | upper }}</a>{% endif %}\n',
}


@for_rows("path", FILES)
def test_every_fault_changes_the_file_and_says_how(path: str) -> None:
    faults = list(faults_of(path, FILES[path], random.Random(1)))
    assert len(faults) >= 4
    for fault in faults:
        assert fault.text != FILES[path]
        assert fault.words
    assert len({fault.text for fault in faults}) == len(faults)


@for_rows("path", FILES)
def test_the_same_seed_makes_the_same_faults(path: str) -> None:
    first, again = (list(faults_of(path, FILES[path], random.Random(7))) for _ in range(2))
    assert first == again


def test_a_limit_is_raised_by_a_quarter_and_its_sign_is_changed() -> None:
    texts = [fault.text for fault in faults_of("a.json", FILES["a.json"], random.Random(1))]
    assert any('"ge": 37.5' in text for text in texts)
    assert any('"gt": 30' in text for text in texts)


def test_code_with_a_fault_is_still_code() -> None:
    for fault in faults_of("a.py", FILES["a.py"], random.Random(1)):
        compile(fault.text, "a.py", "exec")


def test_a_fault_that_is_called_equivalent_can_still_be_made() -> None:
    gone = []
    with EQUIVALENT.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            text = (ROOT / row["path"]).read_text(encoding="utf-8")
            faults = faults_of(row["path"], text, random.Random(1))
            if not any(fault.words == row["fault"] and source_of(fault, text) == row["source"] for fault in faults):
                gone.append(row)
            assert row["reason"]
    assert gone == [], "the code has changed: try these again and take them out of benchmarks/equivalent.csv"


def test_the_tests_near_a_module_are_those_that_import_or_mirror_it(tmp_path: Path) -> None:
    texts = {
        "tests/cards/test_text.py": "",
        "tests/cards/test_text_by_hand.py": "",
        "tests/cards/test_card.py": "from cards.text import plain\n",
        "tests/a/test_a.py": "from cards import (\n    card,\n    text,\n)\n",
        "tests/fhir/test_b.py": "from cards import card\nfrom cards.texts import text\n",
    }
    for name, content in texts.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content)
    assert near_tests("cards/text.py", list(texts)[::-1], tmp_path)[2:] == list(texts)[2:4], "its own come first"


@for_rows(
    ("exit_code", "printed", "verdict"),
    [
        (0, "3 passed", Verdict.SURVIVES),
        (5, "no tests ran", Verdict.SURVIVES),
        (1, "1 failed", Verdict.BEHAVIOUR),
        (2, "Interrupted: 1 error during collection", Verdict.NO_IMPORT),
        (4, "ImportError while loading conftest", Verdict.NO_IMPORT),
    ],
)
def test_a_fault_that_cannot_be_imported_is_not_noticed(exit_code: int, printed: str, verdict: Verdict) -> None:
    assert verdict_of(exit_code, printed) is verdict


def test_nothing_is_said_of_a_fault_where_pytest_itself_failed() -> None:
    with pytest.raises(SystemExit, match="ended with 3"):
        verdict_of(3, "INTERNALERROR")


def test_what_cannot_be_imported_or_takes_too_long_counts_on_neither_side() -> None:
    counts = Counter({Verdict.BEHAVIOUR: 3, Verdict.SURVIVES: 1, Verdict.NO_IMPORT: 2, Verdict.TIME_OUT: 1})
    assert summary("code", counts).startswith("code: 3 of 4 noticed (75.0%): 3 noticed by behaviour")
    assert "2 not counted: cannot be imported" in summary("code", counts)


def test_of_a_module_its_own_tests_are_asked_then_its_importers_then_answers_then_its_folder(tmp_path: Path) -> None:
    test = tmp_path / "tests/cards/test_card.py"
    test.parent.mkdir(parents=True)
    test.write_text("from cards.card import Card\n")
    texts = {"cds_hooks/ours.py": "from cards.card import Card\n", "tests/cds_hooks/test_ours.py": ""}
    for name, text in texts.items():
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text(text)
    fault = Fault("cards/card.py", "a number", "x = 2\n", 1)
    groups = list(asked_tests(fault, ["tests/cards/test_card.py", *texts], tmp_path))
    assert groups == [
        ["tests/cards/test_card.py"], ["tests/cds_hooks/test_ours.py"], ["tests/test_pinned_answers.py"], [],
    ]  # fmt: skip
    deep = ["tests/cards/rules/test_a.py", "tests/cards/rules/test_b.py"]
    for name, text in zip(deep, ("from cards.rules.a import b\n", ""), strict=True):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    (*_, last) = asked_tests(Fault("cards/rules/a.py", "a number", "x = 2\n", 1), deep, tmp_path)
    assert last == ["tests/cards/rules", f"--ignore={deep[0]}"]


def test_a_template_in_a_folder_of_pages_is_asked_in_the_tests_of_all_pages_last(tmp_path: Path) -> None:
    (tmp_path / "tests/cds_hooks/pages/explain").mkdir(parents=True)
    fault = Fault("cds_hooks/pages/explain/record.html", "{{ name }}", "", 1)
    groups = list(asked_tests(fault, [], tmp_path))
    assert groups == [[], ["tests/cds_hooks/pages/explain"], ["tests/cds_hooks/pages"]]


def test_of_a_table_its_list_is_asked_first_and_last_where_behaviour_is_counted_apart(tmp_path: Path) -> None:
    ledger, folder = "tests/tables/test_every_table.py", "tests/cards/vaccines"
    (tmp_path / folder).mkdir(parents=True)
    (tmp_path / ledger).parent.mkdir(parents=True)
    (tmp_path / ledger).touch()
    fault = Fault("cards/vaccines/doses.csv", "a number", "", 1)
    assert list(asked_tests(fault, [], tmp_path)) == [[ledger], [folder]]
    apart = list(asked_tests(fault, [], tmp_path, is_apart=True))
    assert apart[:3] == [[folder], ["tests/test_pinned_answers.py"], [ledger]]
