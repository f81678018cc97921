"""Interactions: risks beside a pair, doses of either side, when it began, and what a card says of it."""

from typing import Any

import pytest

from cards.extension import Fact
from cards.rules.families.ddi.conditions import is_treatment
from cards.rules.families.ddi.family import FAMILY
from cards.rules.patient.context import RuleContext
from fhir.mapping.medications.daily_dose import daily_dose
from tests.cards.rules.contexts import answer, beside_of, context_of, told
from tests.each import for_rows
from tests.fhir.builders import observation, quantity

Json = dict[str, Any]
WARFARIN: Json = {"drug": "warfarin 5 MG Oral Tablet", "dose": "1 tablet", "times": 1}
IBUPROFEN: Json = {"drug": "ibuprofen 400 MG Oral Tablet", "dose": "2 tablet", "times": 3}
NAPROXEN: Json = {"drug": "naproxen 500 MG Oral Tablet", "dose": "1 tablet", "times": 2}
DIGOXIN: Json = {"drug": "digoxin 0.125 MG Oral Tablet", "dose": "1 tablet", "times": 1}
FUROSEMIDE: Json = {"drug": "furosemide 40 MG Oral Tablet", "dose": "1 tablet", "times": 1}
METFORMIN: Json = {"drug": "metformin 500 MG Oral Tablet", "dose": "1 tablet", "times": 2}
PREDNISONE: Json = {"drug": "prednisone 10 MG Oral Tablet", "dose": "1 tablet", "times": 1}


def _word(name: str, context: RuleContext) -> str | None:
    return FAMILY.placeholders[name](context)


@for_rows(
    ("context", "first", "all_of_them"),
    [
        (beside_of(WARFARIN, IBUPROFEN, age=65), None, None),
        (beside_of(WARFARIN, IBUPROFEN, age=66), "age 66", "age 66"),
        (beside_of(WARFARIN, IBUPROFEN, age=None), None, None),
        (beside_of(WARFARIN, IBUPROFEN, conditions=["gi_bleed_or_ulcer"]), "a past GI bleed or ulcer",
         "a past GI bleed or ulcer"),
        (beside_of(WARFARIN, PREDNISONE, age=66), "age 66 and 1 more risk", "age 66, prednisone"),
        (beside_of(WARFARIN, PREDNISONE, age=66, conditions=["gi_bleed_or_ulcer"]), "age 66 and 2 more risks",
         "age 66, a past GI bleed or ulcer, prednisone"),
        (beside_of(WARFARIN, IBUPROFEN, NAPROXEN), "ibuprofen too", "ibuprofen too"),
        (beside_of(WARFARIN, {**IBUPROFEN, "dose": "2 tablet"}), None, None),
        (beside_of(WARFARIN, {**IBUPROFEN, "dose": "801 mg"}), "ibuprofen 2,403 mg/day", "ibuprofen 2,403 mg/day"),
        (beside_of({**IBUPROFEN, "dose": "801 mg"}, WARFARIN), "ibuprofen 2,403 mg/day", "ibuprofen 2,403 mg/day"),
        (beside_of(WARFARIN, {"drug": "ibuprofen 5 % Topical Gel", "dose": "3000 mg", "times": 1}), None, None),
    ],
)  # fmt: skip
def test_the_risks_of_bleeding(context: RuleContext, first: str | None, all_of_them: str | None) -> None:
    assert (_word("bleeding_risk", context), _word("bleeding_risks", context)) == (first, all_of_them)


@pytest.mark.parametrize(
    ("taken", "words"),
    [([IBUPROFEN], "No PPI or misoprostol on the list"),
     ([IBUPROFEN, {"drug": "omeprazole 20 MG Oral Capsule"}], "omeprazole is taken")],
)  # fmt: skip
def test_what_protects_the_stomach(taken: list[Json], words: str) -> None:
    assert _word("gastroprotection", beside_of(WARFARIN, *taken)) == words


