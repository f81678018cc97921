"""From a training table to an artifact, in one readable function: cohort, folds, fit, compile, evaluate, manifest."""

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from models_onnx.artifact.folder import Artifact
from models_onnx.artifact.manifest import Manifest, MissingInputs
from models_onnx.errors import TrainingRefused
from models_onnx.spec import Fitted as FittedElsewhere
from models_onnx.spec import ModelSpec, Period
from models_onnx.workbench.compiler import compile_fitted
from models_onnx.workbench.compiler.entry import imputed_values
from models_onnx.workbench.compiler.families.grouped import AdditiveFile, GroupedModel, facts_of
from models_onnx.workbench.compiler.link import FittedModel
from models_onnx.workbench.compiler.parity import proof_rows
from models_onnx.workbench.compiler.readers.network import OnnxSource
from models_onnx.workbench.compiler.reference import Reference, build_reference
from models_onnx.workbench.metrics import Metric
from models_onnx.workbench.training import documents
from models_onnx.workbench.training.crossvalidate import Folds, OutOfFold, Progress, log_odds
from models_onnx.workbench.training.data.cohort import Cohort, Table, build_cohort, why_empty
from models_onnx.workbench.training.evaluate import WHOLE, Evaluator
from models_onnx.workbench.training.fitting.fit import Fit

# Narrow where cards are shown: the top percent of the cohort is a bin of its own.
BIN_PERCENTILES = (0, 25, 50, 65, 75, 82, 87, 90, 93, 95, 97, 98, 99)


def train(spec: ModelSpec, table: Table, seed: int, replicates: int, progress: Progress) -> Artifact:
    """Return the artifact of a specification and a table; the file depends on neither `replicates` nor the clock.

    CompileRefused where the file does not agree with the fitting library, TrainingRefused where the table does not fit.
    """
    cohort = build_cohort(spec, table.rows)
    for name, x in zip(cohort.features, cohort.X.T, strict=True):
        if np.isnan(x).all():
            raise TrainingRefused(why_empty(spec, name, cohort.rows))
    _refuse_one_outcome(spec, cohort)
    folds = Folds(spec, cohort, spec.feature_names)
    predicted = folds.out_of_fold(progress, "cross-validation")
    fitted = folds.recalibrated_without()
    model = fitted.model
    reference = _reference(cohort, model, predicted)
    described = documents.describe(spec, cohort, table, model, reference, predicted)
    if (missing := missing_inputs_of(spec, fitted, cohort.X[cohort.recent])) is not None:
        described["missing_inputs"] = msgspec.to_builtins(missing)

    marked = facts_of(model) if isinstance(model, GroupedModel | AdditiveFile) else {}
    if isinstance(model, GroupedModel):
        described["cautions"] = [*described["cautions"], marked["explanation"]]
        if groups := model.groups.listed(spec.feature_names):
            described["groups"] = groups

    progress("compile and prove", 0, 1)
    rows = proof_rows(cohort.X, model, seed)
    metadata = {**documents.metadata(spec, described), **marked}
    content, agreement = compile_fitted(spec.id, model, reference, metadata, fitted.oracle, rows)
    progress("compile and prove", 1, 1)

    limit = np.array([documents.threshold_margin(reference, described["thresholds"]["capacity"])])
    threshold = float(log_odds(model.link, limit)[0])
    evaluation = evaluate(spec, cohort, predicted, threshold, seed, replicates, progress)
    parity = documents.parity(agreement)
    manifest = documents.manifest(described, content, seed, evaluation, parity, cohort)
    return Artifact(manifest, content)


def _refuse_one_outcome(spec: ModelSpec, cohort: Cohort) -> None:
    y = cohort.observed.y
    if (y == y[0]).all():
        raise TrainingRefused(
            f"{spec.table}: the outcome {spec.outcome.column} is {y[0]} in all {len(y):,} rows that are left, so "
            "nothing can be learned from them or said of them"
        )


def evaluate(
    spec: ModelSpec,
    cohort: Cohort,
    predicted: OutOfFold,
    threshold: float,
    seed: int,
    replicates: int,
    progress: Progress,
) -> dict[str, Any]:
    """Return the evaluation block of the manifest, from out-of-fold predictions; `threshold` is in log odds."""
    evaluator = Evaluator(spec, cohort, predicted, threshold, replicates, seed)
    wanted = {**WHOLE, **evaluator.alerts}
    everybody = np.ones(len(cohort), dtype=bool)
    progress("intervals", 0, 1)
    overall = evaluator.block(everybody, wanted)
    latest = overall if spec.recalibration is None else evaluator.block(cohort.recent, wanted)
    newest = {} if spec.newest is None else {"newest": _newest(spec.newest, cohort, evaluator, wanted)}
    simple = Folds(spec, cohort, spec.simple_inputs).out_of_fold(lambda *_: None, "")
    progress("intervals", 1, 1)
    return {
        "how": _how(spec, len(predicted.models), replicates),
        "replicates": replicates,
        "all": overall,
        "latest": latest,
        **newest,
        "simple": evaluator.simple(simple),
        "subgroups": evaluator.subgroups(progress),
        "panels": evaluator.panels(),
    }


