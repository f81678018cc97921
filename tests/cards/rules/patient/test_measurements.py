"""Measurements and kidney function in words, by equations worked out by hand, and how sure they are.

A man of 60: CKD-EPI 2021 gives 16.3 for a creatinine of 4 mg/dL and 37.5 for 2 mg/dL, Cockcroft-Gault at 80 kg
(140 - 60) × 80 / (72 × 4) = 22.2 mL/min.
"""

from typing import Any

from cards.rules.patient import measurements
from cards.rules.patient.context import RuleContext
from cards.rules.patient.measurements import ESTIMATES
from tests.cards.rules.contexts import AS_OF, context_of
from tests.cards.rules.patients import record_of
from tests.each import for_rows
from tests.fhir.builders import observation, quantity

Json = dict[str, Any]
METFORMIN: Json = {"drug": "metformin 500 MG Oral Tablet", "dose": "1 tablet", "times": 2}
ON = "on 2026-11-17"
OLD = "The value of 2025-10-16 is older than it should be: repeat it."
NO_CREATININE, NO_WEIGHT = (
    f"No {name}: eGFR is used in place of creatinine clearance." for name in ("creatinine", "weight")
)
DIALYSIS = "Dialysis is on the record: the kidneys count as failed, and no dose is derived from an estimate."
STAGE = "CKD stage 4 is on the problem list without a recent value: repeat creatinine; no dose is derived."
STAGE_IN_WORDS = "CKD stage 4 on record since 2026-09-21: eGFR under 30 mL/min/1.73 m², not measured lately"


def _bound(loinc: str, comparator: str, value: float, unit: str, day: str = "2026-11-17") -> Json:
    bounded = quantity(value, unit, comparator=comparator)
    return observation(loinc, when=day, patient="case", id="b", valueQuantity=bounded)


OVER_60 = _bound("98979-8", ">", 60, "mL/min/{1.73_m2}")


@for_rows(
    ("patient", "name", "phrase", "statement", "notes"),
    [
        ({"labs": [["egfr", 25, 3]]}, "egfr_best", f"eGFR 25 mL/min {ON}",
         f"eGFR 25 mL/min/1.73 m² {ON} (reported)", []),
        ({"labs": [["egfr", 25, 3]]}, "crcl_actual_weight", f"eGFR 25 mL/min (no creatinine for CrCl) {ON}",
         f"eGFR 25 mL/min/1.73 m² {ON} (reported)", [NO_CREATININE]),
        ({"labs": [["egfr", 25, 400]]}, "egfr_best", "eGFR 25 mL/min (old) on 2025-10-16",
         "eGFR 25 mL/min/1.73 m² on 2025-10-16 (reported)", [OLD]),
        ({"labs": [["creatinine", 4.0, 3]]}, "egfr_best", f"eGFR 16.3 mL/min {ON}",
         f"eGFR 16.3 mL/min/1.73 m² {ON} (CKD-EPI 2021 from creatinine 4 mg/dL)", []),
        ({"labs": [["creatinine", 4.0, 3], ["body_weight", 80, 3], ["body_height", 180, 3]]}, "crcl_actual_weight",
         f"CrCl 22.2 mL/min {ON}", f"CrCl 22.2 mL/min {ON} (Cockcroft-Gault: creatinine 4 mg/dL of 2026-11-17, "
         "weight 80 kg of 2026-11-17)", []),
        # 354 µmol/L are 4 mg/dL, 176 pounds are 79.83 kg.
        ({"labs": [["creatinine", 354, 3, "umol/L"], ["body_weight", 176, 3, "[lb_av]"]]}, "crcl_actual_weight",
         f"CrCl 22.2 mL/min {ON}", f"CrCl 22.2 mL/min {ON} (Cockcroft-Gault: creatinine 354 umol/L (4 mg/dL) of "
         "2026-11-17, weight 176 lb (79.83 kg) of 2026-11-17)", []),
        ({"labs": [["creatinine", 4.0, 3]]}, "crcl_actual_weight", f"eGFR 16.3 mL/min (no weight for CrCl) {ON}",
         f"eGFR 16.3 mL/min/1.73 m² {ON} (CKD-EPI 2021 from creatinine 4 mg/dL)", [NO_WEIGHT]),
        ({"labs": [["creatinine", 4.0, 3], ["egfr", 30, 3]]}, "egfr_best", f"eGFR 16.3 mL/min (disputed) {ON}",
         f"eGFR 16.3 mL/min/1.73 m² {ON} (CKD-EPI 2021 from creatinine 4 mg/dL)",
         ["Values of 2026-11-17 in mL/min/1.73 m²: 16.3 from creatinine 4 mg/dL, 30 reported.",
          "The values of that day contradict each other; the lowest is used. Repeat the test."]),
        ({"conditions": ["dialysis"]}, "egfr_best", "dialysis on record", "dialysis on record since 2026-09-21",
         [DIALYSIS]),
        ({"conditions": ["ckd4"]}, "egfr_best", "CKD stage 4 on record, eGFR under 30", STAGE_IN_WORDS, [STAGE]),
        ({"more": [OVER_60]}, "egfr_best", f"eGFR >60 mL/min {ON}", f"eGFR >60 mL/min/1.73 m² {ON} (reported)",
         ["The laboratory reports eGFR only as >60."]),
    ],
)  # fmt: skip
def test_an_estimate_in_words(patient: Json, name: str, phrase: str, statement: str, notes: list[str]) -> None:
    context = context_of(METFORMIN, **patient)
    estimate = context.estimate(name)
    assert estimate is not None
    assert measurements.phrase(estimate, [30]) == phrase
    assert measurements.notes(estimate) == notes
    reported = estimate.method == "reported" and not estimate.disputed
    assert (len(context.estimate_facts(name)) == 1) is (reported or not estimate.inputs)
    assert context.estimate_facts(name, [30])[0].text == statement
    assert context.estimate_phrases([name, "age"]) == [measurements.phrase(estimate)]


