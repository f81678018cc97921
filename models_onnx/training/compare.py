"""Which family of models is chosen: each fitted and judged on the same folds; the simplest within 0.01 AUROC wins."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from models_onnx.errors import TrainingRefused
from models_onnx.estimator import AdditiveCox, AdditiveLogistic, AdditiveTrees, Estimator, ShallowTrees
from models_onnx.evaluation import metrics
from models_onnx.evaluation.bootstrap import Rows, estimate, gain
from models_onnx.spec import SEED, ModelSpec, get_spec
from models_onnx.training.cohort import Cohort, Table, build_cohort, read_table
from models_onnx.training.crossvalidate import Folds, OutOfFold, Progress
from models_onnx.training.evaluate import WHOLE, rounded
from models_onnx.training.follow_up import c_index

NEAR_ENOUGH = 0.01
REPLICATES = 200
FILE = "comparison.json"
# Plain settings, not tuned: what a family can do without trying.
_TREES = {"rounds": 150, "rate": 0.08, "leaf": 100}

Figures = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Comparison:
    """What was compared, on whom, and who won; `document` is what is written."""

    document: Figures

    @property
    def agrees(self) -> bool:
        """Whether the family that the specification declares is the one that wins."""
        return bool(self.document["champion"] == self.document["declared"])


def candidates(spec: ModelSpec) -> dict[str, Estimator]:
    """One of each family, simplest first; the declared one in the place of its family, as it is declared."""
    found: dict[str, Estimator] = {"additive logistic": AdditiveLogistic(knots=5, C=0.3)}
    if spec.outcome.follow_up is not None:
        found["Cox"] = AdditiveCox(knots=5, penalty=5.0, horizons_years=(1.0, 2.0))
    found["additive trees"] = AdditiveTrees(**_TREES)  # type: ignore[arg-type]  # whole numbers and one share
    found["boosted trees"] = ShallowTrees(depth=3, **_TREES)  # type: ignore[arg-type]  # the same
    for words, each in found.items():
        if type(each) is type(spec.estimator):
            found[words] = spec.estimator
    return found


def compare(spec: ModelSpec, table: Table, seed: int, replicates: int, progress: Progress) -> Comparison:
    """Figures with intervals of every family, out of fold, and the champion."""
    cohort = build_cohort(spec, table.rows)
    predicted: dict[str, OutOfFold] = {}
    for words, estimator in candidates(spec).items():
        predicted[words] = Folds(spec, cohort, spec.feature_names, estimator).out_of_fold(progress, words)
    progress("intervals", 0, 1)
    blocks = [_block(spec, cohort, words, each, seed, replicates) for words, each in predicted.items()]
    best = max(blocks, key=lambda block: float(block["auroc"]["value"]))
    known, rows = _known(cohort)
    for block in blocks:
        mine, theirs = predicted[block["family"]].logit[known], predicted[best["family"]].logit[known]
        change = gain(metrics.auroc, mine, theirs, cohort.y[known], seed=seed, replicates=replicates, rows=rows)
        block["behind_the_best"] = rounded(change)
    champion = next(b for b in blocks if b["auroc"]["value"] >= best["auroc"]["value"] - NEAR_ENOUGH)
    progress("intervals", 1, 1)
    return Comparison(
        {
            "id": spec.id,
            "version": spec.version,
            "data_sha256": table.sha256,
            "n": len(cohort),
            "events": int(cohort.y.sum()),
            "rule": f"the simplest within {NEAR_ENOUGH} AUROC of the best",
            "replicates": replicates,
            "families": blocks,
            "champion": champion["family"],
            "declared": next(w for w, e in candidates(spec).items() if e is spec.estimator),
        }
    )


def compare_model(
    name: str,
    data_folder: Path,
    seed: int = SEED,
    replicates: int = REPLICATES,
    progress: Progress = lambda *_: None,
    specs: Path | None = None,
) -> Comparison:
    """The comparison of that model's specification, on its table."""
    spec = get_spec(name, specs)
    table = read_table(spec, data_folder)
    if spec.estimator not in candidates(spec).values():
        raise TrainingRefused(f"{name}: its estimator belongs to no family that is compared")
    return compare(spec, table, seed, replicates, progress)


def _known(cohort: Cohort) -> tuple[Any, Rows]:
    known = cohort.weight > 0
    return known, Rows(cohort.patient, cohort.weight).of(known)


def _block(spec: ModelSpec, cohort: Cohort, words: str, predicted: OutOfFold, seed: int, replicates: int) -> Figures:
    known, rows = _known(cohort)
    figures = estimate(WHOLE, predicted.logit[known], cohort.y[known], replicates, seed, rows)
    block: Figures = {"family": words, "words": candidates(spec)[words].words}
    block |= {name: rounded(each) for name, each in figures.items()}
    if spec.outcome.follow_up is not None:
        block["c_index"] = round(c_index(predicted.logit, cohort.observed, spec.outcome.horizon_years), 4)
    return block
