"""Follows a guide of docs/adding as a reader would, in a temporary copy of the repository.

What a guide consists of:

- A fenced block with a path after its language (`python cds_hooks/call/services/x.py`): the file is written.
- A `console` block: each line with `$ ` is run, and the lines after it are in its output, in this order. In these
  lines `…` stands for anything. The exit code is 0 unless the last line says `(exit code N)`.
- A `diff` block with a path after it: in this file the lines with `-` become those with `+`, and stay so.
- Any other `diff` block: in the file that was written last, the line with `-` becomes the line with `+`. The console
  block that follows shows what the mistake leads to; then the file is as before.
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from importlib.util import cache_from_source
from pathlib import Path

from tests.conftest import ROOT
from tests.live import AS_INSTALLED

_BLOCK = re.compile(r"^```(?P<language>\w+)(?: (?P<path>\S+))?\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)
_EXIT = re.compile(r"\(exit code (\d+)\)")
_INSTALLED = "installed-packages"
_COPIED = (
    *("cds_hooks", "cards", "models_onnx", "fhir", "maintenance", "benchmarks", "tests", "docs"),
    *("pyproject.toml", "README.md"),
)


@dataclass(frozen=True, slots=True)
class Step:
    """One block of a guide."""

    language: str
    path: str | None
    body: str


def steps_of(page: Path) -> list[Step]:
    """The blocks that are followed, in their order."""
    found = [Step(each["language"], each["path"], each["body"]) for each in _BLOCK.finditer(page.read_text())]
    return [step for step in found if step.path or step.language in ("console", "diff")]


def follow(page: Path, folder: Path) -> list[str]:
    """Does what the page says in a copy of the repository in `folder`; the commands that were run.

    Raises AssertionError with the command where its output is not what the page shows.
    """
    copy = copy_repository(folder)
    written: Path | None = None
    undo: str | None = None
    commands: list[str] = []
    for step in steps_of(page):
        if step.path and step.language == "diff":
            _write(copy / step.path, _changed((copy / step.path).read_text(), step.body))
        elif step.path:
            written = copy / step.path
            written.parent.mkdir(parents=True, exist_ok=True)
            _write(written, step.body)
        elif step.language == "diff":
            assert written is not None, "a mistake is made in a file that the guide has written"
            undo = written.read_text()
            _write(written, _changed(undo, step.body))
        else:
            commands += _run(step.body, copy)
            if written is not None and undo is not None:
                _write(written, undo)
                undo = None
    assert commands, "the guide runs no command"
    return commands


def apply(page: Path, copy: Path) -> None:
    """Writes what the page writes into a copy of the repository, and runs nothing."""
    for step in steps_of(page):
        if step.path is not None:
            path = copy / step.path
            path.parent.mkdir(parents=True, exist_ok=True)
            _write(path, _changed(path.read_text(), step.body) if step.language == "diff" else step.body)


def _write(path: Path, text: str) -> None:
    """Writes the file and forgets what Python compiled from it.

    Compiled files are compared by size and whole seconds: a change of one letter in the same second would not be seen.
    """
    path.write_text(text)
    Path(cache_from_source(str(path))).unlink(missing_ok=True)


def copy_repository(folder: Path) -> Path:
    """A copy whose files can be changed without changing the originals.

    What Python compiled comes with it: it holds for the copies too, which have the times of the originals. What another
    process is just compiling has a name of its own until it is done.
    """
    for name in _COPIED:
        source, target = ROOT / name, folder / name
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("var", "*.pyc.*"))
        else:
            shutil.copy(source, target)
    return folder


def _changed(text: str, diff: str) -> str:
    old, new = ([line[1:] for line in diff.splitlines() if line.startswith(sign)] for sign in "-+")
    before, after = "\n".join(old), "\n".join(new)
    assert text.count(before) == 1, f"the guide changes a line that is not in the file once: {before}"
    return text.replace(before, after)


def _run(body: str, copy: Path) -> list[str]:
    commands: list[str] = []
    for part in re.split(r"^\$ ", body, flags=re.MULTILINE)[1:]:
        command, *expected = part.splitlines()
        commands.append(command)
        _check(command, [line for line in expected if line.strip()], copy)
    return commands


def _check(command: str, expected: list[str], copy: Path) -> None:
    words = [sys.executable if word == ".venv/bin/python" else word for word in shlex.split(command)]
    words, into = (words[: words.index(">")], words[-1]) if ">" in words else (words, None)
    given = {}
    while "=" in words[0]:  # a setting before the command
        name, _, value = words.pop(0).partition("=")
        given[name] = value
    if words[0] in (".venv/bin/cds-hooks", "cds-hooks"):
        words = [sys.executable, "-m", "cds_hooks", *words[1:]]
    if words[0] == ".venv/bin/pip":  # nothing is put into the environment of the tests
        words = [sys.executable, "-m", "pip", *words[1:], "--target", str(copy / _INSTALLED), "--upgrade"]
    # 200 columns, so that no line of a table is broken
    environment = (
        os.environ
        | {
            "PYTHONPATH": f"{AS_INSTALLED}:{copy / _INSTALLED}:{copy}",
            "COLUMNS": "200",
            "NO_COLOR": "1",
            "TERM": "dumb",
        }
        | given
    )
    done = subprocess.run(words, cwd=copy, env=environment, capture_output=True, text=True, timeout=300)
    if into is not None:
        (copy / into).write_text(done.stdout)
    printed = done.stdout + done.stderr
    status = _EXIT.search(expected[-1]) if expected else None
    assert done.returncode == (int(status[1]) if status else 0), f"$ {command}\n{printed}"
    lines = expected[:-1] if status else expected
    at = 0
    for line in lines:
        for part in line.split("…"):
            found = _flat(printed).find(_flat(part), at)
            assert found >= 0, f"$ {command}\nhas not printed {part!r}:\n{printed}"
            at = found


def _flat(text: str) -> str:
    """Without the frames of tables and the widths of columns, which depend on what else is in them."""
    return re.sub(r"[\s│┃┏┓┗┛━─┡┩└┘┴┬├┤╇]+", " ", text).strip()
