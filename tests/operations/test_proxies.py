"""The proxies' files of docs/operations with real traffic: client certificates, a signed call, limits, nothing else."""

import json
import os
import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from types import MappingProxyType
from typing import Any

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from cds_hooks.tools.kit.simulator.signing import new_key, sign_token
from tests.cds_hooks.calls import PLANNING, request_for
from tests.conftest import ROOT
from tests.each import each_row
from tests.live import free_port, is_listening, serving
from tests.waiting import until

pytestmark = pytest.mark.slow

FILES = ROOT / "docs/operations/files"
HOST = "cds.example.org"
KEY = new_key("https://ehr.example")
TRUST = """
version = 1

[[client]]
name = "ehr"
issuers = ["https://ehr.example"]
algorithms = ["ES384"]
jwks_file = "keys.json"
"""


class Authority:
    """A certificate authority of a test, and what it has signed."""

    def __init__(self, folder: Path, name: str, ends: timedelta = timedelta(days=1)) -> None:
        self._folder, self._ends = folder, ends
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.file = folder / f"{name}.pem"
        self.file.write_bytes(self._sign(self._name, self._key, []).public_bytes(serialization.Encoding.PEM))

    def issue(self, name: str) -> tuple[Path, Path]:
        """Files of a certificate of this name and of its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        is_address = name.replace(".", "").isdigit()
        alternative = x509.IPAddress(ip_address(name)) if is_address else x509.DNSName(name)
        signed = self._sign(subject, key, [alternative])
        certificate, key_file = self._folder / f"{name}.crt", self._folder / f"{name}.key"
        certificate.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
        form = serialization.PrivateFormat.PKCS8
        key_file.write_bytes(key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()))
        return certificate, key_file

    def _sign(
        self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, names: list[x509.GeneralName]
    ) -> x509.Certificate:
        now = datetime.now(UTC)
        made = x509.CertificateBuilder().subject_name(subject).issuer_name(self._name).public_key(key.public_key())
        made = made.serial_number(x509.random_serial_number())
        made = made.not_valid_before(now - timedelta(hours=1)).not_valid_after(now + self._ends)
        made = made.add_extension(x509.BasicConstraints(ca=not names, path_length=None), critical=True)
        # without these Python 3.13 refuses a chain (VERIFY_X509_STRICT)
        made = made.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        made = made.add_extension(issuer, critical=False).add_extension(_use(is_authority=not names), critical=True)
        if names:
            made = made.add_extension(x509.SubjectAlternativeName(names), critical=False)
        return made.sign(self._key, hashes.SHA256())


def _use(*, is_authority: bool) -> x509.KeyUsage:
    others = (
        "content_commitment",
        "key_encipherment",
        "data_encipherment",
        "key_agreement",
        "encipher_only",
        "decipher_only",
    )
    return x509.KeyUsage(
        digital_signature=True, key_cert_sign=is_authority, crl_sign=is_authority, **dict.fromkeys(others, False)
    )


@dataclass(frozen=True)
class Proxy:
    """A proxy in front of a real server with a trust file."""

    program: str
    port: int
    server: str
    """The server's own address, behind the proxy."""
    operator: Path
    """The Unix socket of CDS_OPERATOR_LISTEN."""
    context: ssl.SSLContext
    """TLS with a certificate that the proxy takes."""
    stranger: ssl.SSLContext
    """TLS with a certificate of another authority."""
    bare: ssl.SSLContext
    """TLS without a certificate."""

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    def ask(self, method: str, path: str, context: ssl.SSLContext | None = None, **options: Any) -> httpx.Response:
        headers = {"host": HOST, **options.pop("headers", {})}
        with httpx.Client(verify=context or self.context, timeout=180, trust_env=False) as http:
            return http.request(method, self.url + path, headers=headers, extensions={"sni_hostname": HOST}, **options)

    def raw(self, request: bytes) -> "ssl.SSLSocket":
        """A connection over which these bytes were sent."""
        connection = self.context.wrap_socket(
            socket.create_connection(("127.0.0.1", self.port), timeout=180), server_hostname=HOST
        )
        connection.sendall(request)
        return connection


