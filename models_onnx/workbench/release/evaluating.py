"""An evaluation as it is shown: out of fold, or on the rows of another table."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from models_onnx.artifact.folder import Artifact
from models_onnx.model_card.evaluation_file import encode_evaluation
from models_onnx.model_card.plots import bins_of
from models_onnx.serving.effects import effects
from models_onnx.serving.runtime import Model
from models_onnx.spec import get_spec
from models_onnx.workbench.release.documentation import model_page, other_rows_page
from models_onnx.workbench.training import commands
from models_onnx.workbench.training.crossvalidate import Progress
from models_onnx.workbench.training.data.cohort import read_table
from models_onnx.workbench.training.pipeline import train

# Groups of people by rising estimate: for the curves, and for the drawing of the calibration.
_FINE, _COARSE = 100, 10


@dataclass(frozen=True, slots=True)
class ShownEvaluation:
    """One evaluation: a Markdown page, a document, the file that the model's pages show, and whether it holds.

    `report` are the arguments of the HTML report (`cds_hooks/pages/models/views.py`).
    """

    page: str
    document: Any
    file: Callable[[], bytes]
    passed: bool
    report: Callable[[], tuple[Any, ...]]


def evaluate_artifact(
    name: str,
    data: Path,
    folder: Path,
    seed: int,
    replicates: int,
    progress: Progress,
    specs: Path | None,
) -> ShownEvaluation:
    """Return the figures out of fold, on people that the model was not trained on."""
    spec = commands.with_equal_ages(get_spec(name, specs))
    trained = train(spec, read_table(spec, data), seed, replicates, progress)
    manifest = trained.manifest

    def report() -> tuple[Any, ...]:
        figures, bins = manifest.evaluation, bins_of(manifest)
        shapes = effects(Model(Artifact(manifest, trained.content)))
        return (manifest, figures["how"], bins, bins, figures["all"], figures["subgroups"], shapes)

    def file() -> bytes:
        return encode_evaluation(commands.later_figures(trained, folder))

    return ShownEvaluation(model_page(manifest, folder=None), manifest, file, trained.passed, report)


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
    evaluated = commands.evaluate_rows(name, rows, folder, seed, replicates, progress, specs, data)
    manifest = evaluated.manifest
    document = {
        "model": {"id": manifest.id, "version": manifest.version, "sha256": manifest.file.sha256},
        "left_out": [{"words": step.words, "count": step.count} for step in evaluated.cohort.left_out],
        "all": evaluated.whole,
        "subgroups": evaluated.subgroups,
    }

    def report() -> tuple[Any, ...]:
        bins = (evaluated.bins(_FINE), evaluated.bins(_COARSE))
        return (manifest, evaluated.how, *bins, evaluated.whole, evaluated.subgroups, effects(evaluated.model))

    return ShownEvaluation(
        other_rows_page(evaluated), document, lambda: encode_evaluation(evaluated.later()), True, report
    )
