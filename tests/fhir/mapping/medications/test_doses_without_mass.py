"""Doses that are no milligrams: units and mEq are kept, a mass of a combination is told as what it is at least."""

import pytest

from fhir.mapping.medications.daily_dose import DailyDose, daily_dose
from fhir.mapping.medications.identity import identify
from fhir.record.datatypes import CodeableConcept, Dosage
from fhir.record.resources import MedicationRequest

_WEIGHT_KG = 70.0


def _dose(drug: str, sig: str) -> DailyDose:
    order = MedicationRequest(
        medicationCodeableConcept=CodeableConcept(text=drug), dosageInstruction=(Dosage(text=sig),)
    )
    return daily_dose(order, identify(order, {}), _WEIGHT_KG)


@pytest.mark.parametrize(
    ("drug", "sig", "unit", "per_dose", "per_day"),
    [
        ("potassium chloride ER tablet", "20 mEq twice daily", "meq", 20.0, 40.0),
        ("potassium chloride 20 MEQ Extended Release Oral Tablet", "2 tablets twice daily", "meq", 40.0, 80.0),
        ("heparin 5000 UNT/ML injection", "5,000 units SC every 8 hours", "unit", 5000.0, 15000.0),
        ("insulin glargine 100 UNT/ML pen", "12 units at bedtime", "unit", 12.0, 12.0),
        ("heparin", "1200 units/hour twice daily", "unit", 14400.0, 28800.0),
        ("penicillin G", "24 million units per day divided every 4 hours", "unit", 4e6, 24e6),
    ],
)
def test_units_and_milliequivalents_are_kept_beside_the_unknown_milligrams(
    drug: str, sig: str, unit: str, per_dose: float, per_day: float
) -> None:
    dose = _dose(drug, sig)
    assert dose.certainty == "unknown"
    assert dose.per_day == ()
    assert dose.activity is not None
    assert (dose.activity.unit, dose.activity.per_dose, dose.activity.per_day) == (unit, per_dose, per_day)


def test_a_tablet_of_milligrams_has_no_activity() -> None:
    assert _dose("metformin 500 MG Oral Tablet", "1 tablet twice daily").activity is None


def test_the_mass_of_a_combination_is_at_least_its_share_in_every_product() -> None:
    dose = _dose("trimethoprim-sulfamethoxazole oral liquid", "800 mg twice daily")
    least = {amount.rxcui: amount.high for amount in dose.least_per_day}
    assert dose.per_day == ()
    assert least["10829"] == pytest.approx(2 * 800 / 6)  # trimethoprim is a sixth of the sum
    assert least["10180"] == pytest.approx(2 * 800 * 5 / 6)


def test_nothing_is_told_of_a_combination_whose_products_are_not_known() -> None:
    dose = _dose("metformin and warfarin capsule", "500 mg daily")
    assert dose.least_per_day == ()


def test_a_strength_of_the_product_tells_more_than_the_least() -> None:
    dose = _dose("buprenorphine 8 MG / naloxone 2 MG Sublingual Film", "1 film daily")
    assert dose.least_per_day == ()
    assert {round(amount.high, 1) for amount in dose.per_day} == {8.0, 2.0}
