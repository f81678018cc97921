"""What is proven once is not proven again, and nothing but digests and places is kept."""

import json
from datetime import datetime

from cards.compose import check_orders
from cards.proofs import Fault, Proofs
from tests.cards.rules.cases import uuids
from tests.cards.rules.patients import draft_of, drafts_of, record_of


def test_the_same_order_under_another_id_is_proven_once() -> None:
    proofs, asked = Proofs(), []

    def prove(resource: dict[str, object]) -> set[Fault]:
        asked.append(resource)
        return {("status", "missing")}

    for identity in ("a", "b"):
        assert proofs.faults({"id": identity, "intent": "order"}, prove) == {("status", "missing")}
    proofs.faults({"id": "a", "intent": "plan"}, prove)
    assert len(asked) == 2
    assert proofs.used == 1


def test_a_correction_offered_at_selection_is_taken_over_at_signing(as_of: datetime) -> None:
    proofs = Proofs()
    patient = {"labs": [["creatinine", 4.0, 3]], "conditions": ["dm2"]}
    draft = draft_of({"drug": "861007", "dose": "1 tablet", "times": 2})

    def suggestions() -> str:
        outcome = check_orders(record_of(patient, as_of), drafts_of(draft), None, uuids(), proofs=proofs)
        assert outcome.cards
        return json.dumps([one.label for card in outcome.cards for one in card.suggestions])

    first = suggestions()
    assert proofs.used == 0
    assert suggestions() == first
    assert proofs.used > 0
    assert "case" not in repr(proofs._faults)
