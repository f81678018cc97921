"""Orders as hospitals write them: steps, rates, units, other languages; what may be read in two ways is not read."""

from typing import Any

import pytest
from msgspec.structs import replace

from fhir.mapping.medications.daily_dose import DailyDose, daily_dose
from fhir.mapping.medications.identity import identify
from tests.each import for_rows
from tests.fhir.builders import order
from tests.fhir.mapping.medications.doses import amount, dose_of, per_day

_WEIGHT_KG = 70.0


def _dose(drug: str, dosage: dict[str, Any] | str) -> DailyDose:
    draft = order(drug, {"text": dosage} if isinstance(dosage, str) else dosage)
    return daily_dose(draft, identify(draft), _WEIGHT_KG)


@for_rows(("drug", "sig", "low", "high"))
def test_the_words_of_an_order_give_the_dose_of_a_day(drug: str, sig: str, low: float, high: float) -> None:
    dose = _dose(drug, sig)
    assert dose.problem is None
    assert [dose.per_day[0].low, dose.per_day[0].high] == pytest.approx([low, high])


@for_rows(
    ("drug", "sig", "a_day"),
    [
        ("lorazepam 0.5 mg tablet", "1 x 1 g daily", 1000.0),
        ("warfarin 5 mg tablet", "1 x 1 MG täglich", 1.0),
        ("enoxaparin 40 mg/0.4 mL syringe", "1 x 1 mg/kg daily", _WEIGHT_KG),
        ("warfarin 5 mg tablet", "1 x 1 Milligramm täglich", 1),
        ("warfarin 5 mg tablet", "1 x 1 Tabl. täglich", 5.0),
        ("warfarin 5 mg tablet", "1 tablet daily (10 mg)", None),
        ("methotrexate 2.5 mg tablet", "1 tablet weekly (15 mg)", None),
        ("ibuprofen 200 mg tablet", "2 tablets daily (200 mg)", None),
        ("ibuprofen 200 mg tablet", "3 tablets daily (600 mg)", 600.0),
        ("warfarin 5 mg tablet", "1 tablet in the morning (5 mg) and 2 tablets in the evening (20 mg)", None),
        ("warfarin 5 mg tablet", "1 tablet by mouth daily (10 mg/kg)", None),
    ],
)
def test_a_mass_in_the_words_is_not_taken_for_tablets(drug: str, sig: str, a_day: float | None) -> None:
    assert [one.high for one in _dose(drug, sig).per_day] == ([] if a_day is None else [pytest.approx(a_day)])


@for_rows(("drug", "dosage", "a_day"))
def test_units_and_milliequivalents_are_counted_for_a_day(
    drug: str, dosage: dict[str, Any] | str, a_day: float
) -> None:
    activity = _dose(drug, dosage).activity
    assert activity is not None
    assert activity.per_day == pytest.approx(a_day)


@for_rows(("drug", "dosage"))
def test_what_may_be_meant_in_two_ways_or_depends_on_more_is_not_read(drug: str, dosage: dict[str, Any] | str) -> None:
    dose = _dose(drug, dosage)
    assert (dose.certainty, dose.per_day) == ("unknown", ())
    assert dose.problem is not None


def test_a_loading_dose_is_no_dose_of_every_day_and_is_not_rewritten() -> None:
    once = amount(300, "mg") | {"sequence": 1, "timing": {"code": {"text": "once"}}}
    daily = {"repeat": {"frequency": 1, "period": 1, "periodUnit": "d"}}
    dose = dose_of("clopidogrel 75 mg tablet", once, amount(75, "mg") | {"sequence": 2, "timing": daily})
    assert (per_day(dose), dose.per_dose) == ([(75.0, 75.0)], ())


@for_rows(("drug", "words"))
def test_how_often_alone_is_no_dose_where_one_of_the_product_is_not_known(drug: str, words: str) -> None:
    assert _dose(drug, words).per_day == ()


_SIGS = (
    ("methotrexate 2.5 mg tablet", "6 tablets daily"),
    ("methotrexate 2.5 mg tablet", "15 mg PO weekly"),
    ("oxycodone 5 mg tablet", "1-2 tablets q4-6h PRN pain"),
    ("digoxin 125 mcg tablet", "125 mcg PO every other day"),
    ("warfarin 5 mg tablet", "1 tab Mon/Wed/Fri and 1/2 tab other days"),
    ("prednisone 10 mg tablet", "4 tabs daily x 3 days, 2 tabs daily x 3 days"),
    ("gabapentin 300 mg capsule", "300 mg daily, increase to 600 mg TID"),
    ("alendronate 70 mg tablet", "1 tablet every 7 days"),
    ("amoxicillin 250 mg/5 mL suspension", "7.5 mL BID for 10 days"),
    ("insulin glargine 100 unit/mL", "30 units nightly"),
    ("vancomycin 1 g injection", "15 mg/kg IV q12h"),
)
_HARMLESS = (
    "{}, hold for SBP < 100", "{}, skip dose if HR < 60", "{} with 240 mL of water", "{} on an empty stomach",
    "{}. Dispense 30 tablets", "{}. Disp #30", "{} #30", "{}. Quantity sufficient for 30 days", "{}. Max 1 refill",
    "{}. Refills 3", "{}. 90 day supply", "{}, CrCl 45 mL/min", "{}, eGFR 38 mL/min/1.73m2",
    "{}, creatinine 1.2 mg/dL", "{}, goal trough 15-20 mcg/mL", "{}, goal INR 2-3", "{}, last level 1.1 ng/mL",
    "{}, next INR 12/03", "{}, wt 76 kg", "{}. Check potassium in 1 week", "{} per protocol",
    "{} (was 40 mg daily)", "{}, replaces 20 mg BID", "{} with food", "{}, last dose 11/29 at 0800",
    "{}, due at 21:00", "{}, first dose today", "Please take {}", "Sig: {}", "Continue {}",
)  # fmt: skip


@for_rows(("drug", "sig"), _SIGS)
def test_harmless_words_around_a_sig_change_no_dose(drug: str, sig: str) -> None:
    plain_dose = replace(_dose(drug, sig), from_text=False)
    changed = [words for words in _HARMLESS if replace(_dose(drug, words.format(sig)), from_text=False) != plain_dose]
    assert changed == []


_ALIKE = (
    "2 tablets PO daily", "20 mg PO daily", "20mg po qd", "20000 mcg PO daily", "0.02 g PO daily", "10 mg q12h",
    "two tablets by mouth every day", "Take 2 tablets (20 mg total) by mouth daily", "20 mg (2 tablets) PO daily",
    "20 mg PO daily (2 tablets)", "1-0-1", "1 tab BID", "½ tab QID", "2 Tbl. täglich", "2 cp par jour", "T2T PO daily",
    "Take 1 tablet by mouth 2 (two) times daily", "20 mg/day PO", "20 mg daily in 2 divided doses", "2 po qd",
)  # fmt: skip


@for_rows("drug", ["digoxin", "methotrexate", "warfarin", "oxycodone", "5-fluorouracil", "vitamin B12", "lithium"])
def test_each_way_to_write_a_dose_gives_the_same_day(drug: str) -> None:
    days = {words: [round(one.high, 6) for one in _dose(f"{drug} 10 mg tablet", words).per_day] for words in _ALIKE}
    assert [words for words, day in days.items() if day != [20.0]] == []
