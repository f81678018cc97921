"""The daily dose: computed where everything is stated, with its certainty; else unknown, with the reason."""

import json
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fhir.mapping.medications.daily_dose import DailyDose, daily_dose
from fhir.mapping.medications.identity import identify
from fhir.record.datatypes import CodeableConcept, Dosage
from fhir.record.resources import MedicationDispense, MedicationRequest, decoder
from tests.conftest import examples
from tests.fhir.builders import coded, order
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
from tests.medication_strategies import medication_requests


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


# The daily dose of an order whose sig has words, ranges, weeks, several lines or an end.
# No time limit: the first example loads the tables, and the machine may be busy.
CALM = settings(deadline=None, max_examples=examples(60), suppress_health_check=[HealthCheck.too_slow])


class TestWeek:
    """Doses of a week."""

    @pytest.mark.parametrize(
        "dosage",
        [
            amount(6, "tablet") | {"timing": {"repeat": {"frequency": 1, "period": 1, "periodUnit": "wk"}}},
            amount(6, "tablet") | {"timing": {"repeat": {"frequency": 1, "period": 7, "periodUnit": "d"}}},
            amount(6, "tablet") | {"timing": {"repeat": {"dayOfWeek": ["mon"]}}},
            amount(6, "tablet")
            | {"timing": {"repeat": {"frequency": 1, "period": 1, "periodUnit": "d", "dayOfWeek": ["mon"]}}},
            amount(6, "tablet") | {"timing": {"code": {"coding": [{"code": "WK"}]}}},
            amount(15, "mg") | {"text": "once weekly"},
            amount(2, "tablet")
            | {"timing": {"repeat": {"frequency": 3, "period": 1, "periodUnit": "wk", "dayOfWeek": ["sat"]}}},
            {"text": "6 tablets every week"},
            {"text": "15 mg weekly on Sunday"},
            {"text": "six tabs on Mondays"},
            {"text": "15 mg q7days"},
        ],
    )
    def test_a_weekly_dose(self, dosage: dict[str, Any]) -> None:
        dose = dose_of(coded("105585", "methotrexate 2.5 MG Oral Tablet"), dosage)
        assert [one.high * 7 for one in dose.per_day] == [pytest.approx(15.0)]
        assert dose.times_per_week == pytest.approx(1.0)

    @pytest.mark.parametrize(("often", "a_week"), [("daily", 7), ("twice a week", 2), ("on Mon and Thu", 2)])
    def test_more_than_once_a_week(self, often: str, a_week: float) -> None:
        dose = dose_of(coded("105585", "methotrexate 2.5 MG Oral Tablet"), {"text": f"3 tablets {often}"})
        assert dose.times_per_week == pytest.approx(a_week)
        assert [one.high * 7 for one in dose.per_day] == [pytest.approx(7.5 * a_week)]


