"""The bare handler that the service is measured against: read the body, parse it, return a constant card."""

import orjson
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

PATH = "/cds-services/bare"
CARD = {
    "cards": [
        {
            "uuid": "00000000-0000-4000-8000-000000000000",
            "summary": "A constant card",
            "indicator": "info",
            "source": {"label": "The bare handler of the benchmark"},
        }
    ]
}


async def answer(request: Request) -> Response:
    """Return the constant card, after the whole body was read and parsed."""
    orjson.loads(await request.body())
    return Response(orjson.dumps(CARD), media_type="application/json")


app = Starlette(routes=[Route(PATH, answer, methods=["POST"]), Route("/readyz", PlainTextResponse("ok"))])
