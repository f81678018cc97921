"""Dangerous drafts in the words of orders, look-alikes, and the same with a fact missing (tests/cases/drafts)."""

import copy
import random
from datetime import datetime
from typing import Any

import pytest

from cards.rules.patient.orders import read_drafts
from tests.cards.rules.cases import accepted, findings
from tests.cards.rules.drafted import (
    INDICATORS,
    bundle_of_case,
    draft_resource,
    drafted_cases,
    fault_of,
    outcome_after,
    outcome_of,
)
from tests.each import for_each, for_rows, some_of

FILES = sorted({name for name, _ in drafted_cases()})
# Doses, diseases, genes and studies in forms that no table of ours has: whole charts, whatever their order.
UNSEEN = (
    "brands-and-statuses", "dialects", "diseases", "dose-forms", "families", "gene-words", "genes", "lists-not-sent",
    "studies", "study-words", "unseen",
)  # fmt: skip
# The points of the list whose every item has all three kinds; the others are about names and doses.
_ABOUT_READING = {"B1", "B2", "B3"}


@for_rows("name", FILES)
def test_every_draft_is_answered_as_its_case_says(name: str, as_of: datetime) -> None:
    cases = [case for file, case in drafted_cases() if file == name]
    faults = {f"{case['point']}: {case['id']}": fault_of(case, as_of) for case in cases}
    assert {case: fault for case, fault in faults.items() if fault is not None} == {}


def test_every_point_has_a_draft_that_fires_a_look_alike_and_a_missing_fact() -> None:
    kinds: dict[str, set[str]] = {}
    for _, case in drafted_cases():
        kinds.setdefault(case["point"], set()).add(case["kind"])
    assert {point: found for point, found in kinds.items() if len(found) < 3 and point not in _ABOUT_READING} == {}


def _cases(name: str) -> list[tuple[str, tuple[dict[str, Any]]]]:
    return [(case["id"], (case,)) for file, case in drafted_cases() if file == name]


@pytest.mark.sampled
@for_rows("name", UNSEEN)
def test_the_order_and_the_repetition_of_the_resources_do_not_matter(name: str, as_of: datetime) -> None:
    def check(case: dict[str, Any]) -> None:
        bundle = bundle_of_case(case, as_of)
        bundle["entry"] += copy.deepcopy(bundle["entry"])
        random.Random(case["id"]).shuffle(bundle["entry"])
        drafts = read_drafts([{"resource": draft_resource(case)}])
        assert findings(outcome_after(case, as_of, drafts, bundle)) == findings(outcome_of(case, as_of))

    for_each(some_of(_cases(name), 4), check)


@for_rows("name", UNSEEN)
def test_an_accepted_suggestion_leaves_less_to_say_and_nothing_new(name: str, as_of: datetime) -> None:
    def check(case: dict[str, Any]) -> None:
        outcome, resource = outcome_of(case, as_of), draft_resource(case)
        before = {one[:2] for one in findings(outcome)}
        bundle = bundle_of_case(case, as_of)
        for label, after in accepted(outcome, [resource]):
            again = {one[:2] for one in findings(outcome_after(case, as_of, after, bundle))}
            assert again < before, label

    for_each(_cases(name), check)


def test_a_child_is_offered_and_told_no_amount_of_a_rule_that_does_not_ask_the_age(as_of: datetime) -> None:
    draft, taken = "colchicine 0.6 mg tablet | 1 tablet BID", ["clarithromycin 500 mg tablet | 1 tablet BID"]
    for age, is_offered in ((2, False), (50, True)):
        chart = {"age": age, "labs": [["body_weight", 12.6 if age < 18 else 70, 1]], "takes": taken}
        (card,) = outcome_of({"chart": chart, "draft": draft}, as_of).cards
        said = " ".join(
            (card.summary, (card.detail or "").partition("\n")[2], *(each.label for each in card.suggestions))
        )
        assert ("0.3 mg" in said) is is_offered


