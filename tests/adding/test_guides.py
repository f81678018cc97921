"""The guides whose steps are marked as `guide.py` says do what they say, mistakes and their errors included."""

from pathlib import Path

import pytest

from tests.adding.guide import follow
from tests.conftest import ROOT

# Each runs checks and tests in a copy of the project.
pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    "name",
    [
        "command",
        "service",
        "dialect",
        "equation",
        "hold-back-check",
        "hospital-model",
        "model",
        "package",
        "page",
        "rule",
        "site-rules",
    ],
)
def test_the_guide_can_be_followed(name: str, tmp_path: Path) -> None:
    assert follow(ROOT / "docs" / "adding" / f"{name}.md", tmp_path)
