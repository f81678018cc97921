"""Reading decisions back."""

import json

import pytest

from cards.extension import EXTENSION_KEY
from cds_hooks.storage import Decision, RecordUnavailable, new_decision_id
from cds_hooks.storage.queries import (
    DecisionFilter,
    feedback_on,
    find_decisions,
    find_ids,
    get_decision,
    list_decisions,
)
from tests.cds_hooks.storage.samples import a_decision, store


@pytest.fixture
def stored(url: str) -> list[Decision]:
    """Six decisions of two services, the oldest first."""
    services = ("planning", "order-safety")
    decisions = [a_decision(service=services[n % 2], outcome="cards" if n < 3 else "silent") for n in range(6)]

    store(url, *decisions)
    return decisions


def test_the_newest_come_first(url: str, stored: list[Decision]) -> None:
    assert list_decisions(url) == stored[::-1]
    assert list_decisions(url, limit=2) == [stored[5], stored[4]]


def test_a_service_and_an_outcome_can_be_chosen(url: str, stored: list[Decision]) -> None:
    assert list_decisions(url, service="planning") == [stored[4], stored[2], stored[0]]
    assert list_decisions(url, service="planning", outcome="cards") == [stored[2], stored[0]]
    assert list_decisions(url, outcome="error") == []


@pytest.mark.parametrize("at_once", [1, 2, 100])
def test_ids_are_found_in_the_order_of_the_decisions(url: str, stored: list[Decision], at_once: int) -> None:
    every = DecisionFilter()
    assert list(find_ids(url, every, at_once)) == [each.id for each in find_decisions(url, every)]
    planning = DecisionFilter(service="planning", since=stored[2].decided_at)
    assert list(find_ids(url, planning, at_once)) == [stored[4].id, stored[2].id]


def test_an_id_finds_its_decision_and_no_other(url: str, stored: list[Decision]) -> None:
    assert get_decision(url, stored[3].id) == stored[3]
    assert get_decision(url, new_decision_id()) is None
    assert feedback_on(url, stored[3].id) == []


def test_a_record_that_is_not_there_is_said_and_not_made(sqlite_url: str) -> None:
    with pytest.raises(RecordUnavailable, match="there is no record at"):
        list_decisions(sqlite_url)
    with pytest.raises(RecordUnavailable, match="there is no record at"):
        get_decision(sqlite_url, new_decision_id())


def test_a_database_without_the_tables_is_said(bare_postgres_url: str) -> None:
    with pytest.raises(RecordUnavailable, match="cannot be read"):
        list_decisions(bare_postgres_url)


def test_decisions_are_found_by_time_client_patient_and_rule(url: str) -> None:
    findings = [{"rule": "renal-metformin", "band": "below_30", "indicator": "critical"}]
    card = {"summary": "s", "extension": {EXTENSION_KEY: {"findings": findings}}}
    spoke = a_decision(decided_at=3_000, client="b", response=json.dumps({"cards": [card]}).encode())
    silent = a_decision(decided_at=2_000, patient="p", basis=b'{"silence":[["renal-nsaid","shadow","It is not."]]}')
    other = a_decision(decided_at=1_000)
    store(url, other, silent, spoke)
    for wanted, expected in (
        (DecisionFilter(), [spoke, silent, other]),
        (DecisionFilter(since=2_000), [spoke, silent]),
        (DecisionFilter(until=2_000), [other]),
        (DecisionFilter(client="b"), [spoke]),
        (DecisionFilter(patient="p"), [silent]),
        (DecisionFilter(rule="renal-metformin"), [spoke]),
        (DecisionFilter(rule="renal-nsaid"), [silent]),
        (DecisionFilter(rule="renal-nsaid", client="b"), []),
    ):
        assert list(find_decisions(url, wanted, at_once=1)) == expected
