"""The page of every committed model is what its manifest says."""

import pytest

from maintenance.model_pages import DOCS
from models_onnx.serving.registry import load_model, model_ids
from models_onnx.workbench.release.documentation import model_page


@pytest.mark.parametrize("name", model_ids())
def test_the_page_in_the_docs_is_written_from_the_manifest(name: str) -> None:
    written = (DOCS / f"{name}.md").read_text(encoding="utf-8")
    manifest = load_model(name).manifest
    assert written == model_page(manifest), "run: python -m maintenance.model_pages"


@pytest.mark.parametrize("name", model_ids())
def test_the_page_is_linked_from_the_list_of_models(name: str) -> None:
    assert f"({name}.md)" in (DOCS / "README.md").read_text(encoding="utf-8")
