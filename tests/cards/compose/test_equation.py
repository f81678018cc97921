"""The card of a published equation: never of one that must not be shown, and the tests that can be ordered."""

import pytest

from cards.card import TOPICS, CardError, CardIdentity
from cards.compose.equation import EquationCardContent, _closing, missing_card, people_in_100
from cards.new_orders import LIPIDS, TESTS, order_of_test, orderable_test_for
from models_onnx.equations.calculate import calculate
from models_onnx.equations.declaration import find_equations, get_equation, yes_no

NAMING = CardIdentity(
    "uuid", lambda number: f"suggestion-{number}", "https://cds.example/explain/1", "https://cds.example/e"
)
SAID = EquationCardContent(summary="Something is missing.", opening="It is.", topic=TOPICS["statin"])


@pytest.mark.parametrize("name", ["news2", "pooled_cohort"])
def test_an_equation_that_must_not_be_shown_gets_no_card(name: str) -> None:
    equation = find_equations()[name]
    with pytest.raises(CardError, match="never shown"):
        missing_card(equation, SAID, NAMING, ["age"])


@pytest.mark.parametrize(
    ("lacking", "loinc"),
    [
        (["total_cholesterol", "hdl_cholesterol"], "57698-3"),
        (["uacr"], "9318-7"),
        (["ast"], "24325-3"),
        (["uacr", "egfr"], None),
        (["sbp"], None),
        ([], None),
    ],
)
def test_one_test_answers_everything_or_none_is_offered(lacking: list[str], loinc: str | None) -> None:
    test = orderable_test_for(lacking)
    assert (test.loinc if test else None) == loinc


def test_every_input_that_a_test_answers_is_one_of_an_equation() -> None:
    known = {item.name for equation in find_equations().values() for item in equation.inputs}
    assert set().union(*(test.inputs for test in TESTS)) <= known


def test_the_order_of_a_test_carries_its_code() -> None:
    drafted = order_of_test(LIPIDS, "p1", "2026-11-20")
    assert drafted["code"]["coding"] == [{"system": "http://loinc.org", "code": "57698-3", "display": "Lipid panel"}]
    assert (drafted["status"], drafted["intent"]) == ("draft", "order")


@pytest.mark.parametrize("systolic", range(140, 165))
def test_people_in_100_are_never_in_a_band_that_is_not_reached(systolic: int) -> None:
    given = {"age": 60, "sex": "male", "total_cholesterol": 220, "hdl_cholesterol": 40, "sbp": systolic, "bmi": 28}
    answers = {"diabetes": False, "current_smoker": True, "bp_medication": False, "statin": False}
    result = calculate(get_equation("prevent_base"), {**given, **answers, "egfr": 86}, "ascvd|10y")
    assert result.band is not None
    assert (people_in_100(result) >= 10) == (result.band.id == "high")


@pytest.mark.parametrize(("words", "inside"), [("Age", "age"), ("BMI", "BMI"), ("HbA1c", "hbA1c"), ("X", "x")])
def test_a_name_inside_a_sentence_begins_small_unless_it_is_an_abbreviation(words: str, inside: str) -> None:
    assert yes_no("x", words).words_in_sentence == inside


@pytest.mark.parametrize(("name", "is_compared"), [("lace", False), ("ckd_epi_2021_creatinine", True)])
def test_a_score_is_compared_with_nobody_and_a_value_with_its_reference(name: str, *, is_compared: bool) -> None:
    equation = get_equation(name)
    stay = {"length_of_stay_days": 3, "acute_admission": True, "charlson_lace": 1, "ed_visits_6m": 0}
    given = stay if name == "lace" else {"age": 60, "sex": "male", "creatinine": 1.0}
    result = calculate(equation, given, equation.outputs[0].id)
    assert ("Compared with" in _closing(result, SAID, NAMING)) is is_compared
    assert (result.output.kind == "integer") is not is_compared
