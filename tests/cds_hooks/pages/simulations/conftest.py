"""A stand-in for the process of a simulation, which takes two seconds to start."""

import sys
from pathlib import Path

import pytest


@pytest.fixture
def started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in which a stand-in for the process writes its arguments, environment and the line that it reads."""
    program = tmp_path / "program"
    program.write_text(
        f'#!/bin/sh\ncd {tmp_path}\necho "$@" > arguments\nenv > environment\nread -r line\necho "$line" > order\n'
    )
    program.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(program))
    return tmp_path
