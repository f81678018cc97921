"""How a page is answered: with its headers, on a thread, and a refusal with the id under which the log has it."""

from collections.abc import Callable, Mapping
from typing import Any

from anyio import CapacityLimiter, to_thread
from starlette.requests import Request
from starlette.responses import Response

from cds_hooks.errors import CALL_ID
from cds_hooks.logs import log
from cds_hooks.storage.decision import new_decision_id
from cds_hooks.web.pages import HEADERS, Failure, Site, failure_page


def page_answer(body: str, status: int = 200, headers: Mapping[str, str] = HEADERS) -> Response:
    """A page."""
    return Response(body, status_code=status, media_type="text/html", headers=dict(headers))


def failed(site: Site, failure: Failure, status: int = 404) -> Response:
    """The page of a refusal, with the id under which the operator's log has it."""
    call_id = new_decision_id()
    log().info("call refused", status=status, reason=failure.title, decision=call_id)
    page = page_answer(failure_page(site, failure, call_id), status)
    page.headers[CALL_ID.decode()] = call_id
    return page


def on_a_thread(page: Callable[[Request], Response], limiter: CapacityLimiter) -> Callable[[Request], Any]:
    """The page as an endpoint that is worked out on a thread of this limiter."""

    async def answer(request: Request) -> Response:
        return await to_thread.run_sync(page, request, limiter=limiter)

    return answer
