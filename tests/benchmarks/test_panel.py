"""The benchmark of panels: its patients, its comparison, and a small run through every path that is installed."""

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

import benchmarks.panel.__main__ as program
from benchmarks.panel import comparison
from benchmarks.panel.people import chart_of, identity_of, write_people
from cds_hooks.panel.chart_lines import GroupingTally, Wanted
from cds_hooks.panel.grouping import charts_of
from cds_hooks.panel.questions import questions_about
from cds_hooks.settings import Settings
from fhir.record.reading import read_value

PATIENTS = 300


def test_a_patients_number_alone_decides_the_chart() -> None:
    assert chart_of(7) == chart_of(7)
    assert chart_of(7) != chart_of(8)
    for resource in chart_of(7):
        _, refused = read_value("chart", json.dumps(resource).encode())
        assert refused == []


def test_the_export_and_the_rows_hold_the_same_patients(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    write_people(tmp_path, 20)
    charts = list(
        charts_of(tmp_path / "export", Wanted.of(questions_about((), Settings()).needs), tally := GroupingTally())
    )
    rows = parquet.read_table(tmp_path / "resources.parquet")
    assert {chart.patient_id for chart in charts} == set(map(identity_of, range(20)))
    assert set(rows.column("patient_id").to_pylist()) == {chart.patient_id for chart in charts}
    assert rows.num_rows == tally.resources
    assert [chart.patient_id for chart in charts] != sorted(rows.column("patient_id").to_pylist())


def test_one_other_bit_is_a_difference_and_the_order_of_lines_is_none(tmp_path: Path) -> None:
    header = "id,name,percentile\n"
    for name, text in (
        ("one", "a,x,0.00001\na,y,\nb,x,2.0\n"),
        ("same", "b,x,2.0\na,y,\na,x,1e-05\n"),
        ("other", "a,x,0.00001\na,y,\nb,x,2.0000000000000004\n"),
        ("fewer", "a,x,0.00001\na,y,\n"),
    ):
        (tmp_path / name).write_text(header + text)
    one, same, other, fewer = (
        comparison.digests(comparison.of_csv(tmp_path / name)) for name in ("one", "same", "other", "fewer")
    )
    assert comparison.differing(one, same) == []
    assert comparison.differing(one, other) == ["b"]
    assert comparison.differing(one, fewer) == ["b"]


@pytest.mark.slow
def test_every_path_that_is_installed_gives_the_same_bits(tmp_path: Path) -> None:
    """The server and the command line always; Spark and Ray where they are installed (docs/scoring-clusters.md)."""
    app = typer.Typer()
    app.command()(program.main)
    folder, figures = tmp_path / "run", tmp_path / "panel.json"
    folder.mkdir()
    words = ["--patients", str(PATIENTS), "--folder", str(folder), "--json", str(figures), "--partitions", "3"]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    found = json.loads(figures.read_text())
    installed = [each for each in program.ENGINES if not program.missing_for(each)]
    wanted = {"charts: server", "table and charts, who has an estimate"}
    wanted |= {f"{kind}, {engine}, 3 partitions, 2 cores" for kind in ("charts", "table") for engine in installed}
    assert set(found["compared"]) == wanted
    assert all(each["differ"] == 0 for each in found["compared"].values())
    assert found["compared"]["charts: server"]["patients"] == PATIENTS
    assert found["compared"]["table and charts, who has an estimate"]["patients"] > PATIENTS / 2
