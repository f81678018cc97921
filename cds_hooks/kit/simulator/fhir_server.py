"""A FHIR R4 server over charts on disk, well-behaved or not: for trying and testing what reads from one."""

import asyncio
import secrets
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, Literal, get_args
from urllib.parse import parse_qsl

import orjson
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from cds_hooks.kit.simulator.chart import Chart, Resource
from cds_hooks.kit.simulator.fhir_search import InvalidSearch, find_resources, parameters_of

Mode = Literal["normal", "slow", "401", "403", "429", "503", "garbage", "redirect", "next-elsewhere"]
MODES: Final[tuple[str, ...]] = get_args(Mode)


@dataclass(frozen=True, slots=True)
class Behaviour:
    """What the server asks for, and what it does instead of answering.

    `slow` answers after `delay_seconds`; `429` and `503` come with `retry_after` and, where `failures` is given, only
    that often for each query; `next-elsewhere` answers, but the next page is said to be at another origin.
    """

    mode: Mode = "normal"
    token: str | None = None
    page_size: int = 50
    delay_seconds: float = 0.2
    retry_after: int = 1
    failures: int | None = None


@dataclass(frozen=True, slots=True)
class LoggedRequest:
    """One request; `form` is the body of a POST, `token` whether it came with a bearer token (never which)."""

    method: str
    path: str
    query: str
    form: str
    token: bool
    status: int


@dataclass(slots=True)
class RequestLog:
    """All requests since the start, and how many were under way at the same time; `tell` is called with each one."""

    tell: Callable[[LoggedRequest], None] = lambda _: None
    asked: list[LoggedRequest] = field(default_factory=list)
    most_at_once: int = 0
    _under_way: int = 0

    @contextmanager
    def under_way(self) -> Iterator[None]:
        """While one request is being answered."""
        self._under_way += 1
        self.most_at_once = max(self.most_at_once, self._under_way)
        try:
            yield
        finally:
            self._under_way -= 1

    def add(self, asked: LoggedRequest) -> None:
        """One more."""
        self.asked.append(asked)
        self.tell(asked)

    def as_json(self) -> dict[str, Any]:
        """For `GET /requests`."""
        return {"most_at_once": self.most_at_once, "requests": [asdict(each) for each in self.asked]}


Json = dict[str, Any]


def outcome(code: str, text: str) -> Json:
    """An OperationOutcome for an error."""
    issue = {"severity": "error", "code": code, "details": {"text": text}, "diagnostics": text}
    return {"resourceType": "OperationOutcome", "issue": [issue]}


def searchset(base: str, total: int, page: Sequence[Resource], links: dict[str, str]) -> Json:
    """One page of a search."""
    bundle: Json = {
        "resourceType": "Bundle",
        "type": "searchset",
        "total": total,
        "link": [{"relation": relation, "url": url} for relation, url in links.items()],
    }
    if page:
        bundle["entry"] = [
            {
                "fullUrl": f"{base}/{each['resourceType']}/{each.get('id')}",
                "resource": each,
                "search": {"mode": "match"},
            }
            for each in page
        ]
    return bundle


def capability_statement(base: str, kinds: Sequence[str], date: str) -> Json:
    """What the server can do, at /metadata."""
    return {
        "resourceType": "CapabilityStatement",
        "status": "active",
        "date": date,
        "kind": "instance",
        "fhirVersion": "4.0.1",
        "format": ["json"],
        "implementation": {"description": "Charts on disk, for tests", "url": base},
        "rest": [{"mode": "server", "resource": [_ability(kind) for kind in kinds]}],
    }


def _ability(kind: str) -> Json:
    types = {"id": "token", "token": "token", "patient": "reference", "date": "date"}
    return {
        "type": kind,
        "interaction": [{"code": "read"}, {"code": "search-type"}],
        "searchParam": [
            {"name": name, "type": types[parameter.kind]} for name, parameter in parameters_of(kind).items()
        ],
    }


BASE = "/fhir"
ELSEWHERE = "http://127.0.0.1:9/fhir"
"""Where nobody listens (port 9, discard): an origin that is not this one."""

_MOST_PAGED = 1000
_Answer = tuple[int, Json, dict[str, str]]


def fhir_server(charts: Sequence[Chart], behaviour: Behaviour, log: RequestLog | None = None) -> Starlette:
    """A FHIR server under /fhir that has the resources of all charts."""
    server = _Server([each for chart in charts for each in chart.resources], behaviour, log or RequestLog())
    methods = ["GET", "POST", "PUT", "PATCH", "DELETE"]
    return Starlette(
        routes=[
            Route("/requests", server.requests),
            Route(BASE, server.answering(server.page), methods=methods),
            Route(f"{BASE}/", server.answering(server.page), methods=methods),
            Route(f"{BASE}/metadata", server.answering(server.metadata), methods=methods),
            Route(f"{BASE}/{{kind}}", server.answering(server.search), methods=methods),
            Route(f"{BASE}/{{kind}}/_search", server.answering(server.search_by_post), methods=methods),
            Route(f"{BASE}/{{kind}}/{{identity}}", server.answering(server.read), methods=methods),
        ]
    )


