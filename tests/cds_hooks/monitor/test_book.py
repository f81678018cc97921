"""A book of counts: days and windows of them, books of another version, and what it remembers of verifications."""

from datetime import date
from pathlib import Path

import msgspec
import pytest

from cds_hooks.monitor.book import CountBook, Verified, add_to_day, day_of, read_to
from cds_hooks.monitor.judging import FEWEST_CALLS, rules_without_findings
from cds_hooks.storage.decision import RecordUnavailable
from models_onnx.monitoring.day import DayCounts
from models_onnx.monitoring.judging import Compared
from tests.cds_hooks.decision_views.followed import Book


def test_the_newest_verification_is_the_last_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    book = Book(tmp_path / "book.sqlite3")
    assert book.last_verification() is None
    for at, read, fault in ((100.9, 5, ""), (200.0, 6, "row 3"), (200.0, 7, ""), (150.0, 8, "x")):
        monkeypatch.setattr("cds_hooks.monitor.book.time", lambda at=at: at)
        book.note_verification(read, fault)
    assert book.last_verification() == Verified(200, 7, "")


@pytest.mark.parametrize(
    ("microseconds", "day"),
    [(0, "1970-01-01"), (86_399_999_999, "1970-01-01"), (86_400_000_000, "1970-01-02"), (-1, "1969-12-31")],
)
def test_a_day_is_one_of_utc(microseconds: int, day: str) -> None:
    assert day_of(microseconds) == day


@pytest.fixture
def book(tmp_path: Path) -> CountBook:
    """Calls of two clients from 1 to 6 November: as many as the day, twice counted on the third."""
    made = Book(tmp_path / "book.sqlite3")
    with made.open() as connection:
        for day in (1, 2, 3, 3, 5, 6):
            add_to_day(connection, (f"2026-11-0{day}", "ehr", "planning"), DayCounts(calls=day))
        add_to_day(connection, ("2026-11-04", "app", "review"), DayCounts(calls=40))
        add_to_day(connection, ("2026-11-03", "app", "planning"), DayCounts(calls=30))
    return made


def on(day: int) -> date:
    """A day of November."""
    return date(2026, 11, day)


def test_the_counts_of_days_are_added_up_and_given_in_their_order(book: CountBook) -> None:
    decode = msgspec.json.Decoder(DayCounts).decode
    found = [(day, client, service, counts.calls) for day, client, service, counts in book.days(on(2), on(4), decode)]
    assert found == [
        (on(2), "ehr", "planning", 2), (on(3), "app", "planning", 30), (on(3), "ehr", "planning", 6),
        (on(4), "app", "review", 40),
    ]  # fmt: skip
    some = [(day, client, counts.calls) for day, client, _, counts in book.days_of([on(6), on(1), on(9)], decode)]
    assert some == [(on(1), "ehr", 1), (on(6), "ehr", 6)]
    assert list(book.days_of([], decode)) == []


def test_a_day_has_another_stamp_when_something_is_counted_into_it(book: CountBook) -> None:
    before = book.stamps(on(2), on(5))
    assert set(before) == {on(2), on(3), on(4), on(5)}
    with book.open() as connection:
        add_to_day(connection, ("2026-11-03", "ehr", "planning"), DayCounts(calls=1))
    after = book.stamps(on(1), on(9))
    assert {day for day in before if after[day] != before[day]} == {on(3)}
    assert set(after) == {on(day) for day in range(1, 7)}


def test_what_was_read_is_said_with_what_was_counted_and_only_once(book: CountBook) -> None:
    with book.advance({"outcomes": 0, "matured m": 0}, 7) as connection:
        add_to_day(connection, ("2026-11-09", "ehr", "planning"), DayCounts(calls=1))
    with pytest.raises(RecordUnavailable) as refused, book.advance({"outcomes": 7, "matured m": 6}, 9):
        pass
    assert str(refused.value) == "another process is counting into book.sqlite3; let it finish."
    with book.open(is_writing=False) as connection:
        assert [read_to(connection, kind) for kind in ("outcomes", "matured m", "other")] == [7, 7, 0]


# Rules of the catalogue that found nothing are named, where enough calls were counted to say so.
DAY = date(2026, 9, 1)
RULES = frozenset({"renal-nsaid", "ddi-statin", "mon-lithium"})


def service(calls: int, name: str = "order-safety", client: str = "north", **counts: dict[str, int]) -> Compared:
    return Compared(client, name, {DAY: DayCounts(calls=calls, **counts)}, {})  # type: ignore[arg-type] # counts by name


def test_a_rule_that_spoke_in_no_day_is_named_and_one_that_was_withheld_is_not() -> None:
    found = service(
        FEWEST_CALLS, rules={"renal-nsaid": 3}, silences={"ddi-statin said-once": 1, "mon-lithium no-rule": 9}
    )
    (figure,) = rules_without_findings([found], RULES)
    assert (figure.state, figure.n, figure.value) == ("watch", FEWEST_CALLS, 1 / 3)
    assert "1 of 3 rules found nothing in 3,000 calls" in figure.text
    assert figure.text.endswith("fewer than 1 of 1,000 (95 % certainty): mon-lithium.")


def test_too_few_calls_are_insufficient_and_calls_of_services_without_rules_do_not_count() -> None:
    few = service(FEWEST_CALLS - 1, rules={"renal-nsaid": 1})
    (figure,) = rules_without_findings([few, service(10_000, "planning-conversation")], RULES)
    assert (figure.state, figure.n) == ("insufficient", FEWEST_CALLS - 1)
    assert rules_without_findings([service(10_000, "planning-conversation")], RULES) == []


def test_each_client_has_a_figure_of_its_own_and_good_is_said_where_all_spoke() -> None:
    both = [
        service(FEWEST_CALLS, rules=dict.fromkeys(RULES, 1)),
        service(FEWEST_CALLS, client="south", rules={"renal-nsaid": 1}),
    ]
    assert [(each.client, each.state) for each in rules_without_findings(both, RULES)] == [
        ("north", "good"),
        ("south", "watch"),
    ]
