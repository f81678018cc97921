"""Units of doses and of time."""

import pytest

from fhir.terminology.dosing import DoseUnit, days_per_unit, dose_unit


@pytest.mark.parametrize(
    ("text", "unit"),
    [
        ("mg", DoseUnit("mg")),
        ("G", DoseUnit("mg", 1000.0)),
        ("μg", DoseUnit("mg", 0.001)),
        ("Tablet(s)", DoseUnit("unit")),
        ("{tbl}", DoseUnit("unit")),
        (" CAP ", DoseUnit("unit")),
        ("mL", DoseUnit("mL")),
        ("tsp", DoseUnit("mL", 5.0)),
        ("puffs", DoseUnit("actuation")),
        ("[iU]", DoseUnit("activity", activity="unit")),
        ("PTCH", DoseUnit("patch")),
    ],
)
def test_a_unit_is_known_in_its_spellings(text: str, unit: DoseUnit) -> None:
    assert dose_unit(text) == unit


@pytest.mark.parametrize("text", ["mg/m2", "mg/kg/kg", "tablet/day", "drop", "MD to order daily dose", "", None, "m"])
def test_an_unknown_unit_is_not_guessed(text: str | None) -> None:
    assert dose_unit(text) is None


@pytest.mark.parametrize(
    ("unit", "days"),
    [("d", 1), ("days", 1), ("wk", 7), ("Weeks", 7), ("h", 1 / 24), ("mo", 30.4375), ("m", None), (None, None)],
)
def test_a_unit_of_time_is_so_many_days(unit: str | None, days: float | None) -> None:
    assert days_per_unit(unit) == days
