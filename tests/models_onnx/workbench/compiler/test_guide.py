"""The page of the compiler: its tables name what the code knows."""

import pytest

from models_onnx.workbench.compiler.readers.preparation import _STEPS
from models_onnx.workbench.compiler.readers.source import FORESTS
from tests.conftest import ROOT

PAGE = (ROOT / "docs" / "models" / "compiler.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", [*_STEPS, *FORESTS])
def test_every_step_and_model_that_is_read_stands_on_the_page(name: str) -> None:
    assert f"`{name}" in PAGE
