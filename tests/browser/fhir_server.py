"""A small open FHIR server over sample patients, as the sandbox asks one: read, search, POST _search, CORS."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import parse_qs

from cds_hooks.calling.chart import Chart, resources_of
from cds_hooks.calling.search import prefetch_from
from cds_hooks.samples import load_patient

_METADATA = {"resourceType": "CapabilityStatement", "fhirVersion": "4.0.1", "status": "active", "kind": "instance"}


@contextmanager
def listening(handler: Any) -> Iterator[str]:
    """The address of an HTTP server on a free port of loopback, until the block ends."""
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join(10)


@contextmanager
def serving_samples(as_of: datetime, *samples: str) -> Iterator[str]:
    """The base address of a FHIR server that knows these sample patients."""
    charts = [Chart(resources_of(load_patient(sample, as_of))) for sample in samples]
    with listening(partial(_Samples, charts)) as address:
        yield f"{address}/fhir"


@contextmanager
def serving_files(folder: Path) -> Iterator[str]:
    """The address under which the files of a folder are served."""
    with listening(partial(_Files, directory=str(folder))) as address:
        yield address


class _Files(SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        """Says nothing."""


class _Samples(BaseHTTPRequestHandler):
    def __init__(self, charts: list[Chart], *args: Any) -> None:
        self.charts = charts
        super().__init__(*args)

    def log_message(self, *_: Any) -> None:
        """Says nothing."""

    def do_OPTIONS(self) -> None:
        self._send(200, {})

    def do_GET(self) -> None:
        self._answer(self.path)

    def do_POST(self) -> None:
        form = self.rfile.read(int(self.headers.get("content-length", 0))).decode()
        self._answer(f"{self.path.removesuffix('/_search')}?{form}")

    def _answer(self, path: str) -> None:
        query = path.removeprefix("/fhir/")
        if query == "metadata":
            self._send(200, _METADATA)
            return
        found = prefetch_from(self._chart(query), {"asked": query}, {})["asked"]
        self._send(404 if found is None else 200, found or {"resourceType": "OperationOutcome"})

    def _chart(self, query: str) -> Chart:
        path, _, parameters = query.partition("?")
        patient = parse_qs(parameters).get("patient", [path.removeprefix("Patient/")])[0]
        return next((chart for chart in self.charts if chart.patient["id"] == patient), Chart([]))

    def _send(self, status: int, document: dict[str, Any]) -> None:
        body = json.dumps(document).encode()
        self.send_response(status)
        for name, value in (
            ("content-type", "application/fhir+json"),
            ("content-length", str(len(body))),
            ("access-control-allow-origin", "*"),
            ("access-control-allow-headers", "*, authorization"),
        ):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
