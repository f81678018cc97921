"""Servers that the tested server may call: a FHIR server over one chart, and a key set. Both count what was asked."""

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import Any, Final
from urllib.parse import unquote_plus, urlsplit

from cds_hooks.kit.contract.charts import PatientChart, Resource
from cds_hooks.kit.contract.prefetch import answer

TOKEN: Final = "contract-kit-fhir-token"  # noqa: S105 - invented, and told to the tested server on purpose
_LOOPBACK: Final = ("localhost", "127.0.0.1", "::1")
_PREFIX: Final = "/fhir/"
_LONGEST_STALL_SECONDS: Final = 60.0


@dataclass
class FhirStub:
    """What the stub serves and what it was asked.

    `mode`: `open` answers, `401` refuses every token, `paged` sends the first half of a search with a link to the rest,
    `foreign` the same with the link leading to `elsewhere`, `redirect` sends to `elsewhere`, `stalled` does not answer
    before `released` is set. `asked` holds queries, `tokens` what came with each,
    `paths` the queries as they were written on the wire.
    """

    base: str
    chart: PatientChart
    mode: str = "open"
    elsewhere: str = ""
    asked: list[str] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    released: Event = field(default_factory=Event)

    def access(self) -> dict[str, Any]:
        """The members that offer this server to a service."""
        authorization = {
            "access_token": TOKEN,
            "token_type": "Bearer",
            "expires_in": 300,
            "scope": "patient/*.read user/*.read",
            "subject": "contract-kit",
            "patient": self.chart.patient_id,
        }
        return {"fhirServer": self.base, "fhirAuthorization": authorization}

    def answered(self, query: str, authorization: str) -> tuple[int, Resource]:
        """Status and body for a query relative to the base."""
        self.asked.append(query)
        self.tokens.append(authorization)
        if self.mode == "stalled":
            self.released.wait(_LONGEST_STALL_SECONDS)
        if self.mode == "401" or not authorization:
            return 401, _outcome("login")
        query, _, page = query.partition("&_page=")
        found = answer(query, self.chart, self.base)
        if found is None:
            return 404, _outcome("not-found")
        return 200, self._page(found, query, page) if found["resourceType"] == "Bundle" else found

    def _page(self, bundle: Resource, query: str, page: str) -> Resource:
        entries = bundle.get("entry", [])
        if self.mode not in ("paged", "foreign") or len(entries) < 2:
            return bundle
        half = len(entries) // 2
        if page:
            return bundle | {"entry": entries[half:]}
        base = self.elsewhere if self.mode == "foreign" else self.base
        return bundle | {
            "entry": entries[:half],
            "link": [{"relation": "next", "url": f"{base}/{query}&_page=2"}],
        }


@contextmanager
def serving_fhir(chart: PatientChart, host: str) -> Iterator[FhirStub]:
    """A stub that listens until the block ends; `host` is the name by which the tested server reaches this machine."""
    server = ThreadingHTTPServer((_bound(host), 0), _Handler)
    stub = FhirStub(f"http://{host}:{server.server_port}/fhir", chart)
    server.stub = stub  # type: ignore[attr-defined]  # a handler finds its stub through the server alone
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield stub
    finally:
        stub.released.set()
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # A tested server that goes away must not keep this thread.
    timeout = 10
    # Header and body are two writes: else the second waits 40 ms for the first to be acknowledged.
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        self._answer(self.path)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0)).decode("utf-8", "replace")
        self._answer(f"{self.path.removesuffix('/_search')}?{body}")

    def _answer(self, path: str) -> None:
        stub: FhirStub = self.server.stub  # type: ignore[attr-defined]  # set where the server is made
        stub.paths.append(path)
        parts = urlsplit(path)
        query = parts.path.removeprefix(_PREFIX) + (f"?{unquote_plus(parts.query)}" if parts.query else "")
        status, resource = stub.answered(query, self.headers.get("authorization") or "")
        body = json.dumps(resource).encode()
        self.send_response(302 if stub.mode == "redirect" else status)
        if stub.mode == "redirect":
            self.send_header("location", f"{stub.elsewhere}/{query}")
        self.send_header("content-type", "application/fhir+json")
        self.send_header("content-length", str(len(body)))
        # A tested server that gave up waiting has closed the connection.
        with suppress(ConnectionError):
            self.end_headers()
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: the stub remembers instead."""


def _outcome(code: str) -> Resource:
    return {"resourceType": "OperationOutcome", "issue": [{"severity": "error", "code": code}]}


@dataclass
class KeySet:
    """Where a key set stands, and how often it was read."""

    url: str
    asked: int = 0


@contextmanager
def serving_keys(document: dict[str, Any], host: str) -> Iterator[KeySet]:
    """This JWK Set at an address of its own until the block ends; `host` as for `serving_fhir`."""
    body = json.dumps(document).encode()

    class Handler(BaseHTTPRequestHandler):
        timeout = 10

        def do_GET(self) -> None:
            keys.asked += 1
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing: the count is enough."""

    server = ThreadingHTTPServer((_bound(host), 0), Handler)
    keys = KeySet(f"http://{host}:{server.server_port}/jwks.json")
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield keys
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _bound(host: str) -> str:
    # Asked for by the tester, who names the host: the tested server runs on another machine.
    return "127.0.0.1" if host in _LOOPBACK else "0.0.0.0"  # noqa: S104
