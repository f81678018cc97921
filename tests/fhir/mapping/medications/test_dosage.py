"""What one Dosage says, worked out by hand: amounts, units, masses, limits, infusions, and words beside a structure."""

from typing import Any

import pytest
from msgspec.structs import replace

from fhir.mapping.medications.dosage import (
    DoseAmount,
    Instruction,
    Milligrams,
    Schedule,
    activity,
    amount_of,
    least_milligrams,
    limit_per_day,
    milligrams,
    rate_per_day,
    read_dosage,
    with_masses_of_parts,
    with_strength_from_text,
)
from fhir.mapping.medications.identity import MedicationIdentity
from fhir.mapping.medications.sig import CONTRADICTION, LONGEST_SIG, NO_FREQUENCY, NO_WEIGHT, DoseProblem
from fhir.record.datatypes import (
    CodeableConcept,
    Coding,
    Dosage,
    DoseAndRate,
    Quantity,
    Range,
    Ratio,
    Timing,
    TimingRepeat,
)
from fhir.terminology.dosing import DoseUnit
from fhir.terminology.medication_strength import Strength
from fhir.terminology.medications import INGREDIENT_BY_NAME
from tests.each import for_rows

MG, TABLET, ML = DoseUnit("mg"), DoseUnit("unit"), DoseUnit("mL")
HOUR = 1 / 24
TEN_MG = Strength(10.0, "mg")


def _near(value: Any) -> Any:
    return pytest.approx(value)


def _of(
    *names: str, strengths: tuple[Strength | None, ...] | None = None, ml: float | None = None
) -> MedicationIdentity:
    members = tuple(INGREDIENT_BY_NAME[name] for name in names)
    given = strengths if strengths is not None else (None,) * len(members)
    return MedicationIdentity(" ".join(names), members, given, millilitres=ml)


def _code(name: str) -> str:
    return INGREDIENT_BY_NAME[name].rxcui


WARFARIN = _of("warfarin", strengths=(TEN_MG,))
BARE = _of("warfarin")
W = _code("warfarin")


def _dose(low: Quantity, high: Quantity | None = None, **more: Any) -> Dosage:
    rate = DoseAndRate(doseQuantity=low) if high is None else DoseAndRate(doseRange=Range(low, high))
    return Dosage(doseAndRate=(rate,), **more)


def _q(value: float | None, unit: str = "", code: str = "", comparator: str = "") -> Quantity:
    return Quantity(value, comparator, unit, code)


# The structured dose.


@for_rows(
    ("quantity", "expected"),
    [
        (_q(5, "mg"), DoseAmount(5, 5, MG)),
        (_q(5, code="mg"), DoseAmount(5, 5, MG)),
        (_q(0, "mg"), DoseAmount(0, 0, MG)),
        (_q(1e12, "mg"), DoseAmount(1e12, 1e12, MG)),
        (_q(1e-9, "mg"), DoseAmount(1e-9, 1e-9, MG)),
        (_q(2, "g", "g"), DoseAmount(2, 2, DoseUnit("mg", 1000.0))),
        (_q(1, "tablet", "1"), DoseAmount(1, 1, TABLET)),
        (_q(2, "fnord", "mg"), DoseAmount(2, 2, MG)),
        (_q(2, "mg", "fnord"), DoseAmount(2, 2, MG)),
        (_q(2, "patch", "1"), DoseAmount(2, 2, DoseUnit("patch"))),  # the code 1 only counts what the unit names
        (_q(2, "tablet", "patch"), DoseAmount(2, 2, DoseUnit("patch"))),
        # A number alone counts tablets of a strength that is known, up to ten.
        (_q(2), DoseAmount(2, 2, TABLET)),
        (_q(1), DoseAmount(1, 1, TABLET)),
        (_q(9.5), DoseAmount(9.5, 9.5, TABLET)),
    ],
)
def test_the_amount_of_a_quantity(quantity: Quantity, expected: DoseAmount) -> None:
    assert amount_of(_dose(quantity), WARFARIN) == (expected, None)


