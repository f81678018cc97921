"""One way to fit every family of models that can be declared."""

from models_onnx.spec import AdditiveCox, AdditiveLogistic, CauseSpecificCox, Estimator, OwnEstimator
from models_onnx.workbench.training.data.follow_up import FittingRows
from models_onnx.workbench.training.fitting.additive import fit_cox_model, fit_logistic
from models_onnx.workbench.training.fitting.competing import fit_causes
from models_onnx.workbench.training.fitting.fit import Fit
from models_onnx.workbench.training.fitting.own import fit_own, load_own


def fit(estimator: Estimator, people: FittingRows, horizon_years: float) -> Fit:
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
