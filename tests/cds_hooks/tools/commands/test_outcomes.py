"""`cds-hooks outcomes`: a file is joined and stored once, with its versions."""

import asyncio
import json
from pathlib import Path

from typer.testing import CliRunner, Result

from cds_hooks.cli import app
from cds_hooks.evidence.storage.opening import open_decision_log
from cds_hooks.evidence.storage.outcomes import outcomes_of
from tests.cds_hooks.evidence.storage.samples import a_decision

BASIS = b'{"as_of":"2026-01-01T00:00:00+00:00","scores":{"id":"mortality_5y","version":"2","probability":0.1}}'


def run(*words: str) -> Result:
    return run_command("outcomes", *words)


def run_command(*words: str) -> Result:
    return CliRunner().invoke(app, words)


def record(folder: Path) -> tuple[str, str]:
    """A record with one estimate about a patient of a hospital; its address and the decision's id."""
    url = f"sqlite:///{folder}/decisions.sqlite3"
    decision = a_decision(patient="p1", basis=BASIS, estimated_by=" mortality_5y ")

    async def write() -> None:
        log = open_decision_log(url)
        await log.append(decision)
        await log.close()

    asyncio.run(write())
    return url, decision.id


def test_a_file_is_taken_in_once_and_its_correction_is_the_next_version(tmp_path: Path) -> None:
    url, decision = record(tmp_path)
    (tmp_path / "o.csv").write_text("patient,event,at\np1,death,2026-11-21\nnobody,death,2026-11-21\n")
    taken = (str(tmp_path / "o.csv"), "--client", "a hospital", "--database", url)
    dry = run(*taken, "--dry-run")
    assert "1 outcomes would be joined to decisions, 0 of them new, 1 reports not joined" in dry.stdout
    first = run(*taken, "--json")
    assert json.loads(first.stdout) == {
        "joined": 1, "stored": 1, "refused": [{"index": 1, "reason": "no-prediction"}],
    }  # fmt: skip
    assert "0 of them new" in run(*taken).stdout
    (tmp_path / "later.csv").write_text(f"prediction,outcome\n{decision},unknown\n")
    assert run(str(tmp_path / "later.csv"), *taken[1:]).exit_code == 0
    listed = [(each.value, each.version, each.source) for each in outcomes_of(url, decision)]
    assert listed == [("yes", 1, "csv"), ("unknown", 2, "csv")]


def test_what_cannot_be_used_is_said_in_a_sentence(tmp_path: Path) -> None:
    url, _ = record(tmp_path)
    (tmp_path / "o.csv").write_text("a,b\n1,2\n")
    wrong = run(str(tmp_path / "o.csv"), "--client", "a hospital", "--database", url)
    assert wrong.exit_code == 1
    assert "a CSV file of outcomes may have prediction" in wrong.output
    assert run(str(tmp_path / "o.csv")).exit_code == 2


def test_a_model_without_outcomes_is_refused(tmp_path: Path) -> None:
    url, _ = record(tmp_path)
    done = run_command("data", "nothing", "--followed", "--out", str(tmp_path / "t.csv"), "--database", url)
    assert done.exit_code == 1
    start, _, names = done.stderr.partition("; there are ")
    assert start == "No model nothing has outcomes here"
    assert names.endswith(" (CDS_MODELS_FOLDER names a site's own).\n")
    assert "mortality_5y" in names
    done = run_command("data", "mortality_5y", "--followed", "--out", str(tmp_path / "t.csv"), "--database", url)
    assert done.exit_code == 1
    assert done.stderr == "No decision of mortality_5y is mature with a known outcome: nothing was written.\n"
    assert not (tmp_path / "t.csv").exists()
