"""How the bounds of a risk are made, step by step: samples, refits, groups and widening, worked out by hand."""

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from numpy.typing import NDArray

from models_onnx.artifact.manifest import NORMAL_95
from models_onnx.spec import AdditiveLogistic, Fitted
from models_onnx.workbench.compiler.link import LOGIT
from models_onnx.workbench.metrics import logistic_recalibration, sigmoid
from models_onnx.workbench.training import interval
from models_onnx.workbench.training.crossvalidate import Folds, OutOfFold
from models_onnx.workbench.training.data.cohort import Cohort

Array = NDArray[np.float64]


class _Cohort(SimpleNamespace):
    """What the bounds read of a cohort."""

    def __len__(self) -> int:
        return len(self.y)


def _folds(count: int = 240, folds: int = 2, **members: Any) -> tuple[Folds, OutOfFold]:
    draw = np.random.default_rng(7)
    logit = draw.normal(0.0, 1.0, count)
    y = (draw.random(count) < sigmoid(logit)).astype(np.int64)
    cohort = _Cohort(
        y=y, weight=np.ones(count), fold=np.arange(count) % folds, patient=np.arange(count),
        recent=np.ones(count, dtype=bool), X=draw.normal(size=(count, 2)),
    )  # fmt: skip
    spec = SimpleNamespace(estimator=AdditiveLogistic(knots=1, C=1.0), recalibration=None)
    facts: dict[str, Any] = {"cohort": cohort, "numbers": tuple(range(folds)), "spec": spec, "X": cohort.X, **members}
    predicted = SimpleNamespace(logit=logit)
    return cast(Folds, SimpleNamespace(**facts)), cast(OutOfFold, predicted)


def test_the_factor_is_that_of_nineteen_of_twenty_groups_and_never_less_than_one() -> None:
    assert interval._factor(np.arange(1.0, 22.0)) == 20.0
    assert interval._factor(np.arange(1.0, 21.0)) == 20.0
    assert interval._factor(np.array([0.1, 0.9])) == 1.0


def test_a_sample_takes_all_rows_of_a_patient_together() -> None:
    patient = np.array([7, 3, 7, 9, 3, 7])
    rows = interval._resampled(patient, np.random.default_rng(5))
    times = np.bincount(rows, minlength=6)
    drawn = np.random.default_rng(5).integers(0, 3, 3)  # of the patients 3, 7 and 9
    by_patient = {3: int((drawn == 0).sum()), 7: int((drawn == 1).sum()), 9: int((drawn == 2).sum())}
    assert times.tolist() == [by_patient[number] for number in patient.tolist()]
    assert len(set(times.tolist())) > 1


