"""Every equation: reproduces its vectors, adds up, refuses by name, says what the source file says."""

import re
from dataclasses import replace
from datetime import date
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from models_onnx.equations.arithmetic import (
    CoefficientSet,
    Factor,
    Linear,
    Term,
    apply_link,
    invert_link,
    steps,
)
from models_onnx.equations.calculate import Quantity, calculate
from models_onnx.equations.card import equation_card, has_equation, inputs_of_kind, source_attributes
from models_onnx.equations.declaration import Equation, equation_reference, find_equations, get_equation
from models_onnx.errors import EquationRefused, UnknownEquation
from tests.each import for_each, for_rows
from tests.models_onnx.equations.vectors import all_vectors, vectors_of

EQUATIONS = find_equations()


VECTORS = {
    each: [(f"{name} {vector['id']}", (name, vector)) for name, vector in all_vectors() if name == each]
    for each in dict.fromkeys(name for name, _ in all_vectors())
}


def _sound(equation: Equation) -> tuple[dict[str, Any], str | None]:
    """Inputs with a value, and the output."""
    vector = vectors_of(equation.id)[0]
    return dict(vector["inputs"]), vector.get("output")


@pytest.mark.parametrize("name", VECTORS)
def test_every_vector_is_reproduced(name: str) -> None:
    for_each(VECTORS[name], _is_reproduced)


def _is_reproduced(name: str, vector: dict[str, Any]) -> None:
    value = calculate(EQUATIONS[name], vector["inputs"], vector.get("output")).value
    if isinstance(vector["expected"], str):
        assert value == vector["expected"]
    else:
        assert value == pytest.approx(vector["expected"], rel=1e-9)
    if "published" in vector and "note" not in vector:
        tolerance = vector.get("published_tolerance", 0.5 * 10 ** -vector["published_decimals"] * 1.000001)
        assert abs(float(value) - vector["published"]) <= tolerance


@pytest.mark.parametrize("name", VECTORS)
def test_base_and_contributions_add_up_to_the_link_of_the_value(name: str) -> None:
    for_each(VECTORS[name], _adds_up)


def _adds_up(name: str, vector: dict[str, Any]) -> None:
    working = calculate(EQUATIONS[name], vector["inputs"], vector.get("output")).working
    if isinstance(working.value, str):
        assert working.margin == vector["inputs"]["total"]
    elif name == "meld3":
        assert min(max(round(working.margin), 6), 40) == working.value
    else:
        assert working.margin == pytest.approx(apply_link(working.link, working.value), abs=1e-9)
    assert {part.input for part in working.contributions} <= {item.name for item in EQUATIONS[name].inputs}


@pytest.mark.parametrize("equation", EQUATIONS.values(), ids=EQUATIONS)
def test_a_missing_input_is_refused_by_name(equation: Equation) -> None:
    inputs, output = _sound(equation)
    wanted = equation.output(output).id
    for item in equation.inputs:
        if item.is_needed_for(wanted):
            with pytest.raises(EquationRefused) as refused:
                calculate(equation, {name: value for name, value in inputs.items() if name != item.name}, output)
            assert (refused.value.reason, refused.value.inputs) == ("input-missing", (item.name,))


UNUSABLE = ("nonsense", float("nan"), float("inf"), [1], Quantity(1, "furlong"), None)


@pytest.mark.parametrize("equation", EQUATIONS.values(), ids=EQUATIONS)
def test_what_is_no_value_is_refused_and_never_guessed(equation: Equation) -> None:
    inputs, output = _sound(equation)
    needed = (each for each in equation.inputs if each.is_needed_for(equation.output(output).id))
    for item, unusable in product(needed, UNUSABLE):
        with pytest.raises(EquationRefused) as refused:
            calculate(equation, {**inputs, item.name: unusable}, output)
        assert refused.value.inputs == (item.name,)


def test_race_is_used_by_the_pooled_cohort_equations_alone_and_they_are_kept_off_cards() -> None:
    assert [name for name, each in EQUATIONS.items() if inputs_of_kind(each, "race")] == ["pooled_cohort"]
    assert [name for name, each in EQUATIONS.items() if each.not_on_cards] == ["news2", "pooled_cohort"]


@pytest.mark.outside_data
def test_no_equation_of_the_data_folder_is_missing(data_folder: Path) -> None:
    assert {path.stem for path in (data_folder / "equations").glob("*.json")} <= set(EQUATIONS)


@pytest.mark.parametrize("equation", EQUATIONS.values(), ids=EQUATIONS)
def test_every_equation_has_vectors_and_refuses_those_that_expect_a_refusal(equation: Equation) -> None:
    vectors = vectors_of(equation.id)
    assert vectors, f"write tests/models_onnx/equations/published/{equation.id}.json"
    for vector in vectors:
        if vector["expected"] is None:
            with pytest.raises(EquationRefused) as refused:
                calculate(equation, vector["inputs"], vector.get("output"))
            assert vector.get("reason") in (None, *refused.value.inputs)


@pytest.mark.parametrize("equation", EQUATIONS.values(), ids=EQUATIONS)
def test_every_equation_was_reviewed_on_a_day_of_its_own_that_its_card_names(equation: Equation) -> None:
    assert date.fromisoformat(equation.reviewed)
    another = replace(equation, reviewed="2027-03-01")
    assert "revised 2027-03-01" in source_attributes(another)["evidence.dates"]


