"""The tests that a drug needs: the placeholders, conditions and doses by weight of the monitoring rules, by hand."""

from typing import Any

import pytest

from cards.rules.families.monitoring.family import FAMILY
from cards.rules.language.rule import OrderChange, RuleError, Sig
from tests.cards.rules.contexts import context_of, predicate_of
from tests.each import for_rows
from tests.fhir.builders import observation

Json = dict[str, Any]
CONDITIONS = {condition.word: condition for condition in FAMILY.conditions}
WARFARIN = {"drug": "warfarin 5 mg tablet", "dose": "1 tablet", "times": 1}


def _word(name: str, draft: Json = WARFARIN, **patient: Any) -> str | None:
    return FAMILY.placeholders[name](context_of(draft, **patient))


def _is(word: str, value: Any, draft: Json = WARFARIN, **patient: Any) -> bool | None:
    spec = {word: value}
    return CONDITIONS[word].compile(spec, lambda _part: pytest.fail("no part")).test(context_of(draft, **patient))


def _inrs(*values: float, newest: int = 3) -> list[Json]:
    return [["inr", value, newest + 7 * number] for number, value in enumerate(values)]  # type: ignore[misc]


@for_rows(
    ("values", "expected"),
    [((2.5, 3.0, 3.5), True), ((2.4, 3.0, 3.0), False), ((3.0, 3.0, 3.6), False), ((2.0, 2.5, 3.0), False)],
)
def test_with_a_mechanical_valve_the_range_is_half_higher(values: tuple[float, ...], expected: bool) -> None:
    assert _is("inr_stable", True, labs=_inrs(*values), conditions=["mechanical_valve"]) is expected


@pytest.mark.parametrize(("newest", "expected"), [(84, True), (85, False)])
def test_an_inr_is_stable_for_twelve_weeks(newest: int, expected: bool) -> None:
    assert _is("inr_stable", True, labs=_inrs(2.5, 2.5, 2.5, newest=newest)) is expected


def test_results_are_known_where_all_of_the_tests_were_asked_for() -> None:
    assert _is("results_known", ["inr", "alt"]) is True
    assert _is("results_known", ["inr", "alt"], not_sent=["alt"]) is False
    assert _is("results_known", ["inr"], not_sent=["alt"]) is True
    with pytest.raises(RuleError):
        predicate_of({"results_known": ["inr"], "more": 1}, FAMILY)


@for_rows(
    ("draft", "expected"),
    [
        ({"more": {"dosageInstruction": [{"text": "400 mg once weekly"}]}}, True),
        ({"more": {"dosageInstruction": [{"text": "400 mg every week for malaria"}]}}, True),
        ({"more": {"dosageInstruction": [{"text": "200 mg daily, malaria prophylaxis"}]}}, True),
        ({"more": {"dosageInstruction": [{"text": "200 mg daily as PROPHYLAXIS"}]}}, True),
        ({"more": {"dosageInstruction": [{"text": "200 mg daily"}]}}, False),
        ({"more": {"dosageInstruction": [{"text": "400 mg twice a week"}]}}, False),
        ({"more": {}}, False),
    ],
)
def test_hydroxychloroquine_is_for_malaria_by_its_words_or_once_a_week(draft: Json, expected: bool) -> None:
    order = {"drug": "hydroxychloroquine 200 mg tablet", **draft}
    assert _is("for_malaria", True, order) is expected
    assert _is("for_malaria", False, order) is not expected


@for_rows(
    ("name", "analyte", "value", "days", "text"),
    [
        ("inr", "inr", 5.5, 7, "INR 5.5 on 2026-11-13"),
        ("inr", "inr", 4.51, 7, "INR 4.51 on 2026-11-13"),
        ("inr", "inr", 5.5, 8, None),
        ("lithium", "lithium_level", 1.6, 14, "Lithium 1.6 mmol/L on 2026-11-06"),
        ("lithium", "lithium_level", 1.6, 15, None),
        ("neutrophils", "neutrophils_abs", 0.4, 14, "Neutrophils 0.4 ×10³/µL on 2026-11-06"),
        ("neutrophils", "neutrophils_abs", 0.4, 15, None),
        ("weight", "body_weight", 82.5, 400, "82.5 kg on 2025-10-16"),
    ],
)
def test_a_result_is_put_into_words_while_it_is_young_enough(
    name: str, analyte: str, value: float, days: int, text: str | None
) -> None:
    assert _word(name, labs=[[analyte, value, days]]) == text
    assert _word(name) is None


