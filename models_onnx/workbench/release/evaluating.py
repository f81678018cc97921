"""An evaluation as it is shown: out of fold, or on the rows of another table."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from models_onnx.spec import get_spec
from models_onnx.workbench.release.documentation import model_page, other_rows_page
from models_onnx.workbench.training.commands import evaluate_rows
from models_onnx.workbench.training.crossvalidate import Progress
from models_onnx.workbench.training.data.cohort import read_table
from models_onnx.workbench.training.pipeline import train


@dataclass(frozen=True, slots=True)
class ShownEvaluation:
    """One evaluation: a Markdown page, the same as a document, and whether every floor holds."""

    page: str
    document: Any
    passed: bool


def evaluate_artifact(
    name: str, data: Path, seed: int, replicates: int, progress: Progress, specs: Path | None
) -> ShownEvaluation:
    """Return the figures out of fold, on people that the model was not trained on."""
    spec = get_spec(name, specs)
    trained = train(spec, read_table(spec, data), seed, replicates, progress)
    return ShownEvaluation(model_page(trained.manifest, folder=None), trained.manifest, trained.passed)


def evaluate_on_rows(
    name: str,
    rows: Path,
    data: Path,
    folder: Path,
    seed: int,
    replicates: int,
    progress: Progress,
    specs: Path | None,
) -> ShownEvaluation:
    """Return the figures of the artifact on the people of another table."""
    evaluated = evaluate_rows(name, rows, folder, seed, replicates, progress, specs, data)
    manifest = evaluated.manifest
    document = {
        "model": {"id": manifest.id, "version": manifest.version, "sha256": manifest.file.sha256},
        "how": evaluated.how,
        "left_out": [{"words": step.words, "count": step.count} for step in evaluated.cohort.left_out],
        "all": evaluated.whole,
        "subgroups": evaluated.subgroups,
    }
    return ShownEvaluation(other_rows_page(evaluated), document, True)
