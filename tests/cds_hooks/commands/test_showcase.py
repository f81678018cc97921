"""What `cds-hooks serve --show` and `cds-hooks samples` show, asked of fakes."""

import json
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from cds_hooks.commands import showcase
from cds_hooks.kit.commands.fhir_server import samples
from cds_hooks.kit.samples import SHOWCASE_DRAFT, list_samples


def test_a_real_server_shows_the_two_cards_and_names_the_others(
    server_here: str, capsys: pytest.CaptureFixture[str]
) -> None:
    showcase.show(server_here)
    said = capsys.readouterr().out
    assert said.index("Planning ahead") < said.index("Metformin is contraindicated") < said.index("No card from")
    (quiet,) = [line for line in said.splitlines() if line.startswith("No card from")]
    assert "vaccines-due" in quiet
    assert "outside-population" not in said


def _samples(*arguments: str) -> Any:
    app = typer.Typer()
    app.command()(samples)
    return CliRunner().invoke(app, list(arguments))


def test_samples_are_listed_printed_and_missed_by_name() -> None:
    bundle = json.loads(_samples("healthy-adult").stdout)
    assert bundle["resourceType"] == "Bundle"
    listed = json.loads(_samples("--json").stdout)
    assert [item["id"] for item in listed] == [sample.id for sample in list_samples()]
    table = _samples().stdout
    assert "Sample patients" in table
    assert "healthy-adult" in table
    assert SHOWCASE_DRAFT in table
    missed = _samples("nobody")
    assert (missed.exit_code, missed.stdout) == (2, "")
    assert "there is no sample nobody; see: cds-hooks samples" in missed.stderr