@for_rows(
    ("quantity", "problem"),
    [
        (_q(None, "mg"), None),
        (_q(-1, "mg"), None),
        (_q(5, "mg", comparator="<"), "the dose is not an exact number"),
        (_q(1.1e12, "mg"), "the dose cannot be right"),
        (_q(0.9e-9, "mg"), "the dose cannot be right"),
        (_q(10), "the dose has no unit"),  # a tablet of 10 mg: ten tablets or ten milligrams
        (_q(10.5), "the dose has no unit"),
        (_q(5, "mg", "mL"), "the dose's unit says mg, its code says mL"),
        (_q(5, "mL", "1"), "the dose's unit says mL, its code says 1"),
        (_q(5, "fnord"), "the dose's unit 'fnord' is not known"),
        (_q(5, "mg/m2"), "the dose's unit 'mg/m2' is not known"),
        (_q(5, code="fnord"), "the dose's unit 'fnord' is not known"),
        (_q(5, "gnarl", "fnord"), "the dose's unit 'gnarl' is not known"),
    ],
)
def test_a_quantity_that_cannot_be_used(quantity: Quantity, problem: str | None) -> None:
    expected = DoseProblem(problem) if problem is not None else None
    assert amount_of(_dose(quantity), WARFARIN) == (None, expected)


def test_a_number_alone_counts_what_has_a_strength_and_no_liquid() -> None:
    for strengths, counts in (
        ((Strength(0.05, "mg", "h"),), True),
        ((Strength(10.0, "mg", "mL"),), False),
        ((None,), False),
        ((Strength(2.0, "mg"),), False),
        ((Strength(1.0, "mg"),), True),
    ):
        quantity = _q(1 if strengths == (Strength(1.0, "mg"),) else 2)
        amount, problem = amount_of(_dose(quantity), _of("warfarin", strengths=strengths))
        assert (amount is not None) is counts
        assert problem == (None if counts else DoseProblem("the dose has no unit"))
    ten = _of("warfarin", strengths=(Strength(5.0, "mg"),))
    assert amount_of(_dose(_q(10)), ten) == (DoseAmount(10, 10, TABLET), None)
    assert amount_of(_dose(_q(None)), ten) == (None, None)


@for_rows(
    ("low", "high", "expected", "problem"),
    [
        (_q(1, "mg"), _q(2, "mg"), DoseAmount(1, 2, MG), None),
        (_q(2, "mg"), _q(1, "mg"), DoseAmount(1, 2, MG), None),
        (None, _q(2, "mg"), DoseAmount(2, 2, MG), None),
        (_q(1, "mg"), None, None, None),
        (_q(1, "mg"), _q(2, "mL"), None, "the dose range has two units"),
        (_q(1, "mg", comparator="<"), _q(2, "mg"), None, "the dose is not an exact number"),
        (_q(1, "mg"), _q(2, "mg", comparator=">"), None, "the dose is not an exact number"),
        (_q(-1, "mg"), _q(2, "mg"), None, None),
        (_q(1, "mg"), _q(-2, "mg"), None, None),
        (_q(None, "mg"), _q(2, "mg"), None, None),
        (_q(0, "mg"), _q(2, "mg"), DoseAmount(0, 2, MG), None),
        (_q(0.5e-9, "mg"), _q(2, "mg"), None, "the dose cannot be right"),
    ],
)
def test_the_amount_of_a_range(
    low: Quantity | None, high: Quantity | None, expected: DoseAmount | None, problem: str | None
) -> None:
    dosage = Dosage(doseAndRate=(DoseAndRate(doseRange=Range(low, high)),))
    assert amount_of(dosage, WARFARIN) == (expected, DoseProblem(problem) if problem is not None else None)


def test_what_was_ordered_goes_before_what_was_calculated() -> None:
    calculated = CodeableConcept((Coding(code="calculated"),))
    ordered = CodeableConcept((Coding(code="ordered"),))
    first = DoseAndRate(type=calculated, doseQuantity=_q(1, "mg"))
    second = DoseAndRate(type=ordered, doseQuantity=_q(2, "mg"))
    bare = DoseAndRate(doseQuantity=_q(3, "mg"))
    for rates, value in (((first, second), 2), ((bare, second), 2), ((first, bare), 1), ((bare, first), 3)):
        assert amount_of(Dosage(doseAndRate=rates), WARFARIN) == (DoseAmount(value, value, MG), None)
    assert amount_of(Dosage(), WARFARIN) == (None, None)
    assert amount_of(Dosage(doseAndRate=(DoseAndRate(),)), WARFARIN) == (None, None)


# Strengths that stand in the words of the dosage.


