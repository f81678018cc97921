"""What a library says of rows of inputs, and what is refused before it is asked."""

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models_onnx.errors import CompileRefused

Array = NDArray[np.float64]


def refuse_other_names(model_names: Sequence[str] | None, names: Sequence[str]) -> None:
    """CompileRefused where the model has another number of inputs, or the same ones in another order."""
    if model_names is None:
        return
    if len(names) != len(model_names):
        raise CompileRefused(f"the model has {len(model_names)} inputs, {len(names)} names were given")
    if set(names) == set(model_names) and tuple(names) != tuple(model_names):
        raise CompileRefused(f"the inputs are named in another order than the model's: {', '.join(model_names)}")


def library(model: Any, names: Sequence[str]) -> Callable[[Array], Array]:
    """Return the model's own probability of rows [n, F] of numbers."""

    def probability(X: Array) -> Array:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # unknown categories, names of columns: asked on purpose
            probabilities = np.asarray(model.predict_proba(framed(model, X, names)), dtype=np.float64)
        return probabilities[:, 1]

    return probability


def framed(model: Any, X: Array, names: Sequence[str]) -> Any:
    """Return the rows as this scikit-learn object was fitted on them: a data frame where it knows names."""
    fitted_names = getattr(model, "feature_names_in_", None)
    if fitted_names is None or not type(model).__module__.startswith("sklearn"):
        return X
    import pandas as pd

    return pd.DataFrame(X, columns=list(fitted_names if len(fitted_names) == X.shape[1] else names))


def medians(X: Array) -> tuple[float, ...]:
    """Return the middle value of each input, as float32; 0 where there is none."""
    return tuple(float(np.float32(np.nanmedian(x))) if not np.isnan(x).all() else 0.0 for x in X.T)


def refuse_unfitted(model: Any) -> None:
    """CompileRefused where this estimator, or a step of it, was never fitted, or takes another value for missing."""
    if isinstance(model, type) or not hasattr(model, "get_params") or not hasattr(model, "fit"):
        return
    from sklearn.exceptions import NotFittedError
    from sklearn.utils.validation import check_is_fitted

    steps = [step for _, step in getattr(model, "steps", ())] or [model]
    for step in steps:
        try:
            check_is_fitted(step)
        except NotFittedError:
            raise CompileRefused(
                f"{type(step).__name__} is not fitted: call fit(X, y) first, and give the object that was fitted"
            ) from None
        except (TypeError, AttributeError):  # none that scikit-learn knows: whoever reads it says what is wrong
            continue
    missing = getattr(steps[-1], "missing", float("nan"))
    if type(steps[-1]).__name__.startswith("XGB") and isinstance(missing, int | float) and missing == missing:
        raise CompileRefused(
            f"{type(steps[-1]).__name__} was fitted with missing={missing:g}; to the file missing is NaN alone, and "
            f"{missing:g} is a number. Write NaN for {missing:g} in the rows and fit it again with missing=nan"
        )
