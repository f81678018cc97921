"""`cds-hooks settings`: what is shown of each value, and where it comes from."""

import io
import json
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import typer
from pydantic import SecretStr
from typer.testing import CliRunner

from cds_hooks.commands import services
from cds_hooks.commands import settings as command
from cds_hooks.protocol.hooks import WrongDeclaration
from cds_hooks.settings import SETTINGS, Settings
from tests.fhir.builders import bundle, problem
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


NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
DAY = 86_400_000_000


def _run(command: Any, *words: object) -> tuple[int, str, str]:
    app = typer.Typer()
    app.command()(command)
    done = CliRunner().invoke(app, list(map(str, words)), env={"COLUMNS": "120"})
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.stdout, done.stderr


def test_services_are_listed_by_hook_with_the_keys_of_their_prefetch(monkeypatch: pytest.MonkeyPatch) -> None:
    entries = [
        {"id": "planning", "hook": "patient-view", "title": "A talk", "prefetch": {"patient": "q", "labs": "q"}},
        {"id": "orders", "hook": "order-sign", "title": "Orders", "prefetch": {}},
    ]
    service = SimpleNamespace(discovery=lambda: entries)
    monkeypatch.setattr(services, "services_for", lambda _: {"a": service})
    code, shown, errors = _run(services.services)
    cells = [[cell.strip() for cell in line.split("│")[1:-1]] for line in shown.splitlines() if line.startswith("│")]
    assert (code, cells, errors) == (
        0, [["planning", "patient-view", "A talk", "patient, labs"], ["orders", "order-sign", "Orders", ""]], "",
    )  # fmt: skip
    code, shown, errors = _run(services.services, "--json")
    assert (code, json.loads(shown), errors) == (0, {"services": entries}, "")

    def wrong(_: Any) -> None:
        raise WrongDeclaration("hooks.toml: no name")

    monkeypatch.setattr(services, "services_for", wrong)
    assert _run(services.services) == (1, "", "hooks.toml: no name.\n")


_CHART: dict[str, Any] = bundle(
    problem("Gout", status=None, patient=None, id="1"),
    problem("Snorgling", status=None, patient=None, id="2"),
    type=None,
)


def test_a_chart_is_told_line_by_line_and_counted(tmp_path: Path) -> None:
    (tmp_path / "chart.json").write_text(json.dumps(_CHART))
    done = run_program("understand", "chart.json", folder=tmp_path)
    assert done.stdout.splitlines() == [
        "Condition/1 (Gout): gout",
        "Condition/2 (Snorgling): not understood: no code of the tables and no phrase",
        "",
        "Of 2 Condition resources 50% are understood; the commonest that are not: snorgling (1).",
    ]


def test_json_has_an_object_on_a_line_for_each_resource(tmp_path: Path) -> None:
    (tmp_path / "chart.json").write_text(json.dumps(_CHART))
    done = run_program("understand", "chart.json", "--json", folder=tmp_path)
    readings = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(reading["resource"], reading["groups"]) for reading in readings] == [
        ("Condition/1", ["gout"]),
        ("Condition/2", []),
    ]
    assert {"allergen_classes", "vaccine_families", "drugs", "assertion", "understood"} <= set(readings[0])


def test_the_share_that_is_understood_is_printed_for_each_source_of_a_corpus(tmp_path: Path) -> None:
    chart = {**_CHART, "entry": _CHART["entry"][:1]}
    for source, content in (("us", _CHART), ("uk", chart)):
        (tmp_path / "corpus" / source).mkdir(parents=True)
        (tmp_path / "corpus" / source / "chart.json").write_text(json.dumps(content))
    (tmp_path / "corpus" / "index.json").write_text("[]")
    done = run_program("understand", "corpus", folder=tmp_path)
    assert done.stderr.strip() == "Left out: index.json holds no FHIR resource."
    lines = done.stdout.splitlines()
    assert lines[1:] == [
        "us: 1 of 2 resources are understood (50%): Condition 1 of 2.",
        "uk: 1 of 1 resources are understood (100%): Condition 1 of 1.",
    ]


def test_what_holds_no_resource_that_is_read_is_said(tmp_path: Path) -> None:
    (tmp_path / "other.json").write_text(
        '{"resourceType": "Bundle", "entry": [{"resource": {"resourceType": "Basic"}}]}'
    )
    done = run_program("understand", "other.json", folder=tmp_path)
    nothing = "There is no resource of a kind that is read.\n"
    assert (done.returncode, done.stdout, done.stderr) == (1, "", nothing)
    (tmp_path / "index.json").write_text("[]")
    done = run_program("understand", "index.json", folder=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "index.json holds no FHIR resource.\n")


def test_lines_of_ndjson_and_of_the_input_are_resources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entries = [entry["resource"] for entry in _CHART["entry"]]
    lines = "".join(f"{json.dumps(entry)}\n" for entry in entries)
    (tmp_path / "charts").mkdir()
    (tmp_path / "charts" / "Condition.ndjson").write_text(lines)
    done = run_program("understand", "charts", folder=tmp_path)
    counts = "Of 2 Condition resources 50% are understood; the commonest that are not: snorgling (1).\n"
    assert (done.returncode, done.stdout, done.stderr) == (0, counts, "")
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(lines.encode())))
    done = run_program("understand", "-", folder=tmp_path)
    assert [json.loads(line)["understood"] for line in done.stdout.splitlines()] == [True, False]