def test_an_adjusted_weight_is_said() -> None:
    # 75.1 kg is what a man of 180 cm should weigh: at 130 kg the adjusted weight is 75 + 0.4 × 55 = 97 kg.
    labs = [["creatinine", 4.0, 3], ["body_weight", 130, 3], ["body_height", 180, 3]]
    statement = context_of(METFORMIN, labs=labs).estimate_facts("crcl_adjusted_weight")[0].text
    assert statement.startswith("CrCl 26.9 mL/min on 2026-11-17 (Cockcroft-Gault, adjusted body weight: creatinine 4")
    actual = context_of(METFORMIN, labs=labs).estimate_facts("crcl_actual_weight")[0].text
    assert actual.startswith("CrCl 36.1 mL/min on 2026-11-17 (Cockcroft-Gault: creatinine 4 mg/dL")


@for_rows(
    ("labs", "note"),
    [
        ([], ""),
        ([["creatinine", 2.0, 1]], ""),
        ([["creatinine", 2.0, 1], ["creatinine", 1.0, 3]],
         " (creatinine 1 mg/dL on 2026-11-17, 2 mg/dL on 2026-11-19)"),
        # The one of the week that differs most, whichever way.
        ([["creatinine", 2.0, 1], ["creatinine", 1.8, 2], ["creatinine", 3.5, 5]],
         " (creatinine 3.5 mg/dL on 2026-11-15, 2 mg/dL on 2026-11-19)"),
        ([["creatinine", 2.0, 1], ["creatinine", 1.0, 8]],
         " (creatinine 1 mg/dL on 2026-11-12, 2 mg/dL on 2026-11-19)"),
        ([["creatinine", 2.0, 1], ["creatinine", 1.0, 8.1]], ""),
    ],
)  # fmt: skip
def test_unstable_kidneys_with_the_two_values_that_differ_most(labs: list[Any], note: str) -> None:
    values = record_of({"labs": labs}, AS_OF).measurements("creatinine")
    said = f"Kidney function is unstable{note}: estimates are unreliable, no dose is derived from them."
    assert measurements.unstable_note(values) == said


@for_rows(
    ("patient", "unsure", "unsure_critical", "no_dose", "unstable"),
    [
        ({"labs": [["egfr", 25, 3]]}, False, False, False, False),
        ({"labs": [["egfr", 25, 400]]}, True, True, False, False),
        ({"labs": [["creatinine", 4.0, 3], ["egfr", 30, 3]]}, True, True, False, False),
        ({"labs": [["creatinine", 2.0, 1], ["creatinine", 1.0, 3]]}, False, False, True, True),
        ({"conditions": ["dialysis"]}, False, False, True, False),
        ({"conditions": ["ckd4"]}, False, True, True, False),
        ({}, False, False, False, False),
        ({"age": 17, "labs": [["creatinine", 4.0, 3]]}, False, False, False, False),
    ],
)
def test_how_sure_an_egfr_is(patient: Json, unsure: bool, unsure_critical: bool, no_dose: bool, unstable: bool) -> None:
    context = context_of(METFORMIN, **patient)
    answers = [context.is_unsure(["egfr_best"], critical=critical) for critical in (False, True)]
    assert answers == [unsure, unsure_critical]
    assert (context.gives_no_dose, context.is_unstable) == (no_dose, unstable)
    assert context.is_doubtful(["egfr_best"]) is unsure
    assert bool(context.notes(["lab:creatinine"])) is unstable
    assert context.is_unsure(["age"], critical=True) is False


