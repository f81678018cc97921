"""Rules of the catalogue that found nothing are named, where enough calls were counted to say so."""

from datetime import date
from pathlib import Path

import pytest

from cards.rules.engine.governance import all_rule_versions
from cds_hooks.monitor import judging
from cds_hooks.monitor.judging import FEWEST_CALLS, rule_ids, rules_without_findings
from models_onnx.monitoring.day import DayCounts
from models_onnx.monitoring.judging import Compared
from tests.cds_hooks.record.followed import Book

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


def test_the_book_remembers_the_catalogue_until_the_rules_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    book = Book(tmp_path / "m.sqlite3")
    assert rule_ids(book) == frozenset(all_rule_versions())
    with book.open() as connection:
        connection.execute("DELETE FROM catalogue WHERE rule <> 'renal-nsaid'")
    assert rule_ids(book) == {"renal-nsaid"}, "read from the book"
    monkeypatch.setattr(judging, "_stamp", lambda: "another version")
    assert rule_ids(book) == frozenset(all_rule_versions())
