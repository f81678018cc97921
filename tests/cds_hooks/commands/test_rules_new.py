"""`cds-hooks rules new`: the files of a new folder, whole, and that nothing is written into one that is not empty."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from typer.testing import CliRunner, Result

from cds_hooks.commands.rules.main import app

HOSPITAL = "Krankenhaus St. Änne"


def _new(folder: Path) -> Result:
    return CliRunner().invoke(app, ["new", str(folder), "--hospital", HOSPITAL])


def _files(folder: Path) -> dict[str, str]:
    paths = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_text("utf-8") for path in paths}


def test_a_folder_is_written_with_its_head_an_example_cases_and_empty_tables(tmp_path: Path) -> None:
    folder = tmp_path / "of" / "ours"
    days = {datetime.now(UTC).date().isoformat()}
    done = _new(folder)
    days.add(datetime.now(UTC).date().isoformat())
    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout == (
        f"{folder}: family.json, site-example.json with its cases, limits.csv, absent.csv and conditions.csv.\n"
        f"Set CDS_SITE_RULES={folder}, then: cds-hooks rules check; cds-hooks rules check {folder}/cases\n"
    )
    files = _files(folder)
    tables = {name: files.pop(name) for name in ("limits.csv", "absent.csv", "conditions.csv")}
    assert tables == {
        "limits.csv": "drug,form,age_from,age_to,max_single_mg,max_daily_mg,max_single_mg_kg,max_daily_mg_kg,note\n",
        "absent.csv": "drug,note\n",
        "conditions.csv": "group,name,history,implies,system,code,phrase\n",
    }
    assert list(files) == ["cases/site-example.json", "family.json", "site-example.json"]
    for text in files.values():
        assert text == json.dumps(json.loads(text), indent=1, ensure_ascii=False) + "\n"
    head: dict[str, Any] = json.loads(files["family.json"])
    assert head.pop("reviewed") in days
    assert head == {
        "family": "site",
        "hospital": HOSPITAL,
        "title": f"Rules of {HOSPITAL}",
        "status": "written by the hospital; shown after approval",
        "source": "each rule names its document",
        "replaces": [],
        "override_reasons": [{"code": "benefit", "display": "Benefit outweighs risk for this patient"}],
        "shared": {"suggestions": {"cancel": {"label": "Cancel this order", "cancel": True}}},
    }
    rule: dict[str, Any] = json.loads(files["site-example.json"])
    assert [entry["organisation"] for entry in rule["evidence"]] == [HOSPITAL]
    assert (rule["id"], rule["priority"]) == ("site-example", 50)
    assert rule["bands"][0]["when"] == {"age_years": {"ge": 90}}
    cases: list[dict[str, Any]] = json.loads(files["cases/site-example.json"])
    assert [(case["id"], case["kind"], case["patient"]["age"]) for case in cases] == [
        ("at 90", "fires", 90),
        ("at 89", "silent", 89),
        ("no birth date", "missing", None),
    ]
    draft = {"drug": "nitrofurantoin 100 MG Oral Capsule", "dose": "1 capsule", "times": 2}
    assert [case["draft"] for case in cases] == [draft] * 3


def test_an_empty_folder_is_filled_and_one_with_a_file_stays_as_it_is(tmp_path: Path) -> None:
    assert _new(tmp_path).exit_code == 0
    (tmp_path / "family.json").write_text("changed")
    before = _files(tmp_path)
    done = _new(tmp_path)
    assert (done.exit_code, done.stdout, done.stderr) == (1, "", f"{tmp_path} is not empty; nothing was changed.\n")
    assert _files(tmp_path) == before
