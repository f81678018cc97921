"""The public sandbox: what it would lose stands first."""

from cards.card import Action, Card, Source, Suggestion
from cds_hooks.dialects.sandbox import shape
from tests.cds_hooks.dialects.sent import every_card

REMOVE = Action(type="delete", description="Remove it", resource_id="MedicationRequest/d1")
ORDER = Action(type="create", description="Order it", resource={"resourceType": "MedicationRequest"})


def test_a_new_order_stands_before_the_removal_of_the_old_one() -> None:
    suggestion = Suggestion(label="Replace", uuid="s", actions=(REMOVE, ORDER))
    card = Card(uuid="u", summary="s", indicator="info", source=Source(label="x"), suggestions=(suggestion,))
    assert shape(card, "full").suggestions[0].actions == (ORDER, REMOVE)


def test_every_first_action_is_one_that_the_sandbox_can_show() -> None:
    for card in every_card("sandbox"):
        for suggestion in card["suggestions"]:
            if len(suggestion["actions"]) > 1:
                assert suggestion["actions"][0]["type"] != "delete"
