"""What one Dosage says, worked out by hand: amounts, units, masses, limits, infusions, and words beside a structure."""

from typing import Any

from fhir.mapping.medications.dosage import (
    DoseAmount,
    Instruction,
    Milligrams,
    Schedule,
    amount_of,
    milligrams,
    read_dosage,
    with_strength_from_text,
)
from fhir.mapping.medications.identity import MedicationIdentity
from fhir.mapping.medications.sig import NO_WEIGHT, DoseProblem
from fhir.record.datatypes import (
    CodeableConcept,
    Coding,
    Dosage,
    DoseAndRate,
    Quantity,
    Range,
    Timing,
    TimingRepeat,
)
from fhir.terminology.dosing import DoseUnit
from fhir.terminology.medication_strength import Strength
from fhir.terminology.medications import INGREDIENT_BY_NAME

MG, TABLET, ML = DoseUnit("mg"), DoseUnit("unit"), DoseUnit("mL")
TEN_MG = Strength(10.0, "mg")


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


def _dose(low: Quantity, high: Quantity | None = None, **more: Any) -> Dosage:
    rate = DoseAndRate(doseQuantity=low) if high is None else DoseAndRate(doseRange=Range(low, high))
    return Dosage(doseAndRate=(rate,), **more)


def _q(value: float | None, unit: str = "", code: str = "", comparator: str = "") -> Quantity:
    return Quantity(value, comparator, unit, code)


# The structured dose.


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


def test_the_strength_of_the_product_goes_before_that_of_the_words() -> None:
    dosage = Dosage(text="10 mL of 250 mg/5 mL")
    assert with_strength_from_text(WARFARIN, dosage) is WARFARIN
    two = _of("warfarin", "metformin")
    assert with_strength_from_text(two, dosage) is two
    assert with_strength_from_text(BARE, Dosage()) is BARE


# Milligrams of an amount.


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


# Amounts without mass.


# The most of a day.


# What runs in a day.


# The whole of an instruction.


def _repeat(**repeat: Any) -> Timing:
    return Timing(repeat=TimingRepeat(**repeat))


TWICE = _repeat(frequency=2, period=1.0, periodUnit="d")
TWO_A_DAY = Schedule(2.0, 2.0)


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
