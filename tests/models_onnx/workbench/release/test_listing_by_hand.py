"""One line of the list of models for each state of an artifact: as trained, as imported, and as what is wrong."""

import json
from pathlib import Path
from typing import Any

import pytest

from models_onnx.artifact.release_file import parse_release
from models_onnx.models.mortality_5y import SPEC, TWIN
from models_onnx.serving.registry import ARTIFACTS
from models_onnx.workbench.release import listing
from models_onnx.workbench.release.listing import ListedModel, list_models
from models_onnx.workbench.training.template import write_template
from tests.models_onnx.workshop import NAME, build, good_manifest


def _draft(folder: Path, **changes: Any) -> Path:
    """The model as training writes it, which nobody signed."""
    home = build(folder, **changes)
    (home / "release.json").unlink()
    return home


AUROC = good_manifest()["evaluation"]["all"]["auroc"]["value"]


def test_a_model_is_ready_or_of_another_version_than_is_declared(tmp_path: Path) -> None:
    home = _draft(tmp_path)
    digest = json.loads((home / "manifest.json").read_text())["file"]["sha256"]
    title, version = good_manifest()["title"], good_manifest()["version"]
    assert list_models(tmp_path) == (ListedModel(NAME, version, SPEC.title, "ready", digest, AUROC, "draft"),)
    newer = _draft(tmp_path / "newer", manifest=lambda document: document.update(version="9.0.0"),
                  card=lambda card: card["model"].update(version="9.0.0"))  # fmt: skip
    digest = json.loads((newer / "manifest.json").read_text())["file"]["sha256"]
    assert list_models(tmp_path / "newer") == (
        ListedModel(NAME, SPEC.version, SPEC.title, "trained as 9.0.0", digest, AUROC, "draft"),
    )
    assert listing._listed(NAME, None, newer) == ListedModel(NAME, "9.0.0", title, "ready", digest, AUROC, "draft")


def test_a_declared_model_without_files_is_not_trained(tmp_path: Path) -> None:
    write_template("toy_30d", tmp_path)
    _draft(tmp_path / "shelf")
    own = [(one.id, one.state) for one in list_models(tmp_path / "shelf", tmp_path)]
    assert sorted(own) == [(NAME, "ready"), ("toy_30d", "not trained")]
    assert [one.id for one in list_models(tmp_path / "shelf")] == [NAME], "those of the package are listed in its own"
    shipped = {one.id: one.release for one in list_models()}
    assert shipped[SPEC.id] == parse_release(ARTIFACTS / SPEC.id).state
    assert shipped[TWIN.id] == parse_release(ARTIFACTS / TWIN.id).state


@pytest.mark.parametrize(
    "content", ['{"format": "cds-hooks-onnx/imported/1"}', '{"format": "cds-hooks-onnx/imported/1", "id": 1}']
)
def test_an_import_that_cannot_be_read_says_so(content: str, tmp_path: Path) -> None:
    home = tmp_path / "theirs"
    home.mkdir()
    (home / "manifest.json").write_text(content)
    (one,) = list_models(tmp_path)
    assert (one.id, one.version, one.title, one.sha256, one.auroc, one.release) == (
        "theirs",
        "?",
        "theirs",
        None,
        None,
        "",
    )
    assert one.state.startswith("neither declared nor imported: ")


def test_a_file_that_was_changed_is_listed_with_its_fault(tmp_path: Path) -> None:
    home = _draft(tmp_path)
    (home / "model.onnx").write_bytes(b"")
    (one,) = list_models(tmp_path)
    assert (one.id, one.version, one.title, one.sha256, one.release) == (NAME, SPEC.version, SPEC.title, None, "")
    assert "changed after training" in one.state