@for_rows(
    ("text", "has_dose", "expected"),
    [
        ("5mg Tablet", True, Strength(5.0, "mg")),
        ("5mg Tablet", False, None),
        (" 5 mg extended release tablet ", True, Strength(5.0, "mg")),
        ("5 mg one two three four", True, None),
        ("20mg/mL Vial", True, Strength(20.0, "mg", "mL")),
        ("10 mL of 250 mg/5 mL", False, Strength(50.0, "mg", "mL")),
        ("10 mL of 250 mg/5 mL", True, Strength(50.0, "mg", "mL")),
        ("half of 250 mg/5 mL", False, None),
        ("250 mg/5 mL or 500 mg/5 mL", False, None),
        ("10 mL of 100 units/mL", False, None),
        ("1 tablet daily", True, None),
        ("", True, None),
        ("10 mL of 250 mg/5 mL ".ljust(LONGEST_SIG, "x"), False, Strength(50.0, "mg", "mL")),
        ("10 mL of 250 mg/5 mL ".ljust(LONGEST_SIG + 1, "x"), False, None),
    ],
)
def test_a_strength_in_the_words_of_the_dosage(text: str, has_dose: bool, expected: Strength | None) -> None:
    rates = (DoseAndRate(doseQuantity=_q(1, "TAB")),) if has_dose else ()
    result = with_strength_from_text(BARE, Dosage(text=text, doseAndRate=rates))
    assert result.strengths == (expected,)
    assert result.ingredients == BARE.ingredients


def test_the_strength_of_the_product_goes_before_that_of_the_words() -> None:
    dosage = Dosage(text="10 mL of 250 mg/5 mL")
    assert with_strength_from_text(WARFARIN, dosage) is WARFARIN
    two = _of("warfarin", "metformin")
    assert with_strength_from_text(two, dosage) is two
    assert with_strength_from_text(BARE, Dosage()) is BARE


# Milligrams of an amount.


def _mg(value: float, high: float | None = None, is_per_hour: bool = False) -> tuple[Milligrams, ...]:
    return (Milligrams(W, _near(value), _near(high if high is not None else value), is_per_hour),)


@for_rows(
    ("strength", "ml", "unit", "expected"),
    [
        (None, None, MG, _mg(2, 4)),
        (None, None, DoseUnit("mg", 1000.0), _mg(2000, 4000)),
        (TEN_MG, None, TABLET, _mg(20, 40)),
        (TEN_MG, None, DoseUnit("patch"), _mg(20, 40)),
        (Strength(0.05, "mg", "h"), None, DoseUnit("patch"), _mg(0.1, 0.2, is_per_hour=True)),
        (Strength(5.0, "mg", "mL"), None, ML, _mg(10, 20)),
        (Strength(5.0, "mg", "mL"), None, DoseUnit("mL", 5.0), _mg(50, 100)),
        (Strength(5.0, "mg", "mL"), 0.4, TABLET, _mg(4, 8)),
        (Strength(8.0, "mg"), 250.0, ML, _mg(0.064, 0.128)),
        (Strength(8.0, "mg"), 250.0, DoseUnit("mL", 5.0), _mg(0.32, 0.64)),
        (Strength(0.1, "mg", "actuation"), None, DoseUnit("actuation"), _mg(0.2, 0.4)),
        (Strength(0.1, "mg", "actuation"), None, DoseUnit("actuation", 2.0), _mg(0.4, 0.8)),
        # Grams of an ointment are of the product; milligrams are of the drug.
        (Strength(0.01, "mg", "mg"), None, DoseUnit("mg", 1000.0), _mg(20, 40)),
        (Strength(0.01, "mg", "mg"), None, MG, _mg(2, 4)),
        (TEN_MG, None, DoseUnit("mg", 1000.0), _mg(2000, 4000)),
    ],
)
def test_the_milligrams_of_an_amount(
    strength: Strength | None, ml: float | None, unit: DoseUnit, expected: tuple[Milligrams, ...]
) -> None:
    identity = _of("warfarin", strengths=(strength,), ml=ml)
    assert milligrams(identity, DoseAmount(2, 4, unit)) == (expected, None)


OF_ACTIVITY = DoseProblem("the dose is in units of activity, not in milligrams")
NOT_STATED = DoseProblem("the strength of the product is not stated")


@for_rows(
    ("strength", "unit", "problem"),
    [
        (None, TABLET, NOT_STATED),
        (Strength(5.0, "mg", "mL"), TABLET, NOT_STATED),
        (Strength(5.0, "mg", "actuation"), TABLET, NOT_STATED),
        (TEN_MG, ML, NOT_STATED),
        (TEN_MG, DoseUnit("actuation"), NOT_STATED),
        (Strength(20.0, "meq"), TABLET, NOT_STATED),
        (TEN_MG, DoseUnit("activity", activity="unit"), OF_ACTIVITY),
        (TEN_MG, DoseUnit("mg", by_weight=True), NO_WEIGHT),
    ],
)  # fmt: skip
def test_an_amount_without_milligrams(strength: Strength | None, unit: DoseUnit, problem: DoseProblem) -> None:
    assert milligrams(_of("warfarin", strengths=(strength,)), DoseAmount(2, 4, unit)) == ((), problem)


