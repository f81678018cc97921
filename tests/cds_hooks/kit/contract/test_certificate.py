"""Over HTTPS: a certificate that nobody vouches for is found, one of a known authority is trusted."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from cds_hooks.kit.contract.charts import PatientChart
from cds_hooks.kit.contract.connection import Connection
from cds_hooks.kit.contract.report import Report, Result
from cds_hooks.kit.contract.run import run_checks, select_checks
from cds_hooks.kit.contract.target import Target
from tests.cds_hooks.kit.contract.conftest import AS_OF
from tests.cds_hooks.kit.contract.good_server import running


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
