"""Every example of a `--help` text runs as it is written, in a folder that holds the files which it names."""

import shlex
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cards.rules.engine.governance import all_rule_versions
from cds_hooks.evidence.storage.decision import numbered_uuid
from cds_hooks.tools.kit.main import app as kit_app
from models_onnx.serving.registry import ARTIFACTS
from tests.cds_hooks.tools.commands.test_misuse import COMMANDS, example_of
from tests.conftest import ROOT
from tests.live import record_in
from tests.models_onnx.invented import invented_table
from tests.program import run_program

pytestmark = pytest.mark.slow

NOT_RUN = {
    "terminology import": "needs the releases: tests/fhir/terminology/test_importing.py",
    "check": "asks a part of the kit for a minute: tests/test_docs.py types the same options",
    "serve": "serves until it is interrupted: tests/cds_hooks/tools/commands/test_serve.py starts it",
    "model train": "trains for minutes: `make retrain` trains every model again and compares the files",
    "model gates": "reads the whole training table for minutes: tests/cds_hooks/tools/commands/test_model_artifacts.py",
    "knowledge check": "needs a folder of artifacts: tests/cds_hooks/tools/commands/test_knowledge.py does",
    "knowledge evaluate": "reads its lines from a pipe: tests/cds_hooks/tools/commands/test_knowledge.py does",
    "model import": "needs a model from elsewhere: tests/cds_hooks/tools/commands/test_model_artifacts.py brings one",
    "rules check": "runs all 2,000 cases: tests/cards/rules/test_cases.py does, and test_rules.py runs the command",
    "rules simulate": "needs charts with dated orders: evidence/replay/test_simulated_orders.py writes them",
    "accounts": "reads a password from a pipe: tests/cds_hooks/people/access",
}
"""Commands whose example is only parsed (test_misuse.py), and where the command is run instead."""

ENVIRONMENT = {
    "CDS_RULES_FILE": "rules.toml",
    "CDS_SEAL_KEY": "seal-key.pem",
    "CDS_TRUST_FILE": "trust.toml",
}
"""The settings that a site has where such commands are typed; each test sets those that its command reads."""

NEEDED = {"trust": ("CDS_TRUST_FILE",)}
WRITTEN_ANEW = {"record backup": ("record-2026-11-20.ndjson.xz",), "trust": ("trust.toml",)}
"""What a command makes: it is not there before, although the examples of other commands read it."""

EXAMPLES = {" ".join(words): example_of(command).partition(" > ")[0] for words, command in COMMANDS}


def _run(folder: Path, server: str, line: str, *settings: str) -> str:
    # Other examples switch a service off and shadow a model, and a replay says of both, rightly, that they are new.
    record = "as-served.sqlite3" if line.startswith("cds-hooks replay") else "decisions.sqlite3"
    environment = {
        "CDS_PUBLIC_URL": server,
        "CDS_DATABASE_URL": f"sqlite:///{folder}/{record}",
        **{name: ENVIRONMENT[name] for name in settings},
    }
    done = run_program(*shlex.split(line)[1:], folder=folder, environment=environment)
    assert done.returncode == 0, f"{line}: exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def site(server: str, server_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files that the examples name, made by the commands that make them."""
    folder = tmp_path_factory.mktemp("site")
    record_in(folder)
    _run(folder, server, "cds-hooks call sample:planning-talk --hook patient-view")
    with (
        closing(sqlite3.connect(server_folder / "decisions.sqlite3")) as served,
        closing(sqlite3.connect(folder / "decisions.sqlite3")) as copied,
    ):
        served.backup(copied)
    shutil.copy(folder / "decisions.sqlite3", folder / "as-served.sqlite3")
    _run(folder, server, "cds-hooks record seal --new-key seal-key.pem")
    with pytest.MonkeyPatch.context() as there:
        there.chdir(folder)
        (folder / "dev-jwks.json").write_text(CliRunner().invoke(kit_app, ["token"]).stdout)
    for command in ("record seal", "record backup", "record hold", "trust"):
        _run(folder, server, EXAMPLES[command])
    (folder / "reviewed.txt").write_text(f"renal-metformin {all_rule_versions()['renal-metformin'].digest}\n")
    (folder / "discovery.json").write_text(_run(folder, server, "cds-hooks settings --services --json"))
    (folder / "letter.txt").write_text("Medications: metformin 500 mg twice daily.\n")
    (folder / "response.json").write_text('{"cards": []}')
    (folder / "chart.json").write_text('{"resourceType": "Condition", "id": "1", "code": {"text": "Gout"}}')
    (folder / "people.csv").write_text(
        "risk,race,conditions\n" + "".join(f"{n},{'ab'[n % 2]},{n}\n" for n in range(900))
    )
    (folder / "outcomes.csv").write_text("event,completeThrough\ndeath,2026-10-31\n")
    (folder / "own").mkdir(exist_ok=True)
    (folder / "own" / "features.toml").write_text(
        '[[feature]]\nname = "creatinine_mean_90d"\nwords = "Mean creatinine"\nevidence = "a test"\n'
        'analyte = "creatinine"\nwindow_days = 90\nstatistic = "mean"\n'
    )
    (folder / "var").mkdir(exist_ok=True)
    (folder / "docs" / "models").mkdir(parents=True)
    (folder / "docs" / "contents.toml").touch()
    shutil.copytree(ARTIFACTS / "mortality_5y", folder / "models" / "mortality_5y")
    return folder


def _with_what_is_here(line: str, folder: Path, server: str) -> str:
    """The example with the ids that this site has in place of the invented ones."""
    with closing(sqlite3.connect(folder / "decisions.sqlite3")) as record:
        (decision,) = record.execute("SELECT id FROM decisions WHERE outcome = 'cards' LIMIT 1").fetchone()
    known = {
        "01a1f851-2afd-7ec4-9e85-272e25f40100": numbered_uuid(decision, 1),
        "01a1f851-2afd-7ec4-9e85-272e25f40000": decision,
        "0123456789abcdef": all_rule_versions()["renal-metformin"].digest,
        "http://127.0.0.1:8085": server,
        # ids are random: one in a hundred of a handful is sometimes only a decision that cannot be replayed
        "--sample 1%": "--sample 100%",
    }
    if "0123abcd" in line:
        known["0123abcd"] = _run(folder, server, "cds-hooks record hold").partition(":")[0]
    for invented, own in known.items():
        line = line.replace(invented, own)
    return line


@pytest.mark.parametrize("command", [name for name in EXAMPLES if name not in NOT_RUN])
def test_the_example_of_a_help_text_runs(command: str, site: Path, server: str, tmp_path: Path) -> None:
    folder = tmp_path / "site"
    shutil.copytree(site, folder)
    for name in WRITTEN_ANEW.get(command, ()):
        (folder / name).unlink()
    if "rows.csv.gz" in EXAMPLES[command]:
        invented_table(people=300).to_csv(folder / "rows.csv.gz", index=False)
    _run(folder, server, _with_what_is_here(EXAMPLES[command], folder, server), *NEEDED.get(command, ()))


def test_every_command_that_is_not_run_has_an_example_and_a_reason() -> None:
    assert set(NOT_RUN) <= set(EXAMPLES)
    assert all(EXAMPLES.values())
    places = {word for reason in NOT_RUN.values() for word in reason.split() if word.startswith("tests/")}
    assert [place for place in sorted(places) if not (ROOT / place).exists()] == []