def test_the_mass_of_a_combination_is_of_the_drug_beside_what_carries_it_or_is_shared_out() -> None:
    saline = _of("calcium gluconate", "sodium chloride")
    gram = DoseUnit("mg", 1000.0)
    assert milligrams(saline, DoseAmount(2, 2, gram)) == (
        (Milligrams(_code("calcium gluconate"), 2000.0, 2000.0),),
        None,
    )
    only = _of("sodium chloride")
    assert milligrams(only, DoseAmount(2, 2, gram)) == ((Milligrams(_code("sodium chloride"), 2000.0, 2000.0),), None)
    both = _of("piperacillin", "tazobactam")
    assert milligrams(both, DoseAmount(3.375, 3.375, gram)) == (
        (Milligrams(_code("piperacillin"), 3000.0, 3000.0), Milligrams(_code("tazobactam"), 375.0, 375.0)),
        None,
    )
    unclear = DoseProblem("a mass for a combination does not say of which ingredient")
    assert milligrams(both, DoseAmount(3.0, 3.375, gram)) == ((), unclear)
    assert milligrams(both, DoseAmount(3.0, 3.0, gram)) == ((), unclear)


def test_ingredients_without_a_strength_are_left_out() -> None:
    two = _of("warfarin", "metformin", strengths=(None, Strength(500.0, "mg")))
    assert milligrams(two, DoseAmount(2, 2, TABLET)) == ((Milligrams(_code("metformin"), 1000.0, 1000.0),), None)


def test_the_least_of_a_combination() -> None:
    cotrimoxazole = _of("trimethoprim", "sulfamethoxazole")
    amount = DoseAmount(1.0, 1.2, DoseUnit("mg", 1000.0))
    assert least_milligrams(cotrimoxazole, amount) == (
        Milligrams(_code("trimethoprim"), _near(200.0), _near(200.0)),
        Milligrams(_code("sulfamethoxazole"), _near(1000.0), _near(1000.0)),
    )
    assert least_milligrams(cotrimoxazole, DoseAmount(1, 1, TABLET)) == ()
    assert least_milligrams(cotrimoxazole, DoseAmount(1, 1, DoseUnit("mg", by_weight=True))) == ()
    assert least_milligrams(cotrimoxazole, DoseAmount(1, 1, DoseUnit("mg", span_days=1.0))) == ()
    assert least_milligrams(_of("warfarin", "metformin"), amount) == ()


# Amounts without mass.


@for_rows(
    ("names", "strengths", "ml", "unit", "expected"),
    [
        (("warfarin",), (None,), None, DoseUnit("activity", 1000.0, activity="unit"), ("unit", 4000.0)),
        (("warfarin",), (None,), None, DoseUnit("activity"), None),
        (("warfarin",), (None,), None, DoseUnit("activity", by_weight=True, activity="unit"), None),
        (("warfarin",), (Strength(20.0, "meq"),), None, TABLET, ("meq", 80.0)),
        (("warfarin",), (Strength(20.0, "meq"),), None, ML, None),
        (("warfarin",), (Strength(20.0, "meq", "mL"),), None, DoseUnit("mL", 5.0), ("meq", 400.0)),
        (("warfarin",), (Strength(20.0, "meq"),), 10.0, ML, ("meq", 8.0)),
        (("warfarin",), (Strength(20.0, "meq"),), 10.0, DoseUnit("mL", 5.0), ("meq", 40.0)),
        (("warfarin",), (Strength(20.0, "meq"),), 10.0, TABLET, ("meq", 80.0)),
        (("warfarin",), (Strength(20.0, "meq", "mL"),), 10.0, ML, ("meq", 80.0)),
        (("warfarin",), (Strength(20.0, "%"),), None, TABLET, None),
        (("warfarin",), (TEN_MG,), None, TABLET, None),
        (("warfarin",), (None,), None, TABLET, None),
        (("warfarin", "sodium chloride"), (Strength(20.0, "meq"), None), None, TABLET, ("meq", 80.0)),
        (("warfarin", "metformin"), (Strength(20.0, "meq"), None), None, TABLET, None),
        (("sodium chloride",), (Strength(20.0, "meq"),), None, TABLET, ("meq", 80.0)),
    ],
)
def test_the_activity_of_an_amount(
    names: tuple[str, ...],
    strengths: tuple[Strength | None, ...],
    ml: float | None,
    unit: DoseUnit,
    expected: tuple[str, float] | None,
) -> None:
    assert activity(_of(*names, strengths=strengths, ml=ml), DoseAmount(2, 4, unit)) == expected


