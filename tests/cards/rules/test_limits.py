"""Near every limit of the rules: one unit below, on it, one unit above, and the smallest step either side."""

from collections.abc import Callable
from datetime import datetime
from typing import Any, NamedTuple

import pytest

from tests.cards.rules.cases import check, family_book, findings
from tests.cards.rules.patients import draft_of, drafts_of, record_of
from tests.each import for_rows
from tests.fhir.builders import observation

Json = dict[str, Any]

METFORMIN: Json = {"drug": "861007", "dose": "2 tablet", "times": 2}
NAPROXEN: Json = {"drug": "198014", "dose": "1 tablet", "times": 2, "days": 10}
KETOROLAC: Json = {"drug": "834022", "dose": "1 tablet", "times": 4, "days": 5}
DABIGATRAN: Json = {"drug": "1037045", "dose": "1 capsule", "times": 2}
RIVAROXABAN: Json = {"drug": "1232086", "dose": "1 tablet", "times": 1}
EDOXABAN: Json = {"drug": "edoxaban 60 MG Oral Tablet", "dose": "1 tablet", "times": 1}
NITROFURANTOIN: Json = {"drug": "1648755", "dose": "1 capsule", "times": 2, "days": 10}
VERAPAMIL = "verapamil hydrochloride 120 MG Oral Tablet"
DRONEDARONE = "dronedarone 400 MG Oral Tablet"

# Draft, patient, and for each limit the bands (None: silent) below it, on it, above it.
EGFR: list[tuple[str, Json, Json, dict[float, tuple[str | None, str | None, str | None]]]] = [
    ("metformin, new", METFORMIN, {}, {30: ("lt30", "30to45_new", "30to45_new"), 45: ("30to45_new", None, None)}),
    ("metformin, continued", METFORMIN, {"active": ["861007"]},
     {30: ("lt30", "30to45_cont", "30to45_cont"), 45: ("30to45_cont", None, None)}),
    ("ketorolac", KETOROLAC, {}, {30: ("ketorolac_lt30", None, None)}),
    ("naproxen", NAPROXEN, {}, {30: ("lt30", "30to60_long", "30to60_long"), 60: ("30to60_long", None, None)}),
]  # fmt: skip
AF, VTE = {"conditions": ["afib"]}, {"conditions": ["vte"]}
CRCL: list[tuple[str, Json, Json, dict[float, tuple[str | None, str | None, str | None]]]] = [
    ("dabigatran in AF", DABIGATRAN, AF, {15: ("lt15", "15to30", "15to30"), 30: ("15to30", "15to30", None)}),
    ("dabigatran for VTE", DABIGATRAN, VTE, {15: ("lt15", "vte_le30", "vte_le30"), 30: ("vte_le30", "vte_le30", None)}),
    ("dabigatran, no indication", DABIGATRAN, {},
     {15: ("lt15", "le30_indication", "le30_indication"), 30: ("le30_indication", "le30_indication", None)}),
    ("dabigatran in AF with dronedarone", DABIGATRAN, AF | {"active": [DRONEDARONE]},
     {30: ("pgp_lt30", "15to30", "30to50_pgp"), 50: ("30to50_pgp", "30to50_pgp", None)}),
    ("dabigatran for VTE with verapamil", DABIGATRAN, VTE | {"active": [VERAPAMIL]},
     {30: ("vte_le30", "vte_le30", "vte_pgp_lt50"), 50: ("vte_pgp_lt50", None, None)}),
    ("rivaroxaban in AF", RIVAROXABAN, AF, {15: ("af_lt15", "af_le50", "af_le50"), 50: ("af_le50", "af_le50", None)}),
    ("rivaroxaban for VTE", RIVAROXABAN, VTE, {15: ("vte_lt15", None, None)}),
    ("rivaroxaban, no indication", RIVAROXABAN, {},
     {15: ("lt15_indication", "le50_indication", "le50_indication"), 50: ("le50_indication", "le50_indication", None)}),
    ("edoxaban in AF", EDOXABAN, AF,
     {15: ("lt15", "15to50", "15to50"), 50: ("15to50", "15to50", None), 95: (None, None, "gt95")}),
    ("nitrofurantoin", NITROFURANTOIN, {},
     {30: ("lt30", "30to60_long", "30to60_long"), 60: ("30to60_long", None, None)}),
]  # fmt: skip


