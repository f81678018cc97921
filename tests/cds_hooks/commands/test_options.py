"""The options of every command are those that were reviewed (`python -m tests.cds_hooks.commands.options --write`)."""

from tests.cds_hooks.commands.options import PINNED, text


def test_the_options_of_every_command_are_those_that_were_reviewed() -> None:
    assert text() == PINNED.read_text(encoding="utf-8")
