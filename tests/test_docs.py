"""What the documentation says is true: its commands run, its made pages are current, nothing is left out."""

import re
import shlex
from pathlib import Path

import pytest
import typer

from cds_hooks.cli import app
from cds_hooks.services import find_services
from cds_hooks.settings import SETTINGS
from maintenance.reference import made_pages
from models_onnx.serving.registry import model_ids
from tests.conftest import ROOT
from tests.each import for_rows
from tests.program import run_program

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
_BLOCK = re.compile(r"```sh\n(.*?)```", re.DOTALL)
_LINK = re.compile(r"\]\((?!https?:|#)([^)#]+)")


def _commands() -> list[str]:
    lines = [
        line.strip() for page in PAGES for block in _BLOCK.findall(page.read_text()) for line in block.splitlines()
    ]
    return sorted({line for line in lines if line and not line.startswith("#")})


def _text() -> str:
    return "\n".join(page.read_text() for page in PAGES)


PROGRAM = ".venv/bin/cds-hooks"
_OTHER_PEOPLES_DATA = "../shared/data/"
ELSEWHERE = {
    f"{PROGRAM} check": "the whole kit: tests/cds_hooks/kit/contract/test_own_server.py",
    f"{PROGRAM} check --quick": "as a tester types it: tests/test_reader_pages.py",
    f"{PROGRAM} check --only SEC --rows": "part of the whole kit; --rows: tests/cds_hooks/kit/contract/test_command.py",
    f"{PROGRAM} check --only FHIR-03,PRE-13 --fhir-host 127.0.0.1": "part of the whole kit",
    f"{PROGRAM} check --dialect epic --only EPIC": "as another caller: test_own_server.py, too",
}


@pytest.mark.slow
@pytest.mark.parametrize(
    "command", [each for each in _commands() if each.startswith(f"{PROGRAM} ") and each not in ELSEWHERE]
)
def test_every_command_of_the_documentation_runs(
    command: str, server: str, server_folder: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    if _OTHER_PEOPLES_DATA in command:
        command = command.replace(_OTHER_PEOPLES_DATA, f"{request.getfixturevalue('data_folder')}/")
    # "> docs/page.md" writes a made page again; what is printed is compared with the page by another test.
    _, *words = shlex.split(command.partition(" > ")[0].replace(" var/", f" {tmp_path}/"))
    database = f"sqlite:///{server_folder}/decisions.sqlite3"
    done = run_program(*words, folder=ROOT, environment={"CDS_PUBLIC_URL": server, "CDS_DATABASE_URL": database})
    # with --against 1 says that a card is more, fewer or another: that of the README's metformin call, if made
    assert done.returncode == 0 or ("--against" in words and "decisions computed twice" in done.stdout), done.stderr


@for_rows("command", [each for each in _commands() if each.startswith("make ")])
def test_every_make_target_of_the_documentation_exists(command: str) -> None:
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert command.split()[1] in targets


def test_what_is_run_elsewhere_is_a_command_of_the_documentation() -> None:
    assert set(ELSEWHERE) <= set(_commands())


def test_no_command_of_the_documentation_is_of_a_kind_that_nobody_checks() -> None:
    checked = (
        f"{PROGRAM} ",
        "make ",
        "docker ",
        "podman ",
        "buildah ",
        ".venv/bin/python -m maintenance.",
        ".venv/bin/python -m tests.cards.rules.confirm ",
        ".venv/bin/python -m tests.pinned_answers ",
    )  # each kind that a guide names is one: tests/adding/test_guides.py
    # the notebook is run cell by cell, in a folder of its own: tests/adding/test_notebook.py
    notebook = (
        (ROOT / "docs" / "adding" / "hospital-model.md").read_text().partition("## 1. The service")[0].splitlines()
    )
    # tests/operations/test_renewal.py runs this page
    notebook += (ROOT / "docs" / "operations" / "renewal.md").read_text().splitlines()
    unchecked = [command for command in _commands() if not command.startswith(checked)]
    assert [command for command in unchecked if command not in notebook] == []


def test_every_made_page_is_what_the_code_says() -> None:
    made = made_pages(typer.main.get_command(app))
    stale = [name for name, page in made.items() if (ROOT / "docs" / name).read_text() != page]
    assert stale == [], "run: .venv/bin/python -m maintenance.reference"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    missing = [link for link in _LINK.findall(page.read_text()) if not (page.parent / link).exists()]
    assert missing == []


@for_rows("name", [f"CDS_{name.upper()}" for name in SETTINGS])
def test_every_setting_is_documented(name: str) -> None:
    assert f"`{name}`" in _text()


@for_rows("name", [*find_services(), *model_ids()])
def test_every_service_and_model_is_documented(name: str) -> None:
    assert f"`{name}`" in _text()
