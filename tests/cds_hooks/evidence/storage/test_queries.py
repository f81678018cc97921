"""Reading decisions back."""

import pytest

from cds_hooks.evidence.storage.database import parse_url
from cds_hooks.evidence.storage.decision import Decision, RecordUnavailable, new_decision_id
from cds_hooks.evidence.storage.queries import get_decision, store_feedback
from tests.cds_hooks.evidence.storage.samples import a_decision, some_feedback, store
from tests.recorded import list_decisions


@pytest.fixture
def stored(url: str) -> list[Decision]:
    """Six decisions of two services, the oldest first."""
    services = ("planning", "order-safety")
    decisions = [a_decision(service=services[n % 2], outcome="cards" if n < 3 else "silent") for n in range(6)]

    store(url, *decisions)
    return decisions


def test_of_a_card_that_was_answered_a_later_answer_is_new_unless_only_the_first_one_counts(
    url: str, stored: list[Decision]
) -> None:
    first, later = (some_feedback(stored[0].id, outcome=outcome) for outcome in ("overridden", "accepted"))
    assert store_feedback(parse_url(url), [first], only_first=True) == [first]
    assert store_feedback(parse_url(url), [later], only_first=True) == []
    assert store_feedback(parse_url(url), [later]) == [later]


def test_a_record_that_is_not_there_is_said_and_not_made(sqlite_url: str) -> None:
    with pytest.raises(RecordUnavailable, match="there is no record at"):
        list_decisions(sqlite_url)
    with pytest.raises(RecordUnavailable, match="there is no record at"):
        get_decision(sqlite_url, new_decision_id())


@pytest.mark.slow
def test_a_database_without_the_tables_is_said(bare_postgres_url: str) -> None:
    with pytest.raises(RecordUnavailable, match="cannot be read"):
        list_decisions(bare_postgres_url)
