"""The same facts in every dialect: numbers, dates, urgency, what can be done, what it rests on."""

import json
import re

import pytest

from tests.cds_hooks.call.dialects.sent import DIALECTS, NAMES, every_card, sent
from tests.contracts.contracts import (
    test_nothing_that_is_sent_is_null_or_empty,
    test_numbers_and_dates_are_the_same,
    test_summary_urgency_and_source_are_the_same,
    test_whatever_can_be_accepted_or_read_as_to_do_is_there,
)
from tests.contracts.parametrize import parametrize
from tests.contracts.sample_calls import SAMPLE_CALLS
from tests.each import for_rows

__all__ = [
    "test_nothing_that_is_sent_is_null_or_empty",
    "test_numbers_and_dates_are_the_same",
    "test_summary_urgency_and_source_are_the_same",
    "test_whatever_can_be_accepted_or_read_as_to_do_is_there",
]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """The tests of every dialect run on each of ours."""
    parametrize(metafunc, {"dialect": list(DIALECTS)})


@for_rows("dialect", DIALECTS)
@for_rows("name", NAMES)
def test_our_own_part_is_the_same(dialect: str, name: str) -> None:
    for card, published in zip(sent(dialect)[name], sent("standard")[name], strict=True):
        assert card["extension"]["org.cds-hooks-onnx"] == published["extension"]["org.cds-hooks-onnx"]


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
