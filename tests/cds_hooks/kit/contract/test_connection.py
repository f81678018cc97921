"""How the kit sends: what it waits out, when it gives up, how it signs, and how it words an answer."""

import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from cds_hooks.kit.contract import connection as sending
from cds_hooks.kit.contract.charts import PatientChart
from cds_hooks.kit.contract.connection import Connection
from cds_hooks.kit.contract.document import NotTested
from cds_hooks.kit.contract.report import Report, Result
from cds_hooks.kit.contract.run import run_checks, select_checks
from cds_hooks.kit.contract.target import Target
from tests.cds_hooks.kit.contract.conftest import AS_OF
from tests.cds_hooks.kit.contract.good_server import running
from tests.each import for_rows


def connected(answer: Any, **options: Any) -> Connection:
    """A connection to a server that is a function."""
    connection = Connection("http://127.0.0.1:9", **options)
    headers = connection._client.headers
    connection.close()
    connection._client = httpx.Client(transport=httpx.MockTransport(answer), headers=headers)
    return connection


@for_rows(
    ("value", "seconds"), [(None, 1.0), ("0", 0.0), ("3", 3.0), ("10", 10.0), ("11", 10.0), ("soon", 1.0), ("-1", 1.0)]
)
def test_a_server_that_is_busy_says_how_long(value: str | None, seconds: float) -> None:
    assert sending._wait({} if value is None else {"retry-after": value}) == seconds


def test_a_busy_server_is_asked_three_times(monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []
    monkeypatch.setattr(sending, "sleep", waited.append)
    statuses = iter([429, 429, 200, 429, 429, 429, 200])
    connection = connected(lambda _: httpx.Response(next(statuses), headers={"retry-after": "2"}))
    assert [connection.get("/p", "t").status for _ in range(2)] == [200, 429]
    assert (waited, next(statuses), len(connection.log)) == ([2.0, 2.0, 2.0, 2.0, 2.0], 200, 2)


def test_after_six_requests_without_an_answer_no_more_are_sent() -> None:
    answers = iter([False] * 5 + [True] + [False] * 6)
    sent: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append(request.url.path)
        if not next(answers):
            raise httpx.ConnectError("")
        return httpx.Response(200)

    connection = connected(answer)
    exchanges = [connection.get("/p", "t") for _ in range(12)]
    assert [made.status for made in exchanges] == [0] * 5 + [200] + [0] * 6
    assert {made.failure for made in exchanges} == {"", "ConnectError"}
    with pytest.raises(NotTested, match="the server no longer answers"):
        connection.get("/p", "t")
    assert len(sent) == 12


def test_what_breaks_off_is_sent_once_more_and_what_takes_too_long_is_not() -> None:
    errors: list[Exception] = [httpx.ReadError("cut"), httpx.ReadTimeout("late"), *[httpx.WriteError("cut")] * 2]

    def answer(_: httpx.Request) -> httpx.Response:
        if errors:
            raise errors.pop(0)
        return httpx.Response(200)

    connection = connected(answer)
    assert [(made.status, made.failure) for made in (connection.get("/p", "t") for _ in range(3))] == [
        (0, "timed out"),
        (0, "cut"),
        (200, ""),
    ]


def test_no_request_is_sent_after_the_time_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    timeouts: list[float] = []

    def answer(request: httpx.Request) -> httpx.Response:
        timeouts.append(request.extensions["timeout"]["read"])
        return httpx.Response(200)

    connection = connected(answer, timeout_seconds=5.0)
    monkeypatch.setattr(sending, "perf_counter", lambda: 100.0)
    connection.get("/p", "t")
    for deadline in (103.0, 100.0625, 110.0):
        connection.deadline = deadline
        connection.get("/p", "t")
    assert timeouts == [5.0, 3.0, 0.0625, 5.0]
    connection.deadline = 100.04
    with pytest.raises(NotTested, match="the time limit was reached"):
        connection.get("/p", "t")


def test_a_program_prints_the_token_for_each_address(tmp_path: Path) -> None:
    program = (sys.executable, "-c", "import sys; print(' token of', sys.argv[1])", "{url}")
    connection = connected(lambda _: httpx.Response(200), token_command=program)
    assert connection.authenticates
    assert connection.bearer("/p") == "token of http://127.0.0.1:9/p"


# Over HTTPS: a certificate that nobody vouches for is found, one of a known authority is trusted.
@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A self-signed certificate for this machine, and its key."""
    folder = tmp_path_factory.mktemp("certificate")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "good server")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = (
        builder.serial_number(1).not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
    )
    names = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    # What newer Pythons ask of an authority.
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    usage = x509.KeyUsage(True, False, False, False, False, True, False, False, False)
    builder = builder.add_extension(usage, critical=True)
    signed = builder.add_extension(names, critical=False).sign(key, hashes.SHA256())
    files = folder / "certificate.pem", folder / "key.pem"
    files[0].write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    form = serialization.PrivateFormat.PKCS8
    files[1].write_bytes(key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()))
    return files


@pytest.fixture(scope="module")
def secure(certificate: tuple[Path, Path]) -> Iterator[str]:
    """The address of a good server over HTTPS."""
    with running(*certificate) as server:
        yield server.base


def _run(base: str, charts: tuple[PatientChart, ...], authority: Path | None) -> Report:
    connection = Connection(base, timeout_seconds=5, authority=authority)
    try:
        return run_checks(
            Target(connection, charts[:1], AS_OF), select_checks(["SEC-32", "GEN-02", "DISC"], "standard")
        )
    finally:
        connection.close()


def test_a_certificate_that_nobody_vouches_for_fails_a_must(secure: str, few_charts: tuple[PatientChart, ...]) -> None:
    report = _run(secure, few_charts, None)
    assert "SEC-32" in {finding.row.id for finding in report.musts}
    assert report.exit_code == 1


def test_a_certificate_of_a_trusted_authority_holds(
    secure: str, few_charts: tuple[PatientChart, ...], certificate: tuple[Path, Path]
) -> None:
    report = _run(secure, few_charts, certificate[0])
    assert report.findings == []
    held = {each.row.id for each in report.rows if each.result is Result.HELD}
    assert {"SEC-32", "GEN-02"} <= held
