"""The page of the compiler: its example runs as it stands, and its tables name what the code knows."""

import re

import pytest

from models_onnx.workbench.compiler.readers.preparation import _STEPS
from models_onnx.workbench.compiler.readers.source import FORESTS
from tests.conftest import ROOT

PAGE = (ROOT / "docs" / "models" / "compiler.md").read_text(encoding="utf-8")


def test_the_example_runs_as_it_stands(capsys: pytest.CaptureFixture[str]) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    exec(compile(example, "compiler.md", "exec"), {})  # noqa: S102  # the page of this project, read above
    told = capsys.readouterr().out.splitlines()
    assert told[0] == "boosted trees True"
    assert [line.split(":")[0] for line in told[1:]] == ["age", "laboratory"]


@pytest.mark.parametrize("name", [*_STEPS, *FORESTS])
def test_every_step_and_model_that_is_read_stands_on_the_page(name: str) -> None:
    assert f"`{name}" in PAGE