def test_an_egfr_in_place_of_a_clearance_is_unsure_only_where_it_is_critical() -> None:
    context = context_of(METFORMIN, labs=[["egfr", 25, 3]])
    assert [context.is_unsure(["crcl_actual_weight"], critical=critical) for critical in (False, True)] == [False, True]


@for_rows(
    ("patient", "name", "why"),
    [
        ({}, "egfr_best", ("kidney-function-missing", "No kidney function on the record.")),
        ({"age": 17}, "egfr_best", ("under-18", "Under 18 no kidney function is estimated.")),
        ({"age": None, "labs": [["creatinine", 4.0, 3]]}, "crcl_adjusted_weight",
         ("kidney-function-missing",
          "Kidney function cannot be estimated from creatinine without the patient's age.")),
        ({"more": [OVER_60]}, "egfr_best", ("kidney-function-not-exact", f"eGFR >60 mL/min {ON} does not settle it.")),
    ],
)  # fmt: skip
def test_why_kidney_function_is_not_known(patient: Json, name: str, why: tuple[str, str]) -> None:
    assert context_of(METFORMIN, **patient).why_unknown([name]) == why


def test_an_old_value_counts_unless_only_fresh_ones_do() -> None:
    context = context_of(METFORMIN, labs=[["egfr", 25, 400]])
    fresh = RuleContext(context.session, context.drafted, context.ingredient, fresh_only=True)
    assert context.has_old_estimate(["egfr_best"])
    assert not context_of(METFORMIN, labs=[["egfr", 25, 3]]).has_old_estimate(ESTIMATES)
    assert not context_of(METFORMIN).has_old_estimate(ESTIMATES)
    assert (context.estimate("egfr_best") is not None, fresh.estimate("egfr_best")) == (True, None)
    assert (context.lacks_estimate("egfr_best"), fresh.lacks_estimate("egfr_best")) == (False, True)
    reason, _ = fresh.why_unknown(["egfr_best"])
    assert reason == "kidney-function-stale"
    assert fresh.is_kidney_value_wanted()


@for_rows(
    ("results", "side", "value"),
    [
        ([_bound("2823-3", ">", 6.4, "mmol/L")], ">", 6.4),
        ([_bound("2823-3", ">", 6.4, "mmol/L", "2026-11-16")], None, 4.0),
        ([_bound("2823-3", ">", 6.4, "mmol/L", "2026-11-16T21:00:00Z")], None, 4.0),  # of the same time
        ([_bound("2823-3", ">", 6.4, "mmol/L", "2026-11-16T21:00:01Z")], ">", 6.4),
        ([_bound("2823-3", ">", 6.4, "mmol/L", "2026-10-20")], None, 4.0),
    ],
)
def test_a_bound_counts_where_it_is_newer_than_every_value(results: list[Json], side: str | None, value: float) -> None:
    context = context_of(METFORMIN, labs=[["potassium", 4.0, 3.5]], more=results)
    measurement = context.session.lab("potassium", 30)
    assert measurement is not None
    assert (measurement.side, measurement.value) == (side, value)
    assert context.lab_value("potassium", 30) == (None if side else value)
    (fact,) = context.lab_facts("potassium", 30)
    assert fact.value == (f"{side}{value:g}" if side else value)
    assert fact.text.startswith(f"potassium {side or ''}{value:g} mmol/L on 2026-11-")
    only_old = context_of(METFORMIN, more=[_bound("2823-3", ">", 6.4, "mmol/L", "2026-10-20")])
    assert [only_old.session.lab("potassium", days) is None for days in (30, 31, None)] == [True, False, False]


def test_of_two_values_of_one_time_the_worse_one_counts() -> None:
    session = context_of(METFORMIN, labs=[["potassium", 4.0, 3], ["potassium", 5.0, 3], ["potassium", 9, 5]]).session
    found = session.lab("potassium", None), session.lowest("potassium", None)
    assert [one.value for one in found if one is not None] == [5.0, 4.0]
    assert (session.lab("inr", None), session.lowest("inr", None)) == (None, None)
