"""The figures of ten people, worked out by hand, and the floors they are judged by."""

import math
import re
import statistics
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from models_onnx.spec import Floors, FollowUp, ModelSpec, get_spec
from models_onnx.workbench.compiler.link import Link, Survival
from models_onnx.workbench.metrics import Estimate
from models_onnx.workbench.training.crossvalidate import OutOfFold
from models_onnx.workbench.training.data.cohort import read_table
from models_onnx.workbench.training.data.follow_up import c_index
from models_onnx.workbench.training.evaluate import Evaluator, at_horizons, judge, rounded
from models_onnx.workbench.training.pipeline import train
from tests.conftest import ROOT
from tests.each import for_rows
from tests.models_onnx.workbench.training.ten_people import MARGINS, MODEL, SPEC, WEIGHTS, predicted, ten_people


def evaluator(threshold: float = 1.0, replicates: int = 0, **changed: Any) -> Evaluator:
    """The figures of the ten people; alerted are those from that margin on."""
    return Evaluator(replace(SPEC, **changed), ten_people(), predicted(), threshold, replicates, 5)


def point(value: float) -> dict[str, float]:
    """A figure that nothing was resampled for."""
    return {"value": value, "low": value, "high": value}


def expected(*rows: int) -> float:
    """How many events the model expects of these people, as many as they stand for."""
    return sum(WEIGHTS[row] / (1 + math.exp(-MARGINS[row])) for row in rows)


EVERYBODY = np.ones(10, dtype=bool)


def test_of_rows_that_nobody_followed_there_are_people_and_events_and_no_figure() -> None:
    unknown = {"value": None, "low": None, "high": None}
    assert evaluator().unfollowed(np.arange(10) < 2, ("auroc", "ppv")) == {
        "n": 2,
        "events": 1,
        "insufficient": "insufficient: fewer than a tenth of them were followed for the whole horizon",
        "auroc": unknown,
        "ppv": unknown,
    }


def test_harrells_c_has_an_interval_of_so_many_samples_and_not_more_than_twenty() -> None:
    # of the first death 0 of 8 pairs rank rightly, then 6 of 8, 3 of 6, 6 of 6 and 3 of 5
    assert evaluator().c_index(EVERYBODY) == point(0.5455)
    assert evaluator(replicates=1).c_index(EVERYBODY) == point(0.5455)
    assert evaluator().c_index(np.arange(10) > 0) == point(0.72)
    generator, cohort = np.random.default_rng(5), ten_people()
    samples = [np.arange(1, 10)[generator.integers(0, 9, 9)] for _ in range(20)]
    drawn = [c_index(predicted().logit[rows], cohort.observed.part(rows), 5.0) for rows in samples]
    for replicates in (2, 20, 21, 40):
        spread = 1.96 * statistics.stdev(drawn[:replicates])
        ends = {"value": 0.72, "low": round(0.72 - spread, 4), "high": round(0.72 + spread, 4)}
        assert evaluator(replicates=replicates).c_index(np.arange(10) > 0) == ends


def groups(**changed: Any) -> tuple[list[dict[str, Any]], list[Any]]:
    """The subgroups with calls of the progress, alerted from 0.2 on."""
    calls: list[Any] = []
    return evaluator(0.2, **changed).subgroups(lambda *call: calls.append(call)), calls


def test_error_rates_of_a_group_may_be_told_as_with_the_ages_of_everybody() -> None:
    blocks, _ = groups(standardise_by="half")
    names = ("sensitivity_standardised", "false_positive_rate_standardised")
    # With the event 5 of 9 are early and 4 late, without it 3 of 4 early. Women: none early, all of the late alerted.
    # Men have no late event, and their late one without it is alerted.
    assert [[block.get(name) for name in names] for block in blocks] == [
        [point(0.4444), point(0.0)],
        [point(0.0), point(0.25)],
        *[[None, None]] * 3,
    ]
    assert not set(names) & set(groups()[0][0])