class TestRange:
    """Ranges, as needed, maxima."""

    def test_a_dose_range(self) -> None:
        given_range = {"doseRange": {"low": {"value": 1, "unit": "tablet"}, "high": {"value": 2, "unit": "tablet"}}}
        dose = dose_of(METFORMIN, {"doseAndRate": [given_range], "timing": TWICE})
        assert (dose.certainty, per_day(dose)) == ("range", [(1000.0, 2000.0)])

    def test_a_range_with_two_units_is_unknown(self) -> None:
        mixed = {"doseRange": {"low": {"value": 1, "unit": "tablet"}, "high": {"value": 500, "unit": "mg"}}}
        assert dose_of(METFORMIN, {"doseAndRate": [mixed], "timing": TWICE}).certainty == "unknown"

    @pytest.mark.parametrize("needed", [{"asNeededBoolean": True}, {"asNeededCodeableConcept": {"text": "pain"}}])
    def test_as_needed_counts_at_its_most(self, needed: dict[str, Any]) -> None:
        dose = dose_of(METFORMIN, amount(1, "tablet") | {"timing": SIX_HOURLY} | needed)
        assert (dose.certainty, per_day(dose)) == ("maximum_prn", [(0.0, 2000.0)])
        assert dose.as_needed

    def test_a_maximum_per_period_caps_it(self) -> None:
        limit = {"numerator": {"value": 3, "unit": "tablet"}, "denominator": {"value": 24, "code": "h"}}
        dose = dose_of(
            METFORMIN, amount(1, "tablet") | {"timing": SIX_HOURLY, "asNeededBoolean": True, "maxDosePerPeriod": limit}
        )
        assert per_day(dose) == [(0.0, 1500.0)]

    def test_as_needed_without_a_frequency_is_unknown_but_for_its_maximum(self) -> None:
        needed = amount(1, "tablet") | {"asNeededBoolean": True}
        assert str(dose_of(METFORMIN, needed).problem) == "as needed without a frequency"
        limit = {"numerator": {"value": 2000, "unit": "mg"}, "denominator": {"value": 1, "unit": "day"}}
        assert per_day(dose_of(METFORMIN, needed | {"maxDosePerPeriod": limit})) == [(0.0, 2000.0)]

    def test_a_maximum_without_a_frequency_is_the_most(self) -> None:
        limit = {"numerator": {"value": 2000, "unit": "mg"}, "denominator": {"value": 1, "unit": "day"}}
        dose = dose_of(METFORMIN, amount(1, "tablet") | {"maxDosePerPeriod": limit})
        assert (dose.certainty, per_day(dose)) == ("range", [(0.0, 2000.0)])

    def test_a_maximum_does_not_settle_a_taper(self) -> None:
        limit = {"numerator": {"value": 2000, "unit": "mg"}, "denominator": {"value": 1, "unit": "day"}}
        dose = dose_of(METFORMIN, {"text": "taper as told", "maxDosePerPeriod": limit})
        assert (dose.certainty, dose.per_day) == ("unknown", ())


class TestWords:
    """Words fill what the structure leaves open."""

    def test_the_sig_alone_is_enough(self) -> None:
        dose = dose_of(METFORMIN, {"text": "take 2 tablets twice daily"})
        assert (per_day(dose), dose.from_text) == ([(2000.0, 2000.0)], True)

    def test_the_words_fill_in_the_frequency(self) -> None:
        assert per_day(dose_of(METFORMIN, amount(1, "tablet") | {"text": "1 tablet bid"})) == [(1000.0, 1000.0)]

    def test_the_words_fill_in_the_dose(self) -> None:
        assert per_day(dose_of(METFORMIN, {"timing": TWICE, "text": "1 tablet with meals"})) == [(1000.0, 1000.0)]

    def test_the_structure_is_not_overruled(self) -> None:
        dose = dose_of(METFORMIN, amount(1, "tablet") | {"timing": TWICE, "text": "take 3 tablets four times a day"})
        assert (per_day(dose), dose.from_text) == ([(1000.0, 1000.0)], False)

    def test_what_the_structure_leaves_open_beside_dose_and_frequency_is_read_too(self) -> None:
        words = "1 tablet bid as needed for 14 days, max 1 tablet per day"
        dose = dose_of(METFORMIN, amount(1, "tablet") | {"timing": TWICE, "text": words})
        assert (dose.duration_days, dose.as_needed, per_day(dose)) == (14.0, True, [(0.0, 500.0)])

    def test_a_timing_that_contradicts_itself_is_not_settled_by_words(self) -> None:
        timing = TWICE | {"code": {"coding": [{"code": "TID"}]}}
        dose = dose_of(METFORMIN, amount(1, "tablet") | {"timing": timing, "text": "1 tablet bid"})
        assert str(dose.problem) == "timing code and repeat contradict each other"

    def test_a_text_only_order_may_carry_its_sig(self) -> None:
        dose = dose_of("Metformin 500 mg PO BID x 10 days")
        assert (per_day(dose), dose.duration_days) == ([(1000.0, 1000.0)], 10.0)

    def test_a_product_name_is_no_sig(self) -> None:
        assert dose_of("24 HR metformin 500 MG Extended Release Oral Tablet").certainty == "unknown"

    def test_morning_and_evening_are_added(self) -> None:
        dose = dose_of(METFORMIN, {"text": "1 tab qam and 2 tabs qhs"})
        assert (per_day(dose), dose.times_per_day) == ([(1500.0, 1500.0)], 2.0)

    def test_the_amount_of_a_whole_day_is_not_multiplied(self) -> None:
        dose = dose_of(METFORMIN, {"text": "1000 mg/day in 2 divided doses"})
        assert per_day(dose) == [(1000.0, 1000.0)]

    def test_a_patient_instruction_is_read_when_there_is_no_text(self) -> None:
        assert per_day(dose_of(METFORMIN, {"patientInstruction": "1 tablet twice a day"})) == [(1000.0, 1000.0)]

    def test_words_as_needed_give_way_to_a_stated_no(self) -> None:
        dose = dose_of(METFORMIN, {"asNeededBoolean": False, "text": "1 tablet bid prn"})
        assert dose.certainty == "exact"