@for_rows(
    ("patient", "risks"),
    [
        ({"labs": [["potassium", 3.5, 90], ["magnesium", 1.7, 30], ["calcium", 10.2, 90], ["egfr", 60, 3]]}, []),
        ({"labs": [["potassium", 3.49, 90]]}, ["potassium 3.49 mmol/L on 2026-08-22"]),
        ({"labs": [["potassium", 3.49, 91]]}, []),
        ({"labs": [["magnesium", 1.69, 30]]}, ["magnesium 1.69 mg/dL on 2026-10-21"]),
        ({"labs": [["magnesium", 1.69, 31]]}, []),
        ({"labs": [["calcium", 10.21, 90]]}, ["calcium 10.21 mg/dL on 2026-08-22"]),
        ({"labs": [["calcium", 10.21, 91]]}, []),
        ({"labs": [["egfr", 59.9, 3]]}, ["eGFR 59.9 mL/min on 2026-11-17"]),
        ({"active": [FUROSEMIDE]}, ["a loop diuretic without a potassium"]),
        ({"active": [FUROSEMIDE], "labs": [["potassium", 4.0, 30]]}, []),
        ({"active": [FUROSEMIDE], "labs": [["potassium", 4.0, 31]]}, ["a loop diuretic without a potassium"]),
    ],
)
def test_the_risks_with_digoxin(patient: Json, risks: list[str]) -> None:
    context = context_of(DIGOXIN, **patient)
    assert _word("digoxin_risks", context) == (", ".join(risks) or None)
    assert _word("digoxin_risk", context) == (risks[0] if risks else None)


def _bound(loinc: str, comparator: str, value: float, unit: str) -> Json:
    bounded = quantity(value, unit, comparator=comparator)
    return observation(loinc, when="2026-11-17", patient="case", id="b", valueQuantity=bounded)


@for_rows(
    ("result", "is_risk"),
    [
        (_bound("2823-3", "<", 3.0, "mmol/L"), True),
        (_bound("2823-3", ">", 3.0, "mmol/L"), False),
        (_bound("17861-6", ">", 11.0, "mg/dL"), True),
        (_bound("17861-6", "<", 11.0, "mg/dL"), False),
    ],
)
def test_a_result_with_a_side_is_a_risk_only_where_that_settles_it(result: Json, is_risk: bool) -> None:
    assert (_word("digoxin_risk", context_of(DIGOXIN, more=[result])) is not None) is is_risk


@for_rows(
    ("patient", "risk", "kidney", "egfr"),
    [
        ({"age": 64}, None, "No kidney function is on record.", None),
        ({"age": 65}, "age 65", "No kidney function is on record.", None),
        ({"age": 65, "labs": [["egfr", 59.96, 3]]}, "age 65 and 1 more risk", "eGFR 60 mL/min on 2026-11-17.",
         "eGFR 59.96 mL/min on 2026-11-17"),
        ({"age": 64, "labs": [["egfr", 60, 3]]}, None, "eGFR 60 mL/min on 2026-11-17.",
         "eGFR 60 mL/min on 2026-11-17"),
        ({"age": None}, None, "No kidney function is on record.", None),
    ],
)  # fmt: skip
def test_the_risks_of_a_high_potassium(patient: Json, risk: str | None, kidney: str, egfr: str | None) -> None:
    context = context_of(DIGOXIN, **patient)
    assert [_word(name, context) for name in ("potassium_risk", "kidney_said", "egfr_or_list")] == [risk, kidney, egfr]


