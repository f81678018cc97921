"""The addresses of the tester's page: /try and the names of drugs and tests for its search field."""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from anyio import CapacityLimiter, to_thread
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from cds_hooks.access.forms import came_from_this_site, require_token
from cds_hooks.errors import CALL_ID, Forbidden, HookError
from cds_hooks.logs import log
from cds_hooks.routes.operations import OperatorAccess
from cds_hooks.services import Service
from cds_hooks.settings import Settings
from cds_hooks.storage.decision import new_decision_id
from cds_hooks.web.numbers import format_time
from cds_hooks.web.site import HEADERS, SCRIPT_HEADERS, Failure, Site, failure_page

if TYPE_CHECKING:
    from cds_hooks.pages.tester.actions import Tester
    from cds_hooks.pages.tester.state import Bench
    from cds_hooks.web.form import Form

_PAGES_AT_ONCE: Final = 2

_OPERATOR_ONLY: Final = Failure(
    "Not for this address",
    "Refused",
    "The tester's page is shown to the operator of this server only.",
    "Open it at CDS_OPERATOR_LISTEN, or with CDS_OPERATOR_TOKEN as bearer; without a trust file it is open.",
)
_OTHER_SITE: Final = Failure(
    "Sent by another site",
    "Refused",
    "The form did not come from a page of this server, so nothing was done.",
    "Open /try at this server and send it from there.",
)


class _Page:
    """The page with its buttons; what only this page needs is imported when it is first opened."""

    def __init__(
        self,
        configured: Settings,
        services: dict[str, Service],
        visitors: OperatorAccess,
        app: Callable[[], ASGIApp],
    ) -> None:
        self._configured = configured
        self._services = services
        self._visitors = visitors
        self._app = app
        self._made: Tester | None = None
        # as the other pages, so that no hook call waits for one
        self._limiter = CapacityLimiter(_PAGES_AT_ONCE)
        clock = format_time(configured.as_of) if configured.as_of else ""
        development = configured.trust_file is None
        self._site = Site(development=development, alert_share=configured.share_of_all_models, clock=clock)

    def _tester(self) -> "Tester":
        if self._made is None:
            from cds_hooks.pages.tester.actions import Tester

            self._made = Tester(self._configured, self._services, self._app)
        return self._made

    async def show(self, request: Request) -> Response:
        """The page as it is first opened, or after a button was pressed."""
        if not self._visitors.may_see_metrics(request):
            return self._failed(_OPERATOR_ONLY, 403)
        tester = await asyncio.to_thread(self._tester)
        if request.method != "POST":
            from cds_hooks.pages.tester.state import Bench

            return await self._shown(tester, Bench())
        return await self._pressed(tester, request)

    async def _pressed(self, tester: "Tester", request: Request) -> Response:
        from cds_hooks.pages.tester.state import bench_of
        from cds_hooks.web.form import UnusableForm, parse_form, read_body

        if not came_from_this_site(request.headers):
            return self._failed(_OTHER_SITE, 403)
        configured = self._configured
        try:
            body = await read_body(request, configured.max_body_bytes, configured.body_seconds)
            form: Form = await asyncio.to_thread(parse_form, request.headers.get("content-type", ""), body)
            require_token(form)
            bench = await asyncio.to_thread(bench_of, form)
        except HookError as error:
            return self._failed(_unusable(error.text), error.status)
        except UnusableForm as error:
            return self._failed(_unusable(str(error)), 400)
        saved = await tester.press(bench, form.get("do", ""), form)
        if saved is not None:
            name = 'attachment; filename="cds-hooks-call.json"'
            return Response(
                saved, headers=SCRIPT_HEADERS | {"content-disposition": name}, media_type="application/json"
            )
        return await self._shown(tester, bench)

    async def _shown(self, tester: "Tester", bench: "Bench") -> Response:
        from cds_hooks.pages.tester.rendering import render_page

        entries = await tester.entries(bench.server)
        page = await to_thread.run_sync(render_page, tester, self._site, bench, entries, limiter=self._limiter)
        # a text of an answer may hold half a character, which no page can
        return Response(page.encode("utf-8", "replace"), media_type="text/html", headers=SCRIPT_HEADERS)

    async def names(self, request: Request) -> Response:
        """Names of drugs and tests that fit what was typed."""
        if not self._visitors.may_see_metrics(request):
            raise Forbidden(_OPERATOR_ONLY.next)
        tester = await asyncio.to_thread(self._tester)
        found = await asyncio.to_thread(tester.catalogue.search, request.query_params.get("q", "")[:100])
        return JSONResponse({"names": [each.name for each in found]}, headers={"cache-control": "no-store"})

    def _failed(self, failure: Failure, status: int) -> Response:
        call_id = new_decision_id()
        log().info("call refused", status=status, reason=failure.title, decision=call_id)
        page = failure_page(self._site, failure, call_id, root="")
        return Response(page, status, HEADERS | {CALL_ID.decode(): call_id}, media_type="text/html")


def _unusable(text: str) -> Failure:
    return Failure("The form cannot be used", "Refused", text, "Nothing was sent. Go back, or open /try again.")


def tester_routes(
    configured: Settings, services: dict[str, Service], visitors: OperatorAccess, app: Callable[[], ASGIApp]
) -> list[Route]:
    """The tester's page; `app` gives the whole server, which is there when the first page is opened."""
    page = _Page(configured, services, visitors, app)
    return [Route("/try", page.show, methods=["GET", "POST"]), Route("/try/orders", page.names)]
