"""The command line imports only what was typed, and its lists of commands say what the commands say of themselves."""

import subprocess
import sys

import pytest
import typer

from cds_hooks import cli
from cds_hooks.commands.lazy import Lazy
from cds_hooks.commands.model import main as model
from cds_hooks.commands.reference_pages import leaves
from cds_hooks.commands.removed import REMOVED
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


def test_there_are_at_most_so_many_commands_and_none_of_the_removed_ones() -> None:
    names = {" ".join(words) for words, _ in leaves((), typer.main.get_command(cli.app))}
    assert len(names) <= 97
    assert not names & REMOVED.keys()


@pytest.mark.parametrize("typed", REMOVED)
def test_a_removed_command_is_answered_with_what_to_use(typed: str) -> None:
    done = run_program(*typed.split(), "--help")
    assert (done.returncode, done.stderr) == (2, f"cds-hooks {typed} is no command any more: use {REMOVED[typed]}.\n")


@pytest.mark.parametrize("use", [use for use in REMOVED.values() if use.startswith("cds-hooks ")])
def test_what_is_used_instead_is_a_command(use: str) -> None:
    names = {" ".join(words) for words, _ in leaves((), typer.main.get_command(cli.app))}
    assert any(" ".join(use.split()[1:]).startswith(name) for name in names | set(cli.COMMANDS))