@pytest.mark.parametrize(("folds", "refits"), [(2, 26), (5, 25), (10, 30), (20, 60)])
def test_twenty_five_refits_are_made_or_three_for_each_fold(
    folds: int, refits: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each refit says 0, 1, 2 ... in turn: the variance of a fold is that of its own numbers."""
    whole, predicted = _folds(40, folds)
    said: list[tuple[int, ...]] = []
    steps: list[tuple[str, int, int]] = []

    def moved(_folds: Folds, _predicted: OutOfFold, rows: NDArray[np.int64], apart: NDArray[np.bool_]) -> Array:
        assert not set(rows.tolist()) & set(np.flatnonzero(apart).tolist()), "nobody apart is fitted on"
        said.append(tuple(np.flatnonzero(apart).tolist()))
        return np.full(int(apart.sum()), float(len(said)))

    monkeypatch.setattr(interval, "_refitted", moved)
    variance, count = interval._variance(whole, predicted, 3, lambda *step: steps.append(step))
    assert count == len(said) == refits
    each = refits // folds
    assert variance == pytest.approx(np.full(40, np.var(np.arange(each), ddof=1)))
    assert steps == [("bounds of the risk", number, folds) for number in range(folds + 1)]


def test_a_model_fitted_elsewhere_is_corrected_and_one_of_the_table_is_fitted_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole, predicted = _folds(40)
    for name in ("_corrected", "_refitted"):
        monkeypatch.setattr(interval, name, lambda *rest, called=name: called_of(called, rest[-1]))
    called: list[str] = []

    def called_of(name: str, apart: NDArray[np.bool_]) -> Array:
        called.append(name)
        return np.zeros(int(apart.sum()))

    for estimator, name in ((AdditiveLogistic(1, 1.0), "_refitted"), (Fitted("a:b", trained_on="x"), "_corrected")):
        called.clear()
        whole.spec = cast(Any, SimpleNamespace(estimator=estimator))
        interval._variance(whole, predicted, 3, lambda *_step: None)
        assert set(called) == {name}


def test_a_refit_is_recalibrated_as_the_procedure_is() -> None:
    model = SimpleNamespace(link=LOGIT, margin=lambda X: 2.0 * X[:, 0])
    fitted_on: list[list[int]] = []

    def fit_on(rows: NDArray[np.int64]) -> Any:
        fitted_on.append(rows.tolist())
        return model

    whole, predicted = _folds(fit_on=fit_on)
    whole.cohort.recent[:100] = False
    whole.cohort.weight[100:120] = 0.0
    apart = np.arange(240) % 2 == 0
    rows = np.flatnonzero(~apart)
    odds = 2.0 * whole.X[apart][:, 0]
    assert interval._refitted(whole, predicted, rows, apart) == pytest.approx(odds)
    whole.spec = cast(Any, SimpleNamespace(recalibration="a period"))
    latest = rows[rows >= 120]
    intercept, slope = logistic_recalibration(
        predicted.logit[latest], whole.cohort.y[latest], whole.cohort.weight[latest]
    )
    assert interval._refitted(whole, predicted, rows, apart) == pytest.approx(intercept + slope * odds)
    assert fitted_on == [rows.tolist()] * 2


def test_an_estimate_is_corrected_by_itself_and_the_inputs_with_a_penalty_on_each() -> None:
    """At the fit the slope of the likelihood is the penalty's: that of 1 for the estimate, of 0 for an input."""
    whole, predicted = _folds()
    whole.X[0] = [np.nan, 100.0]
    whole.X[:, 1] *= 2.0
    apart = np.arange(240) < 40
    rows = np.arange(40, 240)
    corrected = interval._corrected(whole, predicted, rows, apart)
    middle, spread = np.nanmedian(whole.X, axis=0), np.nanstd(whole.X, axis=0)
    inputs = np.clip(np.nan_to_num((whole.X - middle) / spread), -4.0, 4.0)
    design = np.column_stack([np.ones(240), predicted.logit, inputs])
    beta = np.linalg.lstsq(design[apart], corrected, rcond=None)[0]
    assert design[apart] @ beta == pytest.approx(corrected, abs=1e-9)
    residual = whole.cohort.y[rows] - sigmoid(design[rows] @ beta)
    assert design[rows].T @ residual == pytest.approx([0.0, beta[1] - 1.0, beta[2], beta[3]], abs=1e-6)
    assert inputs[0].tolist() == [0.0, 4.0], "a missing input is the middle, one far off counts as four spreads"


def test_an_input_that_is_the_same_in_everybody_says_nothing() -> None:
    whole, predicted = _folds()
    whole.X[:, 1] = 3.0
    apart = np.arange(240) < 40
    alone = interval._corrected(whole, predicted, np.arange(40, 240), apart)
    whole.X = whole.X[:, :1]
    assert interval._corrected(whole, predicted, np.arange(40, 240), apart) == pytest.approx(alone)


def test_groups_have_twelve_events_and_as_many_others_on_average_twice_over() -> None:
    """Of 240 people at 1 : 1 in a fold 120 are expected to have it: 5 parts of 24, each split by distance."""
    whole, _ = _folds(480)
    predicted = cast(OutOfFold, SimpleNamespace(logit=np.zeros(480)))
    distance = np.arange(480.0) // 2
    groups = interval._groups(whole, predicted, distance)
    assert [fold for fold, _ in groups] == [0] * 10 + [1] * 10
    assert sorted(np.concatenate([rows for _, rows in groups]).tolist()) == list(range(480))
    # the last bits of a sum decide whether the limit's own person is of the one part or the next
    assert {len(rows) for _, rows in groups} <= {23, 24, 25}
    near, far = groups[0][1], groups[1][1]
    assert distance[near].max() + 1.0 == distance[far].min()
    assert len(near) - len(far) in (0, 1)
    for fold, rows in groups:
        assert set(whole.cohort.fold[rows].tolist()) == {fold}


@pytest.mark.parametrize(("count", "parts"), [(47, 0), (48, 1), (95, 1), (96, 2), (1920, 40), (4000, 40)])
def test_so_many_people_make_so_many_groups(count: int, parts: int) -> None:
    whole, _ = _folds(count, 1)
    predicted = cast(OutOfFold, SimpleNamespace(logit=np.zeros(count)))
    groups = interval._groups(whole, predicted, np.arange(count, dtype=np.float64))
    assert len(groups) == 2 * parts


def test_rare_events_make_few_groups_and_people_of_no_weight_none() -> None:
    whole, _ = _folds(1000, 1)
    for sign in (-1.0, 1.0):
        predicted = cast(OutOfFold, SimpleNamespace(logit=np.full(1000, sign * np.log(19.0))))  # 50 of 1,000
        assert len(interval._groups(whole, predicted, np.arange(1000.0))) == 2 * 2
    whole.cohort.weight[:600] = 0.0  # 20 of 400: fewer than 24
    assert interval._groups(whole, predicted, np.arange(1000.0)) == []
    assert len(interval._groups(whole, predicted, np.zeros(1000))) == 0
    whole.cohort.weight[:] = 1.0
    assert len(interval._groups(whole, predicted, np.zeros(1000))) == 2, (
        "of people as near as each other no half is far"
    )


def test_groups_are_of_estimates_alike_and_tell_as_much() -> None:
    whole, predicted = _folds(2000, 1)
    groups = interval._groups(whole, predicted, np.zeros(2000))
    risk = sigmoid(predicted.logit)
    highest = [risk[rows].max() for _, rows in groups]
    lowest = [risk[rows].min() for _, rows in groups]
    assert all(high < low for high, low in zip(highest[:-1], lowest[1:], strict=True))
    told = [float((risk[rows] * (1 - risk[rows])).sum()) for _, rows in groups]
    assert max(told) - min(told) < 0.6


def test_bounds_are_widened_by_what_chance_leaves_of_a_groups_gap() -> None:
    """Four people at 1 : 1, all of whom had it: the gap of 0.5 is beyond chance by what the bounds must hold."""
    cohort = cast(Cohort, SimpleNamespace(y=np.array([1, 1, 1, 1, 0]), weight=np.array([1.0, 1.0, 1.0, 1.0, 4.0])))
    predicted = cast(OutOfFold, SimpleNamespace(logit=np.zeros(5)))
    spread = np.array([0.1, 0.1, 0.3, 0.3, 0.2])
    all_of_them, mixed = np.arange(4), np.arange(5)
    beyond = (0.5 / NORMAL_95) ** 2 - 0.25 / 4
    expected = beyond**0.5 / (0.25 * 0.2) if beyond > 0 else 0.0
    needed = interval._widening(predicted, cohort, spread, [(0, all_of_them), (0, mixed)])
    assert needed == pytest.approx([expected, 0.0])
    assert expected > 0.0
    # the fifth counts four times: five eighths of the weight at half each; the gap is gone
    weights = np.array([0.125] * 4 + [0.5])
    assert float(weights @ (np.array([1, 1, 1, 1, 0]) - 0.5)) == 0.0
    certain = interval._widening(predicted, cohort, np.zeros(5), [(0, all_of_them)])
    assert certain == pytest.approx([beyond**0.5 / 1e-12])
