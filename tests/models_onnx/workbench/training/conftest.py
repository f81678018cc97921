"""The commands of models, as the tests of training call them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from cds_hooks.tools.commands.model.main import app


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """The commands, with a signing key of the test."""
    monkeypatch.chdir(tmp_path)

    def invoke(*words: object) -> Any:
        return CliRunner().invoke(app, list(map(str, words)))

    return invoke
