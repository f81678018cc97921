"""Whole answers to the calls about the samples are those that were accepted: a change has its reason in its commit."""

import pytest

from tests.pinned_answers import EVERY, answered, asked_calls, differences, read_list
from tests.written_calls import written_calls

ACCEPT = "read the differences, then: .venv/bin/python -m tests.pinned_answers --write (its commit says why)"


def test_the_answers_to_every_tenth_call_are_those_of_the_list() -> None:
    chosen = asked_calls()[::EVERY]
    names = {call.name for call in chosen}
    accepted = {name: line for name, line in read_list().items() if name in names}
    assert len(accepted) >= 150
    assert not list(differences(accepted, answered(chosen))), ACCEPT


def test_the_answers_to_written_calls_are_those_of_the_list() -> None:
    chosen = written_calls()
    names = {call.name for call in chosen}
    accepted = {name: line for name, line in read_list().items() if name in names}
    assert len(names) == len(chosen) >= 600
    assert not list(differences(accepted, answered(chosen))), ACCEPT


@pytest.mark.slow
def test_the_answers_to_the_other_calls_are_those_of_the_list() -> None:
    quick = {call.name for call in asked_calls()[::EVERY]} | {call.name for call in written_calls()}
    others = {name: line for name, line in read_list().items() if name not in quick}
    assert len(others) >= 1200
    assert not list(differences(others, answered([call for call in asked_calls() if call.name not in quick]))), ACCEPT


def test_an_answer_that_differs_is_shown_with_what_was_accepted() -> None:
    before, after = {"a": "200 x", "b": "200 y"}, {"a": "200 x", "b": "200 z"}
    assert list(differences(before, after)) == ["-b\t200 y", "+b\t200 z"]
