"""Boosted trees that are fitted here: coarse inputs, the people who count, and one function of each input."""

import numpy as np
import pytest

from models_onnx.spec import AdditiveTrees, InputSpec, ShallowTrees
from models_onnx.workbench.training.data.follow_up import FittingRows, Observed
from models_onnx.workbench.training.fitting import families
from models_onnx.workbench.training.fitting.families import fit_trees

INPUTS = (InputSpec("age_years", rises=1), InputSpec("sbp_mmhg"))


def _people(count: int = 400) -> FittingRows:
    """The outcome is whether exactly one of two inputs is high, which no sum of functions of each can say."""
    draw = np.random.default_rng(2)
    X = draw.random((count, 2))
    X[5, 1] = np.nan
    y = ((X[:, 0] > 0.5) != (X[:, 1] > 0.5)).astype(np.int64)
    weight = np.where(np.arange(count) < 300, 1.0, 0.0)
    return FittingRows(INPUTS, X, Observed(y, weight, np.ones(count), y == 1), np.arange(count) < 100)


def test_an_input_has_at_most_128_values_of_which_each_was_seen() -> None:
    X = np.random.default_rng(1).random((1000, 1))
    coarse = families._coarse(X)
    assert len(np.unique(coarse)) == 128
    assert set(coarse.ravel().tolist()) <= set(X.ravel().tolist())
    assert (coarse <= X).all()
    assert (X - coarse).max() < 0.03
    few = np.array([[3.0], [1.0], [2.0], [1.0]])
    assert families._coarse(few).tolist() == few.tolist()


def test_additive_trees_have_no_interactions_and_shallow_ones_have() -> None:
    people = _people()
    additive = fit_trees(AdditiveTrees(rounds=40, rate=0.3, leaf=5), people)
    shallow = fit_trees(ShallowTrees(rounds=40, rate=0.3, leaf=5, depth=2), people)
    assert (additive.is_additive, shallow.is_additive) == (True, False)
    corners = np.array([[0.2, 0.2], [0.2, 0.8], [0.8, 0.2], [0.8, 0.8]])
    low, of_second, of_first, both = additive.margin(corners)
    assert abs((both - of_second) - (of_first - low)) < 1e-9
    low, of_second, of_first, both = shallow.margin(corners)
    assert abs((both - of_second) - (of_first - low)) > 1.0


def test_trees_rise_where_they_must_and_count_whom_was_followed() -> None:
    people = _people()
    model = fit_trees(AdditiveTrees(rounds=20, rate=0.3, leaf=5), people)
    along = model.margin(np.column_stack([np.linspace(0, 1, 50), np.full(50, 0.5)]))
    assert (np.diff(along) >= 0).all()
    observed = people.observed
    garbled = Observed(np.where(observed.weight > 0, observed.y, 1 - observed.y), observed.weight, observed.years,
                       observed.event)  # fmt: skip
    again = fit_trees(
        AdditiveTrees(rounds=20, rate=0.3, leaf=5), FittingRows(INPUTS, people.X, garbled, people.reference)
    )
    assert again.margin(people.X).tolist() == model.margin(people.X).tolist()


def test_a_missing_input_counts_as_the_mean_of_the_reference_rows() -> None:
    people = _people()
    model = fit_trees(ShallowTrees(rounds=10, rate=0.3, leaf=5, depth=2), people)
    mean = np.float64(np.float32(np.nanmean(people.X[:100, 1])))
    assert model.margin(np.array([[0.7, np.nan]])).tolist() == model.margin(np.array([[0.7, mean]])).tolist()
    moved = model.recalibrated(0.5, 2.0).recalibrated(1.0, 3.0)
    assert moved.margin(people.X[:9]) == pytest.approx(1.0 + 3.0 * (0.5 + 2.0 * model.margin(people.X[:9])))


def test_the_form_ends_where_the_reference_does_or_is_declared() -> None:
    people = _people()
    model = fit_trees(AdditiveTrees(rounds=10, rate=0.3, leaf=5), people)
    form = model.form(("age_years", "sbp_mmhg"), (None, 7.0), people.X[people.reference])
    assert form.low == tuple(np.nanmin(people.X[:100], axis=0))
    assert form.high == (np.nanmax(people.X[:100, 0]), 7.0)
    filled = np.where(np.isnan(people.X), model.fill, people.X)
    assert np.abs(form.margin(filled) - model.margin(people.X)).max() < 1e-6
