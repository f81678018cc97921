"""The command `check`, of a server and of files: options, exit codes, what is written."""

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from cds_hooks.samples import load_patient
from cds_hooks.tools.kit.commands.check import check
from tests.cds_hooks.tools.kit.contract.conftest import AS_OF, token
from tests.cds_hooks.tools.kit.contract.good_server import GoodServer
from tests.cds_hooks.tools.kit.contract.planted import put
from tests.live import free_port

FILES = Path(__file__).parent / "files"


def _command(*words: str) -> Result:
    app = typer.Typer()
    app.command("check")(check)
    return CliRunner().invoke(app, list(words[1:]))


def test_a_good_server_ends_with_0_and_says_how_much_was_seen(good: GoodServer) -> None:
    answer = _command("check", good.base, "--only", "DISC", "--only", "CARD")
    assert answer.exit_code == 0, answer.output
    assert "every must that was seen holds, 0 pieces of advice" in answer.output
    assert "Of 157 rows that bind a service, 134 can be seen from outside" in " ".join(answer.output.split())


def test_a_must_that_failed_ends_with_1_and_is_told_with_row_place_and_advice(good: GoodServer) -> None:
    good.on_response = put("cards.0.indicator", "hard-stop")
    answer = _command("check", good.base, "--only", "CARD")
    assert answer.exit_code == 1
    told = " ".join(answer.output.split())
    assert "✗ must CARD-08 indicator is info, warning or critical." in told
    assert "indicator is 'hard-stop' at cards[0].indicator · POST /cds-services/" in told
    assert "→ Use info, warning or critical" in told


@pytest.mark.parametrize(
    "words",
    [
        ("check", "ftp://127.0.0.1"),
        ("check", "http://127.0.0.1:9", str(FILES / "response.json")),
        ("check", "http://127.0.0.1:9", "--only", "CARD-99"),
        ("check", "http://127.0.0.1:9", "--dialect", "latin"),
        ("check", "http://127.0.0.1:9", "--patient", "nothing.json"),
        ("check", "nothing.json"),
    ],
    ids=lambda words: " ".join(words[1:]),
)
def test_what_cannot_be_used_ends_with_2_and_a_sentence(words: tuple[str, ...]) -> None:
    answer = _command(*words)
    assert answer.exit_code == 2
    assert len(answer.output.strip().splitlines()) == 1


def test_no_server_ends_with_2() -> None:
    answer = _command("check", f"http://127.0.0.1:{free_port()}")
    assert answer.exit_code == 2
    assert "No server answers at" in answer.output


@pytest.mark.slow
def test_a_patient_of_ones_own_is_sent_instead_of_the_samples(good: GoodServer, tmp_path: Path) -> None:
    path = tmp_path / "patient.json"
    path.write_text(json.dumps(load_patient("healthy-adult", AS_OF)))
    answer = _command("check", good.base, "--only", "CARD", "--patient", str(path), "--json")
    assert answer.exit_code == 0
    few = json.loads(answer.stdout)["requests"]
    every = _command("check", good.base, "--only", "CARD", "--json")
    assert few < json.loads(every.stdout)["requests"] / 3


@pytest.mark.slow
def test_a_token_is_sent_with_every_request(good: GoodServer) -> None:
    good.token = token()
    assert _command("check", good.base, "--only", "DISC").exit_code == 2
    assert _command("check", good.base, "--only", "DISC,SEC", "--token", token()).exit_code == 0


@pytest.mark.slow
def test_files_are_judged_together_and_the_worst_decides(tmp_path: Path) -> None:
    broken = tmp_path / "broken.json"
    broken.write_text('{"cards": [{"summary": "x", "indicator": "info"}]}')
    good = [str(FILES / "discovery.json"), str(FILES / "response.json")]
    assert _command("check", *good).exit_code == 0
    answer = _command("check", *good, str(broken), "--json")
    assert answer.exit_code == 1
    assert [each["mustsFailed"] for each in json.loads(answer.stdout)] == [0, 0, 1]
