"""Broken lines: flat outside their ends, nothing for a missing value, in numpy as in the file."""

import numpy as np
import onnxruntime

from models_onnx.workbench.compiler.explaining_graph import write_file
from tests.models_onnx.workbench.compiler.test_compile import MODEL, REFERENCE, oracle, rows


def test_numpy_and_the_file_say_the_same() -> None:
    session = onnxruntime.InferenceSession(write_file("m", MODEL, REFERENCE, {}), providers=["CPUExecutionProvider"])
    (told,) = session.run(["contributions"], {"features": rows()})
    assert np.abs(told - MODEL.contributions(rows().astype(np.float64))).max() < 1e-12


def test_a_line_is_flat_below_its_first_knot_and_above_its_top() -> None:
    beyond = np.array([[-5.0, 10.0], [0.0, 40.0], [10.0, 80.0], [99.0, 500.0]])
    told = MODEL.contributions(beyond)
    assert (told[0] == told[1]).all()
    assert (told[2] == told[3]).all()


def test_the_margin_is_base_plus_contributions() -> None:
    X = rows().astype(np.float64)
    assert np.allclose(1 / (1 + np.exp(-MODEL.margin(X))), oracle(X)[0], atol=1e-12)
