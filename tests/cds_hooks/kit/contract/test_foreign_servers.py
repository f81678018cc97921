"""The kit on servers of other projects: what they really do wrong is found, and nothing else is said against them."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from time import sleep
from urllib.error import URLError
from urllib.request import urlopen

import pytest

from cds_hooks.kit.contract.charts import PatientChart
from cds_hooks.kit.contract.connection import Connection
from cds_hooks.kit.contract.document import SHOULD
from cds_hooks.kit.contract.registry import all_checks
from cds_hooks.kit.contract.report import Report
from cds_hooks.kit.contract.run import run_checks, select_checks
from cds_hooks.kit.contract.target import Target
from tests.cds_hooks.kit.contract.conftest import AS_OF
from tests.cds_hooks.kit.contract.good_server import GoodServer
from tests.live import free_port

_HEALTHCHAIN = """
import sys
import uvicorn
from healthchain.gateway import CDSHooksService, HealthChainAPI
from healthchain.models import Card, CDSRequest, CDSResponse

cds = CDSHooksService()

@cds.hook("patient-view", id="patient-summary", title="Summary", description="Says something of the patient.")
def summarize(request: CDSRequest) -> CDSResponse:
    return CDSResponse(cards=[Card(summary="A patient", indicator="info", source={"label": "HealthChain"})])

@cds.hook("order-sign", id="order-check", description="Says something of the orders.")
def check(request: CDSRequest) -> CDSResponse:
    return CDSResponse(cards=[])

app = HealthChainAPI()
app.register_service(cds)
uvicorn.run(app, port=int(sys.argv[1]), log_level="critical")
"""
# Each was looked up in the code of HealthChain 0.16.1: any origin may call with credentials, and an object as extension
# is refused, because its request model has FHIR's list of extensions.
_MUSTS_OF_HEALTHCHAIN = {"CORS-01", "EXT-01"}


def _report(
    base: str, charts: tuple[PatientChart, ...], discovery: str, services: str = "", only: tuple[str, ...] = ()
) -> Report:
    connection = Connection(base, timeout_seconds=10)
    try:
        target = Target(connection, charts, AS_OF, root=discovery, services_root=services)
        return run_checks(target, select_checks(only, "standard"))
    finally:
        connection.close()


def test_a_server_on_this_machine_that_reads_no_fhir_server_is_not_accused_of_it(
    good: GoodServer, few_charts: tuple[PatientChart, ...]
) -> None:
    good.fault = "nothing is fetched"
    assert _report(good.base, few_charts[:2], "/cds-services", only=("PRE-12", "FHIR-01")).findings == []


_BREACHES_OF_A_CLIENT = (
    "a_call_names_its_hook a_call_has_a_hook_instance a_call_has_a_context required_context_is_there "
    "required_context_is_of_its_type feedback_is_an_array an_item_names_its_card an_outcome_is_one_of_two "
    "what_was_accepted_is_named an_accepted_suggestion_is_an_object an_outcome_has_its_instant "
    "null_means_asked_and_none_found an_empty_bundle_means_none_found"
)


def test_what_a_server_does_with_the_breach_of_a_client_is_never_a_must() -> None:
    levels = {check.name: check.level for check in all_checks()}
    assert {levels[name] for name in _BREACHES_OF_A_CLIENT.split()} == {SHOULD}


@contextmanager
def _healthchain(folder: Path) -> Iterator[str]:
    python = str(folder / "venv" / "bin" / "python")
    subprocess.run([sys.executable, "-m", "venv", str(folder / "venv")], check=True)
    installed = subprocess.run([python, "-m", "pip", "install", "-q", "healthchain==0.16.*"], capture_output=True)
    if installed.returncode:
        pytest.skip("HealthChain 0.16 cannot be installed here")
    script, port = folder / "server.py", free_port()
    script.write_text(_HEALTHCHAIN)
    process = subprocess.Popen([python, str(script), str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(300):
            try:
                urlopen(f"http://127.0.0.1:{port}/cds/cds-discovery", timeout=5).close()
                break
            except URLError:
                sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(10)


@pytest.mark.slow
def test_healthchain_is_told_what_it_does_wrong_and_nothing_else(
    tmp_path: Path, few_charts: tuple[PatientChart, ...]
) -> None:
    with _healthchain(tmp_path) as base:
        report = _report(base, few_charts, "/cds/cds-discovery", "/cds/cds-services")
    assert {finding.row.id for finding in report.musts} == _MUSTS_OF_HEALTHCHAIN
    assert report.requests > 200


_FILES = Path(__file__).with_name("files")


@pytest.mark.slow
@pytest.mark.parametrize(("program", "script"), [("node", "express_server.mjs"), ("java", "SpringServer.java")])
def test_a_server_in_the_way_of_another_frame_is_accused_of_nothing(
    program: str, script: str, few_charts: tuple[PatientChart, ...]
) -> None:
    found = shutil.which(program)
    if found is None:
        pytest.skip(f"{program} is not installed here")
    port = free_port()
    process = subprocess.Popen([found, str(_FILES / script), str(port)])
    try:
        for _ in range(300):
            with suppress(URLError):
                urlopen(f"http://127.0.0.1:{port}/cds-services", timeout=5).close()
                break
            sleep(0.1)
        report = _report(f"http://127.0.0.1:{port}", few_charts, "/cds-services")
    finally:
        process.kill()
        process.wait(10)
    assert [(finding.row.id, finding.faults[0].message) for finding in report.musts] == []
    assert report.requests > 100
