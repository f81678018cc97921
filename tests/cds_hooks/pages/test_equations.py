"""The page of a decision by a published equation: the equation, yes and no in words, and no talk of a changed file."""

import re

import httpx
import pytest

from cds_hooks.package_tests.markup import faults
from models_onnx.equations.card import source_attributes
from models_onnx.equations.declaration import find_equations
from tests.cds_hooks.calls import ours
from tests.cds_hooks.services.equation_calls import answer


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


@pytest.mark.parametrize("name", find_equations())
def test_each_equation_has_a_page_with_its_thirteen_attributes_and_a_card_as_json(server_here: str, name: str) -> None:
    page = httpx.get(f"{server_here}/equations/{name}")
    assert page.status_code == 200
    assert faults(page.text) == []
    assert "use of race" in page.text
    card = httpx.get(f"{server_here}/equations/{name}/card.json")
    assert card.status_code == 200
    assert len(source_attributes(find_equations()[name])) == 13


def test_an_equation_that_there_is_not_has_no_page(server_here: str) -> None:
    assert httpx.get(f"{server_here}/equations/nothing").status_code == 404
    assert httpx.get(f"{server_here}/equations/nothing/card.json").status_code == 404


def test_the_card_and_the_page_of_services_lead_to_the_page_of_the_equation(server_here: str) -> None:
    (card,) = answer(server_here, "nephrology-referral", "ckd-uacr").json()["cards"]
    assert f"({server_here}/equations/kfre_4)" in card["detail"]
    assert 'href="equations/kfre_4"' in httpx.get(f"{server_here}/", timeout=60).text