def test_an_inr_over_a_number_is_said_with_its_side() -> None:
    bound = observation(
        "6301-6", when="2026-11-19T09:00:00Z", patient="case", id="b", valueQuantity={"value": 10, "comparator": ">"}
    )
    assert _word("inr", more=[bound]) == "INR >10 on 2026-11-19"


def test_a_day_dose_for_each_kilogram() -> None:
    order = {"drug": "hydroxychloroquine 200 mg tablet", "dose": "2 tablet", "times": 1}
    assert _word("mg_per_kg", order, labs=[["body_weight", 63, 5]]) == "6.3"  # 400 / 63 = 6.35
    assert _word("mg_per_kg", order) is None


def test_when_the_tests_were_last_done() -> None:
    labs = [["potassium", 4.2, 10], ["potassium", 5.1, 20], ["tsh", 2.5, 300]]
    assert _word("last_raas", labs=labs) == "Last: potassium 4.2 mmol/L on 2026-11-10, no creatinine on record."
    assert _word("last_amiodarone", labs=labs) == "Last: TSH 2.5 mIU/L on 2026-01-24, no ALT on record."
    assert _word("last_inr", labs=[["inr", 2.5, 1]]) == "Last: INR 2.5 on 2026-11-19."
    assert _word("last_lithium") == "Last: no lithium on record."
    assert _word("last_methotrexate") == "Last: no hemoglobin on record, no ALT on record, no creatinine on record."
    assert _word("last_count") == "Last: no neutrophils on record."


@for_rows(
    ("name", "labs", "expected"),
    [
        ("lacking_raas", [], "potassium or creatinine"),
        ("lacking_raas", [["potassium", 4.2, 365]], "creatinine"),
        ("lacking_raas", [["potassium", 4.2, 366]], "potassium or creatinine"),
        ("lacking_raas", [["potassium", 4.2, 1], ["creatinine", 1, 1]], None),
        ("lacking_amiodarone", [], "TSH or ALT"),
        ("lacking_amiodarone", [["alt", 30, 180]], "TSH"),
        ("lacking_amiodarone", [["alt", 30, 181], ["tsh", 2, 180]], "ALT"),
    ],
)
def test_only_tests_that_lack_a_young_value_are_named(name: str, labs: list[Json], expected: str | None) -> None:
    assert _word(name, labs=labs) == expected


ALTERNATE = OrderChange(
    sig=Sig("400 mg and 200 mg on alternate days: 400 mg every other day", 400.0, every_hours=48),
    second=Sig("400 mg and 200 mg on alternate days: 200 mg every other day", 200.0, every_hours=48),
)


@for_rows(
    ("age", "kilograms", "expected"),
    [
        (60, 80.0, OrderChange(sig=Sig("400 mg once daily", 400.0, times_per_day=1))),  # 5 mg/kg: 400 mg
        (60, 79.9, ALTERNATE),
        (60, 60.0, ALTERNATE),  # 300 mg
        (60, 59.9, OrderChange(sig=Sig("200 mg once daily", 200.0, times_per_day=1))),
        (60, 40.0, OrderChange(sig=Sig("200 mg once daily", 200.0, times_per_day=1))),
        (60, 39.9, OrderChange(sig=Sig("200 mg every other day", 200.0, every_hours=48))),
        (6, 20.0, OrderChange(sig=Sig("200 mg every other day", 200.0, every_hours=48))),
        (6, 19.9, None),
        (60, 20.0, None),  # no weight of an adult: it is not used
        (60, None, None),
    ],
)
def test_hydroxychloroquine_by_weight_is_at_most_five_milligrams_for_each_kilogram(
    age: int, kilograms: float | None, expected: OrderChange | None
) -> None:
    labs = [["body_weight", kilograms, 5]] if kilograms is not None else []
    order = {"drug": "hydroxychloroquine 200 mg tablet", "dose": "3 tablet", "times": 1}
    assert FAMILY.changes["hydroxychloroquine_by_weight"](context_of(order, age=age, labs=labs)) == expected
