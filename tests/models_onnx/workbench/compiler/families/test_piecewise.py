"""Broken lines: flat outside their ends, nothing for a missing value, in numpy as in the file."""

import numpy as np
import onnxruntime

from models_onnx.workbench.compiler.explaining_graph import write_file
from tests.models_onnx.workbench.compiler.test_compile import MODEL, REFERENCE, oracle, rows


def test_numpy_and_the_file_say_the_same() -> None:
    session = onnxruntime.InferenceSession(write_file("m", MODEL, REFERENCE, {}), providers=["CPUExecutionProvider"])
    (told,) = session.run(["contributions"], {"features": rows()})
    assert np.abs(told - MODEL.contributions(rows().astype(np.float64))).max() < 1e-12


def test_the_margin_is_base_plus_contributions() -> None:
    X = rows().astype(np.float64)
    assert np.allclose(1 / (1 + np.exp(-MODEL.margin(X))), oracle(X)[0], atol=1e-12)
