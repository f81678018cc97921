"""An earlier version of a model, recalibrated: its intercept, or its intercept and slope, fitted on new people."""

import numpy as np
from numpy.typing import NDArray

from models_onnx.spec import Recalibrated
from models_onnx.workbench.compiler.entry import read_model
from models_onnx.workbench.compiler.families.from_file import FromFile
from models_onnx.workbench.compiler.families.shapley_trees import DEEPEST
from models_onnx.workbench.compiler.link import Link
from models_onnx.workbench.metrics import cloglog_recalibration, logistic_recalibration
from models_onnx.workbench.training.data.follow_up import Array, FittingRows
from models_onnx.workbench.training.fitting.additive import Linear, fit_logistic
from models_onnx.workbench.training.fitting.own import SIMPLE, Own

_FARTHEST = 20.0
_HALVINGS = 60


def recalibrate(declared: Recalibrated, people: FittingRows) -> Own | Linear:
    """Returns the earlier version with what is fitted anew.

    Raises:
        CompileRefused: The file is not one whose margin a line can recalibrate.
    """
    names = tuple(item.name for item in people.inputs)
    if FromFile.read(declared.source).features != names:
        return fit_logistic(SIMPLE, people)  # the few inputs beside the model
    read = read_model(declared.source, people.X[people.reference], names, DEEPEST)
    model = Own(declared.source, names, read, deepest=DEEPEST)
    is_followed = people.weight > 0
    margin, y, weight = model.margin(people.X)[is_followed], people.observed.y[is_followed], people.weight[is_followed]
    if declared.slope:
        fit = logistic_recalibration if model.link.name == "logit" else cloglog_recalibration
        return model.recalibrated(*fit(margin, y, weight))
    return model.recalibrated(intercept_of(margin, y, weight, model.link), 1.0)


def intercept_of(margin: Array, y: NDArray[np.int64], weight: Array, link: Link) -> float:
    """Returns the shift of the margin with which as many events are expected as were observed, by bisection."""
    observed = float(weight @ y)
    low, high = -_FARTHEST, _FARTHEST
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if float(weight @ link.probability(margin + middle)) < observed:
            low = middle
        else:
            high = middle
    return (low + high) / 2
