"""A coding of the sexes that is reversed is found by what women and men differ in, and by nothing else."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from models_onnx.monitoring.day import DayCounts, sketch_value
from models_onnx.monitoring.sexes import FEWEST, exchanged, higher
from models_onnx.monitoring.sketch import sketch_of

NAME = "creatinine_mg_dl"


def _people(many: int, wrong: float, seed: int, ratio: float = 1.25) -> DayCounts:
    """So many of each sex, a share of whom is sent as the other one; men have `ratio` times as much creatinine."""
    random, counts = np.random.default_rng(seed), DayCounts()
    for sex, level in (("men", ratio), ("women", 1.0)):
        for value in level * random.lognormal(-0.2, 0.3, many):
            sent = sex if random.random() >= wrong else ("women" if sex == "men" else "men")
            sketch_value(counts.by_sex, f"{NAME} {sent}", float(value))
    return counts


def test_the_area_is_that_of_scikit_learn() -> None:
    random = np.random.default_rng(3)
    men, women = random.lognormal(0.2, 0.3, 400).round(2), random.lognormal(0.0, 0.3, 600).round(2)
    area, error = higher(sketch_of(men.tolist()), sketch_of(women.tolist()))
    truth = np.concatenate([np.ones(400), np.zeros(600)])
    assert area == pytest.approx(roc_auc_score(truth, np.concatenate([men, women])), abs=0.01)
    assert 0.01 < error < 0.02


@pytest.mark.parametrize(
    ("wrong", "state"), [(0.0, "good"), (0.04, "good"), (0.2, "watch"), (0.4, "act"), (1.0, "act")]
)
def test_the_share_of_exchanged_calls_is_found(wrong: float, state: str) -> None:
    (found,) = exchanged(_people(2500, wrong, 1), _people(6000, 0.0, 2))
    assert (found.state, found.name) == (state, NAME)
    assert found.share == pytest.approx(wrong, abs=0.05)


def test_where_the_sexes_do_not_differ_or_are_too_few_nothing_is_judged() -> None:
    assert list(exchanged(_people(700, 1.0, 1, 1.0), _people(3000, 0.0, 2, 1.0))) == []
    assert list(exchanged(_people(700, 1.0, 1), _people(FEWEST - 1, 0.0, 2))) == []
    (found,) = exchanged(_people(FEWEST - 1, 0.0, 1), _people(3000, 0.0, 2))
    assert found.state == "insufficient"


def test_weeks_without_a_change_are_good() -> None:
    before = _people(3000, 0.0, 2)
    assert {each.state for seed in range(40) for each in exchanged(_people(600, 0.0, 100 + seed), before)} == {"good"}


def test_a_window_that_is_larger_than_what_was_before_is_judged_as_well() -> None:
    (found,) = exchanged(_people(4000, 0.0, 1), _people(1500, 0.0, 2))
    assert found.state == "good"
    (found,) = exchanged(_people(4000, 1.0, 1), _people(1500, 0.0, 2))
    assert found.state == "act"
