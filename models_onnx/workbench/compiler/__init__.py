"""Compiles a fitted model and a reference cohort into one self-explaining ONNX file, and verifies the file.

`read_model` reads a model file into its family (docs/models/compiler.md), `compile_fitted` writes the ONNX
file and proves it against an oracle. A file that does not agree with the model is refused.
"""

from models_onnx.workbench.compiler.entry import read_model
from models_onnx.workbench.compiler.explaining_graph import compile_fitted

__all__ = ["compile_fitted", "read_model"]
