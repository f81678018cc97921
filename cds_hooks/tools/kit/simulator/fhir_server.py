"""A FHIR R4 server over charts, well-behaved or not: for trying and testing what reads from one."""

import json
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Lock, Thread
from typing import Any, ClassVar, Final, Literal
from urllib.parse import parse_qsl, urlsplit

from cds_hooks.tools.kit.simulator.chart import Resource
from cds_hooks.tools.kit.simulator.fhir_search import (
    InvalidSearch,
    find_resources,
    medications_of,
    read_resource,
    searchset,
    usable_parameters,
)

Mode = Literal["normal", "slow", "401", "403", "429", "503", "garbage", "redirect", "next-elsewhere"]
BASE: Final = "/fhir"
ELSEWHERE: Final = "http://127.0.0.1:9/fhir"
"""An origin that is not this one, where nobody listens (port 9, discard)."""
_LOOPBACK: Final = ("localhost", "127.0.0.1", "::1")
_IDLE_SECONDS: Final = 10
_BACKLOG: Final = 128
_PAGE: Final = re.compile(r"&?\b_offset=(\d{1,9})")
"""The parameter of the address of a next page."""
_FORM: Final = "application/x-www-form-urlencoded"


@dataclass(frozen=True, slots=True)
class Behaviour:
    """What the server asks for, and what it does instead of answering.

    `slow` answers after `delay_seconds`; `429` and `503` come with `retry_after` and, where `failures` is given, only
    that often for each query; `redirect` sends to `elsewhere`; `next-elsewhere` answers, but names the next page there.
    `halves` splits every search in two pages. `lenient` ignores parameters by which it cannot search, and sends the
    Medications of orders along. `browsers` lets pages of any origin read the answers.
    """

    mode: Mode = "normal"
    token: str | None = None
    page_size: int = 50
    delay_seconds: float = 0.2
    retry_after: int = 1
    failures: int | None = None
    halves: bool = False
    lenient: bool = False
    elsewhere: str = ELSEWHERE
    browsers: bool = False


@dataclass(frozen=True, slots=True)
class LoggedRequest:
    """One request; `form` is the body of a POST, `token` whether it came with a bearer token (never which)."""

    method: str
    path: str
    query: str
    form: str
    token: bool
    status: int


HttpAnswer = tuple[int, Resource, Mapping[str, str]]
"""Status, document and headers of an answer."""
_REFUSALS: Final = {
    "401": ("login", "The access token is missing or not valid."),
    "403": ("forbidden", "The token's scopes do not cover this."),
    "429": ("throttled", "Ask again later."),
    "503": ("transient", "Ask again later."),
}


