"""A test over many cases tries all of them and names those that fail."""

import pytest

from tests.each import for_each


def test_every_case_is_tried_and_each_that_fails_is_named() -> None:
    tried: list[int] = []

    def is_even(number: int) -> None:
        tried.append(number)
        assert number % 2 == 0

    with pytest.raises(ExceptionGroup, match="2 of 4 cases failed") as failed:
        for_each([(f"number {number}", (number,)) for number in range(4)], is_even)
    assert tried == [0, 1, 2, 3]
    assert [each.__notes__ for each in failed.value.exceptions] == [["case: number 1"], ["case: number 3"]]


def test_no_case_is_a_failure() -> None:
    with pytest.raises(AssertionError, match="there is no case"):
        for_each([], print)
