"""Trials, and the course of a value on the page of a card."""

from datetime import timedelta
from pathlib import Path

from cds_hooks.evidence.storage.queries import feedback_on
from tests.cds_hooks.calls import ORDERS, client, request_for
from tests.cds_hooks.people.web.decisions import AS_OF
from tests.contracts.markup import faults
from tests.live import record_in
from tests.recorded import list_decisions


async def test_a_sample_that_any_client_sends_is_a_trial_and_each_answer_to_it_too(tmp_path: Path) -> None:
    for day in range(3):
        as_of = AS_OF + timedelta(days=day)
        async with client(tmp_path, as_of=as_of) as calls:
            for _ in range(2):
                request = request_for(ORDERS, "order-sign", "ckd4-metformin", as_of, "metformin-ckd4-coded")
                (card,) = (await calls.post(f"/cds-services/{ORDERS}", json=request)).json()["cards"]
                item = {"card": card["uuid"], "outcome": "overridden", "outcomeTimestamp": as_of.isoformat()}
                answered = await calls.post(f"/cds-services/{ORDERS}/feedback", json={"feedback": [item]})
                assert answered.status_code == 200
    decided = list_decisions(record_in(tmp_path))
    assert {decision.client for decision in decided} == {"trial:anonymous"}
    assert all(feedback_on(record_in(tmp_path), decision.id) for decision in decided)


async def test_the_page_of_a_card_shows_its_value_over_time_with_the_limit(tmp_path: Path) -> None:
    async with client(tmp_path, as_of=AS_OF) as calls:
        request = request_for(ORDERS, "order-select", "ckd4-metformin", AS_OF, "metformin-ckd4-coded")
        (card,) = (await calls.post(f"/cds-services/{ORDERS}", json=request)).json()["cards"]
        explained = (await calls.get(f"/explain/{card['uuid']}")).text
    assert faults(explained) == []
    assert "25 → 22 → 20 mL/min/1.73 m²" in explained
    assert "finding under 30" in explained
