"""Each page for a reader is done as its reader would: its commands in order, and what it says of pages is there."""

import re
import shlex
from collections.abc import Iterator
from html import unescape
from pathlib import Path

import httpx
import pytest

from cds_hooks.call.trusted_models import served_model
from cds_hooks.errors import HookError
from cds_hooks.evidence.storage.database import parse_url
from cds_hooks.evidence.storage.opening import upgrade_schema
from tests.conftest import ROOT
from tests.live import serving_here
from tests.program import run_program

READERS = ROOT / "docs" / "readers"
_BLOCK = re.compile(r"```(sh|text)\n(.*?)```", re.DOTALL)
_PROGRAM = ".venv/bin/cds-hooks"
_TAG = re.compile(r"<[^<>]*>")
WORDS = [
    ("clinician.md", "/worklist", "Worklist"),
    ("pharmacist.md", "/ops", "What waits for a person?"),
    ("pharmacist.md", "/rules", "Accepted"),
    ("pharmacist.md", "/rules/renal-metformin", "What would a change do?"),
    ("pharmacist.md", "/rules/renal-metformin", "What can be done?"),
    ("pharmacist.md", "/models", "may show"),
    ("pilot.md", "/ops", "Who called?"),
    ("pilot.md", "/ops", "What is wrong now?"),
    ("pilot.md", "/decisions", "only where a finding was held back"),
    ("tester.md", "/try", "Build and send"),
]
"""What a page for a reader says is on another page: under which address, in which words."""


@pytest.fixture(scope="module")
def server_here(server_folder: Path) -> Iterator[str]:
    """The address of a server with the default services, of which the pages speak."""
    with serving_here(server_folder, services=None) as address:
        yield address


def _commands(page: str, kind: str) -> list[str]:
    text = (READERS / page).read_text(encoding="utf-8")
    lines = [line.strip() for found, block in _BLOCK.findall(text) if found == kind for line in block.splitlines()]
    return [line[line.index("cds-hooks ") + 10 :] for line in lines if line.startswith((_PROGRAM, "cds-hooks "))]


def _with_commands() -> list[str]:
    return [page.name for page in sorted(READERS.glob("*.md")) if _commands(page.name, "sh")]


@pytest.mark.slow
@pytest.mark.parametrize("page", _with_commands())
def test_the_commands_of_a_page_run_in_the_order_in_which_they_stand(
    page: str, server_here: str, server_folder: Path
) -> None:
    environment = {"CDS_PUBLIC_URL": server_here, "CDS_DATABASE_URL": f"sqlite:///{server_folder}/decisions.sqlite3"}
    for command in _commands(page, "sh"):
        # The whole kit judges our server in tests/cds_hooks/tools/kit/contract/test_own_server.py.
        less = ["--only", "CARD"] if command.startswith("check ") else []
        done = run_program(*shlex.split(command), *less, folder=ROOT, environment=environment)
        assert done.returncode == 0, f"{command}: {done.stderr}"
        assert done.stdout.strip(), command


@pytest.mark.parametrize(("page", "address", "words"), WORDS)
def test_what_a_page_says_of_another_is_there(server_here: str, page: str, address: str, words: str) -> None:
    shown = httpx.get(f"{server_here}{address}", follow_redirects=True, timeout=180)
    assert shown.status_code == 200
    assert words.lower() in unescape(_TAG.sub(" ", shown.text)).lower()
    text = " ".join((READERS / page).read_text(encoding="utf-8").split()).lower()
    assert address.rpartition("/renal")[0] or address in text
    assert words.lower().strip("?") in text


@pytest.mark.parametrize("page", sorted(page.name for page in READERS.glob("*.md")))
def test_every_address_that_a_page_names_is_served(server_here: str, page: str) -> None:
    text = (READERS / page).read_text(encoding="utf-8")
    addresses = set(re.findall(r"`(/[a-z/-]*)`", text))
    refused = {
        address: status
        for address in addresses
        if (status := httpx.get(f"{server_here}{address}", follow_redirects=True, timeout=180).status_code) != 200
    }
    assert not refused


def test_the_committee_prints_the_list_that_it_approves() -> None:
    command = _commands("pharmacist.md", "text")[1].partition(" >")[0]
    assert "renal-metformin" in run_program(*shlex.split(command)).stdout


@pytest.mark.slow
def test_a_table_of_people_is_scored_as_the_page_says(tmp_path: Path) -> None:
    score, *training = _commands("data-scientist.md", "text")
    names = ["participant_id", "pregnancy", *served_model("mortality_5y").features]
    rows = f"{','.join(names)}\nA1{',' * (len(names) - 1)}\n"
    (tmp_path / "rows.csv").write_text(rows, encoding="utf-8")
    done = run_program(*shlex.split(score), folder=tmp_path)
    assert done.returncode == 0, done.stderr
    header, row = (tmp_path / "scores.csv").read_text(encoding="utf-8").splitlines()
    assert "probability" in header
    assert row.startswith('"A1",')
    for command in training:
        group, name, *words = shlex.split(command)
        told = run_program(group, name, "--help").stdout
        assert all(option in told for option in words if option.startswith("--")), command


def test_a_pilot_is_silenced_by_a_command(tmp_path: Path) -> None:
    environment = {"CDS_TRUST_FILE": "trust.toml", "CDS_DATABASE_URL": f"sqlite:///{tmp_path}/decisions.sqlite3"}

    def run(command: str) -> str:
        done = run_program(*shlex.split(command), folder=tmp_path, environment=environment)
        assert done.returncode == 0, f"{command}: {done.stderr}"
        return done.stdout

    upgrade_schema(parse_url(environment["CDS_DATABASE_URL"]))  # as the server does when it starts
    run(
        'trust "Example hospital" --issuer https://ehr.example.org/fhir --jwks-url https://ehr.example.org/jwks'
        " --algorithm RS384"
    )
    (silence,) = _commands("pilot.md", "text")
    run(silence)
    assert "client Example hospital: shadow" in run("release")


def test_the_contributor_is_told_of_every_guide() -> None:
    page = (READERS / "contributor.md").read_text(encoding="utf-8")
    guides = {path.name for path in (ROOT / "docs" / "adding").glob("*.md")}
    assert {name for name in guides if f"](../adding/{name})" not in page} == set()


def _kinds_of(error: type[HookError]) -> set[type[HookError]]:
    return {error}.union(*(_kinds_of(kind) for kind in error.__subclasses__()))


def test_the_integrator_is_told_of_every_status_that_a_call_can_have() -> None:
    page = (READERS / "integrator.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| ([\d, ]+) \|", page, re.MULTILINE)
    told = {int(status) for row in rows for status in row.split(",")}
    assert {kind.status for kind in _kinds_of(HookError)} <= told
