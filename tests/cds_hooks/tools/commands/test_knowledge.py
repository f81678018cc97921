"""`cds-hooks knowledge`: a folder of artifacts is checked, expressions from standard input are evaluated."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.conftest import ROOT
from tests.live import record_in
from tests.program import run_program

SAMPLE = ROOT / "data" / "samples" / "knowledge"


def _whole(number: int) -> dict[str, Any]:
    return {"type": "Literal", "valueType": "{urn:hl7-org:elm-types:r1}Integer", "value": str(number)}


def test_the_sample_can_be_used_and_says_what_it_reads() -> None:
    done = run_program("knowledge", "check", str(SAMPLE))
    assert done.returncode == 0, done.stderr
    assert "sample-test-due 1.0.0 can be used" in done.stdout
    assert "Reads: Condition, Observation, Patient." in done.stdout


def test_a_line_is_an_evaluation_and_one_of_another_form_is_told() -> None:
    statements = [
        {"name": "Three", "context": "Patient", "expression": {"type": "Add", "operand": [_whole(1), _whole(2)]}}
    ]
    library = {"library": {"identifier": {"id": "Sums", "version": "1"}, "statements": {"def": statements}}}
    lines = (
        {"library": library},
        {"expressions": ["Three"], "resources": [], "now": "2026-11-20T09:00:00Z"},
        {"expressions": 7},
    )
    words = [sys.executable, "-c", "from cds_hooks.cli import main; main()", "knowledge", "evaluate"]
    sent = "\n".join(map(json.dumps, lines))
    done = subprocess.run(words, input=sent, capture_output=True, text=True, check=False, timeout=180, cwd=ROOT)
    values, refused = map(json.loads, done.stdout.splitlines())
    assert values == {"values": {"Three": 3}}
    assert "error" in refused
    assert done.returncode == 1
    assert "Traceback" not in done.stderr


def test_a_release_without_the_folder_says_which_setting_is_missing(tmp_path: Path) -> None:
    words = ("release", "shadow", "knowledge", "sample-test-due", "--why", "first evaluation")
    done = run_program(*words, environment={"CDS_DATABASE_URL": record_in(tmp_path)})
    assert done.returncode == 1
    assert "CDS_KNOWLEDGE must name the folder" in done.stderr
