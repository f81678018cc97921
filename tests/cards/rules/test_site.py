"""A hospital's own rules: read, shown with their owner, and in place of ours; a folder that cannot be used is refused.

The folder is named before the first rule is read, so each test asks in a process of its own.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cards.rules.engine.family import Family
from cards.rules.engine.lint import lint_table
from cards.rules.engine.rule_book import rule_book
from cards.rules.language.rule import RuleError
from cards.rules.language.site import use_site_rules
from tests.cards.rules.site_folder import write_site_rules

Json = dict[str, Any]
ASK = """
import json, sys
from datetime import UTC, datetime
from pathlib import Path
from cards.rules.language.site import use_site_rules
use_site_rules(Path(sys.argv[1]))
from cards.casebook.patients import draft_of, drafts_of, record_of
from cards.orders import check_orders
from cards.rules.engine.governance import all_rule_versions
from cards.rules.engine.rule_book import rule_book
as_of, said = datetime(2026, 11, 20, 9, tzinfo=UTC), []
for draft, patient in json.loads(sys.argv[2]):
    names = iter(map(str, range(99)))
    outcome = check_orders(record_of(patient, as_of), drafts_of(draft_of(draft)), None, names.__next__)
    said.append([[card.indicator, card.summary, card.detail, card.source.label] for card in outcome.cards])
rules, versions = sorted(rule.id for rule in rule_book().rules), sorted(all_rule_versions())
print(json.dumps({"said": said, "rules": rules, "versions": versions}))
"""
HEAD = '{"hospital": "A", "reviewed": "2026-11-20"'
SERTRALINE = {"drug": "sertraline 50 MG Oral Tablet", "dose": "4 tablet", "times": 1}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of a hospital, with a maximum dose, two drugs that are absent, and a rule of ours replaced."""
    folder = tmp_path_factory.mktemp("site") / "rules"
    write_site_rules(folder, "St. Mary's")
    (folder / "limits.csv").write_text("drug,age_from,max_daily_mg,note\nsertraline,18,150,our psychiatrists agreed\n")
    (folder / "absent.csv").write_text("drug,note\ndomperidone,Consider metoclopramide.\n")
    head = json.loads((folder / "family.json").read_text())
    (folder / "family.json").write_text(json.dumps(head | {"replaces": ["age-muscle-relaxant"]}))
    return folder


def _ask(folder: Path, asked: list[tuple[Json, Json]]) -> Json:
    done = subprocess.run(
        [sys.executable, "-c", ASK, str(folder), json.dumps(asked)], capture_output=True, text=True, check=True
    )
    answer: Json = json.loads(done.stdout)
    return answer


def test_rules_and_tables_of_a_hospital_are_asked_in_place_of_ours(folder: Path) -> None:
    nitrofurantoin = {"drug": "nitrofurantoin 100 MG Oral Capsule", "dose": "1 capsule", "times": 2}
    domperidone = {"drug": "domperidone 10 MG Oral Tablet", "dose": "1 tablet", "times": 3}
    answer = _ask(folder, [(nitrofurantoin, {"age": 91}), (SERTRALINE, {}), (domperidone, {})])
    old, own_limit, absent = answer["said"]
    assert any("our guideline prefers" in text and "(Rule of St. Mary's.)" in more for _, text, more, _ in old)
    ((indicator, text, _, source),) = own_limit
    assert (indicator, text) == ("warning", "Sertraline: 200 mg/day, over the maximum of 150 mg/day.")
    assert source == "St. Mary's: own maximum doses"
    assert any("Domperidone is not in use here." in f"{text}{more}" for _, text, more, _ in absent)
    assert {"site-example", "site-absent-3626"} <= set(answer["rules"]) & set(answer["versions"])
    assert "age-muscle-relaxant" not in answer["rules"]


@pytest.mark.slow
def test_a_rule_file_of_an_earlier_release_is_read(folder: Path, tmp_path: Path) -> None:
    """Suggestions had an `id` until 2026-11-23; it says nothing, and a file that has none keeps its version."""
    for path in folder.glob("*.*"):
        (tmp_path / path.name).write_text(path.read_text())
    file = tmp_path / "site-example.json"
    rule = json.loads(file.read_text())
    rule["bands"][0]["suggestions"] = [{"id": "cancel", "label": "Cancel this order", "cancel": True}]
    file.write_text(json.dumps(rule))
    head = json.loads((folder / "family.json").read_text())
    assert not lint_table(Family("site"), head | {"shared": {}, "rules": [rule]})
    nitrofurantoin = {"drug": "nitrofurantoin 100 MG Oral Capsule", "dose": "1 capsule", "times": 2}
    (cards,) = _ask(tmp_path, [(nitrofurantoin, {"age": 91})])["said"]
    assert any("our guideline prefers" in text for _, text, _, _ in cards)


def test_without_a_folder_nothing_is_of_a_hospital() -> None:
    assert not [rule.id for rule in rule_book().rules if rule.id.startswith("site-")]
    assert "age-muscle-relaxant" in {rule.id for rule in rule_book().rules}


def test_a_folder_is_named_before_rules_are_read(tmp_path: Path) -> None:
    with pytest.raises(RuleError, match=r"docs/adding/site-rules\.md shows one"):
        use_site_rules(tmp_path)
    (tmp_path / "family.json").write_text("{}")
    rule_book()
    with pytest.raises(RuleError, match="read already"):
        use_site_rules(tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "text", "fault"),
    [
        (
            "limits.csv",
            "drug,max_daily_mg\nsertralin,150\n",
            "line 2: no ingredient of our tables is called 'sertralin'",
        ),
        ("family.json", '{"family": "site"}', "`hospital` is missing"),
        ("limits.csv", "drug,max_daily_mg\nsertraline,150 mg\n", "limits.csv, line 2: exactly one of max_daily_mg"),
        ("limits.csv", "drug,max_daily_mg\nsertraline,nan\n", "limits.csv, line 2: exactly one of max_daily_mg"),
        ("renal-mine.json", '{"id": "renal-mine"}', "begin with 'site-'"),
        ("family.json", '{"hospital": "A"}', "family.json, line 1: `reviewed` is missing"),
        (
            "site-example.json",
            ("at {age}", "at {years}"),
            "(rule site-example, band old): no fact fills {years}",
        ),
        (
            "family.json",
            f'{HEAD}, "replaces": ["x", 1]}}',
            "family.json, line 1: `replaces` must be a list of rule ids",
        ),
        ("family.json", '{\n"hospital"', "family.json, line 2: this is not valid JSON (Expecting ':' delimiter)"),
        ("family.json", f'{HEAD}, "shared": []}}', "family.json, line 1: `shared` is an object"),
        ("absent.csv", b"drug,note\n\xe9,x\n", "line 2: this is not UTF-8"),
        ("family.json", "[" * 90_000, "line 1: lists and objects are nested too deeply"),
        ("limits.csv", "drug,max_daily_mg\n" + "a" * 200_000, "line 2: the line has more than 100,000 characters"),
    ],
)
def test_a_fault_of_the_folder_is_named_with_its_file(
    folder: Path, tmp_path: Path, name: str, text: str | bytes | tuple[str, str], fault: str
) -> None:
    for path in folder.glob("*.*"):
        (tmp_path / path.name).write_text(path.read_text())
    if isinstance(text, tuple):
        text = (folder / name).read_text().replace(*text)
    (tmp_path / name).write_bytes(text.encode() if isinstance(text, str) else text)
    done = subprocess.run([sys.executable, "-c", ASK, str(tmp_path), "[]"], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert fault in done.stderr
