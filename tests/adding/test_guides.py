"""The guides whose steps are marked as `guide.py` says do what they say, mistakes and their errors included."""

import re
from pathlib import Path

import pytest

from tests.adding.guide import follow
from tests.conftest import ROOT
from tests.renew import SEALS

# What these guides make lies outside the repository, so no seal of it changes.
_OUTSIDE_THE_REPOSITORY = ("hospital-model", "package", "site-rules")


@pytest.mark.slow  # each runs checks and tests in a copy of the project
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
        "table-row",
    ],
)
def test_the_guide_can_be_followed(name: str, tmp_path: Path) -> None:
    assert follow(ROOT / "docs" / "adding" / f"{name}.md", tmp_path)


@pytest.mark.parametrize("page", sorted((ROOT / "docs" / "adding").glob("*.md")), ids=lambda page: page.stem)
def test_every_guide_says_how_its_environment_is_made_and_what_renews_the_seals(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    if page.stem in _OUTSIDE_THE_REPOSITORY:
        return
    assert "make dev-environment" in text
    (kinds,) = re.findall(r"^\.venv/bin/python -m tests\.renew (.+)$", text, re.MULTILINE)
    assert set(kinds.split()) <= set(SEALS)
