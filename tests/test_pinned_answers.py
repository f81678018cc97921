"""Whole answers to the calls about the samples are those that were accepted: a change has its reason in its commit."""

import pytest

from tests.pinned_answers import EVERY, answered, asked_calls, differences, read_list

ACCEPT = "read the differences, then: .venv/bin/python -m tests.pinned_answers --write (its commit says why)"


def test_the_answers_to_every_fifth_call_are_those_of_the_list() -> None:
    chosen = asked_calls()[::EVERY]
    names = {call.name for call in chosen}
    accepted = {name: line for name, line in read_list().items() if name in names}
    assert len(accepted) >= 300
    assert not list(differences(accepted, answered(chosen))), ACCEPT


@pytest.mark.slow
def test_all_answers_are_those_of_the_list() -> None:
    assert len(read_list()) >= 1500
    assert not list(differences(read_list(), answered(asked_calls()))), ACCEPT


def test_an_answer_that_differs_is_shown_with_what_was_accepted() -> None:
    before, after = {"a": "200 x", "b": "200 y"}, {"a": "200 x", "b": "200 z"}
    assert list(differences(before, after)) == ["-b\t200 y", "+b\t200 z"]
