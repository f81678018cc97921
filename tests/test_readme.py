"""The README's sample card and services are those of the server."""

import asyncio
import re
import tomllib
from datetime import datetime
from io import StringIO
from pathlib import Path
from typing import Any

from rich.console import Console

from cds_hooks.call.services import find_services
from cds_hooks.tools.kit.simulator.terminal import print_answer
from tests.cds_hooks.calls import PLANNING, client, request_for
from tests.conftest import ROOT

PROJECTS = ("pyproject.toml", "kit/pyproject.toml")
_README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_version_is_that_of_the_newest_release_of_the_changelog() -> None:
    versions = [tomllib.loads((ROOT / name).read_text())["project"]["version"] for name in PROJECTS]
    newest = re.findall(r"(?m)^## (\d+\.\d+\.\d+) \(\d{4}-\d\d-\d\d\)$", (ROOT / "CHANGELOG.md").read_text())
    assert versions == [newest[0]] * 2


def test_every_listed_service_stands_in_the_readme_with_its_hook() -> None:
    rows = [line for line in _README.splitlines() if line.startswith("| `")]
    for service in find_services().values():
        for entry in service.discovery():
            of_hook = [row for row in rows if f"`{entry['hook']}`" in row.split("|")[1]]
            assert any(f"`{entry['id']}`" in row for row in of_hook), entry["id"]


def test_the_card_in_the_readme_is_the_one_that_the_sample_patient_gets(tmp_path: Path, as_of: datetime) -> None:
    (shown,) = re.findall(r"```\n(╭.*?╯)\n```", _README, re.DOTALL)
    assert _without_decision(_printed(_answer(tmp_path, as_of), len(shown.splitlines()[0]))) == _without_decision(shown)


def _answer(folder: Path, as_of: datetime) -> dict[str, Any]:
    request = request_for(PLANNING, "patient-view", "planning-talk", as_of)

    async def call() -> dict[str, Any]:
        async with client(folder, as_of=as_of) as calls:
            answer: dict[str, Any] = (await calls.post(f"/cds-services/{PLANNING}", json=request)).json()
            return answer

    return asyncio.run(call())


def _printed(answer: dict[str, Any], width: int) -> str:
    """The first card as `cds-hooks call` prints it."""
    terminal = Console(width=width, file=StringIO())
    print_answer(terminal, PLANNING, {"cards": answer["cards"][:1]})
    assert isinstance(terminal.file, StringIO)
    return terminal.file.getvalue().rstrip("\n").rpartition("\n")[0]


def _without_decision(card: str) -> str:
    """Every call has a decision id of its own: in the address of its explanation it is left out."""
    return re.sub(r"/explain/\S+ +│", "/explain/ │", card)