@pytest.mark.parametrize(("each_dose", "is_told"), [("1.5 g", False), ("2 g", False), ("4 g", True)])
def test_twice_a_usual_amount_of_a_day_is_told_only_where_more_is_ordered(
    each_dose: str, *, is_told: bool, as_of: datetime
) -> None:
    chart = {"age": 50, "labs": [["creatinine", 0.9, 1], ["body_weight", 90, 1]]}
    outcome = outcome_of({"chart": chart, "draft": f"vancomycin {each_dose} IV | every 12 hours"}, as_of)
    assert bool(outcome.cards) is is_told


def test_a_vital_sign_of_these_hours_stands_before_a_dose_of_weeks(as_of: datetime) -> None:
    case = {"chart": {"age": 66, "labs": [["spo2", 82, 1]]}, "draft": "tramadol 100 mg tablet | 1 tablet every 6 hours"}
    (card,) = outcome_of(case, as_of).cards
    assert "oxygen" in card.summary
    assert "MME" in (card.detail or "")


def test_only_what_is_less_severe_is_called_milder(as_of: datetime) -> None:
    chart = {"age": 70, "takes": ["amiodarone 200 mg tablet | 1 tablet daily", "Bactrim DS 800-160 | 1 tab BID"]}
    (card,) = outcome_of({"chart": chart, "draft": "warfarin 5 mg tablet | 1 tablet daily"}, as_of).cards
    assert "sulfamethoxazole" in (card.detail or "")
    assert "milder" not in (card.detail or "")


def test_where_relief_comes_first_no_end_of_the_order_is_advised(as_of: datetime) -> None:
    obstruction, palliative = ["K56.600", "Partial intestinal obstruction", 43], ["Z51.5", "Palliative care", 25]
    draft = "morphine 15 mg tablet | 1 tablet every 4 hours"
    for problems, is_advised in (([obstruction], True), ([obstruction, palliative], False)):
        (card,) = outcome_of({"chart": {"problems": problems}, "draft": draft}, as_of).cards
        assert any(each.is_recommended for each in card.suggestions) is is_advised


def test_a_limit_without_a_value_stands_without_the_number_that_it_is_for(as_of: datetime) -> None:
    dialysis = {"problems": [["Z99.2", "Dependence on renal dialysis", 300]]}
    draft = "clarithromycin 500 mg tablet | 1 tablet BID"
    (card,) = outcome_of({"chart": dialysis, "draft": draft}, as_of).cards
    assert "at most 500 mg/day" in card.summary
    assert "below" not in card.summary


def test_what_has_no_room_in_a_headline_is_named_in_full_below(as_of: datetime) -> None:
    taken = ["tacrolimus 1 mg capsule | 1 capsule BID", "mycophenolate mofetil 500 mg tablet | 1 tablet BID"]
    draft = "MMR vaccine | 0.5 mL once"
    (card,) = outcome_of({"chart": {"age": 50, "takes": taken}, "draft": draft}, as_of).cards
    assert "and 1 more" in card.summary
    assert "tacrolimus and mycophenolate mofetil" in (card.detail or "")
    assert "and 1 more" not in (card.detail or "")


def test_what_the_headline_asks_for_stands_once_below_it(as_of: datetime) -> None:
    chart = {"age": 81, "labs": [["creatinine", 2.84, 117], ["egfr", 78, 117]]}
    (card,) = outcome_of({"chart": chart, "draft": "digoxin 0.25 mg tablet | 1 tablet daily"}, as_of).cards
    assert (card.detail or "").count("Consider less than 0.125 mg/day") == 1


