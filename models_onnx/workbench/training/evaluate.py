"""Evaluates a model's whole procedure on people it was not trained on, and compares the families it may be of.

Figures come with intervals and by subgroup. Each family is fitted and judged on the same folds; the simplest within
0.01 AUROC of the best is chosen.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier

from models_onnx.errors import TrainingRefused
from models_onnx.spec import (
    SEED,
    AdditiveCox,
    AdditiveLogistic,
    CauseSpecificCox,
    Estimator,
    Floors,
    ModelSpec,
    OwnEstimator,
    get_spec,
)
from models_onnx.workbench import metrics
from models_onnx.workbench.metrics import Estimate, Metric, PatientRows, estimate, gain
from models_onnx.workbench.training.crossvalidate import Folds, OutOfFold, Progress
from models_onnx.workbench.training.data.cohort import Cohort, Table, build_cohort, read_table
from models_onnx.workbench.training.data.follow_up import c_index
from models_onnx.workbench.training.fitting.additive import Array

# responsible-ai 5.2, fairness: fewer events than this in a group is "insufficient", never "passed".
ENOUGH_EVENTS = 100
# Pairs of people take long to count: as many samples as give the second digit of an interval.
C_REPLICATES = 20

WHOLE: Mapping[str, Metric] = {
    "auroc": metrics.auroc,
    "auprc": metrics.auprc,
    "brier": metrics.brier,
    "calibration_intercept": metrics.calibration_intercept,
    "calibration_slope": metrics.calibration_slope,
    "observed_expected": metrics.observed_expected,
}

Figures = dict[str, Any]

NOT_FOLLOWED = "insufficient: fewer than a tenth of them were followed for the whole horizon"
UNKNOWN: Mapping[str, None] = {"value": None, "low": None, "high": None}


class Evaluator:
    """One cohort, its out-of-fold predictions and the threshold (log odds); each method gives one block.

    Rows whose outcome is not known count through the weights of the others.
    """

    def __init__(
        self, spec: ModelSpec, cohort: Cohort, predicted: OutOfFold, threshold: float, replicates: int, seed: int
    ) -> None:
        self.spec, self.cohort, self.predicted = spec, cohort, predicted
        self.replicates, self.seed, self.threshold = replicates, seed, threshold
        self.known = cohort.weight > 0
        self.rows = PatientRows(cohort.patient, cohort.weight)
        self.alerts: Mapping[str, Metric] = {
            "alert_rate": partial(metrics.alert_rate, threshold=threshold),
            "ppv": partial(metrics.ppv, threshold=threshold),
            "sensitivity": partial(metrics.sensitivity, threshold=threshold),
            "false_positive_rate": partial(metrics.false_positive_rate, threshold=threshold),
        }

    def block(self, rows: NDArray[np.bool_], wanted: Mapping[str, Metric]) -> Figures:
        """n, events and the wanted figures with intervals, of these rows as far as their outcome can be estimated."""
        is_followed = rows & self.known
        y = self.cohort.y[is_followed]
        estimates = estimate(
            wanted, self.predicted.logit[is_followed], y, self.replicates, self.seed, self.rows.of(is_followed)
        )
        counted = rows & ~self.cohort.unfollowed
        return {"n": int(counted.sum()), "events": int(y.sum()), **{name: rounded(e) for name, e in estimates.items()}}

    def unfollowed(self, rows: NDArray[np.bool_], wanted: Iterable[str]) -> Figures:
        """Return the block of rows of whom too few were followed to the horizon: people, events seen, no figures."""
        seen = int(self.cohort.y[rows].sum())
        return {"n": int(rows.sum()), "events": seen, "insufficient": NOT_FOLLOWED, **dict.fromkeys(wanted, UNKNOWN)}

    def c_index(self, rows: NDArray[np.bool_]) -> Figures:
        """Harrell's C over the follow-up to the horizon, with an interval over samples of patients."""
        observed, margin = self.cohort.observed, self.predicted.logit
        horizon = self.spec.outcome.horizon_years
        point = c_index(margin[rows], observed.part(rows), horizon)
        drawn = []
        places = np.flatnonzero(rows)
        generator = np.random.default_rng(self.seed)
        for _ in range(min(C_REPLICATES, self.replicates)):
            sample = places[generator.integers(0, len(places), len(places))]
            drawn.append(c_index(margin[sample], observed.part(sample), horizon))
        # Few samples give a spread, not percentiles.
        spread = 1.96 * float(np.std(drawn, ddof=1)) if len(drawn) > 1 else 0.0
        return rounded(Estimate(point, point - spread, point + spread))

    def simple(self, simple: OutOfFold) -> Figures:
        """Return the AUROC of the same procedure with few inputs, and what the others gain, on the same samples."""
        is_followed = self.known
        y, rows = self.cohort.y[is_followed], self.rows.of(is_followed)
        alone = estimate({"auroc": metrics.auroc}, simple.logit[is_followed], y, self.replicates, self.seed, rows)[
            "auroc"
        ]
        more = gain(
            metrics.auroc,
            self.predicted.logit[is_followed],
            simple.logit[is_followed],
            y,
            self.replicates,
            self.seed,
            rows,
        )
        return {"inputs": list(self.spec.simple_inputs), "auroc": rounded(alone), "gain": rounded(more)}

    def subgroups(self, progress: Progress) -> list[Figures]:
        """Return one block per group of every axis; `sufficient` is false below 100 events."""
        blocks = []
        axes = list(self.spec.subgroups.items())
        wanted = {
            "auroc": metrics.auroc,
            "observed_expected": metrics.observed_expected,
            "calibration_slope": metrics.calibration_slope,
            **self.alerts,
        }
        for done, (axis, column_of) in enumerate(axes):
            progress("subgroups", done, len(axes))
            column = column_of(self.cohort.rows).to_numpy()
            for group in sorted({member for member in column if not pd.isna(member)}):
                rows = column == group
                labels = {"axis": axis, "group": str(group)}
                if not (rows & self.known).any():
                    blocks.append({**labels, "sufficient": False, **self.unfollowed(rows, wanted)})
                    continue
                figures = self.block(rows, {**wanted, **self._standardised(axis, rows & self.known)})
                blocks.append({**labels, "sufficient": figures["events"] >= ENOUGH_EVENTS, **figures})
                latest = rows & self.cohort.recent
                if (latest & self.known).any() and not latest[rows].all():
                    blocks[-1]["latest"] = self.block(latest, {"observed_expected": metrics.observed_expected})
        progress("subgroups", len(axes), len(axes))
        return blocks

    def _standardised(self, axis: str, is_followed: NDArray[np.bool_]) -> Mapping[str, Metric]:
        """Error rates of a group as they would be with the ages of everybody; none for the axis of age itself."""
        by = self.spec.standardise_by
        if by is None or axis == by:
            return {}
        band = pd.factorize(self.spec.subgroups[by](self.cohort.rows), sort=True)[0]
        y, weight = self.cohort.y, self.cohort.weight
        kinds = {"sensitivity_standardised": 1, "false_positive_rate_standardised": 0}
        return {
            name: metrics.standardised_alerts(
                self.threshold,
                kind,
                band[is_followed],
                np.bincount(band[self.known], weights=((y == kind) * weight)[self.known]),
            )
            for name, kind in kinds.items()
        }

    def panels(self) -> list[Figures]:
        """Return what happens to everyone's prediction when a panel of inputs is not there."""
        blocks = []
        is_followed = self.cohort.recent & self.known
        for words, names in self.spec.panels.items():
            X = self.cohort.X.copy()
            X[:, [self.cohort.features.index(name) for name in names]] = np.nan
            odds = self.predicted.logit_of(X, self.cohort.fold)[is_followed]
            wanted = {"auroc": metrics.auroc, "observed_expected": metrics.observed_expected}
            figures = estimate(
                wanted, odds, self.cohort.y[is_followed], self.replicates, self.seed, self.rows.of(is_followed)
            )
            blocks.append(
                {
                    "words": words,
                    "missing": list(names),
                    "scored": self._scored(X),
                    **{k: rounded(e) for k, e in figures.items()},
                }
            )
        return blocks

    def _scored(self, X: Array) -> bool:
        is_there: NDArray[np.bool_] = ~np.all(np.isnan(X), axis=0)
        there = dict(zip(self.cohort.features, is_there.tolist(), strict=True))
        return all(there[name] for name in self.spec.always_required) and all(
            sum(there[m] for m in group.members) >= group.at_least for group in self.spec.required_groups
        )


