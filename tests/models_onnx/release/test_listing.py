"""The list says which models are ready and what is wrong with the others."""

from pathlib import Path

from models_onnx.serving.registry import list_models


def test_the_committed_model_is_ready() -> None:
    listed = {each.id: each for each in list_models()}["mortality_5y"]
    assert listed.state == "ready"
    assert listed.auroc is not None


def test_a_model_without_an_artifact_is_not_trained(tmp_path: Path) -> None:
    assert {each.state for each in list_models(tmp_path)} == {"not trained"}


def test_a_damaged_artifact_is_listed_with_what_is_wrong(folder: Path) -> None:
    (folder / "mortality_5y" / "model.onnx").write_bytes(b"")
    assert "changed after training" in {each.id: each for each in list_models(folder)}["mortality_5y"].state
