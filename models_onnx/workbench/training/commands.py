"""What `cds-hooks model train` and `gates --rows` do, without any drawing: plain functions with typed results.

Where a model comes from: code and declaration, written into its manifest when it is trained.
"""

import hashlib
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

import models_onnx
from models_onnx.artifact.manifest import Lineage, Manifest
from models_onnx.errors import TrainingRefused
from models_onnx.serving.registry import ARTIFACTS, load_model
from models_onnx.spec import REPLICATES, SEED, Fitted, ModelSpec, declaring_file, find_specs, get_spec
from models_onnx.workbench.metrics import logit
from models_onnx.workbench.release.publishing import write_artifact
from models_onnx.workbench.training.crossvalidate import OutOfFold, Progress
from models_onnx.workbench.training.data.cohort import build_cohort, read_rows, read_table
from models_onnx.workbench.training.evaluate import WHOLE, Evaluator
from models_onnx.workbench.training.pipeline import train

_PACKAGE = Path(models_onnx.__file__).parent


def lineage_of(spec: ModelSpec, specs: Path | None = None) -> Lineage:
    """Return what this declaration's model is made with, here and now; `specs` as where the declaration was found."""
    declaration = _declaration(spec, specs)
    return Lineage(
        code=f"cds-hooks-onnx {version('cds-hooks-onnx')}",
        declaration_sha256=_digest(declaration) if declaration is not None else "",
        fitted_sha256=_fitted_digest(spec),
    )


def changed_declaration(manifest: Manifest, specs: Path | None) -> str:
    """Return the name of the declaration of a model if it is another one than when the model was made; else ''."""
    lineage = manifest.lineage
    if not isinstance(lineage, Lineage) or not lineage.declaration_sha256:
        return ""
    declaration = _declaration(get_spec(manifest.id, specs), specs)
    is_same = declaration is None or _digest(declaration) == lineage.declaration_sha256
    return "" if is_same or declaration is None else declaration.name


def _declaration(spec: ModelSpec, specs: Path | None) -> Path | None:
    """Return the file that declares the model, or the one whose twin it is."""
    names = [spec.id, *(model.id for model in find_specs(specs).values() if model.twin == spec.id)]
    folders = [*([specs] if specs is not None else []), _PACKAGE / "models"]
    paths = (declaring_file(name, folder) for folder in folders for name in names)
    return next((path for path in paths if path is not None), None)


def _fitted_digest(spec: ModelSpec) -> str:
    if not isinstance(spec.estimator, Fitted):
        return ""
    return _digest(spec.estimator.folder / spec.estimator.source)


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


PREDICTIONS_AGREE = 1e-4
"""What another processor may change of an estimate."""


def no_progress(_step: str, _done: int, _total: int) -> None:
    """Show nothing."""


def train_model(
    name: str,
    data_folder: Path,
    out: Path = ARTIFACTS,
    seed: int = SEED,
    replicates: int = REPLICATES,
    progress: Progress = no_progress,
    specs: Path | None = None,
) -> Path:
    """Train, prove and evaluate a model, and return the folder of its draft: `<out>/<name>`.

    Beside a version that has been gated it lies as `<out>/<name>@<version>`.
    """
    spec = get_spec(name, specs)
    table = read_table(spec, data_folder)
    trained = train(spec, table, seed, replicates, progress)
    manifest = msgspec.structs.replace(trained.manifest, lineage=lineage_of(spec, specs))
    return write_artifact(out / name, manifest, trained.content)


def evaluate_rows(
    name: str,
    rows: Path,
    folder: Path = ARTIFACTS,
    seed: int = SEED,
    replicates: int = REPLICATES,
    progress: Progress = no_progress,
    specs: Path | None = None,
) -> dict[str, Any]:
    """Evaluate the committed artifact on other rows of its form (no fold needed); every eligible person is predicted.

    Raises:
        TrainingRefused: the table is the one that the model was trained on.
    """
    spec, model = get_spec(name, specs), load_model(name, folder)
    if not isinstance(spec.estimator, Fitted) and _digest(rows) == model.manifest.data.sha256:
        raise TrainingRefused(
            f"{rows.name} is the table that the model was trained on: figures of people not trained on are "
            f"those of /models/{spec.id}"
        )
    cohort = build_cohort(replace(spec, table=rows.name), read_rows(spec, rows))
    predictions = model.predict_rows(cohort.X)
    odds = logit(predictions.probability)
    limit = float(logit(np.array([model.manifest.thresholds.default.probability]))[0])
    predicted = OutOfFold(predictions.margin, odds, {})
    evaluator = Evaluator(spec, cohort, predicted, limit, replicates, seed)
    overall = evaluator.block(np.ones(len(cohort), dtype=bool), {**WHOLE, **evaluator.alerts})
    manifest = model.manifest
    return {
        "model": {"id": manifest.id, "version": manifest.version, "sha256": manifest.file.sha256},
        "how": f"On {rows.name}, {len(cohort):,} {manifest.row_words} it was not trained on.",
        "left_out": [{"words": step.words, "count": step.count} for step in cohort.left_out],
        "all": overall,
        "subgroups": evaluator.subgroups(progress),
    }
