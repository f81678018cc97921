"""The pages of the committed models in docs/models: `python -m maintenance.model_pages` writes them."""

from pathlib import Path

from models_onnx.serving.registry import load_model, model_ids
from models_onnx.workbench.release.documentation import model_page

DOCS = Path(__file__).parents[1] / "docs" / "models"

if __name__ == "__main__":
    for name in model_ids():
        (DOCS / f"{name}.md").write_text(model_page(load_model(name).manifest), encoding="utf-8")
