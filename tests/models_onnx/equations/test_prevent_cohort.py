"""PREVENT on the people of the NHANES prevention table, against the figures of its README."""

from pathlib import Path

import numpy as np
import pytest

from models_onnx.equations.vectors import PREVENT_TABLE, auroc, prevent_on_people


@pytest.mark.outside_data
def test_prevent_gives_the_mean_risk_and_the_ranking_that_are_known_for_these_people(data_folder: Path) -> None:
    found = prevent_on_people(data_folder / PREVENT_TABLE)
    assert found.followed == 10_692
    assert found.scored == pytest.approx(9130, abs=20)
    assert found.mean == pytest.approx(0.062, abs=0.0005)
    assert found.mean_women == pytest.approx(0.0526, abs=0.0001)
    assert found.mean_men == pytest.approx(0.0708, abs=0.0001)
    assert found.auroc_heart_death == pytest.approx(0.826, abs=0.001)


def test_the_ranking_counts_pairs_and_ties_by_half() -> None:
    assert auroc(np.array([0.1, 0.2, 0.2, 0.9]), np.array([False, True, False, True])) == 3.5 / 4
