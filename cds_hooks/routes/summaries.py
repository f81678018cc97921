"""POST /summaries: a client sends a chart and gets its summary; only where the site has a file for the text part.

Everything of it is imported by the first such request (`cds_hooks/text/served.py`).
"""

import asyncio
from collections import defaultdict
from importlib import import_module

from msgspec.json import encode
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from cds_hooks.errors import BodyTooLarge, RecordFailed
from cds_hooks.routes.feedback import UnreadRefusal
from cds_hooks.routes.hooks import RequestLimits
from cds_hooks.security import Trust
from cds_hooks.settings import Settings
from cds_hooks.storage.decision import RecordUnavailable

PATH = "/summaries"


def summary_routes(configured: Settings, intake: RequestLimits, trust: Trust) -> list[Route]:
    """Return the route for summaries of charts; one at a time for each client."""
    turns: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def answer(request: Request) -> Response:
        client = await trust.client_of(request.scope["headers"], request.scope["path"])
        request.state.client = client.name
        try:
            async with intake.report(
                request, client, configured, configured.max_body_bytes, turns[client.name]
            ) as body:
                served = await asyncio.to_thread(import_module, "cds_hooks.text.served")
                document = await asyncio.to_thread(served.answer_client, configured, body, client.name)
        except BodyTooLarge as error:
            return UnreadRefusal(error, "chart")
        except RecordUnavailable as error:
            raise RecordFailed("The summary could not be recorded, so it is not shown. Ask again later.") from error
        return Response(encode(document), media_type="application/json")

    return [Route(PATH, answer, methods=["POST"])]