# The most of a day.


@for_rows(
    ("limit", "expected"),
    [
        (Ratio(_q(4, "g"), _q(1, "d")), _mg(4000)),
        (Ratio(_q(4, "tablet"), _q(2, code="d")), _mg(20)),
        (Ratio(_q(100, "mg"), _q(12, "h")), _mg(200)),
        (Ratio(_q(100, "mg"), _q(1, "fnord", "wk")), _mg(100 / 7)),
        (Ratio(_q(100, "mg"), _q(1, "wk", "fnord")), _mg(100 / 7)),
        (Ratio(_q(2, "mg/kg"), _q(1, "d")), _mg(140)),
        (Ratio(_q(0, "mg"), _q(1, "d")), _mg(0)),
        (Ratio(_q(-4, "mg"), _q(1, "d")), ()),
        (Ratio(_q(4, "mg"), _q(-1, "d")), ()),
        (Ratio(_q(4, "mg"), _q(0, "d")), ()),
        (Ratio(_q(4, "mg"), _q(None, "d")), ()),
        (Ratio(_q(4, "mg"), _q(1, "fnord")), ()),
        (Ratio(_q(4, "mg"), None), ()),
        (Ratio(None, _q(1, "d")), ()),
        (Ratio(_q(None, "mg"), _q(1, "d")), ()),
        (Ratio(_q(4, "fnord"), _q(1, "d")), ()),
    ],
)
def test_the_most_of_a_period_as_milligrams_a_day(limit: Ratio, expected: tuple[Milligrams, ...]) -> None:
    assert limit_per_day(limit, WARFARIN, 70.0) == expected


def test_a_limit_for_each_kilogram_without_a_weight_is_none() -> None:
    assert limit_per_day(Ratio(_q(2, "mg/kg"), _q(1, "d")), WARFARIN) == ()


# What runs in a day.


def _rate(**rate: Any) -> Dosage:
    return Dosage(doseAndRate=(DoseAndRate(**rate),))


@for_rows(
    ("dosage", "expected"),
    [
        (_rate(rateQuantity=_q(2, "mg/h")), _mg(48)),
        (_rate(rateQuantity=_q(2, "fnord", "mg/h")), _mg(48)),
        (_rate(rateQuantity=_q(2, "mg/h", "fnord")), _mg(48)),
        (_rate(rateQuantity=_q(1, "mg/kg/d")), _mg(70)),
        (_rate(rateQuantity=_q(2, "mg")), ()),
        (_rate(rateQuantity=_q(2, "fnord")), ()),
        (_rate(rateQuantity=_q(None, "mg/h")), ()),
        (_rate(rateQuantity=_q(2, "mg/h", comparator=">")), ()),
        (_rate(rateQuantity=_q(-2, "mg/h")), ()),
        (_rate(rateQuantity=_q(0, "mg/h")), _mg(0)),
        (_rate(rateRange=Range(_q(-1, "mg/h"), _q(2, "mg/h"))), ()),
        (_rate(rateRange=Range(_q(1, "mg/h"), _q(-2, "mg/h"))), ()),
        (_rate(rateRange=Range(_q(1, "mg/h"), _q(2, "mg/h"))), _mg(24, 48)),
        (_rate(rateRange=Range(None, _q(2, "mg/h"))), _mg(48)),
        (_rate(rateRange=Range(_q(1, "mg/h"), None)), ()),
        (_rate(rateRange=Range(_q(1, "mg/min"), _q(2, "mg/h"))), ()),
        (_rate(rateRange=Range(_q(None, "mg/h"), _q(2, "mg/h"))), ()),
        (_rate(rateRange=Range(_q(1, "mg/h"), _q(None, "mg/h"))), ()),
        (_rate(rateRange=Range(_q(1, "mg/h", comparator=">"), _q(2, "mg/h"))), ()),
        (_rate(rateRange=Range(_q(1, "x", "mg/h"), _q(2, "mg/h", "y"))), _mg(24, 48)),
        (_rate(rateRatio=Ratio(_q(100, "mg"), _q(12, "h"))), _mg(200)),
        (_rate(rateRatio=Ratio(_q(100, "x", "mg"), _q(12, "y", "h"))), _mg(200)),
        (_rate(rateRatio=Ratio(_q(100, "mg"), _q(0, "h"))), ()),
        (_rate(rateRatio=Ratio(_q(100, "mg"), _q(None, "h"))), ()),
        (_rate(rateRatio=Ratio(_q(100, "mg"), _q(1, "x"))), ()),
        (_rate(rateRatio=Ratio(_q(100, "mg"), None)), ()),
        (_rate(rateRatio=Ratio(None, _q(1, "h"))), ()),
        (_rate(rateRatio=Ratio(_q(None, "mg"), _q(1, "h"))), ()),
        (_rate(rateRatio=Ratio(_q(100, "x"), _q(1, "h"))), ()),
        (_rate(rateRatio=Ratio(_q(-100, "mg"), _q(1, "h"))), ()),
        (_rate(rateRatio=Ratio(_q(100, "mg"), _q(-1, "h"))), ()),
        (_rate(rateRatio=Ratio(_q(0, "mg"), _q(1, "h"))), _mg(0)),
        (_rate(rateRatio=Ratio(_q(100, "mg", comparator="<"), _q(1, "h"))), ()),
        (_rate(rateRatio=Ratio(_q(100, "mg"), _q(1, "h", comparator="<"))), ()),
        (_rate(), ()),
        (Dosage(), ()),
    ],
)
def test_an_infusion_as_milligrams_a_day(dosage: Dosage, expected: tuple[Milligrams, ...]) -> None:
    assert rate_per_day(dosage, BARE, 70.0) == expected


