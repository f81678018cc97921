"""What changed between two versions of a rule, from the record, and of a model, from the folders of models."""

import base64
import json
import re
import shutil
import zlib
from pathlib import Path

import msgspec
import pytest
from sqlalchemy import select

from cards.rules.engine.governance import all_rule_versions, declared_text, digest_of_text
from cds_hooks.hold_back.rule_texts import EVENT, record_rule_texts, rule_texts
from cds_hooks.package_tests.markup import Page, faults
from cds_hooks.pages.committee.differences import ChangedRow, changed_parts
from cds_hooks.storage.entries import add_event
from cds_hooks.storage.queries import read_rows
from cds_hooks.storage.tables import events
from models_onnx.serving.registry import ARTIFACTS
from tests.cds_hooks.calls import client
from tests.live import record_in

RULE = "renal-metformin"
HOSTILE = "<script>alert(1)</script>"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def with_earlier_text(folder: Path, *, digest: str | None = None) -> str:
    """Puts an earlier version of the rule into the record: another limit, a hostile title; its version."""
    version = all_rule_versions()[RULE]
    text = declared_text(version.rule, version.table).decode()
    text = text.replace('"derived":"egfr_best","lt":30', '"derived":"egfr_best","lt":25', 1)
    text = text.replace('"title":"Metformin and kidney function"', f'"title":"{HOSTILE}"', 1)
    named = digest or digest_of_text(text.encode())
    packed = base64.b64encode(zlib.compress(msgspec.json.encode([(RULE, text)]))).decode()
    add_event(record_in(folder), EVENT, "cds-hooks", {"versions": {RULE: named}, "texts": packed})
    return named


@pytest.mark.anyio
async def test_an_earlier_version_of_a_rule_is_compared_with_the_one_in_use(tmp_path: Path) -> None:
    async with client(tmp_path) as calls:
        alone = (await calls.get(f"/rules/{RULE}/changes")).text
        assert "There is only this version here" in alone
        earlier = with_earlier_text(tmp_path)
        record_rule_texts(record_in(tmp_path))
        page = (await calls.get(f"/rules/{RULE}/changes")).text
        assert faults(page) == []
        assert HOSTILE not in page
        in_use = all_rule_versions()[RULE].digest
        assert re.findall(r'<option value="(\w+)" selected', page) == [earlier, in_use]
        row = Page(page).row("lt30, when, under")
        assert row == "lt30, when, under | 25 | 30"
        assert f"{in_use} (in use)" in page
        back = (await calls.get(f"/rules/{RULE}/changes", params={"before": in_use, "after": earlier})).text
        assert Page(back).row("lt30, when, under") == "lt30, when, under | 30 | 25"
        assert "No difference" not in page
        assert f'href="{RULE}/changes"' in (await calls.get(f"/rules/{RULE}")).text
        assert (await calls.get("/rules/none/changes")).status_code == 404


def test_every_rule_is_kept_once_and_a_text_under_a_false_version_is_not_taken(tmp_path: Path) -> None:
    url = record_in(tmp_path)
    with_earlier_text(tmp_path, digest="0" * 16)
    record_rule_texts(url)
    record_rule_texts(url)
    kept = [json.loads(row.detail) for row in read_rows(url, select(events).where(events.c.kind == EVENT))]
    assert [len(each["versions"]) for each in kept] == [1, len(all_rule_versions())]
    (only,) = rule_texts(url, all_rule_versions()[RULE])
    assert only.version == all_rule_versions()[RULE].digest
    assert only.declared[0]["id"] == RULE


@pytest.mark.anyio
async def test_two_versions_of_a_model_are_compared_by_manifest_gates_and_release(tmp_path: Path) -> None:
    name = "readmission_30d_early"
    beside = tmp_path / "models" / f"{name}@0.9.0"
    shutil.copytree(ARTIFACTS / name, beside)
    manifest = json.loads((beside / "manifest.json").read_text())
    manifest["version"] = "0.9.0"
    manifest["data"]["rows"] = 12
    manifest["features"][0]["trained_high"] = 77.0
    manifest["intended_use"] = HOSTILE
    (beside / "manifest.json").write_text(json.dumps(manifest))
    gates = json.loads((beside / "gates.json").read_text())
    gates["results"][0]["status"] = "failed"
    (beside / "gates.json").write_text(json.dumps(gates))
    async with client(tmp_path, models_folder=tmp_path / "models") as calls:
        page = (await calls.get(f"/models/{name}/changes")).text
        assert faults(page) == []
        assert HOSTILE not in page
        assert Page(page).row("rows").startswith("rows | 12 | ")
        first = manifest["features"][0]["name"].replace("_", " ")
        assert " | 77 | " in Page(page).row("trained high")
        assert first in Page(page).row("trained high").replace("_", " ")
        gate = gates["results"][0]["gate"]
        assert Page(page).row(f"{gate}, status") == f"{gate}, status | failed | passed"
        assert "Training data" in page
        assert "0.9.0, beside it, its files are not those that were released" in page
        assert page.count("not those that were released") == 2  # in both lists
        assert f'href="{name}/changes"' in (await calls.get(f"/models/{name}")).text
        assert (await calls.get(f"/models/{name}@0.9.0/changes")).status_code == 404
        assert "There is only this version here" in (await calls.get("/models/mortality_5y/changes")).text


def test_what_is_new_gone_moved_or_of_another_kind_is_told() -> None:
    before = {"a": [{"id": "x", "n": 1}, {"id": "y"}], "b": 1.23456, "c": {"d": True}}
    after = {"a": [{"id": "y"}, {"id": "z"}], "b": [1], "c": {"d": False}}
    parts = {part.title: part.rows for part in changed_parts(before, after, {"a": "Entries"})}
    assert parts["Entries"] == (ChangedRow("x", '{"id":"x","n":1}', ""), ChangedRow("z", "", '{"id":"z"}'))
    assert parts["B"] == (ChangedRow("", "1.235", "[1]"),)
    assert parts["C"] == (ChangedRow("d", "yes", "no"),)
    assert changed_parts(before, before, {}) == []
