"""Clients that carry out only the first action of a suggestion, as the public sandbox does: nothing is lost there."""

import pytest

from tests.cds_hooks.dialects.sent import every_card


@pytest.mark.parametrize("dialect", ["standard", "oracle", "sandbox"])
def test_no_suggestion_of_several_actions_begins_with_a_removal(dialect: str) -> None:
    several = [
        [action["type"] for action in suggestion["actions"]]
        for card in every_card(dialect)
        for suggestion in card["suggestions"]
        if len(suggestion["actions"]) > 1
    ]
    assert several
    assert not [types for types in several if types[0] == "delete"]
