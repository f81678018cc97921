"""The commands of docs/operations/approvals.md, typed as the page says, and a server behind a trust file."""

import json
import re
import shlex
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from cards.rules.engine.governance import all_rule_versions
from tests.conftest import ROOT
from tests.live import record_in
from tests.program import run_program

PAGE = (ROOT / "docs/operations/approvals.md").read_text()
RULE = "renal-metformin"


class Shell:
    """Runs the lines of the page in a folder: `export`, and `cds-hooks … > FILE`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {"CDS_DATABASE_URL": record_in(folder), "CDS_TRUST_FILE": str(folder / "trust.toml")}

    def run(self, line: str) -> CompletedProcess[str]:
        line, _, target = line.partition(" > ")
        words = shlex.split(line)
        if words[0] == "export":
            name, _, value = words[1].partition("=")
            self.environment[name] = str(self.folder / value)
            return CompletedProcess(words, 0, "", "")
        assert words[0] == "cds-hooks"
        done = run_program(*words[1:], folder=self.folder, environment=self.environment)
        if target:
            (self.folder / target).write_text(done.stdout.replace(" |", " | label of 2025 read"))
        return done


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path)


@pytest.mark.slow
def test_the_commands_of_the_page_do_what_it_says(shell: Shell) -> None:
    lines = re.findall(r"^ {4}((?:cds-hooks|export) .*)", PAGE, re.MULTILINE)
    assert len(lines) >= 14
    for line in lines:
        # the page has the version of the day it was written
        done = shell.run(re.sub(r"--version [0-9a-f]{16}", f"--version {all_rule_versions()[RULE].digest}", line))
        assert done.returncode == 0, (line, done.stderr)
    assert done.stdout.count(": approved.") == len(all_rule_versions()) + 2
    assert (shell.folder / "ann.pem").stat().st_mode & 0o777 == 0o600
    assert (shell.folder / "people.toml").stat().st_mode & 0o777 == 0o600
    assert "to-review" not in shell.run("cds-hooks rules show --to-review").stdout
    assert "not approved at this site" not in shell.run("cds-hooks trust check").stdout


def test_what_is_wrong_is_said_in_a_sentence_and_signs_nothing(shell: Shell) -> None:
    for line in re.findall(r"^ {4}(cds-hooks approve key .*)", PAGE, re.MULTILINE):
        shell.run(line)
    shell.environment["CDS_PEOPLE_FILE"] = str(shell.folder / "people.toml")
    version = all_rule_versions()[RULE].digest
    (shell.folder / "wrong.txt").write_text(f"{RULE} {version}\n{RULE} 0000000000000000\n")
    (shell.folder / "broken.pem").write_bytes(b"\xff\x00")
    for line, said in (
        (f"cds-hooks approve rule {RULE} --version 0000000000000000 --key ann.pem", "read it again, then approve it"),
        (f"cds-hooks approve rule no-rule --version {version} --key ann.pem", "there is no rule no-rule"),
        (f"cds-hooks approve rule {RULE} --version {version} --key broken.pem", "must be an Ed25519 key in PEM"),
        (f"cds-hooks approve rule {RULE} --version {version} --key ann.pem --people none.toml", "cannot be read"),
        ("cds-hooks approve rule --reviewed wrong.txt --key ann.pem", "read it again"),
        ("cds-hooks approve model no_model --key ann.pem", "no artifact is called"),
        ("cds-hooks approve model mortality_180d --key ann.pem", "cannot be approved: G12"),
        ("cds-hooks approve waiver readmission_30d --key ann.pem", "has no waiver of G9"),
        ('cds-hooks approve key --out ann.pem --name "Ann Lee" --role x', "is there already"),
        ("cds-hooks model state mortality_5y --to approved", "is signed by nobody"),
    ):
        done = shell.run(line)
        assert done.returncode in (1, 2), line
        assert said.lower() in done.stderr.lower(), (line, done.stderr)
        assert "Traceback" not in done.stderr
    listed = shell.run("cds-hooks approve list --json")
    assert json.loads(listed.stdout) == {"approvals": [], "refused": []}
