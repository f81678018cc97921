"""`cds-hooks understand`: a line for each resource, and counts by kind."""

import io
import json
from pathlib import Path
from typing import Any

import pytest

from tests.fhir.builders import bundle, problem
from tests.program import run_program

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
