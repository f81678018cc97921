"""A column in another unit: half of its values implausible, and a unit that makes nine of ten plausible."""

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


def test_the_unit_that_fits_is_proposed_with_the_line_that_reads_it() -> None:
    column = _column(20)
    assert column_in_another_unit(CREATININE, column) == (
        "creatinine_mg_dl: 100% of its values are outside 0.1 to 20 mg/dL, their middle is 80: it looks like umol/L. "
        "If it is, write derived={'creatinine_mg_dl': lambda table: table['creatinine_mg_dl'] * 0.0113122} in the "
        "declaration, or convert the column"
    )
    assert column_in_another_unit(CREATININE, column, is_derived=True) == (
        "creatinine_mg_dl: 100% of its values are outside 0.1 to 20 mg/dL, their middle is 80: it looks like umol/L. "
        "If it is, have derived['creatinine_mg_dl'] give its values * 0.0113122"
    )


@pytest.mark.parametrize(("fitting", "is_proposed"), [(18, True), (17, False)])
def test_nine_of_ten_values_fit_the_unit_that_is_proposed(fitting: int, is_proposed: bool) -> None:
    column = np.array([80.0] * fitting + [1e6] * (20 - fitting))
    sentence = str(column_in_another_unit(CREATININE, column))
    assert ("it looks like" in sentence) is is_proposed
    assert is_proposed or sentence.endswith(": is it another unit, or another column?")


def test_values_on_the_limits_are_plausible() -> None:
    assert column_in_another_unit(CREATININE, np.array([0.1, 20.0] * 20)) is None
    assert column_in_another_unit(CREATININE, np.array([0.099, 20.1] * 20)) is not None


def test_of_two_units_that_fit_the_usual_one_is_proposed() -> None:
    """80 µmol/L is a kidney in health; 80 mg/L would be one that has failed, and nobody writes it so."""
    sentence = str(column_in_another_unit(CREATININE, np.full(20, 80.0)))
    assert "it looks like umol/L" in sentence


def test_a_temperature_in_fahrenheit_has_an_offset() -> None:
    sentence = str(column_in_another_unit("stay_temperature_cel", np.full(20, 98.6)))
    assert "it looks like [degF]. If it is, write derived=" in sentence
    assert "table['stay_temperature_cel'] * 0.555556 + -17.7778}" in sentence


def test_a_feature_that_is_not_measured_has_no_other_unit() -> None:
    sentence = column_in_another_unit("age_years", np.full(20, 900.0))
    assert str(sentence).endswith("their middle is 900: is it another unit, or another column?")
