"""The ratio and its spread."""

import pytest

from benchmarks.load import Tally
from benchmarks.ratios import Comparison, Side
from benchmarks.subject import Subject


def side(*per_second: int, cpu_us: float = 100.0) -> Side:
    tallies = [Tally(each, 2, seconds=1.0, with_cards=1) for each in per_second]
    return Side(tallies, [cpu_us] * len(tallies))


def compared(service: Side, bare: Side) -> Comparison:
    return Comparison(Subject({"id": "planning", "hook": "patient-view"}, "card", []), 68, service, bare)


def test_each_round_gives_one_ratio_of_its_own_pair() -> None:
    comparison = compared(side(300, 200, 100), side(100, 100, 100))
    assert comparison.ratios == [3.0, 2.0, 1.0]


def test_the_processor_ratio_is_how_many_calls_of_ours_fit_into_one_of_the_bare_handler() -> None:
    comparison = compared(side(1, cpu_us=200.0), side(1, cpu_us=300.0))
    assert comparison.cpu_ratio == pytest.approx(1.5)


def test_errors_of_all_rounds_are_added_up() -> None:
    both = Side([Tally(1, errors={"status 500": 2}), Tally(1, errors={"status 500": 1, "status 412": 4})])
    assert both.errors == {"status 500": 3, "status 412": 4}


def test_the_share_of_cards_is_counted_over_all_rounds() -> None:
    assert compared(side(10, 10), side(10, 10)).card_share == pytest.approx(0.5)


def test_a_round_without_an_answer_is_an_error_and_no_division_by_zero() -> None:
    comparison = compared(side(10), side(0))
    assert comparison.ratios == [0.0]
    assert list(comparison.bare.errors.values()) == [1]