# The whole of an instruction.


def _repeat(**repeat: Any) -> Timing:
    return Timing(repeat=TimingRepeat(**repeat))


TWICE = _repeat(frequency=2, period=1.0, periodUnit="d")
TWO_A_DAY = Schedule(2.0, 2.0)


def test_a_dose_and_its_schedule() -> None:
    assert read_dosage(_dose(_q(5, "mg"), timing=TWICE), WARFARIN) == Instruction(DoseAmount(5, 5, MG), TWO_A_DAY)


@for_rows(
    ("more", "as_needed"),
    [
        ({"asNeededBoolean": True}, True),
        ({"asNeededBoolean": False}, False),
        ({"asNeededCodeableConcept": CodeableConcept(text="pain")}, True),
        ({"asNeededBoolean": False, "text": "as needed"}, False),
        ({"text": "as needed"}, True),
        ({"asNeededBoolean": True, "text": "daily"}, True),
    ],
)
def test_whether_it_is_taken_as_needed(more: dict[str, Any], as_needed: bool) -> None:
    assert read_dosage(_dose(_q(5, "mg"), timing=TWICE, **more), WARFARIN) == Instruction(
        DoseAmount(5, 5, MG), TWO_A_DAY, as_needed=as_needed
    )


def test_a_limit_stands_beside_the_dose_and_the_words_state_it_where_the_structure_does_not() -> None:
    most = Ratio(_q(40, "mg"), _q(1, "d"))
    base = Instruction(DoseAmount(5, 5, MG), TWO_A_DAY, limit=(Milligrams(W, 40.0, 40.0),))
    assert read_dosage(_dose(_q(5, "mg"), timing=TWICE, maxDosePerPeriod=most), WARFARIN) == base
    worded = _dose(_q(5, "mg"), timing=TWICE, maxDosePerPeriod=most, text="max 30 mg/day")
    assert read_dosage(worded, WARFARIN) == base
    assert read_dosage(_dose(_q(5, "mg"), timing=TWICE, text="max 40 mg/day"), WARFARIN) == base


def test_a_problem_of_the_dose_or_of_the_timing_is_kept_and_the_words_say_only_how_often() -> None:
    problem = DoseProblem("the dose's unit 'fnord' is not known")
    for timing, text in ((TWICE, "5 mg three times daily"), (None, "5 mg twice daily"), (None, "twice daily")):
        read = read_dosage(_dose(_q(5, "fnord"), timing=timing, text=text), WARFARIN)
        assert read == Instruction(None, TWO_A_DAY, problem=problem)
    for is_needed, says in ((None, True), (True, True), (False, False)):
        dosage = _dose(_q(5, "fnord"), text="twice daily as needed", asNeededBoolean=is_needed)
        schedule = Schedule(2.0, 2.0, as_needed=says)
        assert read_dosage(dosage, WARFARIN) == Instruction(None, schedule, as_needed=says, problem=problem)
    two_hours = Timing(repeat=TimingRepeat(duration=2.0, durationUnit="h"))
    infusion = replace(_rate(rateQuantity=_q(10, "mg/h")), timing=two_hours, text="twice daily")
    assert read_dosage(infusion, WARFARIN) == Instruction(None, TWO_A_DAY, infused=_mg(40))
    assert read_dosage(replace(infusion, text=None), WARFARIN).problem == NO_FREQUENCY
    daily = CodeableConcept((Coding(code="QD"),))
    contrary = Timing(code=daily, repeat=TimingRepeat(frequency=2, period=1.0, periodUnit="d"))
    assert read_dosage(_dose(_q(5, "mg"), timing=contrary, text="5 mg daily"), WARFARIN) == Instruction(
        DoseAmount(5, 5, MG), Schedule(problem=CONTRADICTION), problem=CONTRADICTION
    )