def _newest(period: Period, cohort: Cohort, evaluator: Evaluator, wanted: Mapping[str, Metric]) -> dict[str, Any]:
    """Return the latest rows that were followed to the horizon; later rows that were followed are refused."""
    column = np.asarray(cohort.rows[period.column], dtype=np.float64)
    rows = np.asarray(period.rows(cohort.rows), dtype=bool)
    if cohort.unfollowed[rows].any() or not rows.any():
        raise TrainingRefused(f"not all rows of {period.words} were followed to the horizon: name an earlier period")
    if (~cohort.unfollowed & (column > period.until)).any():
        raise TrainingRefused(f"rows after {period.words} were followed to the horizon, too: name a later period")
    return {"words": period.words, **evaluator.block(rows, wanted)}


def _how(spec: ModelSpec, folds: int, replicates: int) -> str:
    repeated = "fit" if spec.recalibration is None else "fit and recalibration"
    short = (
        " Who was followed for less than the horizon counts through those of the same period who were followed on "
        "(IPCW); a period of whom fewer than a tenth were followed so long counts nowhere."
    )
    if isinstance(spec.estimator, FittedElsewhere):
        return (
            f"The model was fitted elsewhere, on {spec.estimator.trained_on}; the declaration says that nobody of the "
            f"table was among them. 95 % intervals: {replicates} bootstrap samples of patients."
        ) + (short if spec.outcome.follow_up is not None else "")
    return (
        f"Out of fold: knots, {repeated} repeated without the person's fold ({folds} folds by patient). "
        f"95 % intervals: {replicates} bootstrap samples of patients."
        + (short if spec.outcome.follow_up is not None else "")
    )


def _reference(cohort: Cohort, model: FittedModel, predicted: OutOfFold) -> Reference:
    recent = cohort.recent
    return build_reference(
        model.margin(cohort.X[recent]),
        predicted.margin[recent],
        cohort.y[recent],
        cohort.weight[recent],
        model.link,
        BIN_PERCENTILES,
    )


# What another processor or fewer samples may change, and what says only where and with what it was made.
_MAY_DIFFER = frozenset({"file", "software", "lineage", "parity", "replicates", "how", "low", "high", "sha256"})
_UNTIL = frozenset({"floors", "c_index", "horizons_years"})
"""Members of versions that were made before 30 November 2026."""
_SINCE = frozenset({"calibration_slope", "distributions"})
"""Of groups since 23 November 2026, of inputs since 29 November."""
_AGREES = 0.002
_MOST_SHOWN = 5


def differences(stored: Manifest, trained: Manifest) -> list[str]:
    """Return the first members in which two manifests differ by more than another processor may change."""
    all_differences = _differences("", msgspec.to_builtins(stored), msgspec.to_builtins(trained))
    return list(islice(all_differences, _MOST_SHOWN))


def _differences(path: str, stored: Any, trained: Any) -> Iterator[str]:
    if isinstance(stored, dict) and isinstance(trained, dict):
        # a figure that a manifest does not have yet: nothing in it is wrong
        unwritten = _SINCE - stored.keys() if not path or path.startswith("evaluation.subgroups") else frozenset()
        for name in sorted({*stored, *trained} - _MAY_DIFFER - _UNTIL - unwritten):
            yield from _differences(f"{path}.{name}" if path else name, stored.get(name), trained.get(name))
    elif isinstance(stored, list | tuple) and isinstance(trained, list | tuple) and len(stored) == len(trained):
        for number, (mine, theirs) in enumerate(zip(stored, trained, strict=True)):
            label = mine.get("group", mine.get("name", number)) if isinstance(mine, dict) else number
            yield from _differences(f"{path}[{label}]", mine, theirs)
    elif isinstance(stored, float | int) and isinstance(trained, float | int):
        if abs(stored - trained) > _AGREES * max(1.0, abs(trained)):
            yield f"{path} is {stored:g} and should be {trained:g}"
    elif stored != trained:
        yield f"{path} is {str(stored)[:60]!r} and should be {str(trained)[:60]!r}"


def missing_inputs_of(spec: ModelSpec, fitted: Fit, X: NDArray[np.float64]) -> MissingInputs | None:
    """Return what the manifest says of missing inputs; None where they count as the average of the cohort X [n, F].

    Raises:
        TrainingRefused: "imputed" is declared, and nothing before the model puts a value for a missing input.
    """
    model = fitted.model
    if isinstance(model, GroupedModel) and model.fills:
        return MissingInputs(kind="imputed", values=dict(zip(model.features, model.background.tolist(), strict=True)))
    if spec.missing_inputs == "learned":
        return MissingInputs(kind="learned")
    is_file = isinstance(fitted.estimator, OnnxSource)
    if fitted.estimator is None or (spec.missing_inputs is None and not is_file):
        return None
    if spec.missing_inputs is None and isinstance(model, AdditiveFile) and model.fills:
        return None
    values = imputed_values(fitted.estimator, model, X)
    absent = sorted(set(spec.feature_names) - set(spec.always_required) - set(values))
    if not absent:
        return MissingInputs(kind="imputed", values=values)
    if spec.missing_inputs is None:
        return MissingInputs(kind="learned")
    raise TrainingRefused(
        f"{spec.id}: missing_inputs='imputed' is declared, and no step before the model puts a value for "
        f"{', '.join(absent)}; declare missing_inputs='learned', or impute it in the pipeline"
    )
