"""A blank attribute is refused by number and name; the eleven that may be unavailable need a reason and a date."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models_onnx.model_card.attributes import EVIDENCE, PREDICTIVE, Attribute
from models_onnx.model_card.embed import embed_card, read_card
from models_onnx.model_card.schema import card_problems
from tests.conftest import examples
from tests.models_onnx.workshop import core

MUST = [attribute for attribute in PREDICTIVE if not attribute.may_be_unavailable]
MAY = [attribute for attribute in PREDICTIVE if attribute.may_be_unavailable]


def put(card: dict[str, Any], attribute: Attribute, value: Any) -> None:
    """Writes the value where the attribute stands."""
    *steps, last = attribute.path.split(".")
    for step in steps:
        card = card[step]
    card[last] = value


def test_there_are_31_and_13_attributes_and_20_may_never_be_blank() -> None:
    assert [len(PREDICTIVE), len(EVIDENCE), len(MUST)] == [31, 13, 20]
    assert [attribute.number for attribute in PREDICTIVE] == [str(number) for number in range(1, 32)]


def test_the_committed_card_is_whole(card: dict[str, Any]) -> None:
    assert card_problems(card) == []


@pytest.mark.parametrize("attribute", PREDICTIVE, ids=lambda attribute: attribute.path)
def test_a_blank_attribute_is_named_by_number(card: dict[str, Any], attribute: Attribute) -> None:
    blank = f"attribute {attribute.number} {attribute.cite} {attribute.path} ({attribute.title}) is blank"
    for nothing in ("", "  ", "TBD", "n/a", "None.", "to do", "<fill in>", "-"):
        put(card, attribute, {"words": nothing})
        assert card_problems(card) == [blank], nothing


@pytest.mark.parametrize("attribute", MAY, ids=lambda attribute: attribute.path)
def test_eleven_may_with_a_reason_and_a_date(card: dict[str, Any], attribute: Attribute) -> None:
    put(card, attribute, {"not_available": "No such study is known.", "as_of": "2026-11-20"})
    assert card_problems(card) == []
    put(card, attribute, {"not_available": "", "as_of": "2026-11-20"})
    assert "reason and date are missing" in card_problems(card)[0]
    put(card, attribute, {"not_available": "No such study is known."})
    assert "reason and date are missing" in card_problems(card)[0]


@settings(max_examples=examples(20))
@given(st.dictionaries(st.text(max_size=10), st.text(max_size=300), max_size=4))
def test_any_card_comes_back(said: dict[str, str]) -> None:
    assert read_card(embed_card(core(), said)) == said