def test_words_fill_what_the_structure_leaves_open_and_raise_its_upper_end() -> None:
    five = DoseAmount(5.0, 5.0, MG)
    assert read_dosage(Dosage(text="5 mg twice daily for 7 days"), WARFARIN) == Instruction(
        five, TWO_A_DAY, said_days=7.0, from_text=True
    )
    assert read_dosage(Dosage(patientInstruction="5 mg twice daily"), WARFARIN) == Instruction(
        five, TWO_A_DAY, from_text=True
    )
    assert read_dosage(Dosage(text="5 mg", timing=TWICE), WARFARIN) == Instruction(five, TWO_A_DAY, from_text=True)
    assert read_dosage(_dose(_q(3, "mg"), text="5 mg twice daily"), WARFARIN) == Instruction(
        DoseAmount(3, 3, MG), TWO_A_DAY, from_text=True
    )
    assert read_dosage(_dose(_q(3, "mg"), timing=TWICE, text="5 mg three times daily"), WARFARIN) == Instruction(
        DoseAmount(3, 5, MG), Schedule(2.0, 3.0)
    )
    assert read_dosage(Dosage(text="5 mg once"), WARFARIN) == Instruction(
        five, Schedule(1.0, 1.0, single=True, days=1.0), said_days=1.0, from_text=True
    )
    bounded = _repeat(boundsDuration=_q(14, "d"))
    assert read_dosage(_dose(_q(5, "mg"), timing=bounded, text="daily"), WARFARIN) == Instruction(
        five, Schedule(1.0, 1.0, days=14.0), from_text=True
    )
    assert read_dosage(Dosage(text="60 mg/day divided twice daily"), WARFARIN).total_per_day is True
    assert read_dosage(_dose(_q(5, "mg"), text="60 mg/day divided twice daily"), WARFARIN).total_per_day is False
    assert read_dosage(Dosage(text="as directed", timing=TWICE), WARFARIN) == Instruction(
        None, TWO_A_DAY, from_text=True, problem=DoseProblem("the words leave the dose open", "not-stated")
    )


@pytest.mark.parametrize(
    ("words", "is_one"),
    [
        ("every 3 days", True),
        ("spoons weekly", False),
        ("daily prn 2 capfuls", False),
        ("daily 5", False),
        ("use three spoons daily", False),
    ],
)
def test_words_that_say_only_how_often_are_of_one_tablet(words: str, is_one: bool) -> None:
    for dosage in (Dosage(text=words), Dosage(patientInstruction=words)):
        assert read_dosage(dosage, WARFARIN).amount == (DoseAmount(1.0, 1.0, TABLET) if is_one else None)


@for_rows(
    ("dose", "text", "high", "often"),
    [
        # What the words say above the structure counts, but for a rounded number.
        (_q(10, "mg"), "11 mg twice daily", 10, 2),
        (_q(10, "mg"), "11.1 mg twice daily", 11.1, 2),
        (_q(4, "mg"), "40 mg once", 4, 2),
        (_q(4, "mg"), "60 mg/day divided twice daily", 4, 2),
        (_q(4, "mg"), "5 mg three times daily and 40 mg at night", 4, 2),
        (_q(4, "mg"), "10 mg at bedtime between meals", 4, 2),
        (_q(0, "mg"), "5 mg twice daily", 0, 2),
        (_q(1, "tablet"), "3 tablets daily", 3, 1),
        (_q(1, "tablet"), "50 mg/h twice daily", 1, 2),
        (_q(1, "tablet"), "5 mL twice daily", 1, 2),
        (_q(1, "tablet"), "20 mg twice daily", 2, 2),
    ],
)
def test_the_words_beside_a_structure_raise_it_or_leave_it(
    dose: Quantity, text: str, high: float, often: float
) -> None:
    read = read_dosage(_dose(dose, timing=TWICE, text=text), WARFARIN)
    assert read.amount is not None
    assert (read.amount.high, read.schedule.high) == (_near(high), often)