def test_the_values_and_the_drugs_that_are_named() -> None:
    simvastatin = {"drug": "simvastatin 20 MG Oral Tablet", "dose": "2 tablet", "times": 1}
    context = beside_of(WARFARIN, simvastatin, {"drug": "citalopram 20 MG Oral Tablet", "dose": "1 tablet", "times": 1},
                        {"drug": "fluconazole 100 MG Oral Tablet"}, IBUPROFEN, {"drug": "lisinopril 10 MG Oral Tablet"},
                        FUROSEMIDE, {"drug": "hydrochlorothiazide 25 MG Oral Tablet"},
                        labs=[["inr", 3.2, 90], ["potassium", 5.04, 30], ["qtc", 500.4, 30],
                              ["digoxin_level", 2.04, 30]])  # fmt: skip
    words = {name: _word(name, context) for name in ("Inr", "potassium", "qtc", "digoxin_level", "simvastatin_dose",
             "citalopram_dose", "citalopram_partner", "nsaid", "raas", "diuretic")}  # fmt: skip
    assert words == {
        "Inr": "INR 3.2 on 2026-08-22", "potassium": "potassium 5.04 mmol/L on 2026-10-21",
        "qtc": "QTc 500.4 ms on 2026-10-21", "digoxin_level": "digoxin level 2.04 ng/mL on 2026-10-21",
        "simvastatin_dose": "40", "citalopram_dose": "20", "citalopram_partner": "fluconazole", "nsaid": "ibuprofen",
        "raas": "lisinopril", "diuretic": "furosemide and 1 more",
    }  # fmt: skip
    nobody = beside_of(WARFARIN, labs=[["inr", 3.2, 91], ["potassium", 5, 31], ["qtc", 500, 31]])
    assert {name: _word(name, nobody) for name in words} == {
        **dict.fromkeys(words), "Inr": "No INR in 90 days", "simvastatin_dose": "0", "citalopram_dose": "0"
    }  # fmt: skip


def test_the_drug_that_is_drafted_is_named_first() -> None:
    context = beside_of(IBUPROFEN, NAPROXEN)
    assert _word("nsaid", context) == "ibuprofen and 1 more"
    assert _word("nsaid", beside_of(IBUPROFEN, IBUPROFEN)) == "ibuprofen"


ZIPRASIDONE: Json = {"drug": "ziprasidone 20 MG Oral Capsule"}


def test_the_other_drug_beside_ziprasidone() -> None:
    assert _word("other_than_ziprasidone", beside_of(ZIPRASIDONE, METFORMIN)) == "metformin"
    assert _word("other_than_ziprasidone", beside_of(METFORMIN, ZIPRASIDONE)) == "metformin"
    assert _word("other_than_ziprasidone", context_of(ZIPRASIDONE)) is None


@for_rows(
    ("labs", "start"),
    [
        ([], "No potassium and no QTc in 90 days; "),
        ([["potassium", 4, 90]], "No QTc in 90 days; "),
        ([["potassium", 4, 91], ["qtc", 400, 90]], "No potassium in 90 days; "),
        ([["potassium", 4, 90], ["qtc", 400, 90]], ""),
    ],
)
def test_what_was_not_looked_for_of_the_qt_interval(labs: list[Any], start: str) -> None:
    said = _word("qt_limits", context_of(WARFARIN, labs=labs)) or ""
    assert said.startswith(start)
    assert said[:1].isupper()
    assert ("in 90 days" in said) is bool(start)


DRAFT_30: Json = {"more": {"priorPrescription": {"reference": "MedicationRequest/elsewhere"}}}


NEW_NSAID: Json = {"any_new": {"drugs": {"classes": ["nsaid"]}, "days": 14}}


@for_rows(
    ("draft", "taken", "new"),
    [
        (WARFARIN, [{**IBUPROFEN, "days_ago": 14}], True),
        (WARFARIN, [{**IBUPROFEN, "days_ago": 15}], False),
        (WARFARIN, [{**IBUPROFEN, "undated": True}], None),
        (WARFARIN, [{"drug": "diclofenac 1 % Topical Gel", "days_ago": 1}], False),
        (WARFARIN, [], False),
        (IBUPROFEN, [], True),
        ({**IBUPROFEN, **DRAFT_30}, [], False),
        (IBUPROFEN, [{**NAPROXEN, "days_ago": 100}], True),
    ],
)
def test_whether_one_of_these_drugs_is_new(draft: Json, taken: list[Json], new: bool | None) -> None:
    assert answer(NEW_NSAID, beside_of(draft, *taken), FAMILY) is new


