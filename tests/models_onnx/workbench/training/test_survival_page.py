"""The figures of docs/models/survival.md are those of its declarations on the public tables."""

import re
from pathlib import Path

import pytest

from models_onnx.spec import get_spec
from models_onnx.workbench.training.data.cohort import read_table
from models_onnx.workbench.training.pipeline import train
from tests.conftest import ROOT

PAGE = (ROOT / "docs/models/survival.md").read_text()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["support_times", "heart_times"])
def test_the_figures_of_the_page_are_those_of_its_declaration(name: str, data_folder: Path, tmp_path: Path) -> None:
    code, printed = PAGE.partition(f"```python mine/{name}.py\n")[2].split("```", 1)
    (tmp_path / f"{name}.py").write_text(code)
    spec = get_spec(name, tmp_path)
    figures = train(spec, read_table(spec, data_folder), 20260101, 0, lambda *_: None).manifest.evaluation
    c_index, integrated = re.search(r"C-index ([\d.]+).*?Brier score ([\d.]+)[,;]?\b", printed, re.DOTALL).groups()  # type: ignore[union-attr]
    assert figures["all"]["c_index"]["value"] == pytest.approx(float(c_index), abs=0.002)
    assert figures["horizons"]["integrated_brier"] == pytest.approx(float(integrated.rstrip(".")), abs=0.0005)
    rows = re.findall(r"^\| [\w ]+ \| (\d+) \| ([\d.]+) \(", printed, re.MULTILINE)
    for (events, calibration), row in zip(rows, figures["horizons"]["rows"], strict=False):
        assert row["events"] == int(events)
        assert row["observed_expected"]["value"] == pytest.approx(float(calibration), abs=0.011)
