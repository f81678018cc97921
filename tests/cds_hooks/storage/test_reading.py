"""Reading decisions back."""

import asyncio

import pytest

from cds_hooks.storage import Decision, RecordUnavailable, new_decision_id, open_decision_log
from cds_hooks.storage.reading import feedback_on, get_decision, list_decisions
from tests.cds_hooks.storage.samples import a_decision


@pytest.fixture
def stored(url: str) -> list[Decision]:
    """Six decisions of two services, the oldest first."""
    services = ("planning", "order-safety")
    decisions = [a_decision(service=services[n % 2], outcome="cards" if n < 3 else "silent") for n in range(6)]

    async def scenario() -> None:
        log = open_decision_log(url)
        for decision in decisions:
            await log.append(decision)
        await log.close()

    asyncio.run(scenario())
    return decisions


def test_the_newest_come_first(url: str, stored: list[Decision]) -> None:
    assert list_decisions(url) == stored[::-1]
    assert list_decisions(url, limit=2) == [stored[5], stored[4]]


def test_a_service_and_an_outcome_can_be_chosen(url: str, stored: list[Decision]) -> None:
    assert list_decisions(url, service="planning") == [stored[4], stored[2], stored[0]]
    assert list_decisions(url, service="planning", outcome="cards") == [stored[2], stored[0]]
    assert list_decisions(url, outcome="error") == []


def test_an_id_finds_its_decision_and_no_other(url: str, stored: list[Decision]) -> None:
    assert get_decision(url, stored[3].id) == stored[3]
    assert get_decision(url, new_decision_id()) is None
    assert feedback_on(url, stored[3].id) == []


def test_a_record_that_is_not_there_is_said_and_not_made(sqlite_url: str) -> None:
    with pytest.raises(RecordUnavailable, match="there is no record at"):
        list_decisions(sqlite_url)
    with pytest.raises(RecordUnavailable, match="there is no record at"):
        get_decision(sqlite_url, new_decision_id())


def test_a_database_without_the_tables_is_said(postgres_url: str) -> None:
    with pytest.raises(RecordUnavailable, match="cannot be read"):
        list_decisions(postgres_url)