def test_a_drug_that_is_drafted_along_with_it() -> None:
    spec: Json = {"beside_drafted": {"classes": ["nsaid"]}}
    assert answer(spec, context_of(WARFARIN, IBUPROFEN), FAMILY) is True
    assert answer(spec, context_of(WARFARIN, {"drug": "diclofenac 1 % Topical Gel"}), FAMILY) is False
    assert answer(spec, beside_of(WARFARIN, IBUPROFEN), FAMILY) is False
    assert answer(spec, context_of(IBUPROFEN), FAMILY) is False


@for_rows(
    ("taken", "truth"),
    [
        ({**IBUPROFEN, "dose": "2 tablet"}, False),
        ({**IBUPROFEN, "dose": "801 mg"}, True),
        ({"drug": IBUPROFEN["drug"]}, None),
        (METFORMIN, False),
        ({"drug": "ibuprofen 5 % Topical Gel"}, False),
    ],
)
def test_an_nsaid_over_its_usual_dose(taken: Json, truth: bool | None) -> None:
    assert answer({"high_dose_nsaid": True}, beside_of(WARFARIN, taken), FAMILY) is truth


AZATHIOPRINE: Json = {"drug": "azathioprine 50 MG Oral Tablet", "dose": "1 tablet", "times": 1}
ALLOPURINOL: Json = {"drug": "allopurinol 100 MG Oral Tablet", "dose": "1 tablet", "times": 1}
KG_50: Json = {"labs": [["body_weight", 50, 3]]}


@for_rows(
    ("draft", "taken", "patient", "truth"),
    [
        (ALLOPURINOL, AZATHIOPRINE, KG_50, True),
        (ALLOPURINOL, {**AZATHIOPRINE, "dose": "51 mg"}, KG_50, False),
        (AZATHIOPRINE, ALLOPURINOL, KG_50, True),
        ({"drug": "mercaptopurine 50 MG Oral Tablet", "dose": "25 mg", "times": 1}, ALLOPURINOL, KG_50, True),
        ({"drug": "mercaptopurine 50 MG Oral Tablet", "dose": "26 mg", "times": 1}, ALLOPURINOL, KG_50, False),
        (ALLOPURINOL, AZATHIOPRINE, {}, None),
        (ALLOPURINOL, {"drug": AZATHIOPRINE["drug"]}, KG_50, None),
        (ALLOPURINOL, METFORMIN, KG_50, None),
    ],
)
def test_a_thiopurine_whose_dose_is_reduced(draft: Json, taken: Json, patient: Json, truth: bool | None) -> None:
    context = beside_of(draft, taken, **patient)
    assert answer({"thiopurine_dose_reduced": True}, context, FAMILY) is truth
    facts = told({"thiopurine_dose_reduced": True}, context, FAMILY)
    assert [fact.name for fact in facts] == (["thiopurine_dose", "body_weight"] if truth is not None else [])


def test_the_dose_of_a_thiopurine_is_told_for_each_kilogram() -> None:
    context = beside_of(ALLOPURINOL, {**AZATHIOPRINE, "dose": "50.1 mg"}, **KG_50)
    assert told({"thiopurine_dose_reduced": True}, context, FAMILY)[0] == Fact(
        "thiopurine_dose", "50.1 mg/day, 1.002 mg/kg", 50.1, "mg/d", source="MedicationRequest/draft-0")  # fmt: skip


ENOXAPARIN: Json = {"drug": "enoxaparin injection", "dose": "60 mg", "times": 1}


