"""The page of every committed model is what its manifest says."""

from pathlib import Path

import pytest

from models_onnx.model_card.evaluation_file import read_evaluation
from models_onnx.serving.registry import ARTIFACTS, load_model, model_ids
from models_onnx.workbench.release.documentation import model_page, read_comparison, read_waivers

DOCS = Path(__file__).resolve().parents[4] / "docs" / "models"


@pytest.mark.parametrize("name", model_ids())
def test_the_page_in_the_docs_is_written_from_the_manifest(name: str) -> None:
    written = (DOCS / f"{name}.md").read_text(encoding="utf-8")
    manifest = load_model(name).manifest
    told = model_page(manifest, read_comparison(name), read_waivers(name), read_evaluation(manifest, ARTIFACTS))
    assert written == told, f"run: cds-hooks model page {name} --out docs/models/{name}.md"


@pytest.mark.parametrize("name", model_ids())
def test_the_page_is_linked_from_the_list_of_models(name: str) -> None:
    assert f"({name}.md)" in (DOCS / "README.md").read_text(encoding="utf-8")
