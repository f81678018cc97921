"""The daily dose: computed where everything is stated, with its certainty; else unknown, with the reason."""

import json
from pathlib import Path
from typing import Any, ClassVar

import pytest

from fhir.mapping.medications.daily_dose import daily_dose
from fhir.mapping.medications.identity import identify
from fhir.record.resources import MedicationDispense, MedicationRequest, decoder
from tests.fhir.mapping.charts import coded, order
from tests.fhir.mapping.medications.doses import (
    ENOXAPARIN,
    METFORMIN,
    OXYCODONE_ACETAMINOPHEN,
    SIX_HOURLY,
    TWICE,
    amount,
    dose_of,
    per_day,
)


class TestUnits:
    """Units multiplied with strengths."""

    @pytest.mark.parametrize(
        ("quantity", "milligrams"),
        [
            (amount(500, "mg", "mg"), 1000),
            (amount(500, "mg"), 1000),
            (amount(0.5, "g"), 1000),
            (amount(0.5, "Gm"), 1000),
            (amount(500000, "mcg"), 1000),
            (amount(1, "tablet"), 1000),
            (amount(1, "TAB", "TAB"), 1000),
            (amount(2, "tablets"), 2000),
            (amount(0.5, "tablet", "{tbl}"), 500),
            (amount(1, "tablet", "1"), 1000),
            (amount(1, None, "{tablet}"), 1000),
            (amount(1, "{pill}"), 1000),
            (amount(2), 2000),
        ],
    )
    def test_a_dose_of_metformin_500(self, quantity: dict[str, Any], milligrams: float) -> None:
        dose = dose_of(METFORMIN, quantity | {"timing": TWICE})
        assert per_day(dose) == [(milligrams, milligrams)]
        assert (dose.certainty, dose.times_per_day, dose.from_text) == ("exact", 2.0, False)

    @pytest.mark.parametrize(
        ("quantity", "problem"),
        [
            (amount(500), "no unit"),
            (amount(1, "blob"), "'blob' is not known"),
            (amount(5, "mg/m2"), "is not known"),
            (amount(5, "mg/kg"), "for each kilogram and no weight"),
            (amount(5, "mL"), "strength"),
            (amount(10, "units"), "units of activity"),
            (amount(1e308, "mg"), "the dose cannot be right"),
            (amount(1e13), "the dose cannot be right"),
            (amount(5e-324, "tablet"), "the dose cannot be right"),
            (amount(1, "tablet", "mg"), "unit says tablet, its code says mg"),
            (
                amount(1) | {"doseAndRate": [{"doseQuantity": {"value": 1, "unit": "tablet", "comparator": "<"}}]},
                "exact",
            ),
        ],
    )
    def test_a_unit_is_never_guessed(self, quantity: dict[str, Any], problem: str) -> None:
        dose = dose_of(METFORMIN, quantity | {"timing": TWICE})
        assert (dose.certainty, dose.per_day) == ("unknown", ())
        assert problem in str(dose.problem)

    def test_a_tablet_without_a_strength_is_unknown(self) -> None:
        dose = dose_of("metformin", amount(1, "tablet") | {"timing": TWICE})
        assert (dose.certainty, str(dose.problem)) == ("unknown", "the strength of the product is not stated")

    def test_a_combination_is_counted_for_each_ingredient(self) -> None:
        dose = dose_of(OXYCODONE_ACETAMINOPHEN, amount(2, "tablet") | {"timing": SIX_HOURLY})
        assert {one.rxcui: one.high for one in dose.per_day} == {"161": 2600.0, "7804": 40.0}
        assert dose.daily("7804") is not None
        assert dose.daily("6809") is None

    def test_a_mass_for_a_combination_is_unknown(self) -> None:
        dose = dose_of(OXYCODONE_ACETAMINOPHEN, amount(5, "mg") | {"timing": SIX_HOURLY})
        assert "combination" in str(dose.problem)

    def test_a_mass_of_an_infusion_is_that_of_the_drug_in_it(self) -> None:
        dose = dose_of("vancomycin; 0.9% sodium chloride", amount(1, "g") | {"timing": TWICE})
        assert {one.rxcui: one.high for one in dose.per_day} == {"11124": 2000.0}

    @pytest.mark.parametrize(("quantity", "milligrams"), [(amount(5, "mL"), 500), (amount(1, "tsp"), 500)])
    def test_a_liquid_is_multiplied_with_its_concentration(self, quantity: dict[str, Any], milligrams: float) -> None:
        assert per_day(dose_of("amoxicillin 250 mg/5 mL suspension", quantity | {"timing": TWICE})) == [
            (milligrams, milligrams)
        ]

    def test_a_syringe_holds_its_volume(self) -> None:
        assert per_day(dose_of(ENOXAPARIN, amount(1, "syringe") | {"timing": TWICE})) == [(80.0, 80.0)]
        assert per_day(dose_of(ENOXAPARIN, amount(40, "mg") | {"timing": TWICE})) == [(80.0, 80.0)]

    def test_a_puff_is_an_actuation(self) -> None:
        inhaler = "200 ACTUAT albuterol 0.09 MG/ACTUAT Metered Dose Inhaler"
        assert per_day(dose_of(inhaler, amount(2, "puff") | {"timing": TWICE})) == [(0.36, 0.36)]

    def test_a_patch_gives_so_much_an_hour_whatever_its_change(self) -> None:
        patch = coded("245134", "72 HR fentanyl 0.025 MG/HR Transdermal System")
        every_third = {"repeat": {"frequency": 1, "period": 3, "periodUnit": "d"}}
        dose = dose_of(patch, amount(1, "patch") | {"timing": every_third})
        assert per_day(dose) == [(0.6, 0.6)]
        assert dose.times_per_day == pytest.approx(1 / 3)

    def test_grams_of_a_gel_are_grams_of_the_product(self) -> None:
        gel = "diclofenac sodium 0.01 MG/MG Topical Gel"
        assert per_day(dose_of(gel, amount(2, "g") | {"timing": TWICE})) == [(40.0, 40.0)]


