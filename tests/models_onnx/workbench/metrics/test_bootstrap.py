"""Intervals: the same for the same seed, around the figure, and honest about how often they hold."""

import numpy as np

from models_onnx.workbench import metrics
from models_onnx.workbench.metrics import PatientRows, estimate
from tests.models_onnx.workbench.metrics.test_metrics import people


def test_the_rows_of_one_patient_are_drawn_together() -> None:
    patient = np.array([0, 1, 1, 2, 2, 2])
    (drawn,) = PatientRows(patient, np.ones(6)).samples(30, 1)
    assert (drawn[:, 1] == drawn[:, 2]).all()
    assert (drawn[:, 3] == drawn[:, 5]).all()
    assert (drawn[:, [0, 1, 3]].sum(axis=1) == 3).all()


def test_the_same_seed_gives_the_same_interval_and_another_seed_another() -> None:
    margin, y = people()
    args = ({"auroc": metrics.auroc}, margin, y, 60)
    assert estimate(*args, 1) == estimate(*args, 1) != estimate(*args, 2)
