"""POST /summaries: a client sends a chart and gets its summary; only where the site has a file for the text part.

Everything of it is imported by the first such request (`cds_hooks/add_ons/text/served.py`).
"""

import asyncio
from importlib import import_module

from msgspec.json import encode
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from cds_hooks.call.routes.entrance import ReportIntake
from cds_hooks.errors import RecordFailed
from cds_hooks.evidence.storage.decision import RecordUnavailable
from cds_hooks.settings import Settings

PATH = "/summaries"


def summary_routes(configured: Settings, intake: ReportIntake) -> list[Route]:
    """Return the route for summaries of charts; one at a time for each client."""

    async def answer(request: Request) -> Response:
        client = await intake.client_of(request)
        try:
            async with intake.body(request, client) as body:
                served = await asyncio.to_thread(import_module, "cds_hooks.add_ons.text.served")
                document = await asyncio.to_thread(served.answer_client, configured, body, client.name)
        except RecordUnavailable as error:
            raise RecordFailed("The summary could not be recorded, so it is not shown. Ask again later.") from error
        return Response(encode(document), media_type="application/json")

    return [Route(PATH, answer, methods=["POST"])]
