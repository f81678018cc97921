"""`cds-hooks text`: a note is read, a chart is summarized and searched, the pages are searched."""

from pathlib import Path

import orjson
from typer.testing import CliRunner, Result

from cds_hooks import cli
from tests.cds_hooks.add_ons.text.charts import CHART


def _do(*arguments: str) -> Result:
    return CliRunner().invoke(cli.app, ("text", *arguments))


def _run(*arguments: str) -> str:
    answer = _do(*arguments)
    assert answer.exit_code == 0, answer.output
    return answer.output


def test_a_note_is_shown_with_what_it_says(tmp_path: Path) -> None:
    file = tmp_path / "letter.txt"
    file.write_text("No wheeze. Ramipril 5 mg stopped. K 5.1 mmol/L. INR 2.5.")
    shown = _run(str(file), "--date", "2026-09-17")
    assert "wheeze: wheeze, negated, current, patient" in shown
    assert "Ramipril 5 mg: ramipril, stopped" in shown
    assert "potassium 5.1 mmol/L, " in shown
    assert "2.5 (no unit), " in shown
    assert orjson.loads(_run(str(file), "--date", "2026-09-17", "--json"))["drugs"][0]["status"] == "stopped"


def test_a_chart_is_summarised_and_searched(tmp_path: Path) -> None:
    chart = tmp_path / "chart.json"
    entries = [{"resource": resource} for resource in CHART]
    chart.write_bytes(orjson.dumps({"resourceType": "Bundle", "type": "collection", "entry": entries}))
    assert "Takes: Apixaban" in _run(str(chart), "--date", "2026-11-20")
    assert "Potassium 5.1 mmol/L on 2026-10-01 [Observation/o1]" in _run(str(chart), "--ask", "latest potassium")
    nothing = _do(str(chart), "--ask", "Is he on a statin?")
    assert (nothing.exit_code, nothing.stdout) == (3, "")
    partly = _do(str(chart), "--ask", "Potassium and haemoglobin?")
    assert (partly.exit_code, "Not found in the chart: haemoglobin." in partly.output) == (3, True)


def test_the_pages_of_the_documentation_are_searched() -> None:
    assert "docs/operations/replay.md" in _run("--ask", "How is a decision replayed?")
    unanswered = _do("--ask", "What is the fee?")
    assert (unanswered.exit_code, unanswered.output.startswith("Not answered: ")) == (3, True)
