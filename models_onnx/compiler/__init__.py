"""Fitted model and reference cohort in, one self-explaining ONNX file out; refuses a file that does not agree.

`compile_model` is the whole of it for a fitted scikit-learn or EBM object or a LightGBM or XGBoost file
(docs/models/compiler.md); `compile_fitted` is the same for the families of `fitted.py`, with a proof of one's own.
"""

from models_onnx.compiler.additive_trees import AdditiveTrees, Term, additive, steps_of
from models_onnx.compiler.compile import Compiled, compile_fitted
from models_onnx.compiler.ebm import terms_of
from models_onnx.compiler.entry import compile_model
from models_onnx.compiler.familiarity import Familiarity
from models_onnx.compiler.fitted import FittedModel
from models_onnx.compiler.groups import Groups
from models_onnx.compiler.linear import CoxModel
from models_onnx.compiler.link import IDENTITY, LOGIT, Link, Survival
from models_onnx.compiler.parity import Agreement, Oracle, verify
from models_onnx.compiler.piecewise import PiecewiseLinear
from models_onnx.compiler.reference import CalibrationBin, Reference
from models_onnx.compiler.report import CompiledModel, Report
from models_onnx.compiler.shapley_trees import ShapleyTrees
from models_onnx.compiler.sklearn_trees import from_forest, from_gradient_boosting, from_hist_gradient_boosting
from models_onnx.compiler.source import NoExactExplanation
from models_onnx.compiler.trees import Ensemble, Tree

__all__ = [
    "IDENTITY",
    "LOGIT",
    "AdditiveTrees",
    "Agreement",
    "CalibrationBin",
    "Compiled",
    "CompiledModel",
    "CoxModel",
    "Ensemble",
    "Familiarity",
    "FittedModel",
    "Groups",
    "Link",
    "NoExactExplanation",
    "Oracle",
    "PiecewiseLinear",
    "Reference",
    "Report",
    "ShapleyTrees",
    "Survival",
    "Term",
    "Tree",
    "additive",
    "compile_fitted",
    "compile_model",
    "from_forest",
    "from_gradient_boosting",
    "from_hist_gradient_boosting",
    "steps_of",
    "terms_of",
    "verify",
]
