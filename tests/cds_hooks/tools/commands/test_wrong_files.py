"""Every command, each of its options that name a file: whatever lies there ends in a sentence, never in a traceback."""

import inspect
import shlex
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, get_type_hints

import pytest

from tests.cds_hooks.tools.commands.test_misuse import COMMANDS, example_of
from tests.live import record_in
from tests.program import run_program

WRONG = {
    "missing": "nowhere/x.json", "folder": "folder", "empty": "empty.json", "junk": "junk.json",
    "other JSON": "three.json", "nested": "nested.json", "digits": "digits.json", "unreadable": "/proc/self/mem",
}  # fmt: skip
ADDRESSES = {"missing": "sqlite:///nowhere/x.sqlite3", "junk": "sqlite:///junk.json", "none": "nonsense"}
# They make or replace what is named, or list what is in it, so that what lies there is no mistake.
MADE = {
    "record seal --new-key": {"missing"}, "record hold --database": {"missing"},
    "model gates --data": {"folder"}, "model gates --specs": {"folder"},
}  # fmt: skip

READ_WITH = {
    "settings --database": "settings --prefetch-rates",
}
"""What is typed where the example of the command does not read what the option names."""


def _files_of(command: Any) -> Iterator[Any]:
    hints = get_type_hints(inspect.unwrap(command.callback))
    yield from (each for each in command.params if "Path" in str(hints.get(each.name)) or each.name == "database")


def _typed(words: tuple[str, ...], command: Any, option: Any, value: str) -> list[str]:
    """The example with this value for the option or argument."""
    typed = shlex.split(example_of(command).partition(" > ")[0])[1:]
    if option.param_type_name == "option":
        name = option.opts[0]
        at = typed.index(name) if name in typed else len(typed)
        return [*typed[:at], name, value, *typed[at + 2 :]]
    arguments = [each for each in command.params if each.param_type_name == "argument"]
    takes = {name for each in command.params for name in each.opts if name.startswith("--") and not each.is_flag}
    places = [at for at in range(len(words), len(typed)) if _is_argument(typed, at, takes)]
    at = arguments.index(option)
    return [*typed[: places[at]], value, *typed[places[at] + 1 :]] if at < len(places) else [*typed, value]


def _is_argument(typed: list[str], at: int, takes: set[str]) -> bool:
    return not typed[at].startswith("--") and typed[at - 1] not in takes


def _lay_out(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "folder").mkdir(parents=True)
    (folder / "empty.json").write_bytes(b"")
    (folder / "junk.json").write_bytes(bytes(range(256)) * 8)
    (folder / "three.json").write_text("3\n")
    (folder / "nested.json").write_text("[" * 100_000)
    (folder / "digits.json").write_text("9" * 5_000)  # more than Python's `int` reads


_OPTIONS = [
    (words, command, option) for words, command in COMMANDS if words[0] != "serve" for option in _files_of(command)
]
CASES = [
    pytest.param(*case, id=f"{' '.join(case[0])} {case[2].opts[0]}", marks=[pytest.mark.slow] if number % 3 else [])
    for number, case in enumerate(_OPTIONS)
]
"""Every third in the quick tier."""


@pytest.mark.parametrize(("words", "command", "option"), CASES)
def test_whatever_is_named_ends_in_a_sentence(
    words: tuple[str, ...], command: Any, option: Any, tmp_path: Path
) -> None:
    name = f"{' '.join(words)} {option.opts[0]}"
    here = {"CDS_DATA_DIR": "folder", "CDS_DATABASE_URL": "sqlite:///own.sqlite3"}
    for kind, value in (ADDRESSES if option.name == "database" else WRONG).items():
        _lay_out(tmp_path / "in")
        typed = READ_WITH.get(name)
        line = [*typed.split(), option.opts[0], value] if typed else _typed(words, command, option, value)
        done = run_program(*line, folder=tmp_path / "in", environment=here)
        said = done.stderr + done.stdout
        assert "Traceback" not in said, (kind, said)
        if kind not in MADE.get(name, ()):
            assert done.returncode != 0, (kind, said)
            assert said.strip(), kind


@pytest.mark.parametrize(
    "line", ["record export", "record verify", "record backup b.xz", "record hold", "record hold --client a --why x"]
)
def test_a_record_of_a_newer_version_is_refused_in_a_sentence(line: str, tmp_path: Path) -> None:
    url = record_in(tmp_path)
    with closing(sqlite3.connect(tmp_path / "decisions.sqlite3")) as connection:
        connection.execute("DROP TABLE events")
        connection.execute("DROP TABLE decisions")
        connection.execute("UPDATE record_schema SET version = '0099'")
        connection.commit()
    done = run_program(*line.split(), folder=tmp_path, environment={"CDS_DATABASE_URL": url})
    assert "Traceback" not in done.stderr
    assert done.returncode == 1
    assert "this version reads" in done.stderr
