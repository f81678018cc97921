"""Docstrings of functions are in one mood, the imperative (PEP 257): "Return the card", not "The card" or "Returns"."""

import json
import subprocess
import sys

from tests.conftest import ROOT

MOST = 150
"""So many are in another mood, most of them because the line would be too long; the number only falls."""


def test_first_lines_are_in_the_imperative() -> None:
    ruff = [sys.executable, "-m", "ruff", "check", "--select", "D401", "--output-format", "json", "--exit-zero", "."]
    found = json.loads(subprocess.run(ruff, cwd=ROOT, check=True, capture_output=True, text=True).stdout)
    assert 0 < len(found) <= MOST, [f"{fault['filename']}:{fault['location']['row']}" for fault in found][-20:]
