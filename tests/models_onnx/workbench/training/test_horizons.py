"""The figures at each horizon of ten people whose times are given, worked out by hand."""

import math
import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from models_onnx.spec import FollowUp, ModelSpec, get_spec
from models_onnx.workbench.compiler.link import Link, Survival
from models_onnx.workbench.training.crossvalidate import OutOfFold
from models_onnx.workbench.training.data.cohort import read_table
from models_onnx.workbench.training.evaluate import at_horizons
from models_onnx.workbench.training.pipeline import train
from tests.conftest import ROOT
from tests.models_onnx.workbench.training.ten_people import MARGINS, MODEL, SPEC, ten_people

# In months. The seventh left before the first horizon: the others stand for that one, all alike.
MONTHS = (12, 70, 70, 70, 24, 36, 8, 12, 70, 24)
DEATHS = {1.0: {0, 7}, 2.0: {0, 4, 7, 9}, 5.0: {0, 4, 5, 7, 9}}
FOLLOWED = [row for row in range(10) if row != 6]
HAZARDS = {1.0: 0.1, 2.0: 0.25, 5.0: 0.6}
OTHER_HAZARDS = {1.0: 0.3, 2.0: 0.35, 5.0: 0.5}
"""Of the model of the third fold, which predicts the third, sixth and ninth."""


def followed(**changed: Any) -> ModelSpec:
    """The declaration, followed in months."""
    times = FollowUp(lambda table: table["months"], lambda table: table["death"], per_year=12, **changed)
    return replace(SPEC, outcome=replace(SPEC.outcome, follow_up=times))


def figures(links: tuple[Link, ...], spec: ModelSpec | None = None, replicates: int = 0) -> Any:
    """The figures of the ten, each fold predicted through its link."""
    cohort = ten_people()
    deaths = [float(row in DEATHS[5.0]) for row in range(10)]
    cohort = replace(cohort, rows=pd.DataFrame({"months": MONTHS, "death": deaths}), recent=np.ones(10, dtype=bool))
    models: Any = {number: SimpleNamespace(model=MODEL, link=link) for number, link in enumerate(links)}
    margins = np.array(MARGINS)
    return at_horizons(spec or followed(), cohort, OutOfFold(margins, margins, models), replicates, 1)


LINK = Survival.at(HAZARDS, main=5.0)
LINKS = (LINK, LINK, Survival.at(OTHER_HAZARDS, main=5.0))


def risk(row: int, years: float) -> float:
    """The estimate of that person, who is predicted by the model of the own fold."""
    hazards = OTHER_HAZARDS if row % 3 == 2 else HAZARDS
    return 1 - math.exp(-math.exp(MARGINS[row]) * hazards[years] / hazards[5.0])


def point(value: float) -> dict[str, float]:
    """A figure without samples."""
    return {"value": round(value, 4), "low": round(value, 4), "high": round(value, 4)}


def auroc(years: float) -> float:
    """Of all pairs of one who had died by then and one who had not, how many rank rightly."""
    pairs = [(a, b) for a in DEATHS[years] for b in FOLLOWED if b not in DEATHS[years]]
    return sum(risk(a, years) > risk(b, years) for a, b in pairs) / len(pairs)


def brier(years: float) -> float:
    """The mean square of what is between estimate and outcome."""
    return sum((risk(row, years) - (row in DEATHS[years])) ** 2 for row in FOLLOWED) / 9


def test_every_horizon_has_its_figures_and_their_mean_over_time() -> None:
    document = figures(LINKS)
    assert document["rows"] == [
        {
            "years": years,
            "events": len(deaths),
            "observed_expected": point(len(deaths) / sum(risk(row, years) for row in FOLLOWED)),
            "brier": point(brier(years)),
            "auroc": point(auroc(years)),
        }
        for years, deaths in DEATHS.items()
    ]
    area = (brier(1.0) + brier(2.0)) / 2 * 1 + (brier(2.0) + brier(5.0)) / 2 * 3
    assert document["integrated_brier"] == round(area / 4, 4)


@pytest.mark.parametrize("links", [(MODEL.link,) * 3, (Survival.at({5.0: 0.6}, main=5.0),) * 3])
def test_a_model_of_one_horizon_has_none_of_these_figures(links: tuple[Link, ...]) -> None:
    assert figures(links) is None


# The figures of docs/models/survival.md are those of its declarations on the public tables.
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
