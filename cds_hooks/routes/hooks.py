"""POST /cds-services/{id}: the hot path, plain ASGI so that nothing stands between the socket and invoke."""

from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any, Final

from cds_hooks.errors import HookError, MethodNotAllowed, NotFound, operation_outcome
from cds_hooks.invoke import Parts, invoke
from cds_hooks.logs import log
from cds_hooks.routes.intake import JSON, Intake, Receive
from cds_hooks.security import Trust, TrustedClient, Untrusted
from cds_hooks.service import Service

Scope = MutableMapping[str, Any]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

PREFIX: Final = "/cds-services/"


class HookRoute:
    """Answers hook calls and hands every other request on to `rest`."""

    def __init__(self, rest: App, services: dict[str, Service], parts: Parts, intake: Intake, trust: Trust) -> None:
        self.rest = rest
        self.services = services
        self.parts = parts
        self.intake = intake
        self.trust = trust

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
        known = name if name in self.services else ""  # what else stands in a URL may be anything
        try:
            client = await self.trust.client_of(scope["headers"], scope["path"])  # before anything is said of services
            response = await self._invoke(self._service(name, scope["method"]), client, scope, receive)
        except Untrusted as error:
            # why a caller is not trusted is for the operator only; the caller always hears the same
            self.parts.metrics.refused(known, error.status)
            self.parts.metrics.untrusted(error.reason)
            await send_json(send, error.status, operation_outcome(error), error.headers)
            log().info("call refused", service=known, status=error.status, reason=error.reason, client=error.client)
        except HookError as error:
            self.parts.metrics.refused(known, error.status)
            await send_json(send, error.status, operation_outcome(error), error.headers)
            log().info("call refused", service=known, status=error.status, reason=type(error).__name__)
        except Exception as error:
            self.parts.metrics.refused(known, 500)
            failure = HookError("The service failed and no advice was given. The operator's log says where.")
            await send_json(send, 500, operation_outcome(failure))
            log().error("call failed", service=known, status=500, error_type=type(error).__name__)
        else:
            await send_json(send, 200, response)

    async def _invoke(self, service: Service, client: TrustedClient, scope: Scope, receive: Receive) -> bytes:
        self.intake.enter(client.name, min(client.budgets.concurrency, self.parts.settings.concurrent_calls))
        try:
            # the body is handed over and not kept here, so that invoke can let go of it
            body = self.intake.body(scope["headers"], receive)
            return await invoke(await body, service, client, self.parts)
        finally:
            self.intake.leave(client.name)

    def _service(self, name: str, method: str) -> Service:
        service = self.services.get(name)
        if service is None:
            raise NotFound("There is no service of this id; GET /cds-services lists those there are.")
        if method != "POST":
            raise MethodNotAllowed("A service is called by POST; GET /cds-services lists the services.")
        return service


async def send_json(send: Send, status: int, body: bytes, more: Iterable[tuple[bytes, bytes]] = ()) -> None:
    """One complete JSON response, with `more` headers."""
    headers = [(b"content-type", JSON), (b"content-length", b"%d" % len(body)), (b"cache-control", b"no-store"), *more]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