def test_a_panel_taken_away_says_who_is_still_scored_and_how_well() -> None:
    whole = point(round(9 / expected(2, 3, 4, 5, 7, 8, 9), 4))
    seen = {"auroc": point(0.7778), "observed_expected": whole}
    none = {"auroc": point(0.5), "observed_expected": point(round(9 * (1 + math.e) / 12, 4))}
    assert evaluator().panels() == [
        {"words": "without creatinine", "missing": ["creatinine_mg_dl"], "scored": False, **seen},
        {"words": "without age", "missing": ["age_years"], "scored": False, **none},
        {"words": "with all", "missing": [], "scored": True, **seen},
    ]


def block(auroc: float = 0.8, slope: float = 1.0, low: float = 0.9, high: float = 1.1) -> dict[str, Any]:
    """Figures of all people, or of the latest."""
    observed_expected = {"value": 0.97, "low": low, "high": high}
    return {"auroc": point(auroc), "calibration_slope": point(slope), "observed_expected": observed_expected}


FLOORS = Floors(auroc=0.8, slope=(0.9, 1.1), observed_expected=(0.95, 1.05))


def test_every_floor_is_judged_with_its_figure_and_its_limit() -> None:
    overall, latest = {**block(), "c_index": point(0.71)}, block(slope=1.2, low=1.06)
    assert judge(replace(FLOORS, c_index=0.7), overall, latest) == [
        {"name": "AUROC, all", "value": 0.8, "limit": "at least 0.8", "passed": True},
        {"name": "C-index, all", "value": 0.71, "limit": "at least 0.7", "passed": True},
        {"name": "calibration slope, all", "value": 1.0, "limit": "0.9 to 1.1", "passed": True},
        {"name": "O/E, all", "value": 0.97, "limit": "interval meets 0.95 to 1.05", "passed": True},
        {"name": "calibration slope, latest", "value": 1.2, "limit": "0.9 to 1.1", "passed": False},
        {"name": "O/E, latest", "value": 0.97, "limit": "interval meets 0.95 to 1.05", "passed": False},
    ]
    assert [floor["name"] for floor in judge(FLOORS, overall, overall)] == [
        "AUROC, all",
        "calibration slope, all",
        "O/E, all",
    ]


@for_rows(
    ("figures", "passed"),
    [
        (block(auroc=0.7999), [False, True, True]),
        (block(auroc=0.8001), [True, True, True]),
        (block(slope=0.9), [True, True, True]),
        (block(slope=0.8999), [True, False, True]),
        (block(slope=1.1), [True, True, True]),
        (block(slope=1.1001), [True, False, True]),
        (block(low=1.05, high=1.2), [True, True, True]),
        (block(low=1.0501, high=1.2), [True, True, False]),
        (block(low=0.8, high=0.95), [True, True, True]),
        (block(low=0.8, high=0.9499), [True, True, False]),
    ],
)
def test_a_floor_holds_on_its_limit_and_not_beyond_it(figures: dict[str, Any], passed: list[bool]) -> None:
    assert [floor["passed"] for floor in judge(FLOORS, figures, figures)] == passed


def test_a_floor_of_an_interval_with_one_end_does_not_hold() -> None:
    for ends in ({"low": None, "high": 1.0}, {"low": 1.0, "high": None}):
        figures = {**block(), "observed_expected": {"value": 1.0, **ends}}
        assert judge(FLOORS, figures, figures)[2]["passed"] is False
    figures = {**block(), "observed_expected": {"value": None, "low": 0.9, "high": 1.1}}
    assert judge(FLOORS, figures, figures)[2]["passed"] is False


def test_figures_are_written_to_four_decimals_and_those_that_are_not_there_as_nothing() -> None:
    assert rounded(Estimate(0.123449, float("nan"), 2.0)) == {"value": 0.1234, "low": None, "high": 2.0}


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


def horizons_point(value: float) -> dict[str, float]:
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
            "observed_expected": horizons_point(len(deaths) / sum(risk(row, years) for row in FOLLOWED)),
            "brier": horizons_point(brier(years)),
            "auroc": horizons_point(auroc(years)),
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
