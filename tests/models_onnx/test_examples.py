"""The examples in the docstrings are true."""

import doctest
from types import ModuleType

import pytest

from models_onnx import explain
from models_onnx.evaluation import calibration
from models_onnx.training import rounding


@pytest.mark.parametrize("module", [explain, calibration, rounding])
def test_examples_in_docstrings_run(module: ModuleType) -> None:
    told = doctest.testmod(module)
    assert told.attempted
    assert not told.failed
