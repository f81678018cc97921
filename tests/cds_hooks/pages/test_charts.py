"""The chart of what each input adds, and the scales that drawings stand on."""

import re
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cards.rules.engine.coverage import CHECKS
from cards.rules.engine.rule_book import rule_book
from cds_hooks.pages.explain.explanation import EffectChart, equation_estimate, model_effects
from cds_hooks.pages.explain.recorded_decision import Input, RecordedBasis
from fhir.mapping.medications.identity import identify_concept
from fhir.record.datatypes import CodeableConcept
from models_onnx.equations.card import source_attributes
from models_onnx.equations.declaration import find_equations
from tests.cds_hooks.calls import client, ours, request_for
from tests.cds_hooks.services.equation_calls import answer
from tests.cds_hooks.web.decisions import AS_OF
from tests.contracts.markup import faults


def _chart(contributions: list[float], known: bool = True) -> EffectChart:
    gap = "" if known else "not recorded"
    names = (f"input_{number}" for number in range(len(contributions)))
    inputs = [
        Input(name, name, "1", "1", "", "", "", "", gap, "", "", "", size)
        for name, size in zip(names, contributions, strict=True)
    ]
    return model_effects(inputs)


@given(st.lists(st.floats(-3, 3), min_size=1, max_size=25))
def test_every_bar_is_inside_its_column_and_together_they_are_the_whole(contributions: list[float]) -> None:
    chart = _chart(contributions)
    assert all(0 <= row.left <= row.left + row.width <= 100.01 for row in chart.rows)
    assert sum(row.move for row in chart.rows) == pytest.approx(sum(contributions), abs=1e-9)
    assert len(chart.rows) == min(11, len(contributions))


def test_an_average_person_has_a_chart_too() -> None:
    chart = _chart([0.0] * 12)
    assert (chart.scale.low, chart.scale.high) == (-1.0, 1.0)
    assert {(row.effect, row.width) for row in chart.rows} == {("no effect", 0.0)}


def test_the_rest_says_how_many_of_it_are_not_known() -> None:
    assert _chart([1.0] * 12, known=False).rows[-1].note == "2 of them not recorded or not usable"
    assert _chart([1.0] * 11).rows[-1].title == "1 other input: input_10"


METFORMIN = ("order-safety", "order-sign", "ckd4-metformin", AS_OF, "metformin-ckd4-coded")
METFORMIN_WORDS = identify_concept(CodeableConcept(text="metformin"))


async def _asked(tmp_path: Path, *drugs: str) -> list[httpx.Response]:
    async with client(tmp_path, as_of=AS_OF) as calls:
        await calls.post("/cds-services/order-safety", json=request_for(*METFORMIN))
        return [await calls.get("/rules", params={"drug": drug}) for drug in drugs]


async def test_an_ingredient_and_its_brand_have_every_check_with_its_rules_and_rows_and_how_often_they_fired(
    tmp_path: Path,
) -> None:
    ingredient, brand = await _asked(tmp_path, "metformin", "Glucophage")
    for page in (ingredient, brand):
        assert page.status_code == 200
        assert faults(page.text) == []
        rules = set(re.findall(r'<a href="rules/([a-z0-9-]+)">', page.text))
        assert rules == {activated.rule.id for activated in rule_book().rules_for(METFORMIN_WORDS)}
        text = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page.text))
        assert "Read as metformin" in text
        assert re.search(r"Pairs that a label names: \d+ rows? about metformin", text)
        assert re.search(r"Maximum dose: \d+ rows? about metformin .*at most 3,000 mg a day", text)
        assert "in the last 30 days" in text
        exist, lacks = re.findall(r"<dt>(?:Checks|No check exists for)</dt><dd[^>]*>([^.]*)\.", page.text)
        assert exist.split(", ") == [check for check in CHECKS if check not in lacks.split(", ")]


async def test_a_class_names_its_members_and_has_the_rules_of_each(tmp_path: Path) -> None:
    by_own_name, by_words, test, unknown = await _asked(
        tmp_path, "statins", "proton pump inhibitors", "MRI brain with contrast", "<img src=x>"
    )
    assert "the class statin: " in re.sub(r"<[^>]+>", "", by_own_name.text)
    assert 'href="rules?drug=simvastatin"' in by_own_name.text
    assert 'href="rules/pgx-simvastatin"' in by_own_name.text
    assert 'href="rules?drug=omeprazole"' in by_words.text
    assert "an order of imaging or of a test" in test.text
    assert unknown.status_code == 404
    assert "Not in the tables" in unknown.text
    assert faults(unknown.text) == []


@pytest.mark.parametrize(
    ("service", "sample", "title"),
    [
        ("statin-discussion", "diabetes-no-statin", "PREVENT base equations"),
        ("liver-assessment", "ckd3b-metformin", "FIB-4 index of liver fibrosis"),
        ("statin-discussion", "healthy-adult", "PREVENT base equations"),
    ],
)
def test_the_page_names_the_equation_and_for_whom_it_is(
    server_here: str, service: str, sample: str, title: str
) -> None:
    decision = ours(answer(server_here, service, sample))["decision"]
    page = httpx.get(f"{server_here}/explain/{decision}")
    assert page.status_code == 200
    text = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page.text))
    assert "has changed" not in text
    assert f"Title {title}" in text
    assert "For whom" in text


def test_a_yes_is_a_yes_and_what_was_not_found_is_said(server_here: str) -> None:
    decision = ours(answer(server_here, "statin-discussion", "diabetes-no-statin"))["decision"]
    text = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", httpx.get(f"{server_here}/explain/{decision}").text))
    assert "Smokes yes" in text
    assert "Statin not found in the chart" in text


def test_the_start_page_has_each_equation_with_its_thirteen_attributes(server_here: str) -> None:
    page = httpx.get(f"{server_here}/", timeout=60).text
    assert faults(page) == []
    for name, equation in find_equations().items():
        assert f'<summary id="equation-{name}">' in page
        assert len(source_attributes(equation)) == 13
    assert page.count("<dt>use of race</dt>") == len(find_equations())


def test_the_address_of_an_equation_leads_there_and_no_other_does(server_here: str) -> None:
    sent_on = httpx.get(f"{server_here}/equations/kfre_4")
    assert (sent_on.status_code, sent_on.headers["location"]) == (308, "../#equation-kfre_4")
    assert httpx.get(f"{server_here}/equations/nothing").status_code == 404


def test_the_card_leads_to_the_page_of_the_equation(server_here: str) -> None:
    (card,) = answer(server_here, "nephrology-referral", "ckd-uacr").json()["cards"]
    assert f"({server_here}/equations/kfre_4)" in card["detail"]


# What the page of an equation's card begins with: the value, one square for each person, and what each input adds.


def basis(**scores: Any) -> RecordedBasis:
    return RecordedBasis(as_of=AS_OF, scores=scores)


@pytest.mark.parametrize(
    "scores", [{"guideline": "KDIGO"}, {"output": "other", "value": 1.0}, {"output": "score", "value": "a"}]
)
def test_other_scores_make_no_estimate(scores: dict[str, Any]) -> None:
    assert equation_estimate(basis(**scores), find_equations()["cha2ds2_vasc"]) is None
