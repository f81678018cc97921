"""Fitted model and reference cohort in, one self-explaining ONNX file out; refuses a file that does not agree.

Usable alone, with the `train` extra: tests/models_onnx/compiler/test_compile.py compiles a model written by hand.
"""

from models_onnx.compiler.compile import Compiled, compile_model
from models_onnx.compiler.fitted import FittedModel
from models_onnx.compiler.parity import Agreement, Oracle, verify
from models_onnx.compiler.piecewise import PiecewiseLinear
from models_onnx.compiler.reference import CalibrationBin, Reference

__all__ = [
    "Agreement",
    "CalibrationBin",
    "Compiled",
    "FittedModel",
    "Oracle",
    "PiecewiseLinear",
    "Reference",
    "compile_model",
    "verify",
]
