"""`cds-hooks settings`: what is shown of each value, and where it comes from."""

import json
from pathlib import Path

import pytest
from pydantic import SecretStr

from cds_hooks.commands import settings as command
from cds_hooks.settings import SETTINGS, Settings
from tests.program import run_program


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("operator_token", SecretStr("hush"), "(hidden)"),
        ("operator_token", None, None),
        ("keep_facts", True, True),
        ("call_seconds", 2.5, 2.5),
        ("max_body_bytes", 1024, 1024),
        ("seal_file", Path("var/seals.ndjson"), "var/seals.ndjson"),
        ("contact", "Ann", "Ann"),
        ("database_url", "sqlite:///x.sqlite3", "sqlite:///x.sqlite3"),
        ("database_url", "postgresql://cds:hush@db/cds", "postgresql://cds:***@db/cds"),
        ("database_url", "postgresql://db/cds?password=hush&sslkey=hush&application_name=cds",
         "postgresql://db/cds?application_name=cds&password=%2A%2A%2A&sslkey=%2A%2A%2A"),
        ("database_url", "no url with hush", "(hidden: this is no SQLAlchemy URL)"),
        ("database_url", "postgresql://cds:hush@db:port/cds", "(hidden: this is no SQLAlchemy URL)"),
    ],
)  # fmt: skip
def test_a_value_is_shown_without_secrets(name: str, value: object, shown: object) -> None:
    assert command._shown(name, value) == shown


def test_each_setting_has_its_name_and_where_it_comes_from() -> None:
    rows = command.settings_in_force(Settings(contact="Ann"))
    assert [row["name"] for row in rows] == [f"CDS_{name.upper()}" for name in SETTINGS]
    by_name = {row["name"]: (row["value"], row["from"]) for row in rows}
    assert by_name["CDS_CONTACT"] == ("Ann", "environment")
    assert by_name["CDS_CALL_SECONDS"] == (20, "default")


def test_those_that_the_environment_sets_are_shown_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    configured = Settings.model_construct(_fields_set={"contact"}, contact="Ann")
    monkeypatch.setattr(command, "settings", lambda: configured)
    done = run_program("settings", "--changed", environment={"COLUMNS": "100"})
    lines = [line.split() for line in done.stdout.splitlines() if line.strip(" ─")]
    assert lines == [["setting", "value", "from"], ["CDS_CONTACT", "Ann", "environment"]]
    done = run_program("settings", "--changed", "--json")
    assert json.loads(done.stdout) == [{"name": "CDS_CONTACT", "value": "Ann", "from": "environment"}]
    everything = run_program("settings", environment={"COLUMNS": "200"}).stdout
    assert ["CDS_OPERATOR_TOKEN", "not", "set", "default"] in [line.split() for line in everything.splitlines()]
    monkeypatch.setattr(command, "settings", Settings.model_construct)
    done = run_program("settings", "--changed", environment={"COLUMNS": "100"})
    assert done.stdout == "The environment sets nothing; every setting has its default.\n"
