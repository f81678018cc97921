"""A blank attribute is refused by number and name; the eleven that may be unavailable need a reason and a date."""

from typing import Any

import pytest

from models_onnx.model_card.attributes import EVIDENCE, PREDICTIVE, Attribute
from models_onnx.model_card.schema import card_problems

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


def test_a_missing_attribute_and_a_missing_section_are_named(card: dict[str, Any]) -> None:
    del card["purpose"]["users"]
    del card["fairness"]
    found = card_problems(card)
    assert [problem.split()[1] for problem in found] == ["7", "15", "16"]


@pytest.mark.parametrize("attribute", MUST, ids=lambda attribute: attribute.path)
def test_twenty_may_not_be_unavailable(card: dict[str, Any], attribute: Attribute) -> None:
    put(card, attribute, {"not_available": "We did not look.", "as_of": "2026-11-20"})
    assert "may not be 'not available'" in card_problems(card)[0]


@pytest.mark.parametrize("attribute", MAY, ids=lambda attribute: attribute.path)
def test_eleven_may_with_a_reason_and_a_date(card: dict[str, Any], attribute: Attribute) -> None:
    put(card, attribute, {"not_available": "No such study is known.", "as_of": "2026-11-20"})
    assert card_problems(card) == []
    put(card, attribute, {"not_available": "", "as_of": "2026-11-20"})
    assert "reason and date are missing" in card_problems(card)[0]
    put(card, attribute, {"not_available": "No such study is known."})
    assert "reason and date are missing" in card_problems(card)[0]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda c: c.update(kind="magic"), "'predictive' or 'evidence-based'"),
        (lambda c: c.update(format="other/1"), "format"),
        (lambda c: c.update(extra=1), "extra"),
        (lambda c: c["product"].pop("statement"), "statement"),
        (lambda c: c["product"].update(horizon_hours=-1), "horizon_hours"),
        (lambda c: c["product"].update(banana=True), "banana"),
        (lambda c: c["product"]["irm"].update(reviewed="lately"), "irm.reviewed"),
        (lambda c: c["product"]["waivers"][0].pop("expires"), "expires"),
    ],
)
def test_what_else_is_wrong_is_named_by_its_place(card: dict[str, Any], change: Any, said: str) -> None:
    change(card)
    assert any(said in problem for problem in card_problems(card)), card_problems(card)
