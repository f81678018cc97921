"""The command line imports only what was typed, and its lists of commands say what the commands say of themselves."""

import re
import subprocess
import sys

import pytest
import typer

from cds_hooks import cli
from cds_hooks.commands.lazy import Lazy
from cds_hooks.commands.model import main as model
from maintenance.reference_pages import leaves
from tests.program import run_program

COMMANDS = [*cli.COMMANDS.items(), *model.COMMANDS.items()]


@pytest.mark.parametrize(("name", "lazy"), COMMANDS, ids=lambda each: each if isinstance(each, str) else "")
def test_the_line_in_the_list_is_the_first_sentence_of_the_commands_own_help(name: str, lazy: Lazy) -> None:
    told = " ".join(lazy.load(name).help.split())
    assert lazy.summary.endswith((".", "?"))
    assert told == lazy.summary or told.startswith(f"{lazy.summary} ")


@pytest.mark.parametrize("words", [["--help"], ["--version"], ["model", "--help"], ["no-such-command"]])
def test_help_imports_no_command(words: list[str]) -> None:
    """What is heavy (numpy, the models, the server) is imported by the command that needs it."""
    script = (
        "import sys; from cds_hooks.cli import main\n"
        f"sys.argv = ['cds-hooks', *{words!r}]\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print(sorted(name for name in sys.modules if name.split('.')[0] in "
        "('numpy', 'onnxruntime', 'httpx', 'fhir', 'cards', 'models_onnx', 'starlette', 'cryptography')), "
        "file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert done.stderr.splitlines()[-1] == "[]"


def test_there_are_at_most_so_many_commands() -> None:
    assert len(list(leaves((), typer.main.get_command(cli.app)))) <= 57


@pytest.mark.parametrize(("words", "commands"), [((), cli.COMMANDS), (("model",), model.COMMANDS)])
def test_the_help_of_a_group_lists_its_commands_in_order_with_a_sentence_each(
    words: tuple[str, ...], commands: dict[str, Lazy]
) -> None:
    done = run_program(*words, "--help", environment={"COLUMNS": "300"})
    _, _, listed = done.stdout.partition("Commands:\n")
    rows = re.findall(r"^  (\S+) +(\S.*)$", listed, re.MULTILINE)  # a sentence goes on in the next line
    assert done.returncode == 0
    assert [name for name, _ in rows] == list(commands)
    assert [sentence.split()[:3] for _, sentence in rows] == [lazy.summary.split()[:3] for lazy in commands.values()]


def test_a_command_that_never_was_is_refused() -> None:
    done = run_program("no-such-command")
    assert (done.returncode, done.stdout, "No such command 'no-such-command'" in done.stderr) == (2, "", True)


def test_a_command_is_imported_under_its_name_and_its_help_is_markdown() -> None:
    group, alone = (
        Lazy("release", "app").load("release"),
        Lazy("understand", "understand_resources").load("list-of-work"),
    )
    assert (group.name, alone.name, hasattr(group, "list_commands"), hasattr(alone, "list_commands")) == (
        "release", "list-of-work", True, False,
    )  # fmt: skip
    assert (group.rich_markup_mode, alone.rich_markup_mode) == ("markdown", "markdown")
    assert Lazy("model.main", "app").load("model").rich_markup_mode is None
