"""`cds-hooks text`: a note is read, a chart is summarized."""

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


def test_a_chart_is_summarised(tmp_path: Path) -> None:
    chart = tmp_path / "chart.json"
    entries = [{"resource": resource} for resource in CHART]
    chart.write_bytes(orjson.dumps({"resourceType": "Bundle", "type": "collection", "entry": entries}))
    assert "Takes: Apixaban" in _run(str(chart), "--date", "2026-11-20")
