"""Which family wins: the simplest that is near enough, judged on the same folds."""

from dataclasses import replace

import pandas as pd
import pytest

from models_onnx.models.readmission_30d import SPEC as READMISSION
from models_onnx.spec import AdditiveLogistic, AdditiveTrees, Estimator, ShallowTrees
from models_onnx.workbench.training import evaluate as comparing
from models_onnx.workbench.training.commands import no_progress
from models_onnx.workbench.training.evaluate import candidates, compare, judge
from tests.models_onnx.invented import INVENTED, as_table

SMALL: dict[str, Estimator] = {
    "additive logistic": AdditiveLogistic(knots=1, C=0.3),
    "additive trees": AdditiveTrees(rounds=5, rate=0.2, leaf=30),
    "boosted trees": ShallowTrees(depth=2, rounds=5, rate=0.2, leaf=30),
}


def test_the_families_are_compared_simplest_first_and_the_declared_one_as_it_is_declared() -> None:
    assert list(candidates(INVENTED)) == ["additive logistic", "Cox", "additive trees", "boosted trees"]
    assert list(candidates(READMISSION)) == ["additive logistic", "additive trees", "boosted trees"]
    assert candidates(READMISSION)["additive logistic"] is READMISSION.estimator


def test_the_simplest_that_is_near_enough_wins(rows: pd.DataFrame, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = replace(INVENTED, estimator=SMALL["additive logistic"], recalibration=None)
    monkeypatch.setattr(comparing, "candidates", lambda _: SMALL)
    found = compare(spec, as_table(rows), 1, 20, no_progress).document
    best = max(block["auroc"]["value"] for block in found["families"])
    near = [block["family"] for block in found["families"] if block["auroc"]["value"] >= best - 0.01]
    assert found["champion"] == near[0]
    assert found["declared"] == "additive logistic"
    assert {block["behind_the_best"]["value"] <= 0 for block in found["families"]} == {True}
    assert all("c_index" in block for block in found["families"])


def test_a_floor_whose_figure_cannot_be_computed_does_not_hold() -> None:
    none = {"value": None, "low": None, "high": None}
    block = dict.fromkeys(("auroc", "c_index", "calibration_slope", "observed_expected"), none)
    floors = judge(replace(INVENTED.floors, c_index=0.6), block, dict(block))
    assert [(floor["value"], floor["passed"]) for floor in floors] == [(None, False)] * 6