_KETOROLAC = {"takes": ["ketorolac 30 mg/mL | 30 mg IV q6h"]}
_PREGNANT = {"sex": "female", "age": 30, "conditions": ["pregnancy"]}
_KIDNEY = {"age": 60, "labs": [["creatinine", 4.5, 2], ["body_weight", 60, 2]]}
_PLATIN = {"age": 60, "labs": [["creatinine", 2.5, 2], ["body_weight", 60, 2]]}
_QUETIAPINE = {"takes": ["quetiapine 400 mg | 1 tablet in the morning"]}
_FIBRILLATION = {"age": 45, "sex": "female", "problems": [["I48.91", "atrial fibrillation", 90]]}
# Each is told or quiet by a word or an amount; its neighbor is the other way round.
_SIBLINGS: list[tuple[dict[str, Any], str, str]] = [
    (_KETOROLAC, "ibuprofen 600 mg tablet | 1 tablet q6h after the last dose of ketorolac", "warning"),
    (_KETOROLAC, "ibuprofen 600 mg tablet | 1 tablet q6h now, continue once ketorolac is stopped", "critical"),
    (_PREGNANT, "Marcaine Spinal 0.75 % | 1.6 mL intrathecal for cesarean", ""),
    (_PREGNANT, "Marcaine Spinal 0.75 % | 16 mL intrathecal for cesarean", "critical"),
    (_PREGNANT, "bupivacaine 0.75 % | 20 mL for spinal", "critical"),
    (_PREGNANT, "bupivacaine 0.75 % | 10 mL, avoid spinal", "critical"),
    (_KIDNEY, "lacosamide 50 mg tablet | 1 tablet BID", ""),
    (_KIDNEY, "lacosamide 200 mg tablet | 1 tablet BID", "warning"),
    (_PLATIN, "carboplatin | 200 mg/m2 IV once", ""),
    (_PLATIN, "carboplatin | 1,000 mg/m2 IV once", "warning"),
    (_QUETIAPINE, "quetiapine 600 mg | 1 tablet in the morning", ""),
    (_QUETIAPINE, "quetiapine 600 mg | 1 tablet at bedtime", "warning"),
    (_FIBRILLATION, "norgestimate-ethinyl estradiol | 1 tablet daily", "critical"),
    (_FIBRILLATION, "norethindrone 0.35 mg tablet | 1 tablet daily", ""),
    ({}, "fentanyl 50 mcg/mL injection | 100 mcg IV once", ""),
    ({}, "fentanyl 50 mcg/mL injection | 500 mcg IV push q1h PRN pain", "warning"),
    ({}, "fentanyl 50 mcg/mL injection | 500 mcg IV for induction of anesthesia", ""),
    (
        {"labs": [["body_weight", 80, 5]]},
        "fentanyl 50 mcg/mL injection | 1,000 mcg IV once for induction of anesthesia",
        "",
    ),
    ({"labs": [["body_weight", 80, 5]]}, "fentanyl 50 mcg/mL injection | 1,000 mcg IV once", "critical"),
    (
        {"labs": [["body_weight", 80, 5]]},
        "fentanyl 50 mcg/mL injection | 50 mg IV once for induction of anesthesia",
        "critical",
    ),
    ({}, "morphine PF | 0.15 mg intrathecal", ""),
    ({}, "morphine PF | 1.5 mg intrathecal", "warning"),
    ({}, "morphine | 5 mg/day intrathecal pump continuous", ""),
    ({}, "fentanyl | 15 mcg intrathecal once", ""),
    ({}, "fentanyl | 150 mcg intrathecal once", "critical"),
    ({}, "morphine PCA 30 mg/30 mL | demand 1 mg, lockout 6 minutes, 4 h limit 30 mg", ""),
    ({}, "morphine PCA | 10 mg demand dose, lockout 6 min", "warning"),
    ({}, "hydromorphone PCA 10 mg/50 mL | 10 mg in 50 mL, demand 0.2 mg q10min", ""),
    ({}, "potassium chloride IVPB | 40 mEq IV once", ""),
    ({}, "potassium chloride IVPB | 100 mEq IV over 10 hours", ""),
    ({}, "potassium chloride IVPB | 100 mEq IV once", "warning"),
    ({}, "potassium chloride ER 20 mEq | 40 mEq PO BID", ""),
    ({}, "potassium chloride ER 20 mEq | 200 mEq PO daily", "critical"),
    ({}, "phenylephrine | 100 mcg IV push once", ""),
    ({}, "phenylephrine | 1,000 mcg IV push once", "warning"),
    ({}, "sodium bicarbonate 8.4 % | 100 mEq IV push", ""),
    ({}, "sodium bicarbonate 8.4 % | 500 mEq IV push", "warning"),
    ({}, "rocuronium | 120 mg IV once", ""),
    ({}, "rocuronium | 500 mg IV once", "warning"),
    ({}, "norepinephrine 4 mg/250 mL | 4 mg IV", ""),
    ({}, "glycopyrrolate | 0.2 mg IV", ""),
    ({}, "etomidate | 20 mg IV once", ""),
    ({}, "etomidate | 200 mg IV once", "warning"),
    ({}, "lidocaine viscous 2 % | 15 mL swish and spit q3h PRN", ""),
    ({}, "lidocaine viscous 2 % | 150 mL swish and spit q3h PRN", "critical"),
    ({}, "zopiclone 7.5 mg | 7.5 mg qHS", ""),
    ({}, "zopiclone 7.5 mg | 75 mg qHS", "critical"),
    ({}, "bromazepam 6 mg | 6 mg TID", ""),
    ({}, "bromazepam 6 mg | 60 mg BID", "critical"),
    ({}, "brotizolam 0.25 mg | 2.5 mg qHS", "critical"),
    ({}, "alteplase | 0.9 mg/kg IV over 60 minutes", ""),
    ({}, "alteplase | 9 mg/kg IV over 60 minutes", "warning"),
    ({}, "gentamicin | 7 mg/kg IV daily", ""),
    ({}, "gentamicin | 50 mg/kg IV daily", "critical"),
    ({}, "heparin | 80 units/kg IV bolus", ""),
    ({}, "heparin | 800 units/kg IV bolus", "warning"),
    ({}, "cytarabine | 3,000 mg/m2 IV q12h", ""),
    ({}, "cytarabine | 30,000 mg/m2 IV q12h", "critical"),
    ({}, "amisulpride 200 mg | 400 mg BID", ""),
    ({}, "amisulpride injection | 50 mg IV once", "critical"),
    ({}, "Marcumar 3 mg | 10 Tabletten täglich", "warning"),
    ({"age": 6, "labs": [["body_weight", 20, 5]]}, "ketamine 50 mg/mL injection | 40 mg IV once", ""),
    ({"age": 6, "labs": [["body_weight", 20, 5]]}, "ketamine 50 mg/mL injection | 400 mg IV once", "critical"),
    ({"age": 7, "labs": [["body_weight", 23, 5]]}, "haloperidol 0.5 mg tablet | 0.5 mg PO BID", ""),
    ({}, "fentanyl 2,500 mcg in 250 mL infusion | 2.5 mg IV daily", ""),
    ({}, "octreotide | 20 mg PO BID", ""),
    (_PLATIN, "carboplatin | AUC 5-6 (target), 600 mg IV once", ""),
    (_PLATIN, "carboplatin | target AUC=60 IV", "critical"),
    ({"takes": ["insulin glargine | 20 units nightly"]}, "insulin glargine | 0.2 mL SC nightly", ""),
    ({"takes": ["insulin glargine | 20 units nightly"]}, "insulin glargine | 3 mL SC nightly", "warning"),
    ({}, "sodium chloride 3 % | 100 mL IV over 10 minutes", ""),
    ({}, "sodium chloride 3 % | 1,000 mL IV over 1 hour", "warning"),
    ({}, "penicillin G potassium | 4 million units IV q4h", ""),
    ({}, "buprenorphine extended-release 300 mg | 300 mg SC monthly", ""),
    ({}, "buprenorphine | 6 mg IV once", "critical"),
    ({}, "buprenorphine | 0.6 mg IM once", ""),
    ({}, "buprenorphine | 0.6 mg IV once", "warning"),
    ({}, "procainamide | 1 g IV load", ""),
    ({}, "procainamide | 15 g IV load", "critical"),
    ({}, "tacrolimus | 0.05 mg/kg IV daily", ""),
    ({}, "tacrolimus | 5 mg/kg IV daily", "critical"),
    ({}, "rivaroxaban 15 mg | 15 mg BID", ""),
    ({}, "rivaroxaban 20 mg | 80 mg daily", "warning"),
    ({}, "warfarin 2.5 mg | 7.5 mg daily", ""),
    ({}, "warfarin 2.5 mg | 25 mg daily", "warning"),
    ({"labs": [["body_weight", 70, 5]]}, "Bactrim DS 800-160 | 2 tablets TID", ""),
    ({"labs": [["body_weight", 70, 5]]}, "Bactrim DS 800-160 | 10 tablets BID", "warning"),
    ({}, "vildagliptin 50 mg | 50 mg BID", ""),
    ({}, "vildagliptin 50 mg | 500 mg BID", "critical"),
    ({}, "hydroxocobalamin | 1,000 mcg IM monthly", ""),
    ({}, "hydroxocobalamin | 50 g IV once", "critical"),
    ({}, "azacitidine 300 mg tablet | 300 mg PO daily for 14 days", ""),
    ({}, "melphalan | 140 mg/m2 IV once", ""),
    ({}, "melphalan | 1,400 mg/m2 IV once", "critical"),
    ({"conditions": ["cystic_fibrosis"]}, "tobramycin | 10 mg/kg IV daily", ""),
    ({"conditions": ["cystic_fibrosis"]}, "tobramycin | 50 mg/kg IV daily", "critical"),
    ({}, "tobramycin | 50 mg/kg IV daily", "critical"),
    ({}, "ketamine | 150 mg IV once", ""),
    ({}, "ketamine | 2 g IV once", "warning"),
    ({}, "carvedilol 25 mg | 25 mg BID", ""),
    ({}, "carvedilol 25 mg | 125 mg PO BID", "warning"),
    ({}, "heparin 5,000 units/mL | 5,000units IV bolus once", ""),
    ({}, "heparin 5,000 units/mL | 64,000units IV bolus once", "critical"),
    ({}, "cisplatin | 100 milligrams per square meter IV daily x 5 days", "warning"),
    ({}, "timolol 0.5 % eye drops | 1 drop each eye BID", ""),
    ({}, "timolol 0.5 % eye drops | 10 drops each eye QID", "critical"),
    ({"takes": ["Coumadin 5 mg | 1 tablet daily"]}, "alteplase 2 mg | 2 mg dwell in the occluded port", ""),
    ({"takes": ["Coumadin 5 mg | 1 tablet daily"]}, "alteplase | 2 mg/h for 24 h by catheter", "warning"),
    ({"problems": [["K92.2", "GI bleed", 1]]}, "alteplase 2 mg | 2 mg dwell in the occluded port", ""),
    ({"problems": [["K92.2", "GI bleed", 1]]}, "alteplase | 100 mg IV over 2 h", "critical"),
    ({"problems": [["K74.60", "cirrhosis", 300]]}, "Depakote 500 mg tablet | 500 mg PO BID", "critical"),
    ({"problems": [["K76.0", "fatty liver", 300]]}, "Depakote 500 mg tablet | 500 mg PO BID", ""),
    ({}, "L-Thyroxin 1000 Mikrogramm Tabletten | 1-0-0", "critical"),
    ({}, "L-Thyroxin 100 Mikrogramm Tabletten | 1-0-0", ""),
    ({}, "levotiroxina 1000 microgramos comprimidos | 1 comprimido al dia", "critical"),
    ({}, "digoxina 250 microgramas | 10 comprimidos por dia", "critical"),
    ({}, "Ramipril | 100 Milligramm 1-0-0", "critical"),
    ({}, "paracétamol 1 gramme | 1 comprimé 3 fois par jour", ""),
    ({}, "paracetamol 500 mg comprimidos 20 unidades | 1 comprimido cada 8 horas", ""),
    ({}, "Heparin | 64.000 Internationale Einheiten i.v. Bolus", "critical"),
    ({}, "héparine | 64 000 UI IV bolus", "critical"),
    ({}, "Heparin | 5.000 IE i.v. Bolus", ""),
    ({"takes": ["sertraline | 150 mg daily"]}, "sertraline | 200 mg daily", ""),
    ({"takes": ["sertraline | 150 mg daily"]}, "sertraline | 2000 mg daily", "critical"),
    ({"takes": ["amlodipine 5 mg tablet | 1 tablet daily"]}, "amlodipine 10 mg tablet | 1 tablet daily", ""),
    ({"takes": ["amlodipine 10 mg tablet | 1 tablet daily"]}, "amlodipine 5 mg tablet | 1 tablet daily", "warning"),
    ({"takes": ["amlodipine 5 mg tablet | 1 tablet daily"]}, "amlodipine 10 mg tablet | 1 tablet daily PRN", "warning"),
    ({"takes": ["ibuprofen 800 mg tablet | 1 tablet TID"]}, "ibuprofen 600 mg tablet | 1 tablet TID", "warning"),
    ({"takes": ["ibuprofen | 800 mg TID"]}, "ibuprofen | 600 mg TID", "warning"),
    ({"takes": ["ibuprofen | 800 mg TID"]}, "ibuprofen | 800 mg TID", ""),
    ({"takes": ["acetaminophen | 650 mg q6h"]}, "acetaminophen | 1 g q6h", "warning"),
    ({"takes": ["rivaroxaban | 15 mg BID"]}, "rivaroxaban | 20 mg daily", ""),
    ({"takes": ["acetaminophen | 1 g PO q6h"]}, "acetaminophen | 1 g IV q6h", "critical"),
    ({"problems": [["E11.9", "diabetes", 300]]}, "Ozempic | 2 mg SC weekly", ""),
    ({"problems": [["E11.9", "diabetes", 300]]}, "Ozempic | 10 mg SC weekly", "warning"),
    ({}, "bupivacaine 0.5 % | 3 mL spinal", ""),
    ({}, "bupivacaine 0.5 % | 30 mL spinal", "critical"),
    ({}, "cefazolin 2 g | 2 g IV 30 minutes before spinal fusion", ""),
    ({"age": 80}, "prasugrel 10 mg tablet | 1 tablet daily", "warning"),
    ({"age": 74}, "prasugrel 10 mg tablet | 1 tablet daily", ""),
    ({"problems": [["C50.919", "breast cancer", 900]]}, "Vagifem 10 mcg | 10 mcg vaginally daily", "warning"),
    ({"problems": [["N95.2", "atrophic vaginitis", 90]]}, "Vagifem 10 mcg | 10 mcg vaginally daily", ""),
    ({"problems": [["E87.1", "hyponatremia", 2]]}, "Samsca 30 mg tablet | 2 tablets daily", ""),
    ({"problems": [["E87.1", "hyponatremia", 2]]}, "Samsca 30 mg tablet | 4 tablets daily", "warning"),
    ({"allergies": [["PEG", "anaphylaxis"]]}, "Pfizer COVID-19 vaccine | 0.3 mL IM", "critical"),
    ({"allergies": [["penicillin", "anaphylaxis"]]}, "Comirnaty | 0.3 mL IM", ""),
    ({"age": 60}, "propofol | 90 mcg/kg/min IV continuous for 4 h", ""),
    ({"age": 60}, "propofol | 90 mcg/kg/min IV continuous for 72 h", "warning"),
]


@for_rows(("chart", "draft", "level"), _SIBLINGS)
def test_what_quiets_an_order_does_not_quiet_its_dangerous_sibling(
    chart: dict[str, Any], draft: str, level: str, as_of: datetime
) -> None:
    told = {indicator for _, _, indicator in findings(outcome_of({"chart": chart, "draft": draft}, as_of))} - {"info"}
    assert max(told, key=INDICATORS.index, default="") == level
