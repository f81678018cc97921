"""The guides whose steps are marked as `guide.py` says do what they say, mistakes and their errors included."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.adding.guide import apply, copy_repository, follow
from tests.conftest import ROOT
from tests.each import each_row
from tests.live import AS_INSTALLED

# What these guides make lies outside the repository.
_OUTSIDE_THE_REPOSITORY = ("model", "package", "site-rules")


@pytest.mark.slow  # each runs checks and tests in a copy of the project
@each_row("name")
def test_the_guide_can_be_followed(name: str, tmp_path: Path) -> None:
    assert follow(ROOT / "docs" / "adding" / f"{name}.md", tmp_path)


@pytest.mark.parametrize("page", sorted((ROOT / "docs" / "adding").glob("*.md")), ids=lambda page: page.stem)
def test_every_guide_says_how_its_environment_is_made(page: Path) -> None:
    assert page.stem in _OUTSIDE_THE_REPOSITORY or "make dev-environment" in page.read_text(encoding="utf-8")


# The folders and files that the guides touch.
_TOUCHED = (
    "tests/models_onnx/equations",
    "tests/cards/rules/engine/test_lint.py",
    "tests/cds_hooks/call/hold_back/test_roles.py",
    "tests/cds_hooks/call/hold_back/test_training_room.py",
    "tests/cds_hooks/people/pages/test_every_page.py",
)


@pytest.mark.slow
def test_all_guides_together_end_green(tmp_path: Path) -> None:
    copy = copy_repository(tmp_path)
    guides = [page for page in (ROOT / "docs" / "adding").glob("*.md") if page.stem not in _OUTSIDE_THE_REPOSITORY]
    for page in sorted(guides):
        if page.stem != "feature":  # tests/adding/test_feature_guide.py follows it
            apply(page, copy)
    shutil.rmtree(copy / "cards/rules/families/example")  # the family without a rule, a mistake that the guide shows
    environment = os.environ | {"PYTHONPATH": f"{AS_INSTALLED}:{copy}"}
    pytest_command = ("pytest", "-q", "-p", "no:cacheprovider", "-m", "not slow", *_TOUCHED)
    for words in (("tests.cards.rules.confirm", "--write"), pytest_command):
        done = subprocess.run(
            [sys.executable, "-m", *words], cwd=copy, env=environment, capture_output=True, text=True, timeout=1_200
        )
        assert done.returncode == 0, done.stdout[-4_000:] + done.stderr[-4_000:]