@for_rows(
    ("names", "text", "masses"),
    [
        (("amoxicillin", "clavulanate"), "875/125 mg daily", (875.0, 125.0)),
        (("amoxicillin", "clavulanate"), "999/5 mg daily", None),
        (("warfarin", "metformin"), "5/10/15 mg daily", None),
        (("warfarin", "metformin"), "320 mg TMP daily", None),
        (("trimethoprim", "sulfamethoxazole"), "320 mg TMP daily", (320.0, 1600.0)),
        (("trimethoprim", "sulfamethoxazole"), None, None),
        (("warfarin",), "5/10 mg daily", None),
    ],
)
def test_the_masses_of_the_parts_of_a_combination(
    names: tuple[str, ...], text: str | None, masses: tuple[float, ...] | None
) -> None:
    identity, dosage = with_masses_of_parts(_of(*names), Dosage(text=text or ""))
    amounts = tuple(strength.amount for strength in identity.strengths if strength is not None)
    assert (amounts, dosage.text) == ((masses, "1 each daily") if masses else ((), text or ""))


def test_the_weight_makes_the_dose_of_this_patient() -> None:
    dosage = _dose(_q(2, "mg/kg"), timing=TWICE)
    assert read_dosage(dosage, WARFARIN, 50.0) == Instruction(DoseAmount(100.0, 100.0, MG), TWO_A_DAY)
    assert read_dosage(dosage, WARFARIN) == Instruction(None, TWO_A_DAY, problem=NO_WEIGHT)
    unclear = _dose(_q(2, "mg/kg"), timing=_repeat(frequency=2))
    assert read_dosage(unclear, WARFARIN).problem == DoseProblem("frequency without a period")
    worded = Dosage(text="5 mg", timing=_repeat(frequency=2))
    assert read_dosage(worded, WARFARIN).problem == DoseProblem("frequency without a period")
    unclear = Dosage(text="1 tablet twice daily q8h")
    assert read_dosage(unclear, WARFARIN).problem == DoseProblem("the words name several frequencies")
    on_monday = read_dosage(Dosage(text="10 mg once on Monday"), WARFARIN)
    assert on_monday.schedule == Schedule(single=True, days=1.0)


@for_rows(
    ("timing", "infused", "problem"),
    [
        ({}, _mg(48), None),
        ({"duration": 24.0, "durationUnit": "h"}, _mg(48), None),
        ({"duration": 30.0, "durationUnit": "h"}, _mg(48), None),
        ({"duration": 4.0, "durationUnit": "h"}, _mg(8), None),  # as often as the words say
        ({"duration": 4.0, "durationUnit": "h", "frequency": 2, "period": 1.0, "periodUnit": "d"}, _mg(16), None),
        ({"duration": 12.0, "durationUnit": "h", "frequency": 2, "period": 1.0, "periodUnit": "d"}, _mg(48), None),
        (
            {"duration": 4.0, "durationUnit": "h", "frequency": 1, "frequencyMax": 2, "period": 1.0, "periodUnit": "d"},
            _mg(8, 16),
            None,
        ),
        (
            {"duration": 13.0, "durationUnit": "h", "frequency": 2, "period": 1.0, "periodUnit": "d"},
            (),
            DoseProblem("the infusions of a day last longer than a day"),
        ),
    ],
)
def test_what_runs_as_long_as_each_infusion_lasts(
    timing: dict[str, Any], infused: tuple[Milligrams, ...], problem: DoseProblem | None
) -> None:
    dosage = Dosage(doseAndRate=(DoseAndRate(rateQuantity=_q(2, "mg/h")),), timing=_repeat(**timing), text="daily")
    result = read_dosage(dosage, BARE)
    assert (result.amount, result.infused, result.problem) == (None, infused, problem)


def test_a_rate_in_units_is_an_amount_of_a_span() -> None:
    hourly = DoseUnit("activity", 1.0, False, HOUR, "unit")
    dosage = Dosage(doseAndRate=(DoseAndRate(rateQuantity=_q(5, "units/h")),))
    assert read_dosage(dosage, BARE) == Instruction(DoseAmount(5, 5, hourly), Schedule())
    dose_too = Dosage(doseAndRate=(DoseAndRate(doseQuantity=_q(5, "fnord"), rateQuantity=_q(5, "units/h")),))
    assert read_dosage(dose_too, BARE).amount is None
    short = Dosage(
        doseAndRate=(DoseAndRate(rateQuantity=_q(5, "units/h")),), timing=_repeat(duration=2.0, durationUnit="h")
    )
    assert read_dosage(short, BARE).amount is None
