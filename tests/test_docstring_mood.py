"""Docstrings of functions are in one mood, the imperative (PEP 257): "Return the card", not "The card" or "Returns"."""

import subprocess
import sys

from tests.conftest import ROOT


def test_no_docstring_begins_otherwise() -> None:
    ruff = [sys.executable, "-m", "ruff", "check", "--select", "D401", "--output-format", "concise", "."]
    found = subprocess.run(ruff, cwd=ROOT, check=False, capture_output=True, text=True)
    assert found.returncode == 0, found.stdout + found.stderr
