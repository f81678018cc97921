"""The examples in the docstrings are true."""

import doctest
from types import ModuleType

import pytest

from models_onnx.equations import arithmetic
from models_onnx.serving import runtime
from models_onnx.workbench import metrics
from models_onnx.workbench.training.fitting import additive


@pytest.mark.parametrize("module", [arithmetic, runtime, additive, metrics])
def test_examples_in_docstrings_run(module: ModuleType) -> None:
    told = doctest.testmod(module)
    assert told.attempted
    assert not told.failed
