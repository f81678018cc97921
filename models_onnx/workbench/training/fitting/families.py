"""One way to fit every family of models that can be declared."""

from collections.abc import Sequence
from typing import Protocol

from models_onnx.spec import AdditiveCox, AdditiveLogistic, CauseSpecificCox, Estimator, OwnEstimator
from models_onnx.workbench.compiler.link import FittedModel, Link
from models_onnx.workbench.compiler.parity import Oracle
from models_onnx.workbench.training.data.follow_up import Array, FittingRows
from models_onnx.workbench.training.fitting.additive import fit_cox_model, fit_logistic
from models_onnx.workbench.training.fitting.competing import fit_causes
from models_onnx.workbench.training.fitting.own import fit_own, load_own


class Fitted(Protocol):
    """A fitted model before it is compiled."""

    @property
    def link(self) -> Link:
        """From margin to probability."""

    def margin(self, X: Array) -> Array:
        """Margins [n] on the scale of the link."""

    def recalibrated(self, intercept: float, slope: float) -> "Fitted":
        """Return the same model with margin = intercept + slope * margin."""

    def form(self, features: tuple[str, ...], highs: Sequence[float | None]) -> FittedModel:
        """Return what the compiler writes."""

    def oracle_of(self, form: FittedModel) -> Oracle:
        """Return what the compiled file must agree with: the library's own probability and contributions."""


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
    return load_own(estimator, people, horizon_years)
