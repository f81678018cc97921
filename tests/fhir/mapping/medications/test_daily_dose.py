"""The daily dose with its certainty and every field of the answer; else unknown, with the reason; and plain orders."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fhir.mapping.medications.daily_dose import DailyDose, daily_dose, order_of, plain_order, supply_of
from fhir.mapping.medications.dosage import Activity, Milligrams
from fhir.mapping.medications.identity import MedicationIdentity, identify
from fhir.mapping.medications.sig import (
    AS_NEEDED_WITHOUT_FREQUENCY,
    CONTRADICTION,
    NO_DOSAGE,
    NO_DOSE,
    NO_FREQUENCY,
    NO_WEIGHT,
    WORDS_DIFFER,
    DoseProblem,
)
from fhir.record.datatypes import (
    CodeableConcept,
    Coding,
    Dosage,
    DoseAndRate,
    Period,
    Quantity,
    Range,
    Ratio,
    Timing,
    TimingRepeat,
)
from fhir.record.resources import DispenseRequest, MedicationDispense, MedicationRequest, MedicationStatement, decoder
from fhir.terminology.medication_strength import Strength
from fhir.terminology.medications import INGREDIENT_BY_NAME
from tests.conftest import examples
from tests.each import for_rows
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


@for_rows(
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
def test_a_dose_of_metformin_500(quantity: dict[str, Any], milligrams: float) -> None:
    dose = dose_of(METFORMIN, quantity | {"timing": TWICE})
    assert per_day(dose) == [(milligrams, milligrams)]
    assert (dose.certainty, dose.times_per_day, dose.from_text) == ("exact", 2.0, False)


THIRD_DAY = {"timing": {"repeat": {"frequency": 1, "period": 3, "periodUnit": "d"}}}
TEN_ML_AN_HOUR = {"numerator": {"value": 10, "unit": "mL"}, "denominator": {"value": 1, "unit": "h"}}
PATCH = coded("245134", "72 HR fentanyl 0.025 MG/HR Transdermal System")


@for_rows(
    ("drug", "dosage", "a_day"),
    [
        (OXYCODONE_ACETAMINOPHEN, amount(2, "tablet") | {"timing": SIX_HOURLY}, {"161": 2600.0, "7804": 40.0}),
        # "875/125 mg" of a combination is the mass of each part.
        ("Augmentin", {"text": "875/125 mg PO BID x 7 days"}, {"723": 1750.0, "48203": 250.0}),
        ("Percocet", {"text": "5/325 mg, 2 tabs every 6 hours"}, {"7804": 40.0, "161": 2600.0}),
        ("Augmentin", {"text": "875/125/5 mg PO BID"}, {}),
        # What only says that it runs has the rate of its name.
        ("furosemide 10 mg/hr", {"text": "continuous"}, {"4603": 240.0}),
        ("furosemide 10 mg/hr", {"text": "daily"}, {}),
        ("furosemide", {"text": "continuous"}, {}),
        # The strength of an inhaler without a unit is that of one puff.
        ("Flovent HFA 220 mcg", amount(2, "puff") | {"timing": TWICE}, {"41126": 0.88}),
        ("salbutamol 100 microgram evohaler", {"text": "2 puffs twice daily"}, {"435": 0.4}),
        ("salbutamol 100 microgram tablet", {"text": "2 puffs twice daily"}, {}),
        ("Flovent HFA 220 mcg", amount(2, "mL") | {"timing": TWICE}, {}),
        # In no time nothing is given.
        *((METFORMIN, {"text": f"1 tablet every {hours} hours"}, {}) for hours in ("0", "0-6", "6-0")),
        ("amoxicillin 250 mg/5 mL", {"text": "10 mg/kg in the morning and 5 mg/kg in the evening"}, {}),
        ("Paxlovid", {"text": "300 mg/100 mg PO BID x5 days"}, {"2587892": 600.0, "85762": 200.0}),
        ("Bactrim IV", {"text": "350 mg TMP IV q8h"}, {"10180": 5250.0, "10829": 1050.0}),
        # The mass of an infusion is that of the drug in it.
        ("vancomycin; 0.9% sodium chloride", amount(1, "g") | {"timing": TWICE}, {"11124": 2000.0}),
        ("amoxicillin 250 mg/5 mL suspension", amount(5, "mL") | {"timing": TWICE}, {"723": 500.0}),
        ("amoxicillin 250 mg/5 mL suspension", amount(1, "tsp") | {"timing": TWICE}, {"723": 500.0}),
        # A syringe holds its volume.
        (ENOXAPARIN, amount(1, "syringe") | {"timing": TWICE}, {"67108": 80.0}),
        (ENOXAPARIN, amount(40, "mg") | {"timing": TWICE}, {"67108": 80.0}),
        # A puff is an actuation.
        ("200 ACTUAT albuterol 0.09 MG/ACTUAT Metered Dose Inhaler", amount(2, "puff") | {"timing": TWICE},
         {"435": 0.36}),
        # A patch gives so much an hour whatever its change, and may be ordered by what it gives off.
        (PATCH, amount(1, "patch") | THIRD_DAY, {"4337": 0.6}),
        *(("fentanyl patch", amount(25, unit), {"4337": 0.6}) for unit in ("mcg/h", "ug/hr")),
        *(("fentanyl patch", amount(0.6, unit), {"4337": 0.6}) for unit in ("mg/day", "mg/24h")),
        # Grams of a gel are grams of the product.
        ("diclofenac sodium 0.01 MG/MG Topical Gel", amount(2, "g") | {"timing": TWICE}, {"3355": 40.0}),
        # The words of the product that stand in the sig give its strength.
        ("Oxycodone", amount(2, "TAB", "TAB") | {"timing": TWICE, "text": "5mg Tablet"}, {"7804": 20.0}),
        ("Oxycodone", amount(2, "TAB", "TAB") | {"timing": TWICE, "text": "5 mg Half Tablet"}, {}),
        ("Oxycodone", amount(2, "TAB", "TAB") | {"timing": TWICE, "text": "Syringe"}, {}),
        ("furosemide 10 MG/ML Injection", {"doseAndRate": [{"rateRatio": TEN_ML_AN_HOUR}]}, {"4603": 2400.0}),
    ],
)  # fmt: skip
def test_an_amount_is_multiplied_with_the_strength_of_each_ingredient(
    drug: dict[str, Any] | str, dosage: dict[str, Any], a_day: dict[str, float]
) -> None:
    dose = dose_of(drug, dosage)
    assert {one.rxcui: one.high for one in dose.per_day} == pytest.approx(a_day)
    assert {one.rxcui: one.low for one in dose.per_day} == pytest.approx(a_day)


@for_rows(
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
def test_a_dose_by_weight_is_that_of_the_patient(dosage: dict[str, Any]) -> None:
    draft = order("acetaminophen 160 mg/5 mL suspension", dosage)
    identity = identify(draft)
    assert per_day(daily_dose(draft, identity, 20.0)) == [(1200.0, 1200.0)]
    assert str(daily_dose(draft, identity).problem) == "the dose is for each kilogram and no weight is known"


def test_a_text_only_order_may_carry_its_sig_and_a_product_name_is_none() -> None:
    dose = dose_of("Metformin 500 mg PO BID x 10 days")
    assert (per_day(dose), dose.duration_days) == ([(1000.0, 1000.0)], 10.0)
    assert dose_of("Potassium chloride 40 mEq IV push").activity == Activity("meq", 40.0, None)
    assert str(dose_of("Vancomycin 15 mg/kg IV q12h").problem) == str(NO_WEIGHT)
    assert dose_of("24 HR metformin 500 MG Extended Release Oral Tablet").certainty == "unknown"


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


def test_nothing_is_told_of_a_combination_whose_products_are_not_known_or_whose_strength_is_stated() -> None:
    assert dose_of("metformin and warfarin capsule", {"text": "500 mg daily"}).least_per_day == ()
    dose = dose_of("buprenorphine 8 MG / naloxone 2 MG Sublingual Film", {"text": "1 film daily"})
    assert (dose.least_per_day, {round(one.high, 1) for one in dose.per_day}) == ((), {8.0, 2.0})
    shared = dose_of("piperacillin and tazobactam", amount(3.375, "g"))
    assert ([one.high for one in shared.per_dose], shared.least_per_dose) == ([3000.0, 375.0], ())


W, M = INGREDIENT_BY_NAME["warfarin"], INGREDIENT_BY_NAME["metformin"]
TEN = MedicationIdentity("warfarin", (W,), (Strength(10.0, "mg"),))


def _near(value: Any) -> Any:
    return pytest.approx(value)


def _q(value: float | None, unit: str = "", comparator: str = "") -> Quantity:
    return Quantity(value, comparator, unit)


def _every(frequency: int | None, period: float = 1.0, unit: str = "d", **more: Any) -> Timing:
    return Timing(repeat=TimingRepeat(frequency=frequency, period=period, periodUnit=unit, **more))


ONCE_A_DAY, TWICE_A_DAY, ONCE_A_WEEK = _every(1), _every(2), _every(1, 1.0, "wk")


def _dosage(value: float | None = None, unit: str = "mg", timing: Timing | None = None, **more: Any) -> Dosage:
    rates = (DoseAndRate(doseQuantity=_q(value, unit)),) if value is not None else ()
    return Dosage(timing=timing, doseAndRate=rates, **more)


def _order(*dosages: Dosage, **more: Any) -> MedicationRequest:
    return MedicationRequest(dosageInstruction=dosages, **more)


def _mg(low: float, high: float | None = None, rxcui: str = W.rxcui) -> tuple[Milligrams, ...]:
    return (Milligrams(rxcui, _near(low), _near(low if high is None else high)),)


def _dose(*dosages: Dosage, identity: MedicationIdentity = TEN, weight: float | None = None, **more: Any) -> DailyDose:
    return daily_dose(_order(*dosages, **more), identity, weight)


def test_what_is_not_recognised_has_no_dose() -> None:
    assert _dose(_dosage(5, timing=ONCE_A_DAY), identity=MedicationIdentity("fnord")) == DailyDose(
        problem=DoseProblem("the medication is not recognised")
    )


@for_rows(
    ("dosage", "expected"),
    [
        (_dosage(5, timing=TWICE_A_DAY), DailyDose("exact", per_day=_mg(10), per_dose=_mg(5), times_per_day=2.0)),
        (_dosage(5, timing=_every(2, boundsDuration=_q(10, "d"))),
         DailyDose("exact", per_day=_mg(10), per_dose=_mg(5), times_per_day=2.0, duration_days=10.0)),
        (_dosage(5, timing=_every(1, dayOfWeek=("mon", "thu"))),
         DailyDose("exact", per_day=_mg(10 / 7), per_dose=_mg(5), times_per_day=_near(2 / 7),
                   on_days=frozenset({"mon", "thu"}))),
        (_dosage(5, timing=Timing(event=("2026-11-20",))),
         DailyDose("exact", per_day=_mg(5), per_dose=_mg(5), times_per_day=1.0, duration_days=1.0, single=True)),
        (_dosage(5, timing=TWICE_A_DAY, asNeededBoolean=True),
         DailyDose("maximum_prn", per_day=_mg(0, 10), per_dose=_mg(5), times_per_day=2.0, as_needed=True)),
        (_dosage(5, timing=_every(1, frequencyMax=2)),
         DailyDose("range", per_day=_mg(5, 10), per_dose=_mg(5), times_per_day=2.0)),
        (Dosage(text="5 mg twice daily"),
         DailyDose("exact", per_day=_mg(10), per_dose=_mg(5), times_per_day=2.0, from_text=True)),
        (Dosage(timing=TWICE_A_DAY, doseAndRate=(DoseAndRate(doseRange=Range(_q(5, "mg"), _q(10, "mg"))),)),
         DailyDose("range", per_day=_mg(10, 20), per_dose=_mg(5, 10), times_per_day=2.0)),
        (_dosage(5), DailyDose(per_dose=_mg(5), problem=NO_FREQUENCY)),
        (Dosage(), DailyDose(problem=NO_DOSE)),
        (Dosage(text="use as before"), DailyDose(problem=NO_DOSE, from_text=True)),
        (_dosage(timing=TWICE_A_DAY), DailyDose(times_per_day=2.0, problem=NO_DOSE)),
        (_dosage(5, asNeededBoolean=True),
         DailyDose(per_dose=_mg(5), as_needed=True, problem=AS_NEEDED_WITHOUT_FREQUENCY)),
        (_dosage(2, "fnord", TWICE_A_DAY),
         DailyDose(times_per_day=2.0, problem=DoseProblem("the dose's unit 'fnord' is not known"))),
        (_dosage(2, "mL", TWICE_A_DAY),
         DailyDose(times_per_day=2.0, problem=DoseProblem("the strength of the product is not stated"))),
        (_dosage(5, timing=Timing(code=CodeableConcept((Coding(code="QD"),)), repeat=TWICE_A_DAY.repeat)),
         DailyDose(per_dose=_mg(5), problem=CONTRADICTION)),
        (_dosage(24, "mg/day", TWICE_A_DAY), DailyDose("exact", per_day=_mg(24), per_dose=_mg(12), times_per_day=2.0)),
        (_dosage(2, "mg/h"), DailyDose("exact", per_day=_mg(48))),
        (Dosage(text="60 mg/day divided three times daily"),
         DailyDose("exact", per_day=_mg(60), per_dose=_mg(20), times_per_day=3.0, from_text=True)),
        (Dosage(doseAndRate=(DoseAndRate(rateQuantity=_q(2, "mg/h")),)), DailyDose("exact", per_day=_mg(48))),
        (Dosage(doseAndRate=(DoseAndRate(rateQuantity=_q(2, "mg/h")),), asNeededBoolean=True),
         DailyDose("exact", per_day=_mg(48), as_needed=True)),
        (Dosage(text="10 mg in the morning and 5 mg in the evening"),
         DailyDose("exact", per_day=_mg(15), per_dose=_mg(5, 10), times_per_day=2.0, from_text=True)),
        # What the words say above the structure is the upper end; beside less nobody knows which of the two is meant.
        (_dosage(5, timing=ONCE_A_DAY, text="50 mg twice daily"),
         DailyDose("range", per_day=_mg(5, 100), per_dose=_mg(5, 50), times_per_day=2.0)),
        (_dosage(50, timing=TWICE_A_DAY, text="5 mg once daily"), DailyDose(problem=WORDS_DIFFER)),
        (Dosage(additionalInstruction=(CodeableConcept(text="5 mg twice daily"),)),
         DailyDose("exact", per_day=_mg(10), per_dose=_mg(5), times_per_day=2.0, from_text=True)),
    ],
)  # fmt: skip
def test_the_whole_dose_of_one_instruction(dosage: Dosage, expected: DailyDose) -> None:
    assert _dose(dosage) == expected


LIMIT = Ratio(_q(12, "mg"), _q(1, "d"))


@for_rows(
    ("dosage", "certainty", "amounts"),
    [
        (_dosage(5, timing=_every(4), asNeededBoolean=True, maxDosePerPeriod=LIMIT), "maximum_prn", _mg(0, 12)),
        (_dosage(5, timing=TWICE_A_DAY, asNeededBoolean=True, maxDosePerPeriod=LIMIT), "maximum_prn", _mg(0, 10)),
        (_dosage(5, timing=_every(1, frequencyMax=4), maxDosePerPeriod=LIMIT), "range", _mg(5, 12)),
        (_dosage(5, timing=_every(3, frequencyMax=4), maxDosePerPeriod=LIMIT), "range", _mg(12, 12)),
        # What is ordered exactly is not less because of a limit.
        (_dosage(5, timing=_every(4), maxDosePerPeriod=LIMIT), "exact", _mg(20)),
        # Nothing but the limit.
        (_dosage(asNeededBoolean=True, maxDosePerPeriod=LIMIT), "maximum_prn", _mg(0, 12)),
        (_dosage(maxDosePerPeriod=LIMIT), "range", _mg(0, 12)),
        (_dosage(5, maxDosePerPeriod=LIMIT), "range", _mg(0, 12)),
        (_dosage(5, "fnord", maxDosePerPeriod=LIMIT), "unknown", ()),
        (Dosage(text="taper as told", maxDosePerPeriod=LIMIT), "unknown", ()),
        (_dosage(5, "fnord", maxDosePerPeriod=LIMIT, asNeededBoolean=True), "maximum_prn", _mg(0, 12)),
    ],
)
def test_the_most_of_a_day_bounds_what_is_open(dosage: Dosage, certainty: str, amounts: tuple[Milligrams, ...]) -> None:
    dose = _dose(dosage)
    assert (dose.certainty, dose.per_day) == (certainty, amounts)
    assert (dose.problem is None) is (certainty != "unknown")


# Amounts for each kilogram.


def test_a_dose_for_each_kilogram_needs_the_weight() -> None:
    dosage = _dosage(0.1, "mg/kg", TWICE_A_DAY)
    assert _dose(dosage) == DailyDose(times_per_day=2.0, problem=NO_WEIGHT)
    assert _dose(dosage, weight=50.0) == DailyDose("exact", per_day=_mg(10), per_dose=_mg(5), times_per_day=2.0)


# Doses without mass.


@for_rows(
    ("dosage", "expected"),
    [
        (_dosage(5, "units", TWICE_A_DAY), Activity("unit", 5.0, 10.0)),
        (_dosage(5, "units"), Activity("unit", 5.0, None)),
        (_dosage(2, "units/h"), Activity("unit", None, _near(48.0))),
        (_dosage(24, "units/day", TWICE_A_DAY), Activity("unit", 12.0, 24.0)),
        (Dosage(text="60 units/day divided three times daily"), Activity("unit", 20.0, 60.0)),
        (Dosage(text="20 units in the morning and 10 units in the evening"), Activity("unit", 20.0, 30.0)),
        (Dosage(text="20 units in the morning and 5 mg in the evening"), None),
        (Dosage(text="20 units in the morning and 10 mEq in the evening"), None),
        (_dosage(timing=TWICE_A_DAY), None),
        (_dosage(5, timing=TWICE_A_DAY), None),
        (_dosage(2, "mL", TWICE_A_DAY), None),
    ],
)
def test_units_of_a_dose_and_of_a_day(dosage: Dosage, expected: Activity | None) -> None:
    assert _dose(dosage).activity == expected


def test_a_pen_holds_the_units_of_its_volume() -> None:
    pens = dose_of("3 ML insulin glargine 100 UNT/ML Pen Injector", amount(1, "pen") | {"timing": TWICE})
    assert pens.activity == Activity("unit", 300.0, 600.0)


COTRIMOXAZOLE = MedicationIdentity(
    "co-trimoxazole", (INGREDIENT_BY_NAME["trimethoprim"], INGREDIENT_BY_NAME["sulfamethoxazole"]), (None, None)
)


@for_rows(
    ("dosage", "a_dose", "a_day"),
    [
        (_dosage(600, timing=TWICE_A_DAY), (100.0, 500.0), (200.0, 1000.0)),
        (_dosage(600), (100.0, 500.0), ()),
        (Dosage(text="600 mg/day divided twice daily"), (50.0, 250.0), (100.0, 500.0)),
        (Dosage(text="600 mg/day"), (100.0, 500.0), (100.0, 500.0)),
    ],
)
def test_what_a_mass_of_a_combination_is_at_least(
    dosage: Dosage, a_dose: tuple[float, ...], a_day: tuple[float, ...]
) -> None:
    dose = _dose(dosage, identity=COTRIMOXAZOLE)
    assert dose.certainty == "unknown"
    assert [amount.high for amount in dose.least_per_dose] == _near(a_dose)
    assert [amount.low for amount in dose.least_per_dose] == _near(a_dose)
    assert [amount.high for amount in dose.least_per_day] == _near(a_day)


# Several instructions.


def test_the_days_of_the_week_of_several_instructions() -> None:
    monday, friday = _dosage(7, timing=_every(1, dayOfWeek=("mon",))), _dosage(14, timing=_every(1, dayOfWeek=("fri",)))
    assert _dose(monday, friday) == DailyDose(
        "exact", per_day=_mg(3), times_per_day=_near(2 / 7), on_days=frozenset({"mon", "fri"})
    )
    assert _dose(monday, _dosage(1, timing=ONCE_A_DAY)).on_days == frozenset()


def test_steps_in_words_are_one_after_the_other() -> None:
    assert _dose(Dosage(text="10 mg twice daily for 7 days, then 5 mg twice daily for 3 days")) == DailyDose(
        "range", per_day=_mg(10, 20), times_per_day=2.0, duration_days=10.0, from_text=True
    )


def test_numbered_moments_of_one_day_are_added() -> None:
    def at(number: int, when: str, **more: Any) -> Dosage:
        return _dosage(5, timing=Timing(repeat=TimingRepeat(when=(when,), **more)), sequence=number)

    assert _dose(at(1, "MORN"), at(2, "EVE")).per_day == _mg(10)
    assert _dose(at(1, "MORN"), at(2, "MORN")).per_day == _mg(5)
    assert _dose(at(1, "MORN", boundsDuration=_q(7, "d")), at(2, "EVE")).per_day == _mg(5)
    # The same number means at the same time.
    assert _dose(at(1, "MORN"), at(1, "MORN")).per_day == _mg(10)
    words = (Dosage(sequence=1, text="5 mg in the morning"), Dosage(sequence=2, text="10 mg at bedtime"))
    assert _dose(*words).per_day == _mg(15)
    week = (Dosage(sequence=1, text="5 mg in the morning for 7 days"), words[1])
    assert _dose(*week).per_day == _mg(5, 10)
    # What names no moment is not of the same day.
    assert _dose(Dosage(sequence=1, text="5 mg twice daily"), words[1]).per_day == _mg(10)


def test_infusions_together_and_in_turn_have_no_number_of_doses_and_the_days_that_all_state() -> None:
    def runs(**more: Any) -> Dosage:
        return Dosage(doseAndRate=(DoseAndRate(rateQuantity=_q(2, "mg/h")),), **more)

    week = Timing(repeat=TimingRepeat(boundsDuration=_q(7, "d")))
    for first, second, total, days in (
        (runs(), runs(), 96, None),
        (runs(timing=week), runs(), 96, None),
        (runs(timing=week), runs(timing=week), 96, 7.0),
        (runs(sequence=1, timing=week), runs(sequence=2, timing=week), 48, 14.0),
        (runs(sequence=1, timing=week), runs(sequence=2), 48, None),
    ):
        dose = _dose(first, second)
        assert (dose.per_day, dose.times_per_day, dose.duration_days) == (_mg(total), None, days)


def test_a_code_that_leaves_it_open_does_not_make_a_stated_dose_a_range() -> None:
    timing = Timing(code=CodeableConcept((Coding(code="ASDIR"),)), repeat=TWICE_A_DAY.repeat)
    dose = _dose(_dosage(5, timing=timing))
    assert (dose.certainty, dose.per_day, dose.problem) == ("exact", _mg(10), None)


def test_one_instruction_that_is_open_leaves_all_open() -> None:
    closed, no_dose = _dosage(5, timing=ONCE_A_DAY), _dosage(timing=TWICE_A_DAY)
    assert _dose(closed, no_dose) == DailyDose(problem=NO_DOSE)
    units, more = _dosage(5, "units", ONCE_A_DAY), _dosage(4, "units", TWICE_A_DAY)
    of_activity = DoseProblem("the dose is in units of activity, not in milligrams")
    assert _dose(units, more) == DailyDose(problem=of_activity, activity=Activity("unit", 5.0, 13.0))
    in_turn = (_dosage(5, "units", ONCE_A_DAY, sequence=1), _dosage(4, "units", TWICE_A_DAY, sequence=2))
    assert _dose(*in_turn) == DailyDose(problem=of_activity, activity=Activity("unit", 5.0, 8.0))
    assert _dose(units, _dosage(4, "units")).activity == Activity("unit", 5.0, None)
    assert _dose(units, _dosage(2, "units/h")).activity == Activity("unit", None, _near(53.0))
    assert _dose(units, closed).activity is None
    single = _dosage(10, "units", Timing(event=("2026-11-20",)))
    assert _dose(single, units, _dosage(3, "units")).activity == Activity("unit", 10.0, None)
    assert _dose(units, _dosage(4, "mEq", TWICE_A_DAY)).activity is None


SINGLE = Timing(event=("2026-11-20",))


@for_rows(
    ("loading", "daily", "expected"),
    [
        # At most ten times the dose of a day, or four times one dose.
        (_dosage(50, timing=SINGLE), _dosage(5, timing=ONCE_A_DAY), _mg(5)),
        (_dosage(50.5, timing=SINGLE), _dosage(5, timing=ONCE_A_DAY), _mg(55.5)),
        (_dosage(20, timing=SINGLE), _dosage(5, timing=ONCE_A_WEEK), _mg(5 / 7)),
        (_dosage(20.5, timing=SINGLE), _dosage(5, timing=ONCE_A_WEEK), _mg(20.5 + 5 / 7)),
    ],
)
def test_a_loading_dose_is_left_out_and_one_that_is_too_large_is_not(
    loading: Dosage, daily: Dosage, expected: tuple[Milligrams, ...]
) -> None:
    for dosages in ((loading, daily), (daily, loading)):
        assert _dose(*dosages).per_day == expected


def test_a_dose_with_a_loading_dose_has_no_amount_of_one_dose() -> None:
    assert _dose(_dosage(20, timing=SINGLE), _dosage(5, timing=TWICE_A_DAY)) == DailyDose(
        "exact", per_day=_mg(10), times_per_day=2.0
    )
    # Of units likewise; another unit has nothing to be compared with.
    units = _dose(_dosage(50, "units", SINGLE), _dosage(5, "units", ONCE_A_DAY))
    assert units.activity == Activity("unit", 5.0, 5.0)
    too_many = _dose(_dosage(51, "units", SINGLE), _dosage(5, "units", ONCE_A_DAY))
    assert too_many.activity == Activity("unit", 51.0, 56.0)
    assert _dose(_dosage(5, "mEq", SINGLE), _dosage(5, "units", ONCE_A_DAY)).activity is None
    # Two single doses, or one that is open: all count.
    assert _dose(_dosage(5, timing=SINGLE), _dosage(6, timing=SINGLE)).per_day == _mg(11)
    assert _dose(_dosage(0, timing=SINGLE), _dosage(0, timing=SINGLE)).per_day == _mg(0)
    assert _dose(_dosage(timing=SINGLE), _dosage(6, timing=ONCE_A_DAY)).problem == NO_DOSE
    three = _dose(_dosage(20, timing=SINGLE), _dosage(5, timing=ONCE_A_DAY), _dosage(2, timing=ONCE_A_DAY))
    assert three == DailyDose("exact", per_day=_mg(7), times_per_day=2.0)


# How long.


@for_rows(
    ("dispense", "text", "days"),
    [
        ({"expectedSupplyDuration": _q(30, "d")}, None, 30.0),
        ({"expectedSupplyDuration": _q(30, "d"), "numberOfRepeatsAllowed": 2}, None, 90.0),
        ({"expectedSupplyDuration": _q(30, "d"), "numberOfRepeatsAllowed": 0}, None, 30.0),
        ({"expectedSupplyDuration": _q(30, "d")}, "for 7 days", 30.0),
        ({"quantity": _q(60, "mg")}, "for 7 days", 7.0),
        ({"quantity": _q(60, "mg")}, None, 6.0),
        ({"quantity": Quantity(60, code="mg")}, None, 6.0),
        ({"quantity": _q(60, "mg"), "numberOfRepeatsAllowed": 1}, None, 12.0),
        ({"quantity": _q(60, "tablet")}, None, None),
        ({"quantity": _q(None, "mg")}, None, None),
        ({"numberOfRepeatsAllowed": 1}, None, None),
        ({"numberOfRepeatsAllowed": 1}, "for 7 days", 14.0),
    ],
)
def test_how_long_an_order_lasts(dispense: dict[str, Any], text: str | None, days: float | None) -> None:
    dosage = _dosage(5, timing=TWICE_A_DAY, text=text or "")
    assert _dose(dosage, dispenseRequest=DispenseRequest(**dispense)).duration_days == days


def test_the_bounds_of_an_order_go_before_its_supply_and_a_quantity_is_of_one_instruction() -> None:
    bounded = _dosage(5, timing=_every(2, boundsDuration=_q(10, "d")))
    assert _dose(bounded, dispenseRequest=_supply()).duration_days == 10.0
    quantity = DispenseRequest(quantity=_q(60, "mg"))
    assert _dose(*(_dosage(5, timing=TWICE_A_DAY),) * 2, dispenseRequest=quantity).duration_days is None


# A quantity over the days it is to last.


def _supply(value: float | None = 60, unit: str = "tablet", days: float | None = 30, **more: Any) -> Any:
    lasts = _q(days, "d") if days is not None else None
    return DispenseRequest(quantity=_q(value, unit, more.pop("comparator", "")), expectedSupplyDuration=lasts)


@for_rows(
    ("supply", "dosages", "expected"),
    [
        (_supply(), (Dosage(text="as directed"),), _mg(20)),
        (_supply(), (_dosage(asNeededBoolean=True),), _mg(0, 20)),
        (_supply(unit="mL"), (_dosage(),), ()),
        (_supply(unit="mg"), (_dosage(),), ()),
        (_supply(unit="fnord"), (_dosage(),), ()),
        (_supply(value=None), (_dosage(),), ()),
        (_supply(days=None), (_dosage(),), ()),
        (_supply(days=0), (_dosage(),), ()),
        (_supply(comparator="<"), (_dosage(),), ()),
        (_supply(), (_dosage(timing=SINGLE),), ()),
        # It does not settle what changes or contradicts itself.
        (_supply(), (Dosage(text="taper over 2 weeks"),), ()),
        (
            _supply(),
            (_dosage(5, timing=Timing(code=CodeableConcept((Coding(code="QD"),)), repeat=TWICE_A_DAY.repeat)),),
            (),
        ),
        (_supply(), (_dosage(), _dosage()), ()),
        (_supply(), (_dosage(2, "fnord", TWICE_A_DAY),), ()),
        (DispenseRequest(expectedSupplyDuration=_q(30, "d")), (_dosage(),), ()),
    ],
)
def test_a_quantity_over_the_days_it_lasts(
    supply: DispenseRequest, dosages: tuple[Dosage, ...], expected: tuple[Milligrams, ...]
) -> None:
    dose = _dose(*dosages, dispenseRequest=supply)
    assert dose.per_day == expected
    assert dose.from_supply is bool(expected)
    if expected:
        as_needed = bool(dosages[0].asNeededBoolean)
        assert (dose.certainty, dose.problem) == ("maximum_prn" if as_needed else "exact", None)
        assert (dose.duration_days, dose.as_needed) == (30.0, as_needed)


def test_what_is_stated_goes_before_the_supply() -> None:
    dose = _dose(_dosage(5, timing=TWICE_A_DAY), dispenseRequest=_supply())
    assert (dose.per_day, dose.from_supply) == (_mg(10), False)


def test_millilitres_and_patches_over_the_days_they_last() -> None:
    liquid = MedicationIdentity("warfarin", (W,), (Strength(2.0, "mg", "mL"),))
    assert _dose(_dosage(), identity=liquid, dispenseRequest=_supply(unit="mL")).per_day == _mg(4)
    in_code = DispenseRequest(quantity=Quantity(60, code="mL"), expectedSupplyDuration=_q(30, "d"))
    assert _dose(_dosage(), identity=liquid, dispenseRequest=in_code).per_day == _mg(4)
    assert _dose(_dosage(), identity=liquid, dispenseRequest=_supply(unit="mL/h")).per_day == ()
    patch = MedicationIdentity("warfarin", (W,), (Strength(2.0, "mg", "h"),))
    assert _dose(_dosage(), identity=patch, dispenseRequest=_supply()).per_day == ()


# An order without an instruction, a statement, a dispensing.


def test_an_order_without_an_instruction_is_read_by_its_words() -> None:
    words = MedicationIdentity("warfarin 5 mg twice daily", (W,), (Strength(5.0, "mg"),))
    assert _dose(identity=words) == DailyDose(
        "exact", per_day=_mg(10), per_dose=_mg(5), times_per_day=2.0, from_text=True
    )
    assert _dose() == DailyDose(problem=NO_DOSAGE)
    statement = MedicationStatement(dosage=(_dosage(5, timing=TWICE_A_DAY),))
    assert daily_dose(statement, TEN) == DailyDose("exact", per_day=_mg(10), per_dose=_mg(5), times_per_day=2.0)
    given = MedicationDispense(
        dosageInstruction=(_dosage(5, timing=TWICE_A_DAY),), daysSupply=_q(14, "d"), quantity=_q(3, "mg")
    )
    assert daily_dose(given, TEN).duration_days == 14.0
    assert supply_of(given) == DispenseRequest(quantity=_q(3, "mg"), expectedSupplyDuration=_q(14, "d"))
    assert supply_of(statement) is None
    supply = _supply()
    assert supply_of(_order(dispenseRequest=supply)) is supply


def test_the_amounts_of_one_ingredient_and_the_doses_of_a_week() -> None:
    two = DailyDose(
        per_day=(*_mg(1), *_mg(2, rxcui=M.rxcui)), per_dose=(*_mg(3), *_mg(4, rxcui=M.rxcui)), times_per_day=2.0
    )
    assert (two.daily(M.rxcui), two.per_dose_of(M.rxcui)) == (two.per_day[1], two.per_dose[1])
    assert (two.daily("0"), two.per_dose_of("0")) == (None, None)
    assert two.times_per_week == 14.0
    assert DailyDose(times_per_day=3 / 7, on_days=frozenset({"mon"})).times_per_week == 1.0
    assert DailyDose().times_per_week is None


# Plain orders.

PLAIN = _dosage(5, timing=_every(2, boundsDuration=_q(10, "d")), text="t", asNeededBoolean=True)
SUPPLY = DispenseRequest(
    quantity=_q(60, "mg"),
    expectedSupplyDuration=_q(30, "d"),
    numberOfRepeatsAllowed=1,
    validityPeriod=Period("2026-01-01"),
)


def test_a_plain_order_and_back() -> None:
    plain = plain_order(_order(PLAIN, dispenseRequest=SUPPLY))
    assert plain == (
        "t",
        True,
        (5, "", "mg", ""),
        (2, 1.0, "d"),
        (10, "", "d", ""),
        ((60, "", "mg", ""), (30, "", "d", ""), 1),
    )
    assert plain is not None
    again = order_of(plain)
    assert again == _order(
        PLAIN,
        dispenseRequest=DispenseRequest(
            quantity=_q(60, "mg"), expectedSupplyDuration=_q(30, "d"), numberOfRepeatsAllowed=1
        ),
    )
    assert plain_order(again) == plain
    bare = plain_order(_order(_dosage(5, timing=TWICE_A_DAY)))
    assert bare == ("", None, (5, "", "mg", ""), (2, 1.0, "d"), None, (None, None, None))
    assert bare is not None
    assert order_of(bare) == _order(_dosage(5, timing=TWICE_A_DAY), dispenseRequest=DispenseRequest())
    assert plain_order(MedicationStatement(dosage=(_dosage(5, timing=TWICE_A_DAY),))) == bare


@for_rows(
    "dosages",
    [
        (),
        (PLAIN, PLAIN),
        (_dosage(5),),
        (_dosage(5, timing=Timing()),),
        (Dosage(timing=TWICE_A_DAY, doseAndRate=(DoseAndRate(),)),),
        (_dosage(timing=TWICE_A_DAY),),
        (Dosage(timing=TWICE_A_DAY, doseAndRate=(DoseAndRate(), DoseAndRate())),),
        (Dosage(timing=TWICE_A_DAY, doseAndRate=(DoseAndRate(doseQuantity=_q(5, "mg")),) * 2),),
        (Dosage(timing=TWICE_A_DAY, doseAndRate=(DoseAndRate(doseRange=Range(_q(5, "mg"), _q(6, "mg"))),)),),
        (Dosage(timing=TWICE_A_DAY, doseAndRate=(DoseAndRate(doseQuantity=_q(5), rateQuantity=_q(1)),)),),
        (_dosage(5, timing=TWICE_A_DAY, maxDosePerPeriod=LIMIT),),
        (_dosage(5, timing=TWICE_A_DAY, patientInstruction="t"),),
        (_dosage(5, timing=Timing(repeat=TWICE_A_DAY.repeat, event=("2026-11-20",))),),
        (_dosage(5, timing=_every(2, frequencyMax=3)),),
    ],
)
def test_an_order_that_says_more_or_less_is_no_plain_one(dosages: tuple[Dosage, ...]) -> None:
    assert plain_order(_order(*dosages)) is None
