"""The words of the kidney family speak of the same limits as its table."""

from typing import Any

from cards.rules.conditions.condition import common_vocabulary
from cards.rules.families.renal import family as renal
from cards.rules.families.renal.family import FAMILY
from cards.rules.language.rule import OrderChange, Sig
from cards.rules.language.table import read_table
from tests.cards.rules.contexts import answer, context_of
from tests.each import for_rows


def test_the_apixaban_criteria_in_words_are_those_of_the_table() -> None:
    rule = next(one for one in read_table("renal").rules if one.id == "renal-apixaban")
    counted = next(part for part in rule.bands[0].when["all"] if "count_at_least" in part)
    limits = {renal._AGE_YEARS, renal._WEIGHT_KG, renal._CREATININE_MG_DL}
    assert common_vocabulary().compile(counted).limits == limits
    lab = next(part for one in counted["count_at_least"]["of"] for part in one.get("any", ()) if "lab" in part)
    assert lab["max_age_days"] == renal._CREATININE_DAYS


# Kidney rules: apixaban's criteria in words, what an order says, and corrections of enoxaparin and methotrexate.
Json = dict[str, Any]
APIXABAN: Json = {"drug": "apixaban 5 MG Oral Tablet", "dose": "1 tablet", "times": 2}
METHOTREXATE = "methotrexate 2.5 MG Oral Tablet"


def _labs(creatinine: float | None = None, weight: float | None = None, days_ago: int = 3) -> list[Json]:
    labs: list[Any] = [] if creatinine is None else [["creatinine", creatinine, days_ago]]
    return [*labs, *([] if weight is None else [["body_weight", weight, 3]])]


ON = "on 2026-11-17"


@for_rows(
    ("patient", "met", "count", "dated", "missing"),
    [
        ({"age": 79, "labs": _labs(1.49, 60.1)}, None, "0",
         f"age 79, weight 60.1 kg {ON}, creatinine 1.49 mg/dL {ON}", None),
        ({"age": 80, "labs": _labs(1.5, 60)}, "age 80, weight 60 kg, creatinine 1.5 mg/dL", "3",
         f"age 80, weight 60 kg {ON}, creatinine 1.5 mg/dL {ON}", None),
        ({"age": 80, "labs": _labs(1.4, 70)}, "age 80", "1", f"age 80, weight 70 kg {ON}, creatinine 1.4 mg/dL {ON}",
         None),
        ({"age": None}, None, "0", "none", "the age and a weight and a creatinine of the last 12 months"),
        ({"age": 70, "labs": _labs(1.6, 70, 366)}, None, "0", f"age 70, weight 70 kg {ON}",
         "a creatinine of the last 12 months"),
        ({"age": 70, "labs": _labs(1.6, 70, 365)}, "creatinine 1.6 mg/dL", "1",
         f"age 70, weight 70 kg {ON}, creatinine 1.6 mg/dL on 2025-11-20", None),
        # On dialysis creatinine counts as met.
        ({"age": 70, "conditions": ["dialysis"], "labs": _labs(1.0, 70)}, "dialysis", "1",
         f"age 70, weight 70 kg {ON}, dialysis", None),
    ],
)  # fmt: skip
def test_the_criteria_of_apixaban(patient: Json, met: str | None, count: str, dated: str, missing: str | None) -> None:
    context = context_of(APIXABAN, **patient)
    names = ("criteria", "n", "criteria_dated", "missing_criteria")
    assert [FAMILY.placeholders[name](context) for name in names] == [met, count, dated, missing]


@for_rows(
    ("labs", "words"),
    [
        ([["potassium", 5.04, 30]], {"potassium": "potassium 5.04 mmol/L on 2026-10-21",
                                     "potassium_history": "Last value: potassium 5.04 mmol/L on 2026-10-21."}),
        ([["potassium", 5.6, 31]], {"potassium_history": "Last value: potassium 5.6 mmol/L on 2026-10-20."}),
        ([["qtc", 500.4, 30]], {"qtc": "QTc 500.4 ms on 2026-10-21",
                                "qtc_history": "Last value: QTc 500.4 ms on 2026-10-21."}),
        ([["qtc", 500.4, 31]], {"qtc_history": "Last value: QTc 500.4 ms on 2026-10-20."}),
        ([["creatinine", 2.801, 30]], {"creatinine": "creatinine 2.801 mg/dL on 2026-10-21"}),
        ([["creatinine", 2.801, 31]], {}),
        ([], {}),
    ],
)  # fmt: skip
def test_the_values_that_a_limit_is_written_for(labs: list[Any], words: Json) -> None:
    context = context_of(APIXABAN, labs=labs)
    none = {"potassium": None, "potassium_history": "", "qtc": None, "qtc_history": "", "creatinine": None}
    assert {name: FAMILY.placeholders[name](context) for name in none} == {**none, **words}