@for_rows(
    ("draft", "truth"),
    [
        (WARFARIN, True),
        ({"drug": "apixaban 5 MG Oral Tablet"}, True),
        (ENOXAPARIN, False),
        ({**ENOXAPARIN, "dose": "61 mg"}, True),
        ({**ENOXAPARIN, "dose": "40 mg", "times": 2}, True),
        ({"drug": "enoxaparin injection"}, None),
        ({"drug": "fondaparinux injection", "dose": "2.5 mg", "times": 1}, False),
        ({"drug": "fondaparinux injection", "dose": "5 mg", "times": 1}, True),
        ({"drug": "heparin 5000 units injection", "dose": "5000 unit", "times": 3}, False),
        ({"drug": "heparin 25000 units in dextrose"}, True),
        ({"drug": "heparin injection", "more": {"dosageInstruction": [{"text": "continuous"}]}}, True),
        ({"drug": "heparin injection", "more": {"dosageInstruction": [{"doseAndRate": [{"rateQuantity": {
            "value": 18, "unit": "mL/h"}}]}]}}, True),
        ({"drug": "heparin injection", "more": {"dosageInstruction": [{"doseAndRate": [{"rateRatio": {
            "numerator": {"value": 18, "unit": "mL"}, "denominator": {"value": 1, "unit": "h"}}}]}]}}, True),
        ({"drug": "dalteparin injection", "dose": "7500 unit", "times": 1}, False),
        ({"drug": "dalteparin injection", "dose": "7501 unit", "times": 1}, True),
        ({"drug": "dalteparin 5,000 units syringe", "times": 1}, False),
        ({"drug": "dalteparin 7,500 units syringe", "times": 1}, False),
        ({"drug": "dalteparin 5,000 units syringe", "times": 2}, True),
        ({"drug": "dalteparin 5,000 units syringe"}, None),
        ({"drug": "dalteparin", "times": 1}, None),
        (METFORMIN, False),
    ],
)  # fmt: skip
def test_a_treatment_dose_of_an_anticoagulant(draft: Json, truth: bool | None) -> None:
    both = context_of(draft, WARFARIN)
    assert answer({"both_treatment_doses": True}, both, FAMILY) is truth
    # Where the other one is none, nothing of this one matters.
    assert answer({"both_treatment_doses": True}, context_of(draft, METFORMIN), FAMILY) is False


def test_words_of_an_order_beside_its_instructions() -> None:
    drafted = context_of({"drug": "heparin injection"}).drafted
    dose = daily_dose(drafted.order, drafted.medication)
    assert [is_treatment(drafted.medication, dose, words) for words in ("", "drip")] == [False, True]


@for_rows(
    ("draft", "taken", "truth"),
    [
        ({"drug": "potassium chloride 20 MEQ in dextrose 5 %"}, METFORMIN, True),
        ({"drug": "potassium chloride 20 MEQ Oral Tablet"}, METFORMIN, False),
        (METFORMIN, {"drug": "potassium chloride 20 MEQ in dextrose 5 %"}, True),
        ({"drug": "dextrose 5 % infusion"}, METFORMIN, False),
    ],
)
def test_potassium_in_a_maintenance_fluid(draft: Json, taken: Json, truth: bool) -> None:
    assert answer({"maintenance_fluid": True}, beside_of(draft, taken), FAMILY) is truth


PARTNER = ("partner-dose-unknown", "the dose of the other drug is not known.")


@pytest.mark.parametrize(
    ("draft", "taken", "pair_gap", "drug_gap"),
    [
        (WARFARIN, IBUPROFEN, None, PARTNER),
        ({"drug": WARFARIN["drug"]}, IBUPROFEN, ("dose-not-entered", "the dose is not stated."), None),
        (WARFARIN, {"drug": IBUPROFEN["drug"]}, PARTNER, PARTNER),
    ],
)
def test_whose_dose_is_not_known(draft: Json, taken: Json, pair_gap: Any, drug_gap: Any) -> None:
    context = beside_of(draft, taken)
    assert FAMILY.gaps["pair_dose"](context) == pair_gap
    assert FAMILY.gaps["drug_dose"](context) == drug_gap


@for_rows(
    ("spec", "words"),
    [
        ({"one_begun_within": 14}, "one of the two begun within 14 days"),
        ({"both_unchanged_for": 14}, "both taken for over 14 days"),
        (NEW_NSAID, "class nsaid begun within 14 days"),
        ({"beside_drafted": {"classes": ["nsaid"]}}, "class nsaid is drafted along with it"),
        ({"nsaid_count": {"ge": 2}}, "NSAIDs taken ≥ 2"),
    ],
)
def test_the_words_of_a_page(spec: Json, words: str) -> None:
    assert FAMILY.vocabulary.say(spec) == words
