"""Orders as suggestions of a card: their uuids, their ids, and the link to the page that explains it."""

from cards.card import Action, CardIdentity, OrderSuggestion, Suggestion, order_suggestions

IDENTITY = CardIdentity("uuid", lambda number: f"s-{number}", "https://cds.example/explain/1")
TASK = OrderSuggestion("Order it", "Draft order.", {"resourceType": "Task", "status": "draft"})
NAMED = OrderSuggestion("Save it", "A list.", {"resourceType": "List", "id": "own"}, is_recommended=True)


def test_each_option_creates_its_order_under_the_uuid_of_its_place() -> None:
    first, second = order_suggestions((TASK, NAMED), IDENTITY)
    order = {"resourceType": "Task", "id": "s-1", "status": "draft"}
    action = Action(type="create", description="Draft order.", resource=order)
    assert first == Suggestion(label="Order it", uuid="s-1", is_recommended=False, actions=(action,))
    assert list(order) == list(first.actions[0].resource or {})
    own = Action(type="create", description="A list.", resource={"resourceType": "List", "id": "own"})
    assert second == Suggestion(label="Save it", uuid="s-2", is_recommended=True, actions=(own,))
    assert order_suggestions((), IDENTITY) == ()