@for_rows(
    ("word", "draft", "truth"),
    [
        ("slow_release", {"drug": "gabapentin 600 MG Extended Release Oral Tablet"}, True),
        ("slow_release", {"drug": "Gralise 600 mg"}, True),
        ("slow_release", {"drug": "gabapentin 600 MG Oral Tablet"}, False),
        ("tapering", {"drug": "gabapentin", "more": {"dosageInstruction": [{"text": "wean over two weeks"}]}}, True),
        ("tapering", {"drug": "gabapentin", "more": {"dosageInstruction": [{"text": "3 times a day"}]}}, False),
        ("says_treatment", {"drug": "enoxaparin", "more": {"reasonCode": [{"text": "DVT"}]}}, True),
        ("says_treatment", {"drug": "enoxaparin", "more": {"reasonCode": [{"text": "prophylaxis"}]}}, False),
    ],
)
def test_what_an_order_says(word: str, draft: Json, truth: bool) -> None:
    assert answer({word: True}, context_of(draft), FAMILY) is truth


@for_rows(
    ("kilograms", "milligrams"),
    # In steps of 10 mg, and never over 1.1 mg/kg: 36 kg are rounded to 40 mg, which is 1.11.
    [(80, 80.0), (84, 80.0), (86, 90.0), (36, 30.0), (37, 40.0), (None, None)],
)
def test_enoxaparin_once_a_day_by_weight(kilograms: float | None, milligrams: float | None) -> None:
    labs = [] if kilograms is None else [["body_weight", kilograms, 3]]
    change = FAMILY.changes["enoxaparin_once_daily"](context_of({"drug": "enoxaparin injection"}, labs=labs))
    text = f"{milligrams:g} mg (1 mg/kg, treatment) once daily" if milligrams is not None else ""
    expected = OrderChange(sig=Sig(text, milligrams, times_per_day=1, is_written=True))
    assert change == (expected if milligrams is not None else None)


def test_enoxaparin_against_clots_is_30_mg() -> None:
    change = FAMILY.changes["enoxaparin_30"](context_of({"drug": "enoxaparin injection"}))
    assert change == OrderChange(sig=Sig("30 mg once daily", 30.0, times_per_day=1))


def _methotrexate(words: str = "", **more: Any) -> Json:
    return {"drug": METHOTREXATE, **({"more": {"dosageInstruction": [{"text": words}]}} if words else {}), **more}


@for_rows(
    ("draft", "sig"),
    [
        (_methotrexate(dose="10 tablet", times=1), Sig("25 mg once weekly on Monday", 25.0, times_per_week=1,
                                                       weekday="mon", is_written=True)),
        (_methotrexate(dose="11 tablet", times=1), None),
        (_methotrexate(), None),
        (_methotrexate(dose="10 tablet", times=1, as_needed=True), None),
        (_methotrexate("10 to 15 mg once daily"), None),
        (_methotrexate("7.5 mg every Thursday and Tuesday"), Sig("7.5 mg once weekly on Tuesday", 7.5, times_per_week=1,
                                                                 weekday="tue", is_written=True)),
    ],
)  # fmt: skip
def test_methotrexate_once_a_week(draft: Json, sig: Sig | None) -> None:
    assert FAMILY.changes["once_weekly"](context_of(draft)) == (OrderChange(sig=sig) if sig is not None else None)


@for_rows(
    ("draft", "sig"),
    [
        # Half of it in whole tablets of 2.5 mg, 10 mg at the most.
        (_methotrexate("15 mg once weekly"), Sig("7.5 mg once weekly", 7.5, times_per_week=1)),
        (_methotrexate("17.5 mg once weekly on Friday"), Sig("7.5 mg once weekly on Friday", 7.5, times_per_week=1,
                                                             weekday="fri")),
        (_methotrexate("20 mg once weekly"), Sig("10 mg once weekly", 10.0, times_per_week=1)),
        (_methotrexate("25 mg once weekly"), None),
        (_methotrexate("2.5 mg once weekly"), None),
        (_methotrexate("15 mg once daily"), None),
        ({"drug": METHOTREXATE, "more": {"dosageInstruction": [{"timing": {"repeat": {"dayOfWeek": ["friday"]}},
          "doseAndRate": [{"doseQuantity": {"value": 15, "unit": "mg"}}]}]}},
         Sig("7.5 mg once weekly", 7.5, times_per_week=1)),
        (_methotrexate(), None),
    ],
)  # fmt: skip
def test_half_of_methotrexate(draft: Json, sig: Sig | None) -> None:
    assert FAMILY.changes["half_weekly"](context_of(draft)) == (OrderChange(sig=sig) if sig is not None else None)