def test_the_coefficients_of_an_equation_that_a_feature_uses_stand_in_one_file_only() -> None:
    root = Path(__file__).parents[3]
    files = [path for floor in ("fhir", "models_onnx", "cards", "cds_hooks") for path in (root / floor).rglob("*.py")]
    for figure in (
        r"0\.9938",
        r"-0\.241",
        r"-0\.302",
        r"1\.012\b",
        r"\b140 -",
        r"10\.1056/NEJMoa2102953\"",
        r"0\.85 if",
    ):
        found = [str(path.relative_to(root)) for path in files if re.search(figure, path.read_text(encoding="utf-8"))]
        assert found == ["fhir/mapping/equations.py"], figure


def test_the_digest_of_an_equation_covers_the_file_that_has_its_arithmetic() -> None:
    equation = EQUATIONS["ckd_epi_2021_creatinine"]
    told = equation_reference(equation)["sha256"]
    assert told != equation_reference(replace(equation, formula=None))["sha256"]


def test_the_30_year_risk_is_refused_from_60_on() -> None:
    sound = {**vectors_of("prevent_base")[0]["inputs"], "age": 60}
    calculate(EQUATIONS["prevent_base"], sound, "ascvd|10y")
    with pytest.raises(EquationRefused) as refused:
        calculate(EQUATIONS["prevent_base"], sound, "ascvd|30y")
    assert (refused.value.reason, refused.value.inputs) == ("outside-population", ("age",))


def test_kidney_failure_is_refused_from_egfr_60_on() -> None:
    sound = {**vectors_of("kfre_4")[0]["inputs"], "egfr": 60}
    with pytest.raises(EquationRefused) as refused:
        calculate(EQUATIONS["kfre_4"], sound, "5y")
    assert refused.value.reason == "outside-population"


def test_rates_are_given_where_a_paper_has_them_and_nowhere_else() -> None:
    result = calculate(EQUATIONS["has_bled"], vectors_of("has_bled")[3]["inputs"])
    assert result.value == 9
    assert result.rates() == []


A, B, C = Factor("a"), Factor("b", centre=3, scale=2), Factor("c", low=0, high=10)


def test_limits_of_a_factor_are_applied_before_the_logarithm() -> None:
    assert Factor("x", low=1, ln=True).of(0.2) == 0.0
    assert Factor("x", high=110, centre=110, scale=20).of(90) == -1.0


def test_a_word_is_no_number() -> None:
    with pytest.raises(TypeError):
        Factor("x").of("male")


def test_what_is_chosen_by_is_counted_first_and_one_base_holds_for_everybody() -> None:
    sets = (
        CoefficientSet({"sex": "f"}, 1.0, (Term(2.0, (A,)),)),
        CoefficientSet({"sex": "m"}, 4.0, (Term(3.0, (A,)),)),
    )
    linear = Linear("identity", ("sex",), sets, {"sex": "f", "a": 0.0})
    worked = linear.work({"sex": "m", "a": 5.0})
    assert (worked.base, worked.value, worked.margin) == (1.0, 19.0, 19.0)
    assert [(each.input, each.contribution) for each in worked.contributions] == [("sex", 3.0), ("a", 15.0)]


@for_rows("link", ["logit", "cloglog", "log", "identity"])
def test_a_link_and_its_inverse_undo_each_other(link: str) -> None:
    assert apply_link(link, invert_link(link, -1.25)) == pytest.approx(-1.25)  # type: ignore[arg-type]  # a Link by parameter


def test_steps_begin_at_their_edge() -> None:
    item = steps("age", 0, (65, 1), (75, 2))
    assert [item.points(age) for age in (64.9, 65, 74.9, 75)] == [0, 1, 1, 2]


def uses(name: str) -> dict[str, str]:
    """What the card says of each of the nine kinds of data."""
    prefix = "evidence.uses."
    attributes = source_attributes(get_equation(name))
    return {key.removeprefix(prefix): words for key, words in attributes.items() if key.startswith(prefix)}


def test_the_product_of_a_card_says_for_whom_it_is_and_how_far_it_looks_ahead() -> None:
    card = equation_card("kfre_4")
    assert (card["format"], card["kind"]) == ("cds-hooks-onnx/model-card/1", "evidence-based")
    assert card["model"] == {
        "id": "kfre_4", "version": get_equation("kfre_4").version, "title": get_equation("kfre_4").title,
    }  # fmt: skip
    common = {"section_1557", "statement", "security"}
    usual = {"population", "not_for", "cautions", "reference_cohort"}
    assert set(card["product"]) == {*common, *usual, "horizon_hours"}
    assert card["product"]["horizon_hours"] == 17532.0, "two years of 8,766 hours"
    news = equation_card("news2")["product"]
    assert set(news) == {*common, *usual, "not_on_cards"}
    assert news["not_for"] == ["younger than 16", "pregnancy", "injury of the spinal cord"]
    assert news["cautions"] == ["All seven readings must be of one set: an old reading makes a wrong total."]
    assert (news["population"], news["reference_cohort"]) == (
        "adults of 16 and over in acute care", "all seven readings normal: 0 points",
    )  # fmt: skip
    assert equation_card("prevent_base")["product"]["horizon_hours"] == 87660.0
    assert set(equation_card("gad7")["product"]) == {*common, *usual}
    assert equation_card("gad7")["evidence"]["developer"] == {
        "words": "the cds-hooks-onnx project (translation of the published equation; not its authors)",
        "from": "declared",
    }


def test_an_equation_that_is_not_there_has_no_card() -> None:
    assert (has_equation("gad7"), has_equation("gad8")) == (True, False)
    with pytest.raises(UnknownEquation):
        equation_card("gad8")
