"""The list says which models are ready and what is wrong with the others."""

from pathlib import Path

from models_onnx.workbench.release.listing import list_models
from models_onnx.workbench.training.template import write_template


def test_the_committed_model_is_ready() -> None:
    listed = {each.id: each for each in list_models()}["mortality_5y"]
    assert listed.state == "ready"
    assert listed.auroc is not None


def test_a_folder_of_ones_own_is_listed_without_the_models_of_the_package(tmp_path: Path) -> None:
    assert list_models(tmp_path) == ()
    write_template("toy_30d", tmp_path)
    (declared,) = list_models(tmp_path, tmp_path)
    assert (declared.id, declared.state) == ("toy_30d", "not trained")


def test_a_model_whose_declaration_is_not_at_hand_is_listed_from_its_manifest(folder: Path) -> None:
    described = (folder / "mortality_5y" / "manifest.json").read_text().replace('"mortality_5y"', '"ours_5y"', 1)
    (folder / "ours_5y").mkdir()
    (folder / "ours_5y" / "model.onnx").write_bytes((folder / "mortality_5y" / "model.onnx").read_bytes())
    (folder / "ours_5y" / "manifest.json").write_text(described)
    listed = {each.id: each for each in list_models(folder)}["ours_5y"]
    assert (listed.state, listed.release) == ("ready", "draft")


def test_a_damaged_artifact_is_listed_with_what_is_wrong(folder: Path) -> None:
    (folder / "mortality_5y" / "model.onnx").write_bytes(b"")
    assert "changed after training" in {each.id: each for each in list_models(folder)}["mortality_5y"].state