def judge(floors: Floors, overall: Figures, latest: Figures) -> list[Figures]:
    """Return each floor with its figure and whether it holds, on all people and on those of the latest period."""
    low, high = floors.slope
    floors_judged = [_floor("AUROC, all", overall["auroc"]["value"], f"at least {floors.auroc}", floors.auroc)]
    if floors.c_index is not None:
        floors_judged.append(
            _floor("C-index, all", overall["c_index"]["value"], f"at least {floors.c_index}", floors.c_index)
        )
    blocks = {"all": overall} if latest is overall else {"all": overall, "latest": latest}
    for words, block in blocks.items():
        slope, oe = block["calibration_slope"]["value"], block["observed_expected"]
        floors_judged.append(_floor(f"calibration slope, {words}", slope, f"{low} to {high}", low, high))
        floors_judged.append(_observed_expected(floors, words, oe))
    return floors_judged


def _observed_expected(floors: Floors, words: str, figure: dict[str, float | None]) -> Figures:
    low, high = floors.observed_expected
    begins, ends = figure["low"], figure["high"]
    meets = begins is not None and ends is not None and begins <= high and ends >= low
    return _judged_floor(f"O/E, {words}", figure["value"], f"interval meets {low} to {high}", meets)


def _floor(name: str, value: float | None, limit: str, low: float, high: float = np.inf) -> Figures:
    return _judged_floor(name, value, limit, value is not None and low <= value <= high)


