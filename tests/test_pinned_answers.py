"""Whole answers to calls about samples and written charts are those that were accepted, by rule, level and drug."""

from tests.pinned_answers import FILE, current_answers, differences

_ACCEPT = "read the differences, then: .venv/bin/python -m tests.pinned_answers --write (the commit says why)"


def test_the_answers_to_the_calls_are_those_of_the_list() -> None:
    different = differences(FILE.read_text(encoding="utf-8"), current_answers())
    assert not different, "\n".join([*different, _ACCEPT])
