"""A column in another unit: half of its values implausible."""

import numpy as np
import pytest
from numpy.typing import NDArray

from fhir.mapping.features.catalog import FEATURES
from models_onnx.workbench.training.data.units import column_in_another_unit

CREATININE = "creatinine_mg_dl"


def _column(implausible: int, of: int = 20, value: float = 80.0) -> NDArray[np.float64]:
    """Creatinine in mg/dL, of which so many values are as those in µmol/L."""
    return np.array([value] * implausible + [1.0] * (of - implausible) + [np.nan] * 3)


def test_the_limits_of_creatinine_are_those_of_these_tests() -> None:
    feature = FEATURES[CREATININE]
    assert (feature.plausible_low, feature.plausible_high, feature.unit) == (0.1, 20.0, "mg/dL")


@pytest.mark.parametrize(
    ("implausible", "of", "is_told"), [(10, 20, False), (11, 20, True), (19, 19, False), (20, 20, True)]
)
def test_more_than_half_of_twenty_values_are_implausible(implausible: int, of: int, is_told: bool) -> None:
    assert (column_in_another_unit(CREATININE, _column(implausible, of)) is not None) is is_told


def test_the_sentence_says_what_to_do() -> None:
    assert column_in_another_unit(CREATININE, _column(20)) == (
        "creatinine_mg_dl: 100% of its values are outside 0.1 to 20 mg/dL, their middle is 80: is it another unit, or "
        "another column? Have derived['creatinine_mg_dl'] give its values in mg/dL, or convert the column"
    )


def test_values_on_the_limits_are_plausible() -> None:
    assert column_in_another_unit(CREATININE, np.array([0.1, 20.0] * 20)) is None
    assert column_in_another_unit(CREATININE, np.array([0.099, 20.1] * 20)) is not None
