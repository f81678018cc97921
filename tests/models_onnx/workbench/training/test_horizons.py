"""The figures at each horizon of ten people whose times are given, worked out by hand."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from models_onnx.spec import FollowUp, ModelSpec
from models_onnx.workbench.compiler.link import Link, Survival
from models_onnx.workbench.training.crossvalidate import OutOfFold
from models_onnx.workbench.training.horizons import at_horizons
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
    models: Any = {number: replace(MODEL, link=link) for number, link in enumerate(links)}
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


def test_figures_have_intervals_of_resampled_people() -> None:
    drawn, plain = figures(LINKS, replicates=20), figures(LINKS)
    assert drawn["integrated_brier"] == plain["integrated_brier"]
    for row, without in zip(drawn["rows"], plain["rows"], strict=True):
        assert row["brier"]["low"] < row["brier"]["value"] == without["brier"]["value"] < row["brier"]["high"]


@pytest.mark.parametrize("links", [(MODEL.link,) * 3, (Survival.at({5.0: 0.6}, main=5.0),) * 3])
def test_a_model_of_one_horizon_has_none_of_these_figures(links: tuple[Link, ...]) -> None:
    assert figures(links) is None


def test_two_horizons_are_enough_and_an_outcome_that_nobody_followed_has_none() -> None:
    two = (Survival.at({1.0: 0.1, 5.0: 0.6}, main=5.0),) * 3
    assert [row["years"] for row in figures(two)["rows"]] == [1.0, 5.0]
    assert figures(two, replace(SPEC, outcome=replace(SPEC.outcome, follow_up=None))) is None