class TestByWeight:
    """Doses for each kilogram and in a time."""

    @pytest.mark.parametrize(
        "dosage",
        [
            amount(15, "mg/kg", "mg/kg") | {"timing": SIX_HOURLY},
            amount(15, "mg/kg/dose") | {"timing": SIX_HOURLY},
            amount(60, "mg/kg/day", "mg/kg/d") | {"timing": SIX_HOURLY},
            amount(60, "mg/kg/24h"),
            amount(15000, "mcg/kg") | {"timing": SIX_HOURLY},
            {"text": "15 mg/kg every 6 hours"},
            {"text": "give 15 mg per kg q6h"},
            {"text": "60 mg/kg/day divided every 6 hours"},
            {"text": "60 mg/kg per day in 4 divided doses"},
        ],
    )
    def test_a_dose_by_weight_is_that_of_the_patient(self, dosage: dict[str, Any]) -> None:
        draft = order("acetaminophen 160 mg/5 mL suspension", dosage)
        identity = identify(draft)
        assert per_day(daily_dose(draft, identity, 20.0)) == [(1200.0, 1200.0)]
        assert str(daily_dose(draft, identity).problem) == "the dose is for each kilogram and no weight is known"

    def test_its_maximum_may_be_by_weight_too(self) -> None:
        limit = {"numerator": {"value": 45, "unit": "mg/kg"}, "denominator": {"value": 1, "unit": "day"}}
        written = amount(15, "mg/kg") | {"timing": SIX_HOURLY, "asNeededBoolean": True, "maxDosePerPeriod": limit}
        draft = order("acetaminophen 160 mg/5 mL suspension", written)
        assert per_day(daily_dose(draft, identify(draft), 20.0)) == [(0.0, 900.0)]

    @pytest.mark.parametrize(("value", "unit"), [(25, "mcg/h"), (25, "ug/hr"), (0.6, "mg/day"), (0.6, "mg/24h")])
    def test_a_patch_may_be_ordered_by_what_it_gives_off(self, value: float, unit: str) -> None:
        assert per_day(dose_of("fentanyl patch", amount(value, unit))) == [(pytest.approx(0.6), pytest.approx(0.6))]

    @pytest.mark.parametrize(
        "rate",
        [
            {"rateQuantity": {"value": 2, "unit": "mg/h"}},
            {"rateRatio": {"numerator": {"value": 2, "unit": "mg"}, "denominator": {"value": 1, "unit": "h"}}},
            {"rateQuantity": {"value": 0.1, "unit": "mg/kg/h"}},
            {"rateRange": {"low": {"value": 2, "unit": "mg/h"}, "high": {"value": 2, "unit": "mg/h"}}},
        ],
    )
    def test_an_infusion_runs_all_day(self, rate: dict[str, Any]) -> None:
        draft = order("morphine", {"doseAndRate": [rate]})
        assert per_day(daily_dose(draft, identify(draft), 20.0)) == [(48.0, 48.0)]

    @pytest.mark.parametrize(
        ("repeat", "milligrams"),
        [
            # 2 mg/h for half an hour, three times a day.
            ({"frequency": 3, "period": 1, "periodUnit": "d", "duration": 30, "durationUnit": "min"}, (3.0, 3.0)),
            ({"frequency": 1, "period": 2, "periodUnit": "d", "duration": 6, "durationUnit": "h"}, (6.0, 6.0)),
            ({"count": 1, "duration": 4, "durationUnit": "h"}, (8.0, 8.0)),
            # Days: it runs all day for so long.
            ({"duration": 3, "durationUnit": "d"}, (48.0, 48.0)),
        ],
    )
    def test_an_infusion_that_ends_is_rate_times_duration(
        self, repeat: dict[str, Any], milligrams: tuple[float, float]
    ) -> None:
        rate = {"doseAndRate": [{"rateQuantity": {"value": 2, "unit": "mg/h"}}], "timing": {"repeat": repeat}}
        draft = order("morphine", rate)
        assert per_day(daily_dose(draft, identify(draft))) == [pytest.approx(milligrams)]

    @pytest.mark.parametrize(
        ("repeat", "problem"),
        [
            ({"duration": 4, "durationUnit": "h"}, "the frequency is not stated"),
            (
                {"frequency": 4, "period": 1, "periodUnit": "d", "duration": 8, "durationUnit": "h"},
                "the infusions of a day last longer than a day",
            ),
        ],
    )
    def test_an_infusion_that_ends_and_is_not_said_how_often_is_unknown(
        self, repeat: dict[str, Any], problem: str
    ) -> None:
        rate = {"doseAndRate": [{"rateQuantity": {"value": 2, "unit": "mg/h"}}], "timing": {"repeat": repeat}}
        draft = order("morphine", rate)
        dose = daily_dose(draft, identify(draft))
        assert (dose.certainty, str(dose.problem)) == ("unknown", problem)


