"""What a client of each version of CDS Hooks gets: members of cards, entries of discovery."""

from typing import Any

import pytest

from cards.card import Action, Card, Coding, Source, Suggestion
from cds_hooks.call.dialects import profile_for, shape_cards
from cds_hooks.call.services import find_services
from cds_hooks.tools.kit.contract.definitions import HOOK_VERSIONS
from tests.cds_hooks.call.dialects.sent import every_card

TEST = Action(type="create", description="Order creatinine", resource={"resourceType": "ServiceRequest"})
REMOVE = Action(type="delete", description="Remove it", resource_id="MedicationRequest/d1")
CARD = Card(
    uuid="u",
    summary="s",
    indicator="info",
    source=Source(label="KDIGO", topic=Coding(system="https://x.example", code="t")),
    override_reasons=(Coding(system="https://x.example", code="r", display="R"),),
    suggestions=(
        Suggestion(label="Both tests", uuid="s1", is_recommended=True, actions=(TEST, TEST)),
        Suggestion(label="Hold it", uuid="s2", actions=(REMOVE, TEST)),
    ),
    selection_behavior="any",
)


def _wire(version: str, **words: Any) -> Any:
    (card,) = shape_cards([CARD], profile_for("x", version=version, **words))
    return card


def test_a_client_of_1_1_gets_all_but_the_reference_of_a_delete() -> None:
    card = _wire("1.1")
    assert {"uuid", "overrideReasons"} <= set(card)
    assert card["selectionBehavior"] == "any"
    assert card["suggestions"][1]["actions"][0]["resource"] == "MedicationRequest/d1"


@pytest.mark.parametrize("version", ["3.0", "3.0-ballot"])
def test_actions_are_chosen_one_by_one_only_where_the_client_said_it_can(version: str) -> None:
    assert isinstance(_wire(version), Card)
    card = _wire(version, action_selection_behavior=True)
    assert [each.get("actionSelectionBehavior") for each in card["suggestions"]] == ["any", None]
    assert isinstance(_wire("2.0", action_selection_behavior=True, markdown="plain"), Card)


# Discovery


def _entries(version: str) -> list[dict[str, Any]]:
    client = profile_for("x", version=version)
    return [entry for service in find_services(file="separate").values() for entry in service.discovery(client)]


def test_in_3_0_version_and_hook_version_are_told_and_match_the_hooks_page() -> None:
    for entry in _entries("3.0"):
        assert entry["version"] == "3.0.0"
        assert entry["hookVersion"] in HOOK_VERSIONS[entry["hook"]]
    assert {entry["version"] for entry in _entries("3.0-ballot")} == {"STU3"}
    assert all("hookVersion" not in entry for entry in _entries("3.0-ballot"))


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
