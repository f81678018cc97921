"""`cds-hooks understand`: a line for each resource, and counts by kind."""

import json
from pathlib import Path

from tests.program import run_program

_CHART = {
    "resourceType": "Bundle",
    "entry": [
        {"resource": {"resourceType": "Condition", "id": "1", "code": {"text": "Gout"}}},
        {"resource": {"resourceType": "Condition", "id": "2", "code": {"text": "Snorgling"}}},
    ],
}


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
        "us: 1 of 2 resources are understood (50%).",
        "uk: 1 of 1 resources are understood (100%).",
    ]