class TestSeveral:
    """Several instructions: at once or one after the other."""

    def test_instructions_at_once_are_added(self) -> None:
        morning = amount(1, "tablet") | {"timing": {"repeat": {"when": ["MORN"]}}}
        evening = amount(2, "tablet") | {"timing": {"repeat": {"when": ["EVE"]}}}
        dose = dose_of(METFORMIN, morning, evening)
        assert (per_day(dose), dose.times_per_day, dose.certainty) == ([(1500.0, 1500.0)], 2.0, "exact")

    def test_instructions_in_sequence_are_a_range(self) -> None:
        week = {"repeat": TWICE["repeat"] | {"boundsDuration": {"value": 7, "code": "d"}}}
        first = amount(1, "tablet") | {"sequence": 1, "timing": week}
        then = amount(2, "tablet") | {"sequence": 2, "timing": week}
        dose = dose_of(METFORMIN, first, then)
        assert (per_day(dose), dose.certainty, dose.duration_days) == ([(1000.0, 2000.0)], "range", 14.0)

    def test_one_unknown_instruction_makes_the_dose_unknown(self) -> None:
        known = amount(1, "tablet") | {"timing": TWICE}
        dose = dose_of(METFORMIN, known, {"text": "and as directed"})
        assert (dose.certainty, dose.per_day) == ("unknown", ())


class TestDuration:
    """How long: bounds, words, supply, quantity."""

    def _days(self, dosage: dict[str, Any], **dispense: Any) -> float | None:
        known = amount(1, "tablet") | {"timing": TWICE} | dosage
        return dose_of(METFORMIN, known, dispenseRequest=dispense).duration_days

    def test_the_bounds_go_before_the_supply(self) -> None:
        bounded = {"timing": {"repeat": TWICE["repeat"] | {"boundsDuration": {"value": 5, "code": "d"}}}}
        assert self._days(bounded, expectedSupplyDuration={"value": 30, "code": "d"}) == 5.0

    def test_repeats_are_counted(self) -> None:
        supply = {"value": 30, "unit": "days"}
        assert self._days({}, expectedSupplyDuration=supply, numberOfRepeatsAllowed=2) == 90.0
        assert self._days({}, expectedSupplyDuration=supply, numberOfRepeatsAllowed=0) == 30.0

    def test_a_quantity_lasts_for_its_days(self) -> None:
        assert self._days({}, quantity={"value": 60, "unit": "tablet"}) == 30.0
        assert self._days({}, quantity={"value": 60, "unit": "mL"}) is None

    def test_the_supply_goes_before_the_words_and_the_words_before_the_quantity(self) -> None:
        said = {"text": "1 tablet twice daily for 10 days"}
        assert self._days(said, expectedSupplyDuration={"value": 5, "code": "d"}) == 5.0
        assert self._days(said, quantity={"value": 60, "unit": "tablet"}) == 10.0
        assert self._days(said, numberOfRepeatsAllowed=2) == 30.0

    def test_a_single_dose_is_one_day(self) -> None:
        once = dose_of(METFORMIN, amount(1, "tablet") | {"timing": {"code": {"text": "once"}}})
        assert (once.single, once.duration_days, per_day(once)) == (True, 1.0, [(500.0, 500.0)])

    def test_without_any_of_them_it_is_unknown(self) -> None:
        assert self._days({}) is None


def test_a_weekly_dose_is_a_seventh_a_day() -> None:
    weekly = {"repeat": {"frequency": 1, "period": 1, "periodUnit": "wk"}}
    dose = dose_of(coded("105585", "methotrexate 2.5 MG Oral Tablet"), amount(6, "tablet") | {"timing": weekly})
    assert per_day(dose) == [(15.0 / 7, 15.0 / 7)]


