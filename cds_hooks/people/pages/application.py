"""The application of all pages: the gate, the views of each page, and what is answered where a view cannot."""

import asyncio
from importlib import import_module
from pathlib import Path
from typing import Final

from fastapi.exceptions import RequestValidationError
from fastapi.middleware.asyncexitstack import AsyncExitStackMiddleware
from msgspec import MsgspecError
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Router
from starlette.types import ASGIApp, Receive, Scope, Send

from cds_hooks.call.routes.entrance import http_error_outcome
from cds_hooks.errors import MethodNotAllowed
from cds_hooks.evidence.storage.decision import RecordUnavailable
from cds_hooks.people.pages.doors import Door, door_of
from cds_hooks.people.pages.gate import Gate
from cds_hooks.people.pages.server import PageServer, away, wants_page
from cds_hooks.people.web.site import Failure, PageRefusal, add_templates
from cds_hooks.settings.checks import words_of
from cds_hooks.settings.packages import rule_of_package
from cds_hooks.telemetry.logs import log

_NOT_THERE: Final = Failure(
    "There is no such page",
    "There is nothing at this address. It may be mistyped, or of another version of this server.",
    "The navigation above has the pages that you may open.",
)
_OTHER_METHOD: Final = Failure(
    "This page does not take that form",
    "The address does not answer this kind of request, so nothing was done.",
    "Open the page again and send its form from there.",
)
_RECORD_AWAY: Final = away("The record cannot be read or written", "The record of decisions")
_OTHER_FORM: Final = Failure(
    "This record cannot be shown",
    "The decision is on record, but in a form that this version of the server does not read.",
    "Tell the operator of this server. The card in the chart is not affected.",
)


class _Pages:
    """Passes each request on to the page whose door leads to it; its views are imported with the first request."""

    def __init__(self, server: PageServer) -> None:
        self._server = server
        self._routers: dict[str, Router] = {}
        self._loading = asyncio.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        door = door_of(scope["path"])
        if door is None:
            raise HTTPException(404)
        if door.package and not self._server.committee.shows_cards(rule_of_package(door.package)):
            raise PageRefusal(_not_approved(door.package), 403)
        async with self._loading:
            if door.views not in self._routers:
                self._routers[door.views] = await asyncio.to_thread(self._load, door)
        await self._routers[door.views](scope, receive, send)

    def _load(self, door: Door) -> Router:
        try:
            module = import_module(door.views if door.package else f"cds_hooks.people.pages.{door.views}")
        except ModuleNotFoundError as error:
            if door.package or (error.name or "").partition(".")[0] not in _EXTRAS:
                raise
            raise PageRefusal(_extra_missing(error.name or ""), 503) from error
        if door.package:
            add_templates(Path(module.__file__ or "").parent)
        return Router(module.routes(self._server))


_EXTRAS: Final = {"hl7": "events"}
"""The extra that brings a package which a page needs and a server has not by itself."""


def _extra_missing(package: str) -> Failure:
    return Failure(
        "This page needs an extra",
        f"It reads feeds with the package {package}, which is not installed here.",
        f"Whoever runs this server installs it: pip install 'cds-hooks-onnx[{_EXTRAS[package]}]'",
    )


def _not_approved(package: str) -> Failure:
    return Failure(
        "Not approved",
        f"This page is of the package {package} from outside, which is switched off or not approved in this version.",
        f"The page /rules/{rule_of_package(package)} says how it stands; two people in two roles approve it.",
    )


def page_application(server: PageServer) -> ASGIApp:
    """Return the application that answers for every page of a server."""

    async def answer(request: Request, error: Exception) -> Response:
        match error:
            case PageRefusal():
                return server.refuse(request, error.failure, error.status)
            case HTTPException():
                return _answer_http_error(server, request, error)
            case RequestValidationError() | ValidationError():
                return server.refuse(request, _wrong_fields(error), 400)
            case RecordUnavailable():
                return server.refuse_without_store(request, _RECORD_AWAY, error)
            case _:
                log().error("record in another form", status=500, error_type=type(error).__name__)
                return server.refuse(request, _OTHER_FORM, 500)

    handled = (PageRefusal, HTTPException, RequestValidationError, ValidationError, RecordUnavailable, MsgspecError)
    pages = AsyncExitStackMiddleware(_Pages(server))
    return Gate(ExceptionMiddleware(pages, dict.fromkeys(handled, answer)), server)


def _wrong_fields(error: RequestValidationError | ValidationError) -> Failure:
    """Return which fields of an address or a form are wrong, and what each should be, without what was sent."""
    faults = [f"{fault['loc'][-1] if fault['loc'] else 'The form'}: {words_of(fault)}" for fault in error.errors()]
    text = "Nothing was changed. Open the page again and use its form."
    return Failure("The form cannot be used", f"{'; '.join(faults)}.", text)


def _answer_http_error(server: PageServer, request: Request, error: HTTPException) -> Response:
    """Return the answer for an address or a method that does not exist."""
    is_method = error.status_code == MethodNotAllowed.status
    if wants_page(request):
        page = server.refuse(request, _OTHER_METHOD if is_method else _NOT_THERE, error.status_code)
        page.headers.update(error.headers or {})
        return page
    return http_error_outcome(error, request.url.path)
