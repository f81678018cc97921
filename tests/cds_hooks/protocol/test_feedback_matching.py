"""Reports and the cards they are about."""

import json

from cds_hooks.protocol.feedback import OTHER_CLIENT, OTHER_SERVICE, UNKNOWN_CARD, UNKNOWN_SUGGESTION, match_feedback
from cds_hooks.storage import Decision, FeedbackItem, card_uuid
from tests.cds_hooks.storage.samples import a_decision, some_feedback


def _decision(**changes: str) -> Decision:
    made = a_decision(**changes)
    cards = [{"uuid": card_uuid(made.id, 1), "suggestions": [{"uuid": card_uuid(made.id, 2)}]}]
    return a_decision(**changes | {"id": made.id}, response=json.dumps({"cards": cards}).encode())


def _reasons(item: FeedbackItem, decision: Decision) -> list[str]:
    return match_feedback([item], {decision.id: decision}).unmatched


def test_the_client_that_got_the_card_may_report_on_it_and_no_other() -> None:
    decision = _decision()
    assert match_feedback([some_feedback(decision.id)], {decision.id: decision}).items == [some_feedback(decision.id)]
    assert _reasons(some_feedback(decision.id, client="another hospital"), decision) == [OTHER_CLIENT]
    assert _reasons(some_feedback(decision.id, service="orders"), decision) == [OTHER_SERVICE]
    assert _reasons(some_feedback(decision.id, card=card_uuid(decision.id, 9)), decision) == [UNKNOWN_CARD]
    assert _reasons(some_feedback(decision.id, card="no card of ours"), decision) == [UNKNOWN_CARD]
    assert match_feedback([some_feedback(decision.id)], {}).unmatched == [UNKNOWN_CARD]


def test_an_accepted_suggestion_counts_where_the_card_had_it() -> None:
    decision = _decision()
    ours, other = card_uuid(decision.id, 2), card_uuid(decision.id, 3)
    for outcome, accepted, kept, unknown in (
        ("accepted", (ours,), (ours,), 0),
        ("accepted", (ours, ours, other), (ours,), 1),
        ("accepted", (other,), None, 1),
        ("overridden", (), (), 0),
        ("overridden", (other,), (), 1),
    ):
        item = some_feedback(decision.id, outcome=outcome, accepted_suggestions=accepted)
        matched = match_feedback([item], {decision.id: decision})
        assert [found.accepted_suggestions for found in matched.items] == ([] if kept is None else [kept]), accepted
        assert matched.unmatched == [UNKNOWN_SUGGESTION] * unknown