@dataclass
class FhirServer:
    """Reads and searches these resources; `base` is its address under which it is reached.

    `requests` are those that were answered, `tell` is called with each. `received` counts those that came, and
    `most_at_once` those that waited for their answer at the same time.
    """

    base: str
    resources: Sequence[Resource]
    behaviour: Behaviour
    tell: Callable[[LoggedRequest], None] = lambda _: None
    requests: list[LoggedRequest] = field(default_factory=list)
    received: int = 0
    most_at_once: int = 0
    released: Event = field(default_factory=Event)
    """Set where nobody waits any more for slow answers."""
    _lock: Lock = field(default_factory=Lock)
    _failures: Counter[str] = field(default_factory=Counter)

    def respond(self, method: str, path: str, query: str, form: str, headers: Mapping[str, str]) -> HttpAnswer:
        """Return the answer, unless the behavior or the token say otherwise; the request is logged either way.

        The names of `headers` are in lower case.
        """
        with self._lock:
            self.received += 1
            self.most_at_once = max(self.most_at_once, self.received - len(self.requests))
        authorization = headers.get("authorization", "")
        answer = self._misbehave(path, query, form, authorization)
        answer = answer or self._answer(method, path, query, form, headers.get("content-type", ""))
        request = LoggedRequest(method, path, query, form, authorization.startswith("Bearer "), answer[0])
        self.requests.append(request)
        self.tell(request)
        return answer

    def _misbehave(self, path: str, query: str, form: str, authorization: str) -> HttpAnswer | None:
        behaviour, mode = self.behaviour, str(self.behaviour.mode)
        if mode == "slow":
            self.released.wait(behaviour.delay_seconds)
        if behaviour.token is not None and authorization != f"Bearer {behaviour.token}":
            mode = "401"
        if mode == "redirect":
            location = f"{behaviour.elsewhere}{path.removeprefix(BASE)}?{query}".rstrip("?")
            return _outcome(302, "informational", "It is elsewhere.", {"location": location})
        headers = {"www-authenticate": "Bearer"} if mode == "401" else {}
        if mode in ("429", "503"):
            headers = {"retry-after": str(behaviour.retry_after)}
            self._failures[asked := f"{path}?{query}&{form}"] += 1
            if behaviour.failures is not None and self._failures[asked] > behaviour.failures:
                return None
        return _outcome(int(mode), *_REFUSALS[mode], headers) if mode in _REFUSALS else None

    def _answer(self, method: str, path: str, query: str, form: str, media_type: str) -> HttpAnswer:
        kind, _, identity = path.removeprefix(BASE).strip("/").partition("/")
        is_search = identity == "_search"
        allowed = "POST" if is_search else "GET"
        if method != allowed:
            return _outcome(405, "not-supported", "This server only reads and searches.", {"allow": allowed})
        if kind == "metadata":
            return 200, _CAPABILITIES | {"implementation": {"description": "Charts", "url": self.base}}, {}
        if is_search and media_type.split(";")[0].strip() != _FORM:
            return _outcome(415, "not-supported", f"A search by POST is sent as {_FORM}.")
        if not identity or is_search:
            return self._search(kind, "&".join(text for text in (query, form) if text))
        resource = read_resource(self.resources, kind, identity)
        return (200, resource, {}) if resource else _outcome(404, "not-found", f"There is no {kind} of this id.")

    def _search(self, kind: str, query: str) -> HttpAnswer:
        pages, query = _PAGE.findall(query), _PAGE.sub("", query)
        offset, pairs = int(pages[0]) if pages else 0, parse_qsl(query, keep_blank_values=True)
        if self.behaviour.lenient:
            pairs = usable_parameters(kind, pairs)
        try:
            matches = find_resources(self.resources, kind, pairs)
        except InvalidSearch as error:
            return _outcome(400, "not-supported", str(error))
        size = min([self.behaviour.page_size, *(int(value) for name, value in pairs if name == "_count")])
        if self.behaviour.halves:
            size = min(size, max(1, (len(matches) + 1) // 2))
        links = {"self": f"{self.base}/{kind}?{query}"}
        if offset + size < len(matches):
            root = self.behaviour.elsewhere if self.behaviour.mode == "next-elsewhere" else self.base
            links["next"] = f"{root}/{kind}?{query}&_offset={offset + size}"
        found = matches[offset : offset + size]
        included = medications_of(self.resources, found) if self.behaviour.lenient else []
        bundle = searchset(self.base, found, len(matches), included)
        return 200, bundle | {"link": [{"relation": name, "url": url} for name, url in links.items()]}, {}


_CAPABILITIES: Final = {
    "resourceType": "CapabilityStatement",
    "status": "active",
    "date": "2026-11-30",
    "kind": "instance",
    "fhirVersion": "4.0.1",
    "format": ["json"],
    "rest": [{"mode": "server"}],
}


def _outcome(status: int, code: str, text: str, headers: Mapping[str, str] | None = None) -> HttpAnswer:
    issue = {"severity": "error", "code": code, "details": {"text": text}, "diagnostics": text}
    return status, {"resourceType": "OperationOutcome", "issue": [issue]}, headers or {}


@contextmanager
def serving_fhir(
    resources: Sequence[Resource],
    behaviour: Behaviour,
    tell: Callable[[LoggedRequest], None] = lambda _: None,
    host: str = "127.0.0.1",
    port: int = 0,
) -> Iterator[FhirServer]:
    """Serve these resources under /fhir until the block ends; 0 takes a free port.

    `host` is the name by which clients reach this machine.

    Raises:
        OSError: The port cannot be listened on.
    """
    server = FhirServer("", resources, behaviour, tell)
    # Other hosts are named by the tester: the tested server runs on another machine.
    bound = "127.0.0.1" if host in _LOOPBACK else "0.0.0.0"  # noqa: S104
    with _Listener((bound, port), type("Handler", (_Handler,), {"fhir": server})) as listener:
        server.base = f"http://{host}:{listener.server_port}{BASE}"
        thread = Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.released.set()
            listener.shutdown()
            thread.join()


class _Listener(ThreadingHTTPServer):
    request_queue_size = _BACKLOG

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Print nothing of a client that went away; what else goes wrong is a fault of this server and is printed."""
        if not isinstance(sys.exception(), ConnectionError | TimeoutError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    """Hands what comes to its FHIR server, over kept-alive connections; prints nothing."""

    fhir: ClassVar[FhirServer]
    protocol_version = "HTTP/1.1"
    timeout = _IDLE_SECONDS  # a client that goes away must not keep this thread
    disable_nagle_algorithm = True  # header and body are two writes: the second would wait 40 ms for the first

    def do_GET(self) -> None:
        """Answers a request, which http.server hands over by its method."""
        form = self.rfile.read(int(self.headers.get("content-length") or 0)).decode("utf-8", "replace")
        parts = urlsplit(self.path)
        browsers = self.fhir.behaviour.browsers
        sent = {name.lower(): value for name, value in self.headers.items()}
        answer: HttpAnswer = (200, {}, {})
        if not (browsers and self.command == "OPTIONS"):
            answer = self.fhir.respond(self.command, parts.path, parts.query, form, sent)
        status, document, headers = answer
        headers = {"content-type": "application/fhir+json", **headers}
        if browsers:
            headers |= _CORS | {"access-control-allow-headers": sent.get("access-control-request-headers", "*")}
        is_garbage = self.fhir.behaviour.mode == "garbage"
        self._send(status, b"<html>Maintenance" if is_garbage else json.dumps(document).encode(), headers)

    do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = do_GET

    def log_message(self, format: str, *args: Any) -> None:
        """Print nothing."""

    def _send(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "content-length": str(len(body))}.items():
            self.send_header(name, value)
        with suppress(ConnectionError):  # the client gave up waiting and has closed the connection
            self.end_headers()
            self.wfile.write(body)


_CORS: Final = {
    "access-control-allow-origin": "*",
    "access-control-allow-methods": "GET, POST, PUT, PATCH, DELETE, OPTIONS",
}
