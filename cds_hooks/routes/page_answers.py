"""How a page is answered: with its headers, on a thread, and a refusal with the id under which the log has it."""

from collections.abc import Callable, Mapping
from typing import Any

from anyio import CapacityLimiter, to_thread
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from cds_hooks.errors import CALL_ID
from cds_hooks.logs import log
from cds_hooks.storage.decision import new_decision_id
from cds_hooks.web.pages import HEADERS, Failure, Site, failure_page


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
