"""A test over many cases tries all of them and names those that fail."""

import inspect

import pytest

from tests.each import for_each, for_rows


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


def test_a_case_that_is_skipped_ends_no_other_and_is_told() -> None:
    tried: list[int] = []

    def needs_data(number: int) -> None:
        tried.append(number)
        if number == 0:
            pytest.skip("no data here")

    with pytest.raises(pytest.skip.Exception, match="no data here"):
        for_each([(str(number), (number,)) for number in range(3)], needs_data)
    assert tried == [0, 1, 2]


def test_rows_above_a_test_become_one_test_that_names_each_row_that_failed() -> None:
    @for_rows("number", [1, pytest.param(2, id="two")])
    @for_rows(("limit", "is_over"), [(1, False), (0, True)], ids=["at it", "below"])
    def over(number: int, limit: int, is_over: bool, folder: str) -> None:
        assert folder == "shared"
        assert (number > limit) is is_over

    assert list(inspect.signature(over).parameters) == ["folder"]
    with pytest.raises(ExceptionGroup, match="1 of 2 cases failed") as failed:
        over(folder="shared")
    (inner,) = failed.value.exceptions
    assert isinstance(inner, ExceptionGroup)
    assert [each.__notes__ for each in inner.exceptions] == [["case: at it"]]


def test_rows_of_a_name_that_the_test_has_not_are_refused() -> None:
    with pytest.raises(AssertionError):
        for_rows("other", [1])(print)