def _band(patient: Json, draft: Json, as_of: datetime) -> str | None:
    found = findings(check(record_of(patient, as_of), drafts_of(draft_of(draft))))
    return found[0][1] if found else None


@for_rows(("value", "shown"), [(29.96, "29.96"), (29.9996, "29.9996"), (29.4, "29.4"), (30.04, "30.04")])
def test_a_value_is_never_shown_on_the_other_side_of_a_limit(value: float, shown: str, as_of: datetime) -> None:
    (card,) = check(record_of({"labs": [["egfr", value]]}, as_of), drafts_of(draft_of(METFORMIN))).cards
    assert f"eGFR {shown} mL/min on" in card.summary
    assert f"eGFR {shown} mL/min" in (card.detail or "")


@for_rows(
    ("creatinine", "kilograms", "born_days_off", "band"),
    [
        (1.5, 60, 0, "needs_reduction"),
        (1.49, 60, 0, "needs_reduction"),
        (1.49, 60.1, 0, None),
        (1.5, 60.1, 0, "needs_reduction"),
        (1.49, 60, -1, None),
        (1.5, 60, -1, "needs_reduction"),
    ],
)
def test_the_apixaban_criteria_are_met_on_their_limits(
    creatinine: float, kilograms: float, born_days_off: int, band: str | None, as_of: datetime
) -> None:
    born = {"age": 80, "days_older": 0} if born_days_off == 0 else {"age": 79, "days_older": 364}
    labs = [["creatinine", creatinine], ["body_weight", kilograms]]
    draft = {"drug": "1364445", "dose": "1 tablet", "times": 2}
    assert _band(AF | born | {"labs": labs}, draft, as_of) == band


@pytest.mark.parametrize(("age_days", "indicator"), [(364, "critical"), (365, "critical"), (366, "warning")])
def test_a_value_is_old_after_a_year(age_days: int, indicator: str, as_of: datetime) -> None:
    outcome = check(record_of({"labs": [["egfr", 20, age_days]]}, as_of), drafts_of(draft_of(METFORMIN)))
    assert findings(outcome) == [("renal-metformin", "lt30", indicator)]


@pytest.mark.parametrize(("age_days", "indicator"), [(30, "critical"), (31, "warning")])
def test_in_hospital_it_is_old_after_thirty_days(age_days: int, indicator: str, as_of: datetime) -> None:
    patient = {"labs": [["egfr", 20, age_days]], "inpatient": True}
    outcome = check(record_of(patient, as_of), drafts_of(draft_of(METFORMIN)))
    assert findings(outcome) == [("renal-metformin", "lt30", indicator)]


Make = Callable[[float], Json]


class Sweep(NamedTuple):
    """A rule, what varies in the patient and the draft, and for each limit the bands below, on and above it."""

    rule: str
    name: str
    patient: Make
    draft: Make
    limits: dict[float, tuple[str | None, str | None, str | None]]
    unit: float = 1.0
    least: float | None = 0.001


def _is(value: Json) -> Make:
    return lambda _value: value


def _lab(analyte: str, *more: list[Any], days: float = 3, **patient: Any) -> Make:
    return lambda value: {"labs": [[analyte, value, days], *more], **patient}


def _age_of(analyte: str, value: float, *more: list[Any]) -> Make:
    return lambda days: {"labs": [[analyte, value, days], *more]}


def _egfr(**patient: Any) -> Make:
    return lambda value: {"labs": [["egfr", value]], **patient}


def _crcl(*labs: list[Any], **patient: Any) -> Make:
    return lambda value: {"crcl": value, "labs": list(labs), **patient}


def _mg(drug: str, times: int = 1, **more: Any) -> Make:
    return lambda value: {"drug": drug, "dose": f"{value} mg", "times": times, **more}