# Equivalent ways to say how often, and how much of a 500 mg tablet. Whatever is combined, the dose is the same.
OFTEN: dict[int, list[Any]] = {
    1: ["daily", "once daily", "once a day", "every day", "qd", "every 24 hours", "1 time per day", "every morning",
        "qhs"],
    2: ["bid", "b.i.d.", "twice daily", "twice a day", "two times a day", "2x daily", "every 12 hours", "q12h",
        "q 12 h", "2 times per day", "in the morning and at bedtime", "TWICE DAILY"],
    3: ["tid", "T.I.D.", "three times a day", "3 times daily", "every 8 hours", "q8h", "thrice daily", "3x/day"],
    4: ["qid", "four times a day", "4 times a day", "every 6 hours", "q6h", "q 6 hrs"],
}  # fmt: skip
REPEATS: dict[int, list[dict[str, Any]]] = {
    times: [
        {"repeat": {"frequency": times, "period": 1, "periodUnit": "d"}},
        {"repeat": {"frequency": 1, "period": 24 / times, "periodUnit": "h"}},
        {"repeat": {"frequency": 7 * times, "period": 1, "periodUnit": "wk"}},
        {"repeat": {"timeOfDay": [f"{hour:02}:00:00" for hour in range(6, 6 + times)]}},
        {"code": {"coding": [{"code": ["QD", "BID", "TID", "QID"][times - 1]}]}},
        {"code": {"text": ["daily", "twice daily", "three times a day", "every 6 hours"][times - 1]}},
    ]
    for times in (1, 2, 3, 4)
}
MUCH: dict[float, list[str]] = {
    0.5: ["0.5 tablet", "half a tablet", "1/2 tab", "½ tab", "250 mg", "0.25 g", "250mg"],
    1.0: ["1 tablet", "one tab", "1 tab", "ONE (1) tablet", "a tablet", "500 mg", "500mg", "0.5 g",
          "1 tablet (500 mg)"],
    2.0: ["2 tablets", "two tabs", "TWO (2) tablets", "1000 mg", "1,000 mg", "1 g", "two 500 mg tablets", "2 x 500 mg"],
}  # fmt: skip
QUANTITIES: dict[float, list[dict[str, Any]]] = {
    count: [
        amount(count, "tablet"),
        amount(count, "Tab"),
        amount(count, "TAB", "TAB"),
        amount(count, None, "{tbl}"),
        amount(500 * count, "mg", "mg"),
        amount(count / 2, "g", "g"),
    ]
    for count in MUCH
}


@settings(deadline=None, max_examples=examples(300))
@given(st.data(), st.sampled_from(sorted(OFTEN)), st.sampled_from(sorted(MUCH)))
def test_rewriting_a_sig_does_not_change_the_dose(data: st.DataObject, times: int, count: float) -> None:
    words = f"{data.draw(st.sampled_from(['take ', '', 'Take: ']))}{data.draw(st.sampled_from(MUCH[count]))}"
    words += data.draw(st.sampled_from([" ", " by mouth ", " po ", "  PO  "])) + data.draw(
        st.sampled_from(OFTEN[times])
    )
    words += data.draw(st.sampled_from(["", " for 10 days", " x 10 days", " with food", "."]))
    quantity = data.draw(st.sampled_from(QUANTITIES[count]))
    timing = {"timing": data.draw(st.sampled_from(REPEATS[times]))}
    written = data.draw(
        st.sampled_from([{"text": words}, quantity | timing, quantity | {"text": words}, timing | {"text": words}])
    )
    dose = dose_of(METFORMIN, written)
    assert dose.certainty == "exact", (written, dose.problem)
    assert [one.high for one in dose.per_day] == [pytest.approx(500.0 * count * times)]


@CALM
@given(medication_requests())
def test_any_order_has_a_dose_or_a_reason(resource: dict[str, Any]) -> None:
    draft = decoder.decode(json.dumps(resource))
    if isinstance(draft, MedicationRequest):
        dose = daily_dose(draft, identify(draft))
        assert (dose.certainty == "unknown") == (not dose.per_day)
        assert dose.per_day or dose.problem
        assert all(one.low <= one.high for one in dose.per_day)


# Doses that are no milligrams: units and mEq are kept, a mass of a combination is told as what it is at least.


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
