"""The page of a decision by a published equation: the equation, yes and no in words, and no talk of a changed file."""

import re
from typing import Any

import httpx
import pytest

from cds_hooks.package_tests.markup import faults
from cds_hooks.pages.explain.explanation import equation_estimate
from cds_hooks.pages.explain.recorded_decision import Basis
from models_onnx.equations.card import source_attributes
from models_onnx.equations.declaration import find_equations
from tests.cds_hooks.calls import ours
from tests.cds_hooks.services.equation_calls import answer
from tests.cds_hooks.web.decisions import AS_OF


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


def basis(**scores: Any) -> Basis:
    return Basis(as_of=AS_OF, scores=scores)


@pytest.mark.parametrize(
    "scores", [{"guideline": "KDIGO"}, {"output": "other", "value": 1.0}, {"output": "score", "value": "a"}]
)
def test_other_scores_make_no_estimate(scores: dict[str, Any]) -> None:
    assert equation_estimate(basis(**scores), find_equations()["cha2ds2_vasc"]) is None
