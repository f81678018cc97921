"""POST /cds-services/{id}: the hot path, plain ASGI so that nothing stands between the socket and invoke."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

from cds_hooks.errors import (
    HookError,
    MethodNotAllowed,
    NotFound,
    PayloadTooLarge,
    UnsupportedMediaType,
    operation_outcome,
)
from cds_hooks.invoke import Parts, invoke
from cds_hooks.logs import log
from cds_hooks.service import Service

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

PREFIX: Final = "/cds-services/"
JSON: Final = b"application/json"


class HookRoute:
    """Answers hook calls and hands every other request on to `rest`."""

    def __init__(self, rest: App, services: dict[str, Service], parts: Parts) -> None:
        self.rest = rest
        self.services = services
        self.parts = parts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path: str = scope.get("path", "")
        if scope["type"] != "http" or not path.startswith(PREFIX) or scope["method"] == "OPTIONS":
            await self.rest(scope, receive, send)
            return
        name = path[len(PREFIX) :]
        if "/" in name:  # .../feedback and whatever else
            await self.rest(scope, receive, send)
            return
        await self._answer(name, scope, receive, send)

    async def _answer(self, name: str, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            service = self._service(name, scope["method"])
            limit = self.parts.settings.max_body_bytes
            # the body is handed over and not kept here, so that invoke can let go of it
            response = await invoke(await read_body(scope, receive, limit), service, "anonymous", self.parts)
        except HookError as error:
            known = name if name in self.services else ""  # what else stands in a URL may be anything
            self.parts.metrics.refused(known, error.status)
            await send_json(send, error.status, operation_outcome(error))
            log().info("call refused", service=known, status=error.status, reason=type(error).__name__)
        except Exception as error:
            self.parts.metrics.refused(service.id, 500)
            failure = HookError("The service failed and no advice was given. The operator's log says where.")
            await send_json(send, 500, operation_outcome(failure))
            log().error("call failed", service=service.id, status=500, error_type=type(error).__name__)
        else:
            await send_json(send, 200, response)

    def _service(self, name: str, method: str) -> Service:
        service = self.services.get(name)
        if service is None:
            raise NotFound("There is no service of this id; GET /cds-services lists those there are.")
        if method != "POST":
            raise MethodNotAllowed("A service is called by POST; GET /cds-services lists the services.")
        return service


async def read_body(scope: Scope, receive: Receive, limit: int) -> bytes:
    """The request body; PayloadTooLarge over `limit` bytes, UnsupportedMediaType where it is declared as no JSON."""
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit() and int(value) > limit:
            raise PayloadTooLarge(f"The body is larger than the {limit} bytes that are read here.")
        if name == b"content-type" and not _is_json(value):
            raise UnsupportedMediaType("Send the body as application/json.")
    message = await receive()
    body: bytes = message.get("body", b"")
    if not message.get("more_body"):
        return body
    chunks, size = [body], len(body)
    while message.get("more_body"):
        message = await receive()
        chunk: bytes = message.get("body", b"")
        size += len(chunk)
        if size > limit:
            raise PayloadTooLarge(f"The body is larger than the {limit} bytes that are read here.")
        chunks.append(chunk)
    return b"".join(chunks)


def _is_json(content_type: bytes) -> bool:
    kind = content_type.split(b";", 1)[0].strip().lower()
    return kind == JSON or (kind.startswith(b"application/") and kind.endswith(b"+json"))


async def send_json(send: Send, status: int, body: bytes) -> None:
    """One complete JSON response."""
    headers = [(b"content-type", JSON), (b"content-length", b"%d" % len(body)), (b"cache-control", b"no-store")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
