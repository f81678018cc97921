"""THE WAY FROM TABLE TO ARTIFACT, one readable function: cohort, folds, fit, reference, compile, evaluate, manifest."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models_onnx.compiler import PiecewiseLinear, Reference, compile_fitted
from models_onnx.compiler.parity import boundary_rows
from models_onnx.manifest import Manifest
from models_onnx.spec import ModelSpec
from models_onnx.training import documents
from models_onnx.training.additive import to_lines
from models_onnx.training.cohort import Cohort, Table, build_cohort
from models_onnx.training.converter import largest_difference
from models_onnx.training.crossvalidate import Folds, OutOfFold, Progress
from models_onnx.training.evaluate import WHOLE, Evaluator, judge
from models_onnx.training.reference import build_reference

PARITY_ROWS = 2000


@dataclass(frozen=True, slots=True)
class Trained:
    """The file and the manifest that belongs to it, not yet written."""

    manifest: Manifest
    content: bytes

    @property
    def passed(self) -> bool:
        """Whether every floor of the specification holds."""
        return all(floor["passed"] for floor in self.manifest.evaluation["floors"])


def train(spec: ModelSpec, table: Table, seed: int, replicates: int, progress: Progress) -> Trained:
    """The artifact of a specification and a table; the file depends on neither `replicates` nor the clock.

    CompileRefused where the file does not agree with scikit-learn, TrainingRefused where the table does not fit.
    """
    cohort = build_cohort(spec, table.rows)
    folds = Folds(spec, cohort, spec.feature_names)
    predicted = folds.out_of_fold(progress, "cross-validation")
    fitted = folds.recalibrated_without()
    model = to_lines(fitted, cohort.features, _highs(spec))
    reference = _reference(cohort, model, predicted)
    described = documents.describe(spec, cohort, table, model, reference, predicted)

    progress("compile and prove", 0, 1)
    rows = parity_rows(cohort, model, seed)
    metadata = documents.metadata(spec, described)
    compiled = compile_fitted(spec.id, model, reference, metadata, fitted.oracle, rows)
    second = largest_difference(fitted, rows, fitted.oracle(rows.astype(np.float64))[0])
    progress("compile and prove", 1, 1)

    threshold = documents.threshold_margin(reference, spec.capacity)
    evaluation = evaluate(spec, cohort, predicted, threshold, seed, replicates, progress)
    parity = documents.parity(compiled.agreement, second)
    manifest = documents.manifest(described, compiled.content, seed, evaluation, parity)
    return Trained(manifest, compiled.content)


def evaluate(
    spec: ModelSpec,
    cohort: Cohort,
    predicted: OutOfFold,
    threshold: float,
    seed: int,
    replicates: int,
    progress: Progress,
) -> dict[str, Any]:
    """The evaluation block of the manifest, from out-of-fold predictions; `threshold` is a margin."""
    evaluator = Evaluator(spec, cohort, predicted, threshold, replicates, seed)
    progress("intervals", 0, 1)
    whole = evaluator.block(np.ones(len(cohort), dtype=bool), {**WHOLE, **evaluator.alerts})
    latest = evaluator.block(cohort.recent, {**WHOLE, **evaluator.alerts})
    simple = Folds(spec, cohort, spec.simple_inputs).out_of_fold(lambda *_: None, "")
    progress("intervals", 1, 1)
    return {
        "how": (
            "Out of fold: knots, fit and recalibration repeated without the person's fold "
            f"({len(predicted.models)} folds by patient). "
            f"95 % intervals: {replicates} bootstrap samples of people."
        ),
        "replicates": replicates,
        "all": whole,
        "latest": latest,
        "simple": evaluator.simple(simple),
        "subgroups": evaluator.subgroups(progress),
        "panels": evaluator.panels(),
        "floors": judge(spec.floors, whole, latest),
    }


def _highs(spec: ModelSpec) -> tuple[float | None, ...]:
    # A clipped input is never too high; its line is flat above the clip.
    return tuple(None if item.clip_high is None else float("inf") for item in spec.inputs)


def _reference(cohort: Cohort, model: PiecewiseLinear, predicted: OutOfFold) -> Reference:
    recent = cohort.recent
    return build_reference(model.margin(cohort.X[recent]), predicted.margin[recent], cohort.y[recent])


def parity_rows(cohort: Cohort, model: PiecewiseLinear, seed: int) -> NDArray[np.float32]:
    """People of the cohort, the same people with values taken away at random, and rows on and beside every edge."""
    generator = np.random.default_rng(seed)
    people = cohort.X[np.linspace(0, len(cohort) - 1, PARITY_ROWS // 2).astype(int)].astype(np.float32)
    holes = np.where(generator.random(people.shape) < 0.3, np.float32(np.nan), people)
    edges = [(*line.knots, line.top) for line in model.lines]
    return np.vstack([people, holes, boundary_rows(np.nanmedian(cohort.X, axis=0), edges)])