def _sig(drug: str, text: str) -> Json:
    return {"drug": drug, "more": {"dosageInstruction": [{"text": text}]}}


GABAPENTIN, PREGABALIN = "310431", "pregabalin 75 MG Oral Capsule"
SPIRONOLACTONE = {"drug": "313096", "dose": "1 tablet", "times": 1}
EPLERENONE = {"drug": "eplerenone 25 MG Oral Tablet", "dose": "1 tablet", "times": 1}
FINERENONE = {"drug": "finerenone 10 MG Oral Tablet", "dose": "1 tablet", "times": 1}
DOFETILIDE = "dofetilide 0.5 MG Oral Capsule"
WEEKLY = _sig("105585", "6 tablets once weekly on Monday")
ALENDRONATE = _sig("alendronate 70 MG Oral Tablet", "1 tablet once a week")
RISEDRONATE = _sig("risedronate sodium 35 MG Oral Tablet", "1 tablet once a week")
ZOLEDRONATE = {"drug": "zoledronic acid", "dose": "5 mg", "single": True, "route": "intravenous"}
CANCER = {"conditions": ["cancer_pain_or_active_cancer"]}
K = ["potassium", 4.2]
OXYCODONE, TRAMADOL = "1049621", "835603"
WARFARIN = {"drug": "855332", "dose": "1 tablet", "times": 1}
LITHIUM = {"drug": "197889", "dose": "1 capsule", "times": 2}
LISINOPRIL = {"drug": "314076", "dose": "1 tablet", "times": 1}
AMIODARONE = {"drug": "833528", "dose": "1 tablet", "times": 1}
PATCH = _sig("245134", "apply 1 patch every 72 hours")


def _enoxaparin(times: int, mg: float) -> Json:
    return {"drug": "enoxaparin", "dose": f"{mg} mg", "times": times, "route": "subcutaneous"}


def _weighing(kilograms: float, creatinine: float = 4.0) -> Json:
    return {"age": 80, "labs": [["creatinine", creatinine], ["body_weight", kilograms, 5]]}


