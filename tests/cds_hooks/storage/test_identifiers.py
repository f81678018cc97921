"""Ids of decisions, cards and suggestions."""

import uuid

import pytest

from cds_hooks.storage import card_uuid, decision_of, new_decision_id, suggestion_uuid
from cds_hooks.storage.decision import numbered_uuid, part_uuid


def test_ids_are_uuids_of_version_7_in_lower_case() -> None:
    made = new_decision_id()
    parsed = uuid.UUID(made)
    assert str(parsed) == made
    assert (parsed.version, parsed.variant) == (7, uuid.RFC_4122)


def test_ids_are_unique_and_sort_in_the_order_in_which_they_were_made() -> None:
    made = [new_decision_id() for _ in range(10_000)]
    assert len(set(made)) == len(made)
    assert made == sorted(made)


def test_cards_and_suggestions_lead_back_to_their_decision() -> None:
    decision = new_decision_id()
    cards = [card_uuid(decision, number) for number in range(1, 256)]
    suggestions = [suggestion_uuid(card, number) for card in cards for number in (1, 2, 255)]
    everything = [decision, *cards, *suggestions]
    assert len(set(everything)) == len(everything)
    assert {decision_of(each) for each in everything} == {decision}
    assert all(str(uuid.UUID(each)) == each for each in everything)


def test_a_card_is_found_however_its_client_writes_the_uuid() -> None:
    decision = new_decision_id()
    card = card_uuid(decision, 1)
    assert decision_of(card.upper()) == decision
    assert decision_of(f"urn:uuid:{card}") == decision
    assert decision_of(f" {card} ") == decision


@pytest.mark.parametrize(
    "foreign",
    [
        "",
        "card-1",
        "41a9e019-07a2-41f2-b3e3-3e630e17e8a1",
        "01a1f871x5380x77aaxabd2x68dae66d0000",
        "7" * 36,
    ],
)
def test_what_cannot_be_ours_has_no_decision(foreign: str) -> None:
    assert decision_of(foreign) is None


@pytest.mark.parametrize("number", [0, -1, 256])
def test_numbers_that_do_not_fit_are_refused(number: int) -> None:
    with pytest.raises(ValueError, match="1 to 255"):
        card_uuid(new_decision_id(), number)


def test_more_than_255_things_of_a_decision_have_uuids_of_their_own() -> None:
    decision = new_decision_id()
    made = [numbered_uuid(decision, number) for number in range(1, 2041)]
    assert made[:255] == [card_uuid(decision, number) for number in range(1, 256)]
    parts = [part_uuid(each, part) for each in made for part in range(16)]
    assert len({*made, *parts}) == len(made) + len(parts)
    assert {decision_of(each) for each in (*made, *parts)} == {decision}
    for number in (0, 2041):
        with pytest.raises(ValueError, match="2040"):
            numbered_uuid(decision, number)
    with pytest.raises(ValueError, match="16"):
        part_uuid(made[0], 16)
