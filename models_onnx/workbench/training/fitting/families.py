"""One way to fit every family of models that can be declared.

Boosted trees are fitted with scikit-learn: one function per input, or a few questions deep; monotone where declared.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # comes with scikit-learn, has no types

from models_onnx.spec import (
    AdditiveCox,
    AdditiveLogistic,
    AdditiveTrees,
    CauseSpecificCox,
    Estimator,
    OwnEstimator,
    ShallowTrees,
)
from models_onnx.spec import Fitted as FittedElsewhere
from models_onnx.workbench.compiler.families.additive_trees import AdditiveTrees as AdditiveForm
from models_onnx.workbench.compiler.families.additive_trees import steps_of
from models_onnx.workbench.compiler.families.shapley_trees import ShapleyTrees
from models_onnx.workbench.compiler.families.trees import Ensemble
from models_onnx.workbench.compiler.link import LOGIT, FittedModel, Link
from models_onnx.workbench.compiler.parity import Oracle
from models_onnx.workbench.compiler.readers.sklearn_trees import from_hist_gradient_boosting
from models_onnx.workbench.training.data.follow_up import Array, FittingRows
from models_onnx.workbench.training.fitting.additive import Linear, fit_cox_model, fit_logistic
from models_onnx.workbench.training.fitting.competing import TwoCauses, fit_causes
from models_onnx.workbench.training.fitting.own import Own, fit_own, load_own

# Bins of an additive tree's steps; more questions than these about one input say nothing new.
_ADDITIVE_DEPTH = 3
_STEPS = 128


@dataclass(frozen=True, slots=True)
class Boosted:
    """The fitted trees; a missing input counts as the mean of the reference cohort, so that it adds (nearly) nothing.

    `names` are placeholders: the trees know positions.
    """

    trees: HistGradientBoostingClassifier
    fill: Array
    is_additive: bool
    intercept: float = 0.0
    slope: float = 1.0
    link: Link = field(default=LOGIT)

    def margin(self, X: Array) -> Array:
        """scikit-learn's decision function, recalibrated."""
        with threadpool_limits(limits=1):  # threads that wait for each other cost more than they share
            score = self.trees.decision_function(self._filled(X))
        return np.asarray(self.intercept + self.slope * score)

    def recalibrated(self, intercept: float, slope: float) -> "Boosted":
        """Return the same model with margin = intercept + slope * margin."""
        return replace(self, intercept=intercept + slope * self.intercept, slope=slope * self.slope)

    def form(self, features: tuple[str, ...], highs: Sequence[float | None], reference: Array) -> FittedModel:
        """Step functions, or trees with exact Shapley values against the reference rows; trained range of those."""
        ensemble = self._ensemble(features)
        low = np.nanmin(reference, axis=0).tolist()
        top = np.nanmax(reference, axis=0).tolist()
        high = [highest if declared is None else declared for highest, declared in zip(top, highs, strict=True)]
        filled = self._filled(reference)
        if not self.is_additive:
            return ShapleyTrees.of(ensemble, filled, low, high)
        terms, start = steps_of(ensemble)
        return AdditiveForm.centred(features, terms, start, filled, LOGIT, low, high)

    def oracle_of(self, form: FittedModel, X: Array) -> tuple[Array, Array]:
        """scikit-learn's probability; the contributions of the form in numpy, whose sum it must be."""
        return LOGIT.probability(self.margin(X)), form.contributions(X)

    def _ensemble(self, features: tuple[str, ...]) -> Ensemble:
        ensemble = from_hist_gradient_boosting(self.trees, features).with_missing_replaced(self.fill.tolist())
        return ensemble.scaled(self.intercept, self.slope)

    def _filled(self, X: Array) -> Array:
        # float32, as the file is given its inputs: a value beside a threshold must fall on the same side.
        with np.errstate(over="ignore"):
            seen = X.astype(np.float32).astype(np.float64)
        return np.where(np.isnan(seen), self.fill, seen)


def _coarse(X: Array) -> Array:
    """At most 128 values per input, its quantiles: scikit-learn finds those with weights one by one, minutes long."""
    columns = []
    for column in X.T:
        steps = np.unique(np.quantile(column, np.linspace(0.0, 1.0, _STEPS), method="lower"))
        columns.append(steps[np.searchsorted(steps, column, side="right") - 1])
    return np.column_stack(columns)


def fit_trees(estimator: AdditiveTrees | ShallowTrees, people: FittingRows) -> Boosted:
    """Return trees fitted on everybody whose outcome counts, without subsampling: the same rows give the same trees."""
    additive = isinstance(estimator, AdditiveTrees)
    fill = np.nanmean(people.X[people.reference], axis=0).astype(np.float32).astype(np.float64)
    is_followed = people.weight > 0
    X = _coarse(np.where(np.isnan(people.X), fill, people.X)[is_followed])
    trees = HistGradientBoostingClassifier(
        max_depth=_ADDITIVE_DEPTH if isinstance(estimator, AdditiveTrees) else estimator.depth,
        max_iter=estimator.rounds,
        learning_rate=estimator.rate,
        min_samples_leaf=estimator.leaf,
        monotonic_cst=[item.rises for item in people.inputs],
        interaction_cst="no_interactions" if additive else None,
        early_stopping=False,
        random_state=0,
    )
    with threadpool_limits(limits=1):
        trees.fit(X, people.observed.y[is_followed], sample_weight=people.weight[is_followed])
    return Boosted(trees, fill, additive)


class Fitted(Protocol):
    """A fitted model before it is compiled."""

    @property
    def link(self) -> Link:
        """From margin to probability."""
        ...

    def margin(self, X: Array) -> Array:
        """Margins [n] on the scale of the link."""
        ...

    def recalibrated(self, intercept: float, slope: float) -> "Fitted":
        """Return the same model with margin = intercept + slope * margin."""
        ...

    def form(self, features: tuple[str, ...], highs: Sequence[float | None], reference: Array) -> FittedModel:
        """Return what the compiler writes."""
        ...


def fit(estimator: Estimator, people: FittingRows, horizon_years: float) -> Fitted:
    """Fits the model of this family on these people."""
    if isinstance(estimator, AdditiveLogistic):
        return fit_logistic(estimator, people)
    if isinstance(estimator, CauseSpecificCox):
        return fit_causes(estimator, people, horizon_years)
    if isinstance(estimator, AdditiveCox):
        return fit_cox_model(estimator, people, horizon_years)
    if isinstance(estimator, OwnEstimator):
        return fit_own(estimator, people)
    if isinstance(estimator, FittedElsewhere):
        return load_own(estimator, people, horizon_years)
    return fit_trees(estimator, people)


def oracle_of(fitted: Fitted, form: FittedModel) -> Oracle:
    """Return what the compiled file must agree with: the library's own probability and contributions."""
    if isinstance(fitted, Linear):
        return fitted.oracle
    if isinstance(fitted, Own | TwoCauses):
        return fitted.oracle_of(form)
    if isinstance(fitted, Boosted):
        return _boosted_oracle(fitted, form)
    raise TypeError(f"no oracle for {type(fitted).__name__}")


def _boosted_oracle(fitted: Boosted, form: FittedModel) -> Callable[[Array], tuple[Array, Array]]:
    return lambda X: fitted.oracle_of(form, X)
