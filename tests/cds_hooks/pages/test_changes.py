"""What changed between two versions of a model, from the folders of models."""

import json
import shutil
from pathlib import Path

import pytest

from cds_hooks.package_tests.markup import Page, faults
from cds_hooks.pages.models.views import ChangedRow, changed_parts
from models_onnx.serving.registry import ARTIFACTS
from tests.cds_hooks.calls import client

HOSTILE = "<script>alert(1)</script>"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


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
