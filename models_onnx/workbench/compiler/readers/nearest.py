"""What a model that is not compiled is told: whether it is fitted, why not, and the nearest model that is compiled."""

import math
from typing import Any

from models_onnx.errors import CompileRefused

_REGRESSION = "LogisticRegression"
_TREES = "HistGradientBoostingClassifier(max_depth=4)"
# What works in the place of a model that does not, by the name of its class.
_INSTEAD = {
    "StackingClassifier": "VotingClassifier(voting='soft') of the same models, which is compiled",
    "BaggingClassifier": "RandomForestClassifier(max_depth=4), or VotingClassifier(voting='soft') of a few models",
    "AdaBoostClassifier": "GradientBoostingClassifier(max_depth=2)",
    "GaussianNB": f"{_REGRESSION}, behind PowerTransformer where an input is skewed",
    "BernoulliNB": _REGRESSION,
    "KNeighborsClassifier": _TREES,
    "SVC": f"{_TREES}; in place of a linear kernel {_REGRESSION}",
    "NuSVC": _TREES,
    "LinearSVC": f"{_REGRESSION}, which also gives a probability",
    "RidgeClassifier": f"{_REGRESSION}, which also gives a probability",
    "RidgeClassifierCV": "LogisticRegressionCV, which also gives a probability",
    "Perceptron": f"{_REGRESSION}, which also gives a probability",
    "PassiveAggressiveClassifier": f"{_REGRESSION}, which also gives a probability",
    "LinearRegression": f"{_REGRESSION}: an outcome of 0 or 1 needs a probability",
    "MLPClassifier": _TREES,
    "GaussianProcessClassifier": _TREES,
    "QuadraticDiscriminantAnalysis": f"LinearDiscriminantAnalysis or {_TREES}",
    "DummyClassifier": _REGRESSION,
    "OneVsRestClassifier": f"{_REGRESSION} of two classes",
    "RandomSurvivalForest": "the same forest at the horizon, by Fitted(..., per_year=...) and cds-hooks model adopt",
    "GradientBoostingSurvivalAnalysis": "CoxPHSurvivalAnalysis, or a classifier of the outcome within the horizon",
}
_ELSE = f"{_REGRESSION}, an ExplainableBoostingClassifier or {_TREES}"


def why_not_compiled(model: Any) -> str:
    """Returns why this object is in no family that is compiled, and what is nearest to it."""
    name = type(model).__name__
    if isinstance(model, type):
        return f"{model.__name__} is a class: give the object that was fitted, {model.__name__}(...).fit(X, y)"
    if not hasattr(model, "predict"):
        return f"an object of the type {name} is no fitted model; docs/models/compiler.md lists the families"
    if name == "VotingClassifier":
        return "VotingClassifier(voting='hard') gives no probability: fit it with voting='soft', which is compiled"
    return f"{name} has no exact explanation here; nearest to it is {_INSTEAD.get(name, _ELSE)}"


def refuse_unfitted(model: Any) -> None:
    """CompileRefused where this estimator, or a step of it, was never fitted, or takes another value for missing."""
    if isinstance(model, type) or not hasattr(model, "get_params") or not hasattr(model, "fit"):
        return
    from sklearn.exceptions import NotFittedError
    from sklearn.utils.validation import check_is_fitted

    steps = [step for _, step in getattr(model, "steps", ())] or [model]
    for step in steps:
        if not hasattr(step, "fit"):
            continue
        try:
            check_is_fitted(step)
        except NotFittedError:
            raise CompileRefused(
                f"{type(step).__name__} is not fitted: call fit(X, y) first, and give the object that was fitted"
            ) from None
        except (TypeError, AttributeError):  # none that scikit-learn knows: whoever reads it says what is wrong
            continue
    _refuse_other_missing(steps[-1])


def _refuse_other_missing(model: Any) -> None:
    missing = getattr(model, "missing", float("nan"))
    if type(model).__name__.startswith("XGB") and isinstance(missing, int | float) and not math.isnan(missing):
        raise CompileRefused(
            f"{type(model).__name__} was fitted with missing={missing:g}; to the file missing is NaN alone, and "
            f"{missing:g} is a number. Write NaN for {missing:g} in the rows and fit it again with missing=nan"
        )
