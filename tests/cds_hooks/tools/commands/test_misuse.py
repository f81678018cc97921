"""Wrong options and files end in a sentence and an exit code, and the examples of help texts can be typed."""

import inspect
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_type_hints

import pytest
import typer
from typer.testing import CliRunner

from cds_hooks import cli
from cds_hooks.samples import list_samples
from cds_hooks.tools.commands.options import as_sentence
from cds_hooks.tools.kit.main import app as kit_app
from tests.each import each_row, for_rows
from tests.live import record_in


def _leaves(group: Any, words: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every command with the words that are typed for it."""
    context = typer.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if hasattr(command, "list_commands"):
            yield from _leaves(command, (*words, name))
        else:
            yield (*words, name), command


COMMANDS = list(_leaves(typer.main.get_command(cli.app)))


def example_of(command: Any) -> str:
    """The example of the command's help text, which may go over several lines; empty where it has none."""
    found = re.search(r"Example: .*?(cds-hooks .*?)(?:\)|\n\s*\n|\Z)", command.help or "", re.DOTALL)
    return " ".join(found[1].split()) if found is not None else ""


@pytest.mark.parametrize(("words", "command"), COMMANDS, ids=lambda each: " ".join(each) if type(each) is tuple else "")
def test_the_help_of_a_command_has_an_example_of_it_with_options_that_it_has(
    words: tuple[str, ...], command: Any
) -> None:
    example = example_of(command)
    assert example, "no example"
    typed = example.split()
    assert tuple(typed[1 : 1 + len(words)]) == words
    options = {name for each in command.params for name in (*each.opts, *each.secondary_opts)}
    assert {word for word in typed if word.startswith("--")} <= options
    samples = {sample.id for sample in list_samples()}
    assert {word.removeprefix("sample:") for word in typed if word.startswith("sample:")} <= samples


@each_row(("name", "content", "said"))
def test_a_wrong_case_file_is_named_with_what_it_lacks(name: str, content: Any, said: str, tmp_path: Path) -> None:
    file = tmp_path / f"{name}.json"
    file.write_text(json.dumps(content))
    answer = CliRunner().invoke(cli.app, ["rules", "check", str(file)])
    assert answer.exit_code == 1
    assert said in " ".join(answer.output.split())


@for_rows("command", ["call sample:planning-talk --url", "check"])
@for_rows("address", ["localhost:8085", "ftp://localhost"])
def test_an_address_without_http_is_refused_with_an_example(command: str, address: str) -> None:
    answer = CliRunner().invoke(cli.app, [*command.split(), address])
    assert answer.exit_code == 2
    assert f"{address} is not an http or https address; write for example http://127.0.0.1:8085" in answer.output


NUMBERS = [
    pytest.param(words, option.opts[0], id=f"{' '.join(words)} {option.opts[0]}")
    for words, command in COMMANDS
    for option in command.params
    if re.search(r"\b(int|float)\b", str(get_type_hints(inspect.unwrap(command.callback)).get(option.name)))
    and "Path" not in str(get_type_hints(inspect.unwrap(command.callback))[option.name])
]


@for_rows("number", ["99999999999999999999", "1e308", "-1e308", "nan", "many"])
@for_rows(("words", "option"), NUMBERS)
def test_a_number_out_of_all_bounds_is_refused_before_anything_is_read(
    words: tuple[str, ...], option: str, number: str
) -> None:
    answer = CliRunner().invoke(cli.app, [*words, f"{option}={number}"])
    assert answer.exit_code == 2, answer.output
    assert "Input should" not in answer.output  # words of a library
    assert (
        "Invalid value for" in answer.output or "Missing argument" in answer.output or "Missing option" in answer.output
    )


@pytest.mark.parametrize("until", ["0001-01-01", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
def test_a_window_in_which_there_is_no_record_is_refused(until: str, tmp_path: Path) -> None:
    url = record_in(tmp_path)
    answer = CliRunner().invoke(cli.app, ["monitor", "--until", until, "--database", url])
    assert answer.exit_code == 2
    assert f"--until {until}: write a date as 2026-11-20" in answer.output


@pytest.mark.slow
def test_a_program_without_standard_output_ends_without_a_traceback(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "cds_hooks", "settings"]
    done = subprocess.run(
        ["/bin/sh", "-c", 'exec "$@" >&-', "sh", *command], stderr=subprocess.PIPE, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


@for_rows(
    ("problem", "sentence"),
    [
        (ValueError("the record cannot be read"), "The record cannot be read."),
        (ValueError("c.csv: line 3 has no date."), "c.csv: line 3 has no date."),
        (ValueError("seals/today: not a seal"), "seals/today: not a seal."),
        (ValueError(), "ValueError."),
        ("chain 7: a row was changed", "Chain 7: a row was changed."),
        (FileNotFoundError(2, "No such file or directory", "/c.csv"), "/c.csv is not there."),
        (OSError(28, "No space left on device"), "No space left on device."),
    ],
)
def test_a_problem_is_a_sentence_that_keeps_the_names_of_files(problem: Exception | str, sentence: str) -> None:
    assert as_sentence(problem) == sentence


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        ("fhir-server x --port 99999", "must be less than or equal to 65535;"),
        ("token --lifetime soon", "must be a valid integer; received 'soon'"),
    ],
)
def test_the_kit_says_what_a_number_must_be(words: str, fault: str) -> None:
    answer = CliRunner().invoke(kit_app, words.split())
    assert (answer.exit_code, fault in " ".join(answer.output.split())) == (2, True), answer.output
