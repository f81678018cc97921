"""`cds-hooks model gates` and `label-audit`: their tables, their verdicts, what is recorded, the exit codes."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from cds_hooks.commands.model import evidence, gates
from cds_hooks.commands.model.main import app
from models_onnx.workbench.gates import gate
from models_onnx.workbench.gates.checks import label
from models_onnx.workbench.gates.checks.label import GroupNeed
from models_onnx.workbench.gates.gate import ALL, GateReport, GateResult, Status


def _report(**states: Status) -> GateReport:
    """Every gate has passed but for these."""
    results = tuple(
        GateResult(gate=name, title=f"title of {name}", status=states.get(name, "passed"), why=f"[why] of {name}")
        for name in ALL
    )
    return GateReport(
        format="f", id="m", version="2.0.0", title="Deaths", sha256="cafe", as_of="2026-11-20", results=results
    )


def _shown(report: object, only: tuple[str, ...], capsys: Any, monkeypatch: Any) -> tuple[list[list[str]], list[str]]:
    """The cells of the table and what is said below it."""
    monkeypatch.setenv("COLUMNS", "120")
    gates._show(report, frozenset(only))
    lines = capsys.readouterr().out.splitlines()
    cells = [[cell.strip() for cell in line.split("│")[1:-1]] for line in lines if line.startswith("│")]
    return cells, [line for line in lines if line[:1] not in "┏┃┡│└ "]


def test_each_gate_is_a_row_and_those_that_are_not_green_are_named(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def shown(report: object, *only: str) -> tuple[list[list[str]], list[str]]:
        return _shown(report, only, capsys, monkeypatch)

    cells, said = shown(_report(G2="waived", G9="failed", G16="not run"))
    assert cells[:2] == [
        ["G1", "title of G1", "passed", "[why] of G1"],
        ["G2", "title of G2", "waived", "[why] of G2"],
    ]
    assert [row[2] for row in cells if row[2] != "passed"] == ["waived", "failed", "not run"]
    assert (len(cells), said) == (18, ["Not green: G9, G16."])
    assert shown(_report())[1] == ["Every gate is green."]
    assert shown(_report(G2="waived"))[1] == ["Green with 1 waiver."]
    others = "Not run: the {} other gates, without which the model shows no cards."
    unasked: dict[str, Status] = dict.fromkeys(ALL[1:], "not run")
    asked = _report(**unasked)
    assert shown(asked, "G1")[1] == [f"What was asked for is green. {others.format(17)}"]
    red = _report(**(unasked | {"G2": "failed"}))
    assert shown(red, "G1", "G2")[1] == [f"Not green: G2. {others.format(16)}"]
    assert shown("no report") == ([], [])


@pytest.fixture
def gated(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, Any]:
    """A command that reads no model: its report, and what it asked for."""
    asked: dict[str, Any] = {"report": _report(G9="failed")}

    def run_gates(subject: Any, found: Any, _: Any, only: Any) -> GateReport:
        asked["run"] = (subject, found, only)
        report: GateReport = asked["report"]
        return report

    monkeypatch.setattr(gates, "find_version", lambda name, _: SimpleNamespace(folder=tmp_path / name))
    monkeypatch.setattr(
        "models_onnx.workbench.gates.subject.read_subject", lambda folder, _: SimpleNamespace(folder=folder)
    )
    monkeypatch.setattr(evidence, "gather", lambda *given: given[2:3] + given[4:])
    monkeypatch.setattr(gate, "run_gates", run_gates)
    monkeypatch.setattr(gates, "_record", lambda folder, report: asked.update(recorded=(folder, report)))
    return asked


def test_the_command_ends_with_1_where_a_gate_is_not_green(gated: dict[str, Any], tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["gates", "m", "--json"])
    document = json.loads(done.stdout)
    assert (done.exit_code, document["green"], document["report"]["results"][8]["status"]) == (1, False, "failed")
    assert gated["run"][1:] == ((None, None, None, None), None)
    assert "recorded" not in gated
    gated["report"] = _report()
    page = tmp_path / "gates.html"
    words = ["--only", "g9", "--only", "G1", "--record", "--html", str(page), "--data", "d", "--rows", "r"]
    done = CliRunner().invoke(app, ["gates", "m", *words, "--charts", "c", "--json"])
    assert (done.exit_code, json.loads(done.stdout)["green"]) == (0, True)
    assert gated["run"][1:] == ((Path("d"), None, Path("r"), Path("c")), frozenset({"G1", "G9"}))
    assert gated["recorded"] == (tmp_path / "m", gated["report"])
    assert page.read_text().startswith("<!doctype html>")


def test_a_report_is_recorded_by_the_key_of_the_site(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recorded: list[Any] = []

    def record_gates(*given: Any) -> Any:
        recorded.append(given)
        return SimpleNamespace(id="m", version="2.0.0", state="validated")

    monkeypatch.setattr("models_onnx.workbench.release.publishing.record_gates", record_gates)
    monkeypatch.setattr(gates, "moment", lambda: "now")
    monkeypatch.setattr(gates, "signer", lambda: "the key")
    report = _report()
    gates._record(tmp_path, report)
    assert recorded == [(tmp_path, gate.encode(report), report.summary, "now", "the key")]
    assert capsys.readouterr() == ("", "Recorded: m 2.0.0 is validated.\n")
    gates._record(tmp_path, "no report")
    assert len(recorded) == 1


NEEDS = [
    GroupNeed("a", 1500, 1.5, 1.2, 1.8, 1.4, 1.1, 1.7, sufficient=True),
    GroupNeed("b", 90, 1.0, 0.5, 2.0, 1.0, 0.4, 2.5, sufficient=False),
    GroupNeed("c", 600, 1.01, 0.96, 1.06, 1.02, 0.9, 1.14, sufficient=True),
]


@pytest.mark.parametrize(("groups", "code"), [(NEEDS, 1), (NEEDS[1:], 0), (NEEDS[2:], 0)])
def test_an_audit_of_a_label_is_a_row_for_each_group(
    groups: list[GroupNeed], code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    asked: list[Any] = []

    def audit(*columns: Any) -> list[GroupNeed]:
        asked.append([column.tolist() for column in columns])
        return groups

    monkeypatch.setattr(label, "audit_label", audit)
    table = tmp_path / "people.csv"
    table.write_text("score,group,need\n0.5,a,1\n0.25,b,3\n")
    done = CliRunner().invoke(app, ["label-audit", str(table)])
    cells = [[cell.strip() for cell in line.split("│")[1:-1]] for line in done.stdout.splitlines() if "│" in line]
    rows = {
        "a": ["a", "1,500", "1.50 (1.20 to 1.80)", "1.40 (1.10 to 1.70)", "failed"],
        "b": ["b", "90", "1.00 (0.50 to 2.00)", "1.00 (0.40 to 2.50)", "insufficient"],
        "c": ["c", "600", "1.01 (0.96 to 1.06)", "1.02 (0.90 to 1.14)", ""],
    }
    assert (done.exit_code, cells) == (code, [rows[group.group] for group in groups])
    assert asked == [[[0.5, 0.25], ["a", "b"], [1.0, 3.0]]]
    done = CliRunner().invoke(app, ["label-audit", str(table), "--json"])
    document = json.loads(done.stdout)
    assert (done.exit_code, list(document)) == (code, ["people.csv"])
    assert [row["people"] for row in document["people.csv"]] == [group.people for group in groups]


def test_a_table_of_people_has_three_columns_and_a_blank_is_no_number(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = tmp_path / "people.csv"
    table.write_text("risk,race,conditions\n0.5,a,\n,b,2\n")
    score, group, need = gates._columns(table, "risk", "race", "conditions")
    assert [str(column.tolist()) for column in (score, group, need)] == ["[0.5, nan]", "['a', 'b']", "[nan, 2.0]"]
    for text, there in (("risk,race\n1,a\n", "risk, race"), ("risk,race,conditions\n", "no rows"), ("", "no rows")):
        table.write_text(text)
        with pytest.raises(typer.Exit) as ended:
            gates._columns(table, "risk", "race", "conditions")
        assert ended.value.exit_code == 2
        words = f"{table} needs the columns risk, race and conditions; it has {there}\n"
        assert capsys.readouterr().err == words
