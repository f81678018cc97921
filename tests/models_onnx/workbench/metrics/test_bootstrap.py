"""Intervals: the same for the same seed, around the figure, and honest about how often they hold."""

import numpy as np
import pytest

from models_onnx.workbench import metrics
from models_onnx.workbench.metrics import Estimate, PatientRows, estimate, gain
from tests.models_onnx.workbench.metrics.test_metrics import people


def test_a_sample_has_as_many_people_as_there_are() -> None:
    assert [drawn.sum(axis=1).tolist() for drawn in PatientRows.alone(50).samples(60, 1)] == [[50.0] * 40, [50.0] * 20]


def test_the_rows_of_one_patient_are_drawn_together() -> None:
    patient = np.array([0, 1, 1, 2, 2, 2])
    (drawn,) = PatientRows(patient, np.ones(6)).samples(30, 1)
    assert (drawn[:, 1] == drawn[:, 2]).all()
    assert (drawn[:, 3] == drawn[:, 5]).all()
    assert (drawn[:, [0, 1, 3]].sum(axis=1) == 3).all()


def test_stays_of_the_same_people_widen_the_interval() -> None:
    margin, y = people()
    twice, labels = np.repeat(margin, 2), np.repeat(y, 2)
    by_row = estimate({"oe": metrics.observed_expected}, twice, labels, 200, 1)["oe"]
    patient = np.repeat(np.arange(len(y)), 2)
    rows = PatientRows(patient, np.ones(len(labels)))
    by_patient = estimate({"oe": metrics.observed_expected}, twice, labels, 200, 1, rows)["oe"]
    assert by_patient.high - by_patient.low > 1.2 * (by_row.high - by_row.low)


def test_who_speaks_for_two_counts_twice() -> None:
    margin, y = people()
    weight = np.random.default_rng(3).integers(0, 3, len(y)).astype(np.float64)
    weighted = estimate({"auroc": metrics.auroc}, margin, y, 0, 1, PatientRows(np.arange(len(y)), weight))["auroc"]
    count = weight.astype(int)
    assert weighted == estimate({"auroc": metrics.auroc}, np.repeat(margin, count), np.repeat(y, count), 0, 1)["auroc"]


def test_the_same_seed_gives_the_same_interval_and_another_seed_another() -> None:
    margin, y = people()
    args = ({"auroc": metrics.auroc}, margin, y, 60)
    assert estimate(*args, 1) == estimate(*args, 1) != estimate(*args, 2)


def test_without_samples_the_interval_is_the_figure() -> None:
    margin, y = people()
    told = estimate({"oe": metrics.observed_expected}, margin, y, 0, 1)["oe"]
    assert told == Estimate(told.value, told.value, told.value)


def test_the_interval_of_a_rate_is_about_the_textbooks() -> None:
    y = np.array([1] * 100 + [0] * 300)
    margin = np.full(400, np.log(1 / 3))
    told = estimate({"oe": metrics.observed_expected}, margin, y, 2000, 1)["oe"]
    half = 1.96 * np.sqrt(0.25 * 0.75 / 400) / 0.25
    assert told.value == pytest.approx(1.0)
    assert (told.low, told.high) == pytest.approx((1 - half, 1 + half), abs=0.03)


def test_the_gain_over_oneself_is_nothing_in_every_sample() -> None:
    margin, y = people()
    assert gain(metrics.auroc, margin, margin, y, 40, 1) == Estimate(0.0, 0.0, 0.0)


def test_the_gain_over_noise_is_above_nothing() -> None:
    margin, y = people()
    noise = np.random.default_rng(9).normal(size=len(y))
    assert gain(metrics.auroc, margin, noise, y, 100, 1).low > 0.1