KIDNEY = [
    Sweep("renal-gabapentin", "clearance", _crcl(), _is(_mg(GABAPENTIN, 3)(800)),
          {15: ("lt15", "lt15", "15to30"), 30: ("15to30", "30to60", "30to60"), 60: ("30to60", None, None)}),
    Sweep("renal-gabapentin", "dose at 10", _is({"crcl": 10}), _mg(GABAPENTIN), {300: (None, None, "lt15")}),
    Sweep("renal-gabapentin", "dose at 20", _is({"crcl": 20}), _mg(GABAPENTIN), {700: (None, None, "15to30")}),
    Sweep("renal-gabapentin", "dose at 45", _is({"crcl": 45}), _mg(GABAPENTIN), {1400: (None, None, "30to60")}),
    Sweep("renal-pregabalin", "clearance", _crcl(), _is(_mg(PREGABALIN, 2)(300)),
          {15: ("lt15", "15to30", "15to30"), 30: ("15to30", "30to60", "30to60"), 60: ("30to60", None, None)}),
    Sweep("renal-pregabalin", "dose at 10", _is({"crcl": 10}), _mg(PREGABALIN), {75: (None, None, "lt15")}),
    Sweep("renal-pregabalin", "dose at 20", _is({"crcl": 20}), _mg(PREGABALIN), {150: (None, None, "15to30")}),
    Sweep("renal-pregabalin", "dose at 45", _is({"crcl": 45}), _mg(PREGABALIN), {300: (None, None, "30to60")}),
    Sweep("renal-allopurinol", "eGFR", _egfr(), _is(_mg("197319")(100)), {60: ("start_high_ckd", None, None)}),
    Sweep("renal-allopurinol", "dose, CKD", _is({"labs": [["egfr", 40]]}), _mg("197319"),
          {50: (None, None, "start_high_ckd")}),
    Sweep("renal-allopurinol", "dose", _is({"labs": [["egfr", 90]]}), _mg("197319"), {100: (None, None, "start_high")}),
    Sweep("renal-enoxaparin", "mg/kg twice daily", _is(_weighing(100)), lambda mg: _enoxaparin(2, mg),
          {80: ("prophylaxis_lt30", "treat_lt30", "treat_lt30")}),
    Sweep("renal-enoxaparin", "mg/kg once daily", _is(_weighing(100)), lambda mg: _enoxaparin(1, mg),
          {110: (None, None, "treat_lt30"), 40: (None, "prophylaxis_lt30", "prophylaxis_lt30")}),
    Sweep("renal-methotrexate", "eGFR", _egfr(), _is(WEEKLY),
          {30: ("gfr_lt30", "gfr30to60", "gfr30to60"), 60: ("gfr30to60", None, None)}),
    Sweep("renal-methotrexate", "mg a week", _is({"labs": [["egfr", 45]]}),
          lambda mg: _sig("methotrexate 2.5 MG Oral Tablet", f"{mg} mg once weekly"), {10: (None, None, "gfr30to60")}),
    Sweep("renal-methotrexate", "age of creatinine", _age_of("creatinine", 0.9), _is(WEEKLY),
          {365: (None, None, "no_kidney_function")}, least=None),
    Sweep("renal-sglt2", "empagliflozin", _egfr(), _is(_mg("empagliflozin 10 MG Oral Tablet")(10)),
          {20: ("start_lt20", "glucose_only_lt30", "glucose_only_lt30"), 30: ("glucose_only_lt30", None, None)}),
    Sweep("renal-sglt2", "dapagliflozin", _egfr(), _is(_mg("dapagliflozin 10 MG Oral Tablet")(10)),
          {20: ("start_lt20", "start_label", "start_label"), 25: ("start_label", "glucose_only_lt30",
           "glucose_only_lt30"), 30: ("glucose_only_lt30", "glucose_only_lt45", "glucose_only_lt45"),
           45: ("glucose_only_lt45", None, None)}),
    Sweep("renal-sglt2", "canagliflozin", _egfr(), _is(_mg("canagliflozin 100 MG Oral Tablet")(100)),
          {30: ("start_label", None, None)}),
    Sweep("renal-sglt2", "ertugliflozin", _egfr(), _is(_mg("ertugliflozin 5 MG Oral Tablet")(5)),
          {45: ("start_label", None, None)}),
    Sweep("renal-mra", "potassium, spironolactone", _lab("potassium", ["egfr", 80]), _is(SPIRONOLACTONE),
          {5.0: (None, None, "k_gt50_new"), 5.5: ("k_gt50_new", "k_ge55", "k_ge55")}, unit=0.1),
    Sweep("renal-mra", "potassium, eplerenone", _lab("potassium", ["egfr", 80]), _is(EPLERENONE),
          {5.5: ("k_gt50_new", "k_ge55_other", "k_ge55")}, unit=0.1),
    Sweep("renal-mra", "age of potassium", _age_of("potassium", 5.9, ["egfr", 80]), _is(SPIRONOLACTONE),
          {30: ("k_ge55", "k_ge55", "missing")}, least=None),
    Sweep("renal-mra", "eGFR", _egfr_and := (lambda value: {"labs": [K, ["egfr", value]]}), _is(SPIRONOLACTONE),
          {30: ("gfr_le30", "gfr_le30", None)}),
    Sweep("renal-mra", "finerenone", _egfr_and, _is(FINERENONE), {25: ("fin_lt25_new", None, None)}),
    Sweep("renal-mra", "eplerenone, clearance", _crcl(K, ["egfr", 50]), _is(EPLERENONE),
          {30: ("epl_crcl_le30", "epl_crcl_le30", None)}),
    Sweep("renal-mra", "eplerenone, hypertension", _crcl(K, ["egfr", 50], conditions=["hypertension"]), _is(EPLERENONE),
          {50: ("epl_hypertension", None, None)}),
    Sweep("renal-mra", "age of a woman", lambda age: {"age": int(age), "sex": "female"}, _is(SPIRONOLACTONE),
          {46: (None, "missing", "missing"), 18: ("missing", None, None)}, least=None),
    Sweep("renal-baclofen", "eGFR", _egfr(), _is(_mg("197391", 3)(10)),
          {30: ("lt30", "30to60", "30to60"), 60: ("30to60", None, None)}),
    Sweep("renal-baclofen", "dose", _is({"labs": [["egfr", 45]]}), _mg("197391"), {20: (None, "30to60", "30to60")}),
    Sweep("renal-bisphosphonate", "alendronate", _crcl(), _is(ALENDRONATE), {35: ("oral_lt35", None, None)}),
    Sweep("renal-bisphosphonate", "risedronate", _crcl(), _is(RISEDRONATE), {30: ("oral_lt35", None, None)}),
    Sweep("renal-bisphosphonate", "zoledronic acid", _crcl(), _is(ZOLEDRONATE), {35: ("zol_lt35", None, None)}),
    Sweep("renal-bisphosphonate", "zoledronic acid, cancer", _crcl(**CANCER), _is(ZOLEDRONATE),
          {60: ("zol_cancer", "zol_cancer", None)}),
    Sweep("renal-dofetilide", "clearance", _crcl(["qtc", 420]), _is(_mg(DOFETILIDE, 2)(0.5)),
          {20: ("crcl_lt20", "crcl20to60", "crcl20to60"), 60: ("crcl20to60", "crcl20to60", None)}),
    Sweep("renal-dofetilide", "0.25 mg a day", _crcl(["qtc", 420]), _is(_mg(DOFETILIDE, 2)(0.2)),
          {40: ("crcl20to60", None, None)}),
    Sweep("renal-dofetilide", "QTc at the start", lambda ms: {"crcl": 90, "labs": [["qtc", ms]]},
          _is(_mg(DOFETILIDE, 2)(0.5)), {440: (None, None, "qtc_gt440")}),
    Sweep("renal-dofetilide", "QTc later", lambda ms: {"crcl": 90, "labs": [["qtc", ms]], "active": [DOFETILIDE]},
          _is(_mg(DOFETILIDE, 2)(0.5)), {500: (None, None, "qtc_gt500_cont")}),
]  # fmt: skip