def client_context(authority: Path, certificate: tuple[Path, Path] | None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(authority))
    if certificate is not None:
        context.load_cert_chain(*certificate)
    return context


@pytest.fixture(scope="module", params=["nginx", "caddy"])
def proxy(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    if not shutil.which(request.param):
        pytest.skip(f"{request.param} is not installed here; on Debian: apt-get install {request.param}")
    folder = tmp_path_factory.mktemp(request.param)
    site, other = Authority(folder, "site"), Authority(folder, "other")
    certificate, key = site.issue(HOST)
    shutil.copy(certificate, folder / "server.pem")
    shutil.copy(key, folder / "server.key")
    shutil.copy(site.file, folder / "clients-ca.pem")
    (folder / "keys.json").write_text(json.dumps(KEY.key_set()))
    (folder / "trust.toml").write_text(TRUST)
    with ExitStack() as stack:
        server = stack.enter_context(
            serving(
                folder,
                CDS_TRUST_FILE=str(folder / "trust.toml"),
                CDS_PUBLIC_URL=f"https://{HOST}",
                CDS_TRUSTED_PROXIES="127.0.0.1/32",
                CDS_OPERATOR_LISTEN=f"unix:{folder}/operator.sock",
            )
        )
        port = free_port()
        start = started_nginx if request.param == "nginx" else started_caddy
        stack.enter_context(start(folder, port, server.removeprefix("http://")))
        found = Proxy(
            request.param,
            port,
            server,
            folder / "operator.sock",
            client_context(site.file, site.issue("ehr.example")),
            client_context(site.file, other.issue("stranger.example")),
            client_context(site.file, None),
        )
        until(lambda: is_listening(port))
        yield found


@contextmanager
def started_nginx(
    folder: Path, port: int, server: str, file: str = "nginx.conf", more: Mapping[str, str] = MappingProxyType({})
) -> Iterator[None]:
    """nginx with a file of docs/operations; ports, paths, the rate and what `more` says differ."""
    text = (FILES / file).read_text()
    for old, new in (
        ("/etc/nginx/tls", str(folder)),
        ("/etc/nginx", str(folder)),
        ("listen 443", f"listen 127.0.0.1:{port}"),
        ("127.0.0.1:8085", server),
        ("rate=1000r/s", "rate=1r/s"),  # no test shall hang on time
        ("burst=2000", "burst=200"),
        ("limit_conn cds_addresses 1024", "limit_conn cds_addresses 64"),
        *more.items(),
    ):
        assert old in text
        text = text.replace(old, new)
    for snippet in ("cds-hooks-proxy.conf", "cds-hooks-pages.conf"):
        shutil.copy(FILES / snippet, folder)
        (folder / snippet).write_text((folder / snippet).read_text().replace("/etc/nginx", str(folder)))
    user = "user root;\n" if os.geteuid() == 0 else ""
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    paths = "".join(f"{kind}_temp_path {folder}/{kind};\n" for kind in kinds)
    head = f"{user}daemon off;\npid {folder}/pid;\nerror_log {folder}/error.log;\nevents {{}}\n"
    (folder / "nginx.conf").write_text(f"{head}http {{\naccess_log off;\n{paths}{text}\n}}\n")
    with running(["nginx", "-e", f"{folder}/error.log", "-c", f"{folder}/nginx.conf"], folder):
        yield


@contextmanager
def started_caddy(
    folder: Path, port: int, server: str, more: Mapping[str, str] = MappingProxyType({})
) -> Iterator[None]:
    """Caddy with the file of docs/operations; ports and paths differ."""
    text = (FILES / "Caddyfile").read_text()
    changes = {**more, "/etc/caddy/tls": str(folder), ":443": f":{port}", "127.0.0.1:8085": server}
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new)
    (folder / "Caddyfile").write_text(text)
    with running(["caddy", "run", "--adapter", "caddyfile", "--config", f"{folder}/Caddyfile"], folder):
        yield


