"""What the documentation says is true: its commands run, its made pages are current, nothing is left out."""

import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest

from cds_hooks.commands.reference import features_page, settings_page
from cds_hooks.service import find_services
from cds_hooks.settings import Settings
from models_onnx.registry import model_ids
from tests.conftest import ROOT

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


@pytest.mark.parametrize("command", [each for each in _commands() if each.startswith(".venv/bin/cds-hooks ")])
def test_every_command_of_the_documentation_runs(command: str, server: str, server_folder: Path) -> None:
    words = shlex.split(command.removeprefix(".venv/bin/"))
    environment = os.environ | {
        "CDS_PUBLIC_URL": server,
        "CDS_DATABASE_URL": f"sqlite:///{server_folder}/decisions.sqlite3",
    }
    done = subprocess.run(
        [ROOT / ".venv/bin" / words[0], *words[1:]],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("command", [each for each in _commands() if each.startswith("make ")])
def test_every_make_target_of_the_documentation_exists(command: str) -> None:
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert command.split()[1] in targets


def test_no_command_of_the_documentation_is_of_a_kind_that_nobody_checks() -> None:
    checked = (".venv/bin/cds-hooks ", "make ", "docker ", "podman ", "buildah ")
    assert [command for command in _commands() if not command.startswith(checked)] == []


@pytest.mark.parametrize(("name", "page"), [("features.md", features_page()), ("settings.md", settings_page())])
def test_a_made_page_is_what_its_declarations_say(name: str, page: str) -> None:
    assert (ROOT / "docs" / name).read_text() == page


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    missing = [link for link in _LINK.findall(page.read_text()) if not (page.parent / link).exists()]
    assert missing == []


@pytest.mark.parametrize("name", [f"CDS_{name.upper()}" for name in Settings.model_fields])
def test_every_setting_is_documented(name: str) -> None:
    assert f"`{name}`" in _text()


@pytest.mark.parametrize("name", [*find_services(), *model_ids()])
def test_every_service_and_model_is_documented(name: str) -> None:
    assert f"`{name}`" in _text()
