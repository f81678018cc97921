"""Reading decisions back."""

import json

import pytest

from cards.extension import EXTENSION_KEY
from cds_hooks.storage import Decision, RecordUnavailable, new_decision_id
from cds_hooks.storage.database import parse_url
from cds_hooks.storage.queries import (
    DecisionFilter,
    decisions_at,
    feedback_on,
    find_decisions,
    find_ids,
    get_decision,
    list_decisions,
    newer_than,
    store_feedback,
)
from tests.cds_hooks.storage.samples import a_decision, some_feedback, store


@pytest.fixture
def stored(url: str) -> list[Decision]:
    """Six decisions of two services, the oldest first."""
    services = ("planning", "order-safety")
    decisions = [a_decision(service=services[n % 2], outcome="cards" if n < 3 else "silent") for n in range(6)]

    store(url, *decisions)
    return decisions


def test_the_newest_come_first_of_a_service_and_an_outcome(url: str, stored: list[Decision]) -> None:
    assert list_decisions(url) == stored[::-1]
    assert list_decisions(url, limit=2) == [stored[5], stored[4]]
    assert list_decisions(url, service="planning") == [stored[4], stored[2], stored[0]]
    assert list_decisions(url, service="planning", outcome="cards") == [stored[2], stored[0]]
    assert list_decisions(url, outcome="error") == []


@pytest.mark.parametrize("at_once", [1, 2, 100])
def test_ids_are_found_in_the_order_of_the_decisions(url: str, stored: list[Decision], at_once: int) -> None:
    every = DecisionFilter()
    assert list(find_ids(url, every, at_once)) == [each.id for each in find_decisions(url, every)]
    planning = DecisionFilter(service="planning", since=stored[2].decided_at)
    assert list(find_ids(url, planning, at_once)) == [stored[4].id, stored[2].id]


def test_decisions_are_found_by_their_numbers_and_what_is_in_them(url: str, stored: list[Decision]) -> None:
    every, critical = DecisionFilter(), DecisionFilter(severity="critical")
    assert [numbered.decision for numbered in newer_than(url, every, 2, 3)] == stored[4:1:-1]
    assert newer_than(url, critical, 2, 3) == []
    assert {number: numbered.decision for number, numbered in decisions_at(url, every, [1, 9]).items()} == {
        1: stored[0]
    }
    assert decisions_at(url, critical, [1]) == {}


def test_of_a_card_that_was_answered_a_later_answer_is_new_unless_only_the_first_one_counts(
    url: str, stored: list[Decision]
) -> None:
    first, later = (some_feedback(stored[0].id, outcome=outcome) for outcome in ("overridden", "accepted"))
    assert store_feedback(parse_url(url), [first], only_first=True) == [first]
    assert store_feedback(parse_url(url), [later], only_first=True) == []
    assert store_feedback(parse_url(url), [later]) == [later]


def test_an_id_finds_its_decision_and_no_other(url: str, stored: list[Decision]) -> None:
    assert get_decision(url, stored[3].id) == stored[3]
    assert get_decision(url, new_decision_id()) is None
    assert feedback_on(url, stored[3].id) == []


def test_a_record_that_is_not_there_is_said_and_not_made(sqlite_url: str) -> None:
    with pytest.raises(RecordUnavailable, match="there is no record at"):
        list_decisions(sqlite_url)
    with pytest.raises(RecordUnavailable, match="there is no record at"):
        get_decision(sqlite_url, new_decision_id())


@pytest.mark.slow
def test_a_database_without_the_tables_is_said(bare_postgres_url: str) -> None:
    with pytest.raises(RecordUnavailable, match="cannot be read"):
        list_decisions(bare_postgres_url)


def test_decisions_are_found_by_time_client_patient_and_rule(url: str) -> None:
    findings = [{"rule": "renal-metformin", "band": "below_30", "indicator": "critical"}]
    card = {"summary": "s", "extension": {EXTENSION_KEY: {"findings": findings}}}
    spoke = a_decision(decided_at=3_000, client="b", response=json.dumps({"cards": [card]}).encode())
    silent = a_decision(decided_at=2_000, patient="p", basis=b'{"silence":[["renal-nsaid","shadow","It is not."]]}')
    other, twin = a_decision(decided_at=1_000), a_decision(decided_at=1_000)
    store(url, other, twin, silent, spoke)
    assert list(find_ids(url, DecisionFilter(until=2_000), 1)) == [twin.id, other.id]
    for wanted, expected in (
        (DecisionFilter(), [spoke, silent, twin, other]),
        (DecisionFilter(since=2_000), [spoke, silent]),
        (DecisionFilter(until=2_000), [twin, other]),
        (DecisionFilter(client="b"), [spoke]),
        (DecisionFilter(patient="p"), [silent]),
        (DecisionFilter(rule="renal-metformin"), [spoke]),
        (DecisionFilter(rule="renal-nsaid"), [silent]),
        (DecisionFilter(rule="renal-nsaid", client="b"), []),
    ):
        assert list(find_decisions(url, wanted, at_once=1)) == expected