class TestSupply:
    """A quantity over the days it is to last, where nothing else says how much."""

    SUPPLY: ClassVar[dict[str, Any]] = {
        "quantity": {"value": 120, "unit": "tablet"},
        "expectedSupplyDuration": {"value": 30, "unit": "days", "code": "d"},
    }

    @pytest.mark.parametrize("dosage", [{"text": "take as directed"}, amount(1, "tablet"), {}])
    def test_it_gives_the_average_of_a_day(self, dosage: dict[str, Any]) -> None:
        dose = dose_of(METFORMIN, dosage, dispenseRequest=self.SUPPLY)
        assert (per_day(dose), dose.certainty, dose.from_supply) == ([(2000.0, 2000.0)], "exact", True)

    def test_as_needed_it_is_the_most(self) -> None:
        dose = dose_of(METFORMIN, amount(1, "tablet") | {"asNeededBoolean": True}, dispenseRequest=self.SUPPLY)
        assert (per_day(dose), dose.certainty) == ([(0.0, 2000.0)], "maximum_prn")

    @pytest.mark.parametrize(
        "dosage",
        [
            {"text": "taper over 2 weeks"},
            amount(1, "tablet") | {"timing": TWICE | {"code": {"coding": [{"code": "TID"}]}}},
            amount(1, "blob"),
        ],
    )
    def test_it_does_not_settle_what_changes_or_contradicts_itself(self, dosage: dict[str, Any]) -> None:
        assert dose_of(METFORMIN, dosage, dispenseRequest=self.SUPPLY).certainty == "unknown"

    def test_what_is_stated_goes_before(self) -> None:
        dose = dose_of(METFORMIN, amount(1, "tablet") | {"timing": TWICE}, dispenseRequest=self.SUPPLY)
        assert (per_day(dose), dose.from_supply) == ([(1000.0, 1000.0)], False)

    def test_a_dispense_says_it_too(self) -> None:
        given = {
            "resourceType": "MedicationDispense",
            "medicationCodeableConcept": METFORMIN,
            "quantity": {"value": 120, "unit": "tablet"},
            "daysSupply": {"value": 30, "unit": "days", "code": "d"},
        }
        dispense = decoder.decode(json.dumps(given))
        assert isinstance(dispense, MedicationDispense)
        dose = daily_dose(dispense, identify(dispense))
        assert (per_day(dose), dose.duration_days) == ([(2000.0, 2000.0)], 30.0)

    @pytest.mark.parametrize("left_out", ["quantity", "expectedSupplyDuration"])
    def test_one_of_the_two_says_nothing(self, left_out: str) -> None:
        supply = {name: value for name, value in self.SUPPLY.items() if name != left_out}
        assert dose_of(METFORMIN, {"text": "as directed"}, dispenseRequest=supply).certainty == "unknown"