def _judged_floor(name: str, value: float | None, limit: str, passed: bool) -> Figures:
    """Return the floor with its verdict; a figure that cannot be computed, as of a constant score, does not hold."""
    return {"name": name, "value": value, "limit": limit, "passed": passed and value is not None}


def rounded(figure: Estimate) -> dict[str, float | None]:
    """Return a figure as it is written: four decimals, None where it cannot be computed."""
    ends = {"value": figure.value, "low": figure.low, "high": figure.high}
    return {name: None if np.isnan(value) else round(value, 4) for name, value in ends.items()}


NEAR_ENOUGH = 0.01
REPLICATES = 200
FILE = "comparison.json"
# Plain settings, not tuned: what a family can do without trying.
_TREES: Mapping[str, Any] = {
    "max_depth": 3, "max_iter": 150, "learning_rate": 0.08, "min_samples_leaf": 100, "early_stopping": False,
    "random_state": 0,
}  # fmt: skip
_TREES_IN_WORDS = {
    "additive trees": "additive boosted trees (a step function of every input)",
    "boosted trees": "boosted trees of depth 3",
}
OWN = "its own estimator"


@dataclass(frozen=True, slots=True)
class FamilyComparison:
    """What was compared, on whom, and who won; `document` is what is written."""

    document: Figures

    @property
    def agrees(self) -> bool:
        """Whether the family that the specification declares is the one that wins."""
        return bool(self.document["champion"] == self.document["declared"])


def candidates(spec: ModelSpec) -> dict[str, Estimator]:
    """Return one of each family, simplest first; the declared one in the place of its family, or as the last."""
    estimators: dict[str, Estimator] = {"additive logistic": AdditiveLogistic(knots=5, C=0.3)}
    if spec.outcome.follow_up is not None:
        family = AdditiveCox if spec.outcome.follow_up.competing is None else CauseSpecificCox
        estimators["Cox"] = family(knots=5, penalty=5.0, horizons_years=(1.0, 2.0))
    for words, estimator in estimators.items():
        if type(estimator) is type(spec.estimator):
            estimators[words] = spec.estimator
    rises = [item.rises for item in spec.inputs]
    for words, interactions in zip(_TREES_IN_WORDS, ("no_interactions", None), strict=True):
        trees = HistGradientBoostingClassifier(monotonic_cst=rises, interaction_cst=interactions, **_TREES)
        estimators[words] = OwnEstimator(trees)
    return {**estimators, OWN: spec.estimator} if isinstance(spec.estimator, OwnEstimator) else estimators


def compare(spec: ModelSpec, table: Table, seed: int, replicates: int, progress: Progress) -> FamilyComparison:
    """Figures with intervals of every family, out of fold, and the champion."""
    cohort = build_cohort(spec, table.rows)
    predicted: dict[str, OutOfFold] = {}
    for words, estimator in candidates(spec).items():
        predicted[words] = Folds(spec, cohort, spec.feature_names, estimator).out_of_fold(progress, words)
    progress("intervals", 0, 1)
    blocks = [_block(spec, cohort, words, predictions, seed, replicates) for words, predictions in predicted.items()]
    best = max(blocks, key=lambda block: float(block["auroc"]["value"]))
    is_followed, rows = _followed(cohort)
    for block in blocks:
        mine, theirs = predicted[block["family"]].logit[is_followed], predicted[best["family"]].logit[is_followed]
        change = gain(metrics.auroc, mine, theirs, cohort.y[is_followed], seed=seed, replicates=replicates, rows=rows)
        block["behind_the_best"] = rounded(change)
    champion = next(b for b in blocks if b["auroc"]["value"] >= best["auroc"]["value"] - NEAR_ENOUGH)
    progress("intervals", 1, 1)
    return FamilyComparison(
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
) -> FamilyComparison:
    """Return the comparison of that model's specification, on its table."""
    spec = get_spec(name, specs)
    table = read_table(spec, data_folder)
    if spec.estimator not in candidates(spec).values():
        raise TrainingRefused(f"{name}: its estimator belongs to no family that is compared")
    return compare(spec, table, seed, replicates, progress)


def _followed(cohort: Cohort) -> tuple[Any, PatientRows]:
    is_followed = cohort.weight > 0
    return is_followed, PatientRows(cohort.patient, cohort.weight).of(is_followed)


def _block(spec: ModelSpec, cohort: Cohort, words: str, predicted: OutOfFold, seed: int, replicates: int) -> Figures:
    is_followed, rows = _followed(cohort)
    figures = estimate(WHOLE, predicted.logit[is_followed], cohort.y[is_followed], replicates, seed, rows)
    block: Figures = {"family": words, "words": _TREES_IN_WORDS.get(words) or candidates(spec)[words].words}
    block |= {name: rounded(estimated) for name, estimated in figures.items()}
    if spec.outcome.follow_up is not None:
        block["c_index"] = round(c_index(predicted.logit, cohort.observed, spec.outcome.horizon_years), 4)
    return block
