"""Our own server with its default services, judged by the kit from outside: without and with a trust file."""

import json
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from cds_hooks.tools.kit.commands.call import call
from cds_hooks.tools.kit.commands.check import check
from cds_hooks.tools.kit.contract.charts import sample_charts
from cds_hooks.tools.kit.contract.connection import Connection
from cds_hooks.tools.kit.contract.requests import DIALECTS
from cds_hooks.tools.kit.contract.run import run_checks, select_checks
from cds_hooks.tools.kit.contract.target import Target
from cds_hooks.tools.kit.simulator.signing import new_key, write_key
from tests.live import SHIPPED, serving

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server that waits longer for FHIR servers than usual: the tests beside it keep the machine busy."""
    constants = {"fetch_milliseconds": 4000}
    with serving(tmp_path_factory.mktemp("server"), constants=constants, CDS_SERVICES=SHIPPED) as address:
        yield address


# It waits as long as the server does, with every service: on a server that waits as long as usual.
STALLED = "a_stalled_fhir_server_does_not_stall_the_service"


def test_no_service_waits_for_a_fhir_server_that_does_not_answer(tmp_path: Path) -> None:
    as_of = datetime.now(UTC)
    with serving(tmp_path, CDS_SERVICES=SHIPPED) as address, closing(Connection(address)) as connection:
        target = Target(connection, sample_charts(as_of), as_of, DIALECTS["standard"], fhir_host="127.0.0.1")
        checks = [check for check in select_checks(["FHIR-20"], "standard") if check.name == STALLED]
        (outcome,) = run_checks(target, checks).outcomes
    assert outcome.faults == []
    assert outcome.judged == len(target.services)


# A caller that speaks as Epic does changes what is sent and what cards hold, not how gaps are filled.
@pytest.mark.parametrize(
    ("dialect", "only"), [("standard", []), ("epic", ["EPIC", "REQ", "CARD", "SUG", "ACT", "LINK"])]
)
def test_everything_that_can_be_tested_holds(server: str, dialect: str, only: list[str]) -> None:
    connection = Connection(server)
    as_of = datetime.now(UTC)
    target = Target(connection, sample_charts(as_of), as_of, DIALECTS[dialect], fhir_host="127.0.0.1")
    checks = [check for check in select_checks(only, dialect) if check.name != STALLED]
    report = run_checks(target, checks)
    connection.close()
    # the server does not know that this caller speaks as Epic does, so what Epic cannot show is no fault of it
    found = report.findings if dialect == "standard" else report.musts
    # PRE-17: the tests beside it keep the machine busy
    assert [(each.row.id, each.faults) for each in found if each.row.id != "PRE-17"] == []
    assert report.exit_code == 0
    assert not [outcome.reasons for outcome in report.outcomes if "could not read" in outcome.reason]


def _command(*words: str) -> Result:
    commands = typer.Typer()
    commands.command("check")(check)
    commands.command("call")(call)
    return CliRunner().invoke(commands, list(words))


SEEN_WITH_A_KEY = {"DISC-16", "SEC-01", "SEC-02", "SEC-04", "SEC-20", "SEC-21", "SEC-29"} | {
    f"SEC-{number}" for number in ("05", "06", "07", *range(12, 18), 19, 23, 24, 25, 28)
}


@pytest.fixture(scope="module")
def trusted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """The address of our server with a trust file, and the file of a key that it knows."""
    folder = tmp_path_factory.mktemp("trusted")
    key = new_key("https://kit.example.org", "RS384")
    write_key(key, folder / "key.json")
    (folder / "jwks.json").write_text(json.dumps(key.key_set()))
    (folder / "trust.toml").write_text(
        'version = 1\n[[client]]\nname = "kit"\nissuers = ["https://kit.example.org"]\njwks_file = "jwks.json"\n'
        'algorithms = ["RS384"]\ncors_origins = ["https://kit.example.org"]\n'
    )
    with serving(folder, CDS_TRUST_FILE=str(folder / "trust.toml"), CDS_SERVICES=SHIPPED) as address:
        yield address, folder / "key.json"


def test_every_row_on_tokens_holds_with_a_key_that_the_server_knows(trusted: tuple[str, Path]) -> None:
    """The command as a tester types it; `cds-hooks call` with the same key after it."""
    address, key = trusted
    words = ["check", address, "--key", str(key), "--origin", "https://kit.example.org", "--strict", "--json"]
    answer = _command(*words, *(f"--only={section}" for section in ("SEC", "DISC", "FB", "CORS")))
    assert answer.exit_code == 0, answer.output
    rows = {each["row"]: each["result"] for each in json.loads(answer.stdout)["rows"]}
    assert {row for row in SEEN_WITH_A_KEY if rows[row] != "held"} == set()

    asked = ("sample:planning-talk", "--service", "chart-opening")
    called = _command("call", *asked, "--url", address, "--key", str(key), "--json")
    assert called.exit_code == 0, called.output
    assert json.loads(called.stdout)["status"] == 200


def test_without_a_key_a_trusted_server_is_not_judged(trusted: tuple[str, Path]) -> None:
    answer = _command("check", trusted[0])
    assert answer.exit_code == 2
    assert "--key" in answer.output