def test_the_words_of_the_product_that_stand_in_the_sig_give_its_strength() -> None:
    tablet = amount(2, "TAB", "TAB") | {"timing": TWICE, "text": "5mg Tablet"}
    assert per_day(dose_of("Oxycodone", tablet)) == [(20.0, 20.0)]
    assert dose_of("Oxycodone", tablet | {"text": "5 mg Half Tablet"}).certainty == "unknown"
    assert dose_of("Oxycodone", tablet | {"text": "Syringe"}).certainty == "unknown"


class TestMissing:
    """What is not stated is unknown, with the reason."""

    @pytest.mark.parametrize(
        ("dosages", "problem"),
        [
            ((), "no dosage instruction"),
            (({},), "the dose is not stated"),
            (({"timing": TWICE},), "the dose is not stated"),
            ((amount(1, "tablet"),), "the frequency is not stated"),
            (({"text": "use as before"},), "the dose is not stated"),
            (({"text": "taper as directed"},), "the dose changes over time or is left open"),
            ((amount(1, "tablet") | {"timing": {"repeat": {"frequency": 2}}},), "frequency without a period"),
        ],
    )
    def test_it_says_why(self, dosages: tuple[dict[str, Any], ...], problem: str) -> None:
        dose = dose_of(METFORMIN, *dosages)
        assert (dose.certainty, dose.per_day, str(dose.problem)) == ("unknown", (), problem)

    def test_an_unknown_medication_has_no_dose(self) -> None:
        dose = dose_of("herbal drops", amount(1, "tablet") | {"timing": TWICE})
        assert str(dose.problem) == "the medication is not recognised"


def test_an_infusion_is_so_much_an_hour() -> None:
    running = {"doseAndRate": [{"rateQuantity": {"value": 5, "unit": "mg/h"}}]}
    assert per_day(dose_of("furosemide 10 MG/ML Injection", running)) == [(120.0, 120.0)]
    ratio = {"numerator": {"value": 10, "unit": "mL"}, "denominator": {"value": 1, "unit": "h"}}
    assert per_day(dose_of("furosemide 10 MG/ML Injection", {"doseAndRate": [{"rateRatio": ratio}]})) == [
        (2400.0, 2400.0)
    ]


@pytest.mark.outside_data
def test_the_doses_of_the_given_cases_are_as_they_say(data_folder: Path) -> None:
    stated = {
        "oc-001": 40, "oc-003": 250, "oc-019": 2000, "oc-020": 10, "oc-023": 20, "oc-024": 900, "oc-026": 200,
        "oc-030": 300, "oc-033": 15 / 7, "oc-038": 80, "oc-077": 4000,
    }  # fmt: skip
    for case, milligrams in stated.items():
        text = (data_folder / "cases" / "order-select" / f"{case}.json").read_text(encoding="utf-8")
        draft = decoder.decode(
            json.dumps(json.loads(text)["request"]["context"]["draftOrders"]["entry"][0]["resource"])
        )
        assert isinstance(draft, MedicationRequest)
        assert [one.high for one in daily_dose(draft, identify(draft)).per_day] == [pytest.approx(milligrams)], case
