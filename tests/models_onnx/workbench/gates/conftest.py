"""Fixtures of the gates: the good model, once for all tests that only look at it."""

from pathlib import Path

import pytest

from models_onnx.workbench.gates.subject import Subject
from tests.models_onnx.workshop import subject


@pytest.fixture(scope="session")
def good(tmp_path_factory: pytest.TempPathFactory) -> Subject:
    """The committed model, signed by the tests; do not change its folder."""
    folder: Path = tmp_path_factory.mktemp("good")
    return subject(folder)
