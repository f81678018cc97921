"""Compiles a fitted model and a reference cohort into one self-explaining ONNX file, and verifies the file.

`compile_model` does all of it for a fitted scikit-learn or EBM object or a LightGBM or XGBoost file
(docs/models/compiler.md); `compile_fitted` does the same for the families of `compiler/families`, with an oracle that
the caller supplies. A file that does not agree with the model is refused.
"""

from models_onnx.workbench.compiler.entry import CompilationReport, CompiledModel, compile_model
from models_onnx.workbench.compiler.explaining_graph import compile_fitted
from models_onnx.workbench.compiler.readers.cox import CoxModel

__all__ = ["CompilationReport", "CompiledModel", "CoxModel", "compile_fitted", "compile_model"]
