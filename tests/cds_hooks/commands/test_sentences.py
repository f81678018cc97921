"""How commands say what went wrong."""

import pytest
import typer

from cds_hooks.build_sheet import NoSheet
from cds_hooks.commands.options import as_sentence, said_in_a_sentence


@pytest.mark.parametrize(
    ("problem", "sentence"),
    [
        (ValueError("the record cannot be read"), "The record cannot be read."),
        (ValueError("c.csv: line 3 has no date."), "c.csv: line 3 has no date."),
        (ValueError("seals/today: not a seal"), "seals/today: not a seal."),
        (ValueError(), "ValueError."),
        ("chain 7: a row was changed", "Chain 7: a row was changed."),
        (FileNotFoundError(2, "No such file or directory", "c.csv"), "c.csv: No such file or directory."),
        (OSError(28, "No space left on device"), "No space left on device."),
    ],
)
def test_a_problem_is_a_sentence_that_keeps_the_names_of_files(problem: Exception | str, sentence: str) -> None:
    assert as_sentence(problem) == sentence


def test_a_command_ends_with_the_sentence_and_the_code(capsys: pytest.CaptureFixture[str]) -> None:
    for error, code in ((ValueError("nothing was found"), 1), (NoSheet("nothing was found"), 2)):
        with pytest.raises(typer.Exit) as ended, said_in_a_sentence(type(error)):
            raise error
        assert (ended.value.exit_code, capsys.readouterr().err) == (code, "Nothing was found.\n")


def test_another_error_is_not_hidden() -> None:
    with pytest.raises(KeyError), said_in_a_sentence(ValueError):
        raise KeyError("x")