@contextmanager
def running(command: list[str], folder: Path) -> Iterator[None]:
    with (folder / "proxy.log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=os.environ | {"HOME": str(folder)})
        try:
            yield
        finally:
            process.terminate()
            process.wait(timeout=180)


def signed(path: str) -> dict[str, str]:
    return {"authorization": f"Bearer {sign_token(KEY, f'https://{HOST}{path}')}"}


def test_a_signed_call_passes_and_an_unsigned_one_hears_the_servers_refusal(proxy: Proxy) -> None:
    """The token in Authorization comes through unchanged, and its `aud` is the proxy's address."""
    path = f"/cds-services/{PLANNING}"
    body = request_for(PLANNING, "patient-view", "planning-talk", datetime.now(UTC))
    answer = proxy.ask("POST", path, headers=signed(path), json=body)
    assert (answer.status_code, len(answer.json()["cards"])) == (200, 1)
    known = signed(path) | {"x-request-id": "the client's own"}
    assert [proxy.ask("POST", path, headers=known, json=body).status_code for _ in range(2)] == [200, 401]
    unsigned = proxy.ask("POST", path, json=body)
    assert (unsigned.status_code, unsigned.headers["www-authenticate"]) == (401, "Bearer")
    assert proxy.ask("GET", "/readyz").status_code == 200


@pytest.mark.parametrize("whose", ["stranger", "bare"])
def test_without_a_certificate_of_the_site_nothing_is_reached(proxy: Proxy, whose: str) -> None:
    path = f"/cds-services/{PLANNING}"
    try:
        answer = proxy.ask("POST", path, getattr(proxy, whose), headers=signed(path), json={})
    except httpx.HTTPError:  # Caddy ends the handshake
        return
    assert answer.status_code == 400
    assert "certificate" in answer.text.lower()


@each_row("path")
def test_metrics_and_pages_are_not_reached_from_the_network(proxy: Proxy, path: str) -> None:
    forwarded = "X-Forwarded-For: 127.0.0.1\r\nForwarded: for=127.0.0.1\r\nX-Forwarded-Host: localhost\r\n"
    head = f"GET {path} HTTP/1.1\r\nHost: {HOST}\r\n{forwarded}Connection: close\r\n\r\n"
    with proxy.raw(head.encode()) as connection:
        answer = b"".join(iter(lambda: connection.recv(65_536), b""))
    status = int(answer.split()[1])
    assert status in (308, 400, 404), answer
    assert b"cds_requests" not in answer


def test_forwarded_headers_open_nothing_at_the_server_itself_and_the_operators_socket_does(proxy: Proxy) -> None:
    claims = {"x-forwarded-for": "127.0.0.1", "forwarded": "for=127.0.0.1;host=localhost", "x-real-ip": "127.0.0.1"}
    claims |= {"x-forwarded-host": "localhost", "x-forwarded-user": "operator", "x-ssl-client-verify": "SUCCESS"}
    for path in ("/metrics", "/explain/x"):
        assert httpx.get(proxy.server + path, headers=claims).status_code in (401, 403, 404)
    call = f"/cds-services/{PLANNING}"
    assert httpx.post(proxy.server + call, headers=claims, json={}).status_code == 401
    with httpx.Client(transport=httpx.HTTPTransport(uds=str(proxy.operator))) as operator:
        assert "cds_requests_total" in operator.get("http://localhost/metrics").text


def test_a_head_that_the_proxy_takes_the_server_takes_as_well(proxy: Proxy) -> None:
    """Whatever its size, a head is answered by a refusal of the proxy or by the server, never by a bad gateway."""
    for kilobytes in (1, 8, 15, 40, 70, 200):
        answer = proxy.ask("GET", "/readyz", headers={"x-padding": "a" * kilobytes * 1024})
        expected = (200,) if kilobytes < 15 else (200, 400, 414, 431) if kilobytes < 70 else (400, 414, 431)
        assert answer.status_code in expected, kilobytes


def test_bodies_are_bounded_where_the_server_bounds_them(proxy: Proxy) -> None:
    path, most = f"/cds-services/{PLANNING}", 16 * 1024 * 1024
    kind = {"content-type": "application/json"}
    padded = b'{"hook":"' + b"a" * (most - 11) + b'"}'
    assert len(padded) == most
    largest = proxy.ask("POST", path, headers=signed(path) | kind, content=padded)
    assert largest.status_code == 400  # the server has read it
    assert largest.json()["resourceType"] == "OperationOutcome"
    # The server answers by the announced length, and reads on: a proxy that still sends sees the answer.
    assert proxy.ask("POST", path, headers=signed(path) | kind, content=padded + b" ").status_code == 413


def test_nginx_bounds_connections_and_calls_of_one_client(proxy: Proxy) -> None:
    if proxy.program != "nginx":
        pytest.skip("Debian's Caddy has neither limit; the server's own hold (connections, calls_per_second)")
    head = f"POST /cds-services/{PLANNING} HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 10\r\n\r\n".encode()
    with ExitStack() as stack:
        for _ in range(64):
            stack.enter_context(proxy.raw(head))
        until(lambda: proxy.ask("GET", "/readyz").status_code == 429)
    statuses = []
    with httpx.Client(verify=proxy.context, timeout=180, trust_env=False) as http:
        for _ in range(400):
            options: dict[str, Any] = {"headers": {"host": HOST}, "extensions": {"sni_hostname": HOST}}
            statuses.append(http.get(f"{proxy.url}/cds-services", **options).status_code)
            if statuses[-1] == 429:
                break
    assert statuses[-1] == 429
    assert set(statuses) == {401, 429}  # discovery asks for a token behind a trust file


@pytest.mark.parametrize("program", ["nginx", "caddy"])
def test_the_pages_are_open_to_browsers_without_a_certificate_where_their_locations_are_included(
    tmp_path: Path, program: str
) -> None:
    if not shutil.which(program):
        pytest.skip(f"{program} is not installed here")
    site = Authority(tmp_path, "site")
    for source, name in zip(site.issue(HOST), ("server.pem", "server.key"), strict=True):
        shutil.copy(source, tmp_path / name)
    shutil.copy(site.file, tmp_path / "clients-ca.pem")
    public = f"https://{HOST}"
    with serving(tmp_path, CDS_PUBLIC_URL=public, CDS_LOGIN="accounts", CDS_TRUSTED_PROXIES="127.0.0.1/32") as server:
        proxy = Proxy(program, free_port(), server, tmp_path, *3 * [client_context(site.file, None)])
        with _with_pages(proxy, tmp_path):
            until(lambda: is_listening(proxy.port))
            browser = {"accept": "text/html"}
            paths = ("/", "/ops", "/explain/x", "/try")
            assert {proxy.ask("GET", path, headers=browser).status_code for path in paths} == {303}
            login = proxy.ask("GET", "/login", headers=browser)
            assert login.status_code == 200
            assert "__Host-" in login.headers["set-cookie"]
            closed = {path: proxy.ask("GET", path).status_code for path in ("/metrics", "/livez", "/cds-services")}
            assert closed == {"/metrics": 404, "/livez": 404, "/cds-services": 400}


@contextmanager
def _with_pages(proxy: Proxy, folder: Path) -> Iterator[None]:
    """The proxy with the locations of the pages, as its file says how."""
    address = proxy.server.removeprefix("http://")
    if proxy.program == "nginx":
        commented = f"# include {folder}/cds-hooks-pages.conf;\n    location / {{\n        return 404;\n    }}"
        more = {commented: f"include {folder}/cds-hooks-pages.conf;", "rate=1r/s": "rate=1000r/s"}
        with started_nginx(folder, proxy.port, address, more=more):
            yield
        return
    with started_caddy(
        folder, proxy.port, address, {"\t# handle @pages": "\thandle @pages", "\t#\t": "\t\t", "\t# }": "\t}"}
    ):
        yield