def _one_sided(words: str) -> Json:
    return observation("98979-8", when="2026-11-18", patient="case", id="one-sided", valueString=words)


@for_rows(
    ("words", "draft", "rule", "band", "reason"),
    [
        (">60", {"drug": "861007", "dose": "2 tablet", "times": 2}, "renal-metformin", None, "within-limits"),
        (">60", {"drug": "198014", "dose": "1 tablet", "times": 2, "days": 30}, "renal-nsaid", None, "within-limits"),
        (">60", _mg("197319")(100), "renal-allopurinol", None, "within-limits"),
        (">60", {"drug": "edoxaban 60 MG Oral Tablet", "dose": "1 tablet", "times": 1}, "renal-edoxaban", None,
         "kidney-function-not-exact"),
        (">45", {"drug": "198014", "dose": "1 tablet", "times": 2, "days": 30}, "renal-nsaid", None,
         "kidney-function-not-exact"),
        ("<15", {"drug": "861007", "dose": "2 tablet", "times": 2}, "renal-metformin", "lt30", None),
        ("<60", {"drug": "861007", "dose": "2 tablet", "times": 2}, "renal-metformin", None,
         "kidney-function-not-exact"),
    ],
)  # fmt: skip
def test_an_egfr_of_one_side_decides_what_lies_on_the_other(
    words: str, draft: Json, rule: str, band: str | None, reason: str | None, as_of: datetime
) -> None:
    conditions = ["afib"] if rule == "renal-edoxaban" else []
    record = record_of({"more": [_one_sided(words)], "conditions": conditions}, as_of)
    outcome = check(record, drafts_of(draft_of(draft)), book=family_book(rule))
    assert {name: found for name, found, _ in findings(outcome)}.get(rule) == band
    said = [one for one in outcome.silences if one.subject == rule]
    if reason is not None:
        assert [one.reason for one in said] == [reason]
        assert words in said[0].text
    else:
        assert f"eGFR {words}" in outcome.cards[0].summary
