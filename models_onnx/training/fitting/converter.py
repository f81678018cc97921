"""The second opinion: scaler and regression converted by skl2onnx, run on the same basis."""

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from skl2onnx import convert_sklearn
from skl2onnx.common.data_types import DoubleTensorType
from sklearn.pipeline import make_pipeline

from models_onnx.errors import ParityRefused
from models_onnx.training.fitting.additive import Linear
from models_onnx.training.fitting.hinges import Array

# skl2onnx 1.20 converts StandardScaler + LogisticRegression, but not the basis, nor a missing input without imputation.
# LinearClassifier of ai.onnx.ml computes in float32, so this limit is of the converter, not of our file.
TOLERANCE = 1e-5


def largest_difference(fitted: Linear, rows: NDArray[np.float32], probability: Array) -> float:
    """Largest difference of `probability` from skl2onnx's conversion; ParityRefused above 1e-5."""
    pipeline = make_pipeline(fitted.scaler, fitted.regression)
    basis = fitted.hinges.expand(rows.astype(np.float64))
    filled = np.where(np.isnan(basis), fitted.scaler.mean_, basis)
    options = {id(pipeline): {"zipmap": False}}
    proto = convert_sklearn(
        pipeline,
        initial_types=[("basis", DoubleTensorType([None, basis.shape[1]]))],
        options=options,
        target_opset={"": 18, "ai.onnx.ml": 3},
    )
    session = onnxruntime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    converted = np.asarray(session.run(["probabilities"], {"basis": filled})[0])[:, 1]
    difference = float(np.abs(converted - probability).max())
    if not difference <= TOLERANCE:
        raise ParityRefused(f"skl2onnx's conversion differs by up to {difference:.2e} (limit {TOLERANCE:g})")
    return difference
