"""Over HTTPS: a certificate that nobody vouches for is found, one of a known authority is trusted."""

from collections.abc import Iterator

import pytest

from cds_hooks.tools.kit.contract.charts import PatientChart
from cds_hooks.tools.kit.contract.connection import Connection
from cds_hooks.tools.kit.contract.report import Report, Result
from cds_hooks.tools.kit.contract.run import run_checks, select_checks
from cds_hooks.tools.kit.contract.target import Target
from tests.cds_hooks.tools.kit.contract.conftest import AS_OF
from tests.cds_hooks.tools.kit.contract.good_server import running
from tests.operations.test_proxies import Authority
from tests.waiting import MOST_SECONDS


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificate"), "authority")


@pytest.fixture(scope="module")
def secure(authority: Authority) -> Iterator[str]:
    """The address of a good server over HTTPS."""
    with running(*authority.issue("127.0.0.1")) as server:
        yield server.base


def _run(base: str, charts: tuple[PatientChart, ...]) -> Report:
    connection = Connection(base, timeout_seconds=MOST_SECONDS)
    try:
        return run_checks(
            Target(connection, charts[:1], AS_OF), select_checks(["SEC-32", "GEN-02", "DISC"], "standard")
        )
    finally:
        connection.close()


def test_a_certificate_that_nobody_vouches_for_fails_a_must(secure: str, few_charts: tuple[PatientChart, ...]) -> None:
    report = _run(secure, few_charts)
    assert "SEC-32" in {finding.row.id for finding in report.musts}
    assert report.exit_code == 1


def test_a_certificate_of_a_trusted_authority_holds(
    secure: str, few_charts: tuple[PatientChart, ...], authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    report = _run(secure, few_charts)
    assert report.findings == []
    held = {each.row.id for each in report.rows if each.result is Result.HELD}
    assert {"SEC-32", "GEN-02"} <= held
