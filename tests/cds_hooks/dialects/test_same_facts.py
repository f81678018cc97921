"""The same facts in every dialect: numbers, dates, urgency, what can be done, what it rests on."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from cards.card import check_card
from cds_hooks.build_sheet import SAMPLE_CALLS
from tests.cds_hooks.dialects.sent import DIALECTS, NAMES, Card, every_card, sent
from tests.cds_hooks.services.test_planning import _typed

_NUMBER = re.compile(r"\d{4}-\d\d-\d\d|\d+(?:[.,]\d+)*")
_ADDRESS = re.compile(r"https?://\S+")


def words_of(card: Card) -> str:
    """Everything of a card that is read."""
    return _ADDRESS.sub("", "\n".join(_texts(card)))


def _texts(card: Card) -> Iterator[str]:
    yield card["summary"]
    yield card.get("detail", "")
    for suggestion in card.get("suggestions", ()):
        yield suggestion["label"]
        yield from (action["description"] for action in suggestion.get("actions", ()))


def _numbers(cards: list[Card]) -> list[list[str]]:
    return [sorted(set(_NUMBER.findall(words_of(card)))) for card in cards]


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("name", NAMES)
def test_numbers_and_dates_are_the_same(dialect: str, name: str) -> None:
    assert _numbers(sent(dialect)[name]) == _numbers(sent("standard")[name])


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("name", NAMES)
def test_summary_urgency_source_and_our_own_part_are_the_same(dialect: str, name: str) -> None:
    for card, published in zip(sent(dialect)[name], sent("standard")[name], strict=True):
        for member in ("summary", "indicator"):
            assert card[member] == published[member]
        assert card["source"]["label"] == published["source"]["label"]
        assert card["extension"]["org.cds-hooks-onnx"] == published["extension"]["org.cds-hooks-onnx"]


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("name", NAMES)
def test_whatever_can_be_accepted_or_read_as_to_do_is_there(dialect: str, name: str) -> None:
    for card, published in zip(sent(dialect)[name], sent("standard")[name], strict=True):
        said = words_of(card).replace("\\", "")
        for suggestion in published["suggestions"]:
            assert suggestion["label"] in said
            # Epic adds nothing to an update but splits it, so the words of the correction stand in the new order.
            assert all(action["description"] in said for action in suggestion["actions"])


@pytest.mark.parametrize("dialect", DIALECTS)
def test_nothing_that_is_sent_is_null_or_empty(dialect: str) -> None:
    """GEN-03 to GEN-05: a member without a value is left out."""
    assert [place for card in every_card(dialect) for place in _nothings(card, "card")] == []


def _nothings(value: Any, place: str) -> Iterator[str]:
    if value is None or value in ("", [], {}):
        yield place
    if isinstance(value, dict):
        for name, each in value.items():
            yield from _nothings(each, f"{place}.{name}")
    if isinstance(value, list):
        for each in value:
            yield from _nothings(each, f"{place}[]")


@pytest.mark.parametrize("dialect", ["standard", "epic", "sandbox"])
def test_every_card_keeps_to_cds_hooks_2_0_1(dialect: str) -> None:
    for card in every_card(dialect):
        check_card(_typed(card))
        uuids = [card["uuid"], *(each["uuid"] for each in card.get("suggestions", ()))]
        assert len(set(uuids)) == len(uuids)


def test_what_is_taken_out_of_a_detail_is_markup_only() -> None:
    for card, published in zip(every_card("oracle"), every_card("standard"), strict=True):
        plain = re.sub(r"\[([^\]]*)\]\(([^)]*)\)", r"\1: \2", published["detail"])
        assert card["detail"] == plain


def test_the_samples_hold_every_kind_of_action() -> None:
    kinds = {
        (action["type"], (action.get("resource") or {}).get("resourceType"))
        for card in every_card("standard")
        for suggestion in card["suggestions"]
        for action in suggestion["actions"]
    }
    assert kinds >= {
        ("create", "ServiceRequest"),
        ("create", "MedicationRequest"),
        ("update", "MedicationRequest"),
        ("delete", None),
    }
    assert {specimen.service for specimen in SAMPLE_CALLS} == {
        "planning-conversation",
        "order-safety",
        "order-safety-dispatch",
        "discharge-medications",
        "statin-discussion",
        "nephrology-referral",
        "anticoagulation-discussion",
        "liver-assessment",
        "discharge-follow-up",
    }
    assert json.dumps(every_card("standard"))
