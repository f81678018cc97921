"""One line of the list of models for each version and each state of its artifact."""

from pathlib import Path

import pytest

from maintenance.model_pages import DOCS
from models_onnx.artifact.keys import maintainers
from models_onnx.artifact.release_file import parse_release
from models_onnx.models.mortality_5y import SPEC, TWIN
from models_onnx.serving.registry import ARTIFACTS, load_model, model_ids
from models_onnx.workbench.release.documentation import model_page
from models_onnx.workbench.release.publishing import ListedModel, list_models
from tests.models_onnx.workbench.training.template import write_template
from tests.models_onnx.workshop import KEYS, NAME, build, good_manifest

VERSION, TITLE = good_manifest()["version"], good_manifest()["title"]
AUROC = good_manifest()["evaluation"]["all"]["auroc"]["value"]


def test_the_models_of_the_package_are_ready_and_signed_by_the_maintainers() -> None:
    listed = {model.name: model for model in list_models(maintainers())}
    assert {listed[name].state for name in (SPEC.id, TWIN.id)} == {"ready"}
    assert listed[SPEC.id].release == parse_release(ARTIFACTS / SPEC.id).state
    assert listed[SPEC.id].signed_by


def test_a_signed_version_has_its_digest_and_its_signer_and_a_draft_has_none(tmp_path: Path) -> None:
    home = build(tmp_path)
    digest = parse_release(home).digest
    facts = {"name": NAME, "version": VERSION, "title": SPEC.title, "state": "ready", "release": "draft"}
    signed = ListedModel(**facts, digest=digest, signed_by="the tests", auroc=AUROC)
    assert list_models(KEYS, tmp_path) == (signed,)
    (home / "release.json").unlink()
    assert list_models(KEYS, tmp_path) == (ListedModel(**facts, auroc=AUROC),)
    (stranger,) = list_models(maintainers(), build(tmp_path / "other").parent)
    assert "not trusted here" in stranger.state
    assert not stranger.is_ready


def test_a_declared_model_without_files_is_not_trained(tmp_path: Path) -> None:
    assert list_models(KEYS, tmp_path) == ()
    write_template("toy_30d", tmp_path)
    build(tmp_path / "shelf")
    listed = {model.name: model.state for model in list_models(KEYS, tmp_path / "shelf", tmp_path)}
    assert listed == {NAME: "ready", "toy_30d": "not trained"}
    assert [model.name for model in list_models(KEYS, tmp_path / "shelf")] == [NAME], "not those of the package"


@pytest.mark.parametrize(
    ("name", "content", "fault"),
    [
        ("manifest.json", '{"format": "cds-hooks-onnx/imported/1"}', "manifest.json has sha256"),
        ("model.onnx", "", "changed after training"),
    ],
)
def test_a_damaged_artifact_is_listed_with_what_is_wrong(name: str, content: str, fault: str, tmp_path: Path) -> None:
    home = build(tmp_path)
    (home / name).write_text(content)
    (listed,) = list_models(KEYS, tmp_path)
    assert (listed.name, listed.digest, listed.auroc) == (NAME, "", None)
    assert fault in listed.state
    (home / "release.json").unlink()
    (listed,) = list_models(KEYS, tmp_path)
    assert not listed.is_ready


@pytest.mark.parametrize("name", model_ids())
def test_the_page_in_the_docs_is_written_from_the_manifest(name: str) -> None:
    written = (DOCS / f"{name}.md").read_text(encoding="utf-8")
    manifest = load_model(name).manifest
    assert written == model_page(manifest), "run: python -m maintenance.model_pages"


@pytest.mark.parametrize("name", model_ids())
def test_the_page_is_linked_from_the_list_of_models(name: str) -> None:
    assert f"({name}.md)" in (DOCS / "README.md").read_text(encoding="utf-8")
