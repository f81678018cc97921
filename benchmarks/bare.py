"""The bare handler that the service is measured against: read the body, parse it, return a constant card.

`app` is the yardstick of issue 2, point 11. The others take one step away or put one in, to see what a step costs:
they are for finding hot spots, not for the ratio.
"""

from __future__ import annotations

from typing import Any

import msgspec
import orjson
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from fhir.record.resources import AnyResource, decoder

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
    """The constant card, after the whole body was read and parsed."""
    orjson.loads(await request.body())
    return Response(orjson.dumps(CARD), media_type="application/json")


async def ready(_: Request) -> Response:
    """Ready as soon as it answers."""
    return PlainTextResponse("ok")


app = Starlette(routes=[Route(PATH, answer, methods=["POST"]), Route("/readyz", ready)])


async def _body(receive: Any) -> bytes:
    message = await receive()
    if not message.get("more_body"):
        return message["body"]  # type: ignore[no-any-return] # ASGI: bytes
    parts = [message["body"]]
    while message.get("more_body"):
        message = await receive()
        parts.append(message.get("body", b""))
    return b"".join(parts)


async def _send(send: Any, body: bytes) -> None:
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def raw_null(_scope: Any, receive: Any, send: Any) -> None:
    """Raw ASGI, body joined by hand, not parsed: what HTTP alone costs."""
    if _scope["type"] == "http":
        await _body(receive)
        await _send(send, orjson.dumps(CARD))


async def raw_orjson(_scope: Any, receive: Any, send: Any) -> None:
    """Raw ASGI with `orjson.loads`: what Starlette costs, by difference."""
    if _scope["type"] == "http":
        orjson.loads(await _body(receive))
        await _send(send, orjson.dumps(CARD))


class _Call(msgspec.Struct, gc=False):
    hook: str
    prefetch: dict[str, msgspec.Raw]


class _TypedCall(msgspec.Struct, gc=False):
    hook: str
    prefetch: dict[str, AnyResource | None]


async def raw_lean(_scope: Any, receive: Any, send: Any) -> None:
    """Raw ASGI with the lean decode of every prefetch key on its own (two passes over the bytes)."""
    if _scope["type"] == "http":
        call = _call_decoder.decode(await _body(receive))
        for raw in call.prefetch.values():
            if bytes(raw) != b"null":
                decoder.decode(raw)
        await _send(send, orjson.dumps(CARD))


async def raw_typed(_scope: Any, receive: Any, send: Any) -> None:
    """Raw ASGI with the lean decode of the whole call in one pass: what is left for the rest is `app` less this."""
    if _scope["type"] == "http":
        _typed_decoder.decode(await _body(receive))
        await _send(send, orjson.dumps(CARD))


_call_decoder = msgspec.json.Decoder(_Call)
_typed_decoder = msgspec.json.Decoder(_TypedCall)
