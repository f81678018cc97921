"""The page of a decision by a published equation: the equation, yes and no in words, and no talk of a changed file."""

import re

import httpx
import pytest

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
def test_the_page_names_the_equation_and_for_whom_it_is(server: str, service: str, sample: str, title: str) -> None:
    decision = ours(answer(server, service, sample))["decision"]
    page = httpx.get(f"{server}/explain/{decision}")
    assert page.status_code == 200
    text = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page.text))
    assert "has changed" not in text
    assert f"Title {title}" in text
    assert "For whom" in text


def test_a_yes_is_a_yes_and_what_was_not_found_is_said(server: str) -> None:
    decision = ours(answer(server, "statin-discussion", "diabetes-no-statin"))["decision"]
    text = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", httpx.get(f"{server}/explain/{decision}").text))
    assert "Smokes yes" in text
    assert "Statin not found in the chart" in text
