"""Compiles a fitted model and a reference cohort into one self-explaining ONNX file, and verifies the file.

`compile_model` does all of it for a fitted scikit-learn or EBM object or a LightGBM or XGBoost file
(docs/models/compiler.md); `compile_fitted` does the same for the families of `compiler/families`, with an oracle that
the caller supplies. A file that does not agree with the model is refused.
"""

from models_onnx.workbench.compiler.entry import CompilationReport, CompiledModel, compile_model
from models_onnx.workbench.compiler.explaining_graph import Compiled, Groups, compile_fitted
from models_onnx.workbench.compiler.families.additive_trees import AdditiveTrees, Term, additive, ebm_terms, steps_of
from models_onnx.workbench.compiler.families.piecewise import PiecewiseLinear
from models_onnx.workbench.compiler.families.shapley_trees import ShapleyTrees
from models_onnx.workbench.compiler.families.trees import Ensemble, Tree
from models_onnx.workbench.compiler.link import IDENTITY, LOGIT, FittedModel, Link, Survival
from models_onnx.workbench.compiler.parity import Agreement, Oracle, verify
from models_onnx.workbench.compiler.readers.sklearn_trees import (
    from_forest,
    from_gradient_boosting,
    from_hist_gradient_boosting,
)
from models_onnx.workbench.compiler.readers.source import CoxModel
from models_onnx.workbench.compiler.reference import CalibrationBin, Familiarity, Reference

__all__ = [
    "IDENTITY",
    "LOGIT",
    "AdditiveTrees",
    "Agreement",
    "CalibrationBin",
    "CompilationReport",
    "Compiled",
    "CompiledModel",
    "CoxModel",
    "Ensemble",
    "Familiarity",
    "FittedModel",
    "Groups",
    "Link",
    "Oracle",
    "PiecewiseLinear",
    "Reference",
    "ShapleyTrees",
    "Survival",
    "Term",
    "Tree",
    "additive",
    "compile_fitted",
    "compile_model",
    "ebm_terms",
    "from_forest",
    "from_gradient_boosting",
    "from_hist_gradient_boosting",
    "steps_of",
    "verify",
]
