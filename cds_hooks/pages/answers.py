"""How a page is answered: with its headers, on a thread, a refusal with its id, and what is at no address."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from anyio import CapacityLimiter, to_thread
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from cds_hooks.errors import CALL_ID, HookError, MethodNotAllowed, NotFound, operation_outcome
from cds_hooks.logs import log
from cds_hooks.storage.decision import new_decision_id
from cds_hooks.web.site import HEADERS, Failure, Site, failure_page


def page_answer(body: str, status: int = 200, headers: Mapping[str, str] = HEADERS) -> Response:
    """A page."""
    return Response(body, status_code=status, media_type="text/html", headers=dict(headers))


def failed(site: Site, failure: Failure, status: int = 404, root: str = "../") -> Response:
    """The page of a refusal, with the id under which the operator's log has it; `root` leads to the start page."""
    call_id = _logged(failure, status)
    page = failure_page(site, failure, call_id, root)
    return page_answer(page, status, HEADERS | {CALL_ID.decode(): call_id})


def refused(site: Site, request: Request, failure: Failure, status: int) -> Response:
    """The answer to a request that may not go on: a page for a browser, an OperationOutcome for a program."""
    if wants_page(request):
        return failed(site, failure, status, root_of(request.scope["path"]) or "./")
    headers = HEADERS | {CALL_ID.decode(): _logged(failure, status)}
    issue = {"severity": "error", "code": "forbidden", "diagnostics": f"{failure.what} {failure.next}"}
    return JSONResponse({"resourceType": "OperationOutcome", "issue": [issue]}, status, headers)


def _logged(failure: Failure, status: int) -> str:
    call_id = new_decision_id()
    log().info("call refused", status=status, reason=failure.title, decision=call_id)
    return call_id


def root_of(path: str) -> str:
    """The way from a page back to the start page, in relative steps: the server may be below a path of a proxy."""
    return "../" * (path.count("/") - 1)


def wants_page(request: Request) -> bool:
    """Whether a browser asks for a page; programs get JSON."""
    return "text/html" in request.headers.get("accept", "")


def on_a_thread(page: Callable[[Request], Response], limiter: CapacityLimiter) -> Callable[[Request], Any]:
    """The page as an endpoint that is worked out on a thread of this limiter."""

    async def answer(request: Request) -> Response:
        return await to_thread.run_sync(page, request, limiter=limiter)

    return answer


_NOT_THERE: Final = Failure(
    "There is no such page",
    "Not found",
    "There is nothing at this address. It may be mistyped, or of another version of this server.",
    "The navigation above has the pages that you may open.",
)
_OTHER_METHOD: Final = Failure(
    "This page does not take that form",
    "Refused",
    "The address does not answer this kind of request, so nothing was done.",
    "Open the page again and send its form from there.",
)


def answer_http_error(site: Site) -> Callable[[Request, Exception], Awaitable[Response]]:
    """The handler for addresses and methods that do not exist: a page for a browser, JSON for a program."""

    async def answer(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)  # noqa: S101 - registered for this class
        is_method = error.status_code == MethodNotAllowed.status
        if wants_page(request):
            page = refused(site, request, _OTHER_METHOD if is_method else _NOT_THERE, error.status_code)
            page.headers.update(error.headers or {})
            return page
        known: HookError = NotFound("There is nothing at this address; GET /cds-services lists the services.")
        if is_method:
            known = MethodNotAllowed("This address does not answer that method.")
        call_id = new_decision_id()
        log().info("call refused", status=known.status, reason=type(known).__name__, decision=call_id)
        headers = {**(error.headers or {}), CALL_ID.decode(): call_id}
        return Response(operation_outcome(known, call_id), known.status, headers, media_type="application/json")

    return answer
