"""One way to fit every family of models that can be declared (models_onnx/estimator.py)."""

from collections.abc import Callable, Sequence
from typing import Protocol

from models_onnx.compiler import FittedModel, Link, Oracle
from models_onnx.estimator import AdditiveCox, AdditiveLogistic, Estimator
from models_onnx.training.additive import Linear, fit_cox_model, fit_logistic
from models_onnx.training.boosted import Boosted, fit_trees
from models_onnx.training.people import Array, People


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
        """The same model with margin = intercept + slope * margin."""
        ...

    def form(self, features: tuple[str, ...], highs: Sequence[float | None], reference: Array) -> FittedModel:
        """What the compiler writes."""
        ...


def fit(estimator: Estimator, people: People, horizon_years: float) -> Fitted:
    """The model of this family, fitted on these people."""
    if isinstance(estimator, AdditiveLogistic):
        return fit_logistic(estimator, people)
    if isinstance(estimator, AdditiveCox):
        return fit_cox_model(estimator, people, horizon_years)
    return fit_trees(estimator, people)


def oracle_of(fitted: Fitted, form: FittedModel) -> Oracle:
    """What the compiled file must agree with: the library's own probability and contributions."""
    if isinstance(fitted, Linear):
        return fitted.oracle
    if isinstance(fitted, Boosted):
        return _boosted_oracle(fitted, form)
    raise TypeError(f"no oracle for {type(fitted).__name__}")


def _boosted_oracle(fitted: Boosted, form: FittedModel) -> Callable[[Array], tuple[Array, Array]]:
    return lambda X: fitted.oracle_of(form, X)
