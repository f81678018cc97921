"""A small CDS Hooks server that does everything right, over real HTTP, written for the kit's own tests.

It shares nothing with the product. A fault can be planted: a change of the discovery document, a change of each
response, or the name of a habit that the code below asks for (`self.has("...")`).
"""

import asyncio
import base64
import copy
import json
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tests.cds_hooks.tools.kit.contract.good_advice import advice
from tests.cds_hooks.tools.kit.contract.good_calls import read_call
from tests.cds_hooks.tools.kit.contract.good_feedback import take_feedback
from tests.cds_hooks.tools.kit.contract.good_prefetch import read_prefetch
from tests.cds_hooks.tools.kit.contract.good_tokens import is_good
from tests.cds_hooks.tools.kit.contract.habits import PREFETCH, Habits, Json, Refusal
from tests.cds_hooks.tools.kit.contract.icon import png


@dataclass
class GoodServer(Habits):
    """The server; it keeps the last call for the habit of mixing patients."""

    last: Json = field(default_factory=dict)
    times: int = 0
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    def app(self) -> Starlette:
        """The routes."""
        anything = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"]
        return Starlette(
            routes=[
                Route("/cds-services", self.discovery, methods=anything),
                Route("/cds-services/{name}", self.service, methods=anything),
                Route("/cds-services/{name}/feedback", self.feedback, methods=anything),
                Route("/icon.png", self.icon, methods=["GET"]),
            ]
        )

    async def icon(self, _: Request) -> Response:
        """The icon of the source."""
        if self.has("icon of 64 pixels"):
            return Response(png(64), media_type="image/png")
        if self.has("icon with alpha"):
            return Response(png(100, alpha=True), media_type="image/png")
        return Response(b"GIF89a" if self.has("icon is a GIF") else png(100), media_type="image/png")

    async def discovery(self, request: Request) -> Response:
        """GET /cds-services."""
        if request.method == "OPTIONS":
            return self._preflight(request)
        if request.method == "HEAD":
            return Response(status_code=500 if self.has("HEAD fails") else 200)
        if request.method != "GET" and not self.has("POST on discovery answered"):
            return self._error(request, 405, "GET only")
        if self._asks and not self._knows(request):
            return self._error(request, 401, "unauthorized")
        if self.has("discovery is 404"):
            return self._error(request, 404, "not here")
        self.times += 1
        document = self.on_discovery(self._services())
        if self.has("discovery changes"):
            document["services"][0]["title"] = f"Call {self.times}"
        body = json.dumps(document)
        if self.has("discovery with a trailing comma"):
            body = f"{body[:-1]},}}"
        status = 201 if self.has("discovery is 201") else 200
        kind = "text/html" if self.has("discovery as HTML") else "application/json"
        return self._cors(request, Response(body, status, media_type=kind))

    def _services(self) -> Json:
        greeter = {"hook": "patient-view", "id": "greeter", "prefetch": dict(PREFETCH), "usageRequirements": "Tests."}
        orders = {"id": "orders", "prefetch": dict(PREFETCH), "extension": {"com.example.kind": "orders"}}
        entries: list[Json] = [greeter, orders | {"hook": "order-select"}, orders | {"hook": "order-sign"}]
        entries.append({"hook": "patient-view", "id": "silent"})
        return {"services": [each | {"title": f"{each['id']}!", "description": "Says something."} for each in entries]}

    async def service(self, request: Request) -> Response:
        """POST /cds-services/{id}."""
        if request.method == "OPTIONS":
            return self._preflight(request)
        name = request.path_params["name"]
        if self.has("a lock around slow calls", "a lock around FHIR"):
            async with self.turn:
                if self.has("a lock around slow calls"):
                    await asyncio.sleep(0.12)
                return await self._call(name, request)
        if self.has("one call at a time"):
            async with self.turn:
                return await self._call(name, request)
        return await self._call(name, request)

    async def _call(self, name: str, request: Request) -> Response:
        try:
            body = await request.body() if not self._is_huge(request) else b""
            if request.method != "POST" and not self.has("GET on a service answered"):
                raise Refusal(405, "POST only")
            if request.method != "POST":
                return self._success(request, {"cards": []})
            document = await run_in_threadpool(self._answer, name, request, body)
        except Refusal as refusal:
            return self._error(request, refusal.status, refusal.text)
        return self._success(request, document)

    def _is_huge(self, request: Request) -> bool:
        if int(request.headers.get("content-length") or 0) > 20_000_000 and not self.has("any size is read"):
            raise Refusal(413, "too large")
        return False

    def _success(self, request: Request, document: Json) -> Response:
        body = re.sub(r'"@decimal ([^@"]*)@"', r"\1", json.dumps(self.on_response(document)))
        if not document["cards"] and self.has("silence is 204"):
            return Response(status_code=204)
        if self.has("response with NaN"):
            body = f'{body[:-1]}, "extension": {{"com.example.x": NaN}}}}'
        if self.has("response with a repeated member"):
            body = f'{{"cards": [], {body[1:]}'
        kind = "text/plain" if self.has("response as text") else "application/json"
        if self.has("response in Latin-1"):
            kind = "application/json; charset=iso-8859-1"
        return self._cors(request, Response(body, media_type=kind))

    def _answer(self, name: str, request: Request, body: bytes) -> Json:
        hooks = {"greeter": ["patient-view"], "silent": ["patient-view"], "orders": ["order-select", "order-sign"]}
        if self.has("a listed service is 404") and name == "orders":
            raise Refusal(404, "no such service")
        if name not in hooks:
            if self.has("an unknown service is answered"):
                return {"cards": []}
            raise Refusal(404, "no such service")
        if self._asks and not self._knows(request):
            raise Refusal(401, "unauthorized")
        if self.has("a bad token without CORS") and "authorization" in request.headers:
            raise Refusal(401, "unauthorized")
        if self.has("registry by id alone"):
            hooks["orders"] = ["order-sign"]
        call = read_call(self, request, body, hooks[name])
        self._delay(name, call)
        prefetch = {} if name == "silent" else read_prefetch(self, call)
        is_silent = name == "silent" or (self.has("missing data is silent") and prefetch["patient"] is None)
        return {"cards": []} if is_silent else advice(self, call, prefetch)

    def _delay(self, name: str, call: Json) -> None:
        if self.has("slow") and name == "silent":
            time.sleep(0.6)
        if self.has("never answers") and name == "silent":
            time.sleep(1.5)
        if self.has("mixes patients"):
            self.last = call
            time.sleep(0.03)
            call.update(copy.deepcopy(self.last))

    async def feedback(self, request: Request) -> Response:
        """POST /cds-services/{id}/feedback."""
        if request.method == "OPTIONS":
            return self._preflight(request)
        if self._asks and not self._knows(request) and not self.has("feedback without token"):
            return self._error(request, 401, "unauthorized")
        if request.path_params["name"] not in ("greeter", "orders", "silent") and not self.has("any feedback address"):
            return self._error(request, 404, "no such service")
        if self.has("no feedback"):
            return self._error(request, 404, "not offered")
        try:
            take_feedback(self, await request.body())
        except Refusal as refusal:
            return self._error(request, refusal.status, refusal.text)
        return self._cors(request, Response("{}", media_type="application/json"))

    @property
    def _asks(self) -> bool:
        return bool(self.token) or self.signed

    def _knows(self, request: Request) -> bool:
        given = request.headers.get("authorization", "").removeprefix("Bearer ")
        if self.signed:
            return is_good(self, given, f"{self.base}{request.url.path}")
        if self.has("signature not checked"):
            return given.split(".")[0] == self.token.split(".")[0]
        if self.has("alg none taken") and given:
            return "signature" not in given and not given.endswith(self.token[-6:][::-1])
        if self.has("HS256 taken"):
            return given == self.token or (given.count(".") == 2 and '"HS256"' in _header(given))
        return given == self.token or (self.has("no token needed") and not given)

    def _error(self, request: Request, status: int, text: str) -> Response:
        if self.has("errors say why") and status == 401:
            text = f"token {request.headers.get('authorization', 'missing')}"
        if self.has("a mistake is 412") and status == 400:
            status = 412
        if self.has("a mistake is 499") and status == 400:
            status = 499
        outcome: Any = {"resourceType": "OperationOutcome", "issue": [{"severity": "error", "code": "invalid"}]}
        outcome["issue"][0]["diagnostics"] = text
        if self.has("errors without severity"):
            del outcome["issue"][0]["severity"]
        if self.has("errors name the patient"):
            outcome["issue"][0]["diagnostics"] = "Patient/ckd4-metformin"
        if self.has("errors as text"):
            return self._cors(request, Response(text, status))
        response = Response(json.dumps(outcome), status, media_type="application/json")
        bare = self.has("errors without CORS") or (
            status == 401 and self.has("401 without CORS", "a bad token without CORS")
        )
        return response if bare else self._cors(request, response)

    def _cors(self, request: Request, response: Response) -> Response:
        origin = request.headers.get("origin")
        if origin and not self.has("no CORS"):
            response.headers["access-control-allow-origin"] = "*"
            if self.has("any origin with credentials"):
                response.headers["access-control-allow-origin"] = origin
                response.headers["access-control-allow-credentials"] = "true"
        return response

    def _preflight(self, request: Request) -> Response:
        if self.has("preflight needs a token"):
            return self._error(request, 401, "unauthorized")
        response = self._cors(request, Response(status_code=204))
        response.headers["access-control-allow-methods"] = "GET, POST"
        allowed = "content-type" if self.has("authorization not allowed") else "authorization, content-type"
        response.headers["access-control-allow-headers"] = allowed
        return response


def _header(token: str) -> str:
    return base64.urlsafe_b64decode(f"{token.split('.')[0]}===").decode("utf-8", "replace")


@contextmanager
def running(certificate: Path | None = None, key: Path | None = None) -> Iterator[GoodServer]:
    """The server in a thread, on a port of its own, until the block ends; over HTTPS where it has a certificate."""
    good = GoodServer()
    config = uvicorn.Config(
        good.app(),
        port=0,
        log_level="critical",
        ws="none",
        lifespan="off",
        ssl_certfile=str(certificate) if certificate else None,
        ssl_keyfile=str(key) if key else None,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.005)
    good.base = f"{'https' if certificate else 'http'}://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    try:
        yield good
    finally:
        server.should_exit = True
        thread.join(timeout=180)
        good.client.close()