@dataclass(slots=True)
class _Server:
    resources: list[Resource]
    behaviour: Behaviour
    log: RequestLog
    paged: dict[str, tuple[list[Resource], int]] = field(default_factory=dict)
    failed: Counter[str] = field(default_factory=Counter)

    def answering(self, answer: Callable[[Request], Awaitable[_Answer]]) -> Callable[[Request], Awaitable[Response]]:
        """The answer, unless the behaviour or the token say otherwise; what was asked is kept either way."""

        async def respond(request: Request) -> Response:
            form = (await request.body()).decode("utf-8", "replace")
            with self.log.under_way():
                status, document, headers = await self._misbehaving(request, form) or await answer(request)
            token = request.headers.get("authorization", "").startswith("Bearer ")
            self.log.add(LoggedRequest(request.method, request.url.path, request.url.query, form, token, status))
            body = b"<html>Maintenance" if self.behaviour.mode == "garbage" else orjson.dumps(document)
            return Response(body, status, headers, media_type="application/fhir+json")

        return respond

    async def _misbehaving(self, request: Request, form: str) -> _Answer | None:
        does = self.behaviour
        if does.mode == "slow":
            await asyncio.sleep(does.delay_seconds)
        if does.mode == "401" or self._lacks_token(request):
            return 401, outcome("login", "The access token is missing or not valid."), {"www-authenticate": "Bearer"}
        if does.mode == "403":
            return 403, outcome("forbidden", "The token's scopes do not cover this."), {}
        if does.mode == "redirect":
            return 302, outcome("informational", "It is elsewhere."), {"location": f"{ELSEWHERE}{request.url.path}"}
        query = f"{request.url.path}?{request.url.query}&{form}"
        if does.mode in ("429", "503") and (does.failures is None or self.failed[query] < does.failures):
            self.failed[query] += 1
            code = "throttled" if does.mode == "429" else "transient"
            return int(does.mode), outcome(code, "Ask again later."), {"retry-after": str(does.retry_after)}
        return None

    def _lacks_token(self, request: Request) -> bool:
        wanted = self.behaviour.token
        return wanted is not None and request.headers.get("authorization") != f"Bearer {wanted}"

    async def requests(self, _: Request) -> Response:
        """What was asked so far."""
        return Response(orjson.dumps(self.log.as_json()), media_type="application/json")

    async def metadata(self, request: Request) -> _Answer:
        """The CapabilityStatement."""
        kinds = sorted({str(each.get("resourceType")) for each in self.resources})
        return 200, capability_statement(_base(request), kinds, datetime.now(UTC).date().isoformat()), {}

    async def read(self, request: Request) -> _Answer:
        """One resource by its id."""
        if request.method != "GET":
            return _read_only()
        kind, identity = request.path_params["kind"], request.path_params["identity"]
        for each in self.resources:
            if each.get("resourceType") == kind and each.get("id") == identity:
                return 200, each, {}
        return 404, outcome("not-found", f"There is no {kind} of this id."), {}

    async def search(self, request: Request) -> _Answer:
        """The first page of a search whose parameters stand in the address."""
        return self._found(request, request.url.query) if request.method == "GET" else _read_only()

    async def search_by_post(self, request: Request) -> _Answer:
        """The first page of a search whose parameters stand in the body, and perhaps in the address as well."""
        kind = request.headers.get("content-type", "").split(";")[0].strip()
        if request.method != "POST":
            return _read_only()
        if kind != "application/x-www-form-urlencoded":
            return 415, outcome("not-supported", "A search by POST is sent as application/x-www-form-urlencoded."), {}
        form = (await request.body()).decode("utf-8", "replace")
        return self._found(request, "&".join(each for each in (request.url.query, form) if each))

    def _found(self, request: Request, text: str) -> _Answer:
        kind, query = request.path_params["kind"], parse_qsl(text, keep_blank_values=True)
        try:
            found = find_resources(self.resources, kind, query)
        except InvalidSearch as error:
            return 400, outcome("not-supported", str(error)), {}
        size = min([self.behaviour.page_size, *(int(value) for name, value in query if name == "_count")])
        return self._page(request, found, size, 0, f"{_base(request)}/{kind}?{text}")

    async def page(self, request: Request) -> _Answer:
        """A further page: its address means nothing to anybody but this server."""
        name = request.query_params.get("_getpages", "")
        offset = request.query_params.get("_getpagesoffset", "0")
        if name not in self.paged or not offset.isdigit():
            return 410, outcome("expired", "There is no such page, or no longer."), {}
        found, size = self.paged[name]
        return self._page(request, found, size, int(offset), str(request.url), name)

    def _page(
        self, request: Request, found: list[Resource], size: int, offset: int, address: str, name: str = ""
    ) -> _Answer:
        base = _base(request)
        links = {"self": address}
        if offset + size < len(found):
            if not name:
                name = secrets.token_hex(8)
                self.paged[name] = (found, size)
                if len(self.paged) > _MOST_PAGED:
                    del self.paged[next(iter(self.paged))]
            root = ELSEWHERE if self.behaviour.mode == "next-elsewhere" else base
            links["next"] = f"{root}?_getpages={name}&_getpagesoffset={offset + size}"
        return 200, searchset(base, len(found), found[offset : offset + size], links), {}


def _base(request: Request) -> str:
    return f"{request.url.scheme}://{request.url.netloc}{BASE}"


def _read_only() -> _Answer:
    return 405, outcome("not-supported", "This server only reads and searches."), {"allow": "GET"}


__all__ = ["MODES", "Behaviour", "Mode", "RequestLog", "fhir_server"]
