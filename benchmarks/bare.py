"""The bare handler that the service is measured against: read the body, parse it, return a constant card.

`app` is the yardstick of issue 2, point 11. The others take one step away or put one in, to see what a step costs:
they are for finding hot spots, not for the ratio.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
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


class _Call(msgspec.Struct, gc=False):
    hook: str
    prefetch: dict[str, msgspec.Raw]


class _TypedCall(msgspec.Struct, gc=False):
    hook: str
    prefetch: dict[str, AnyResource | None]


_call_decoder = msgspec.json.Decoder(_Call)
_typed_decoder = msgspec.json.Decoder(_TypedCall)


def decode_by_key(body: bytes) -> None:
    """The lean decode of every prefetch key on its own: two passes over the bytes."""
    for raw in _call_decoder.decode(body).prefetch.values():
        if bytes(raw) != b"null":
            decoder.decode(raw)


def decode_in_one_pass(body: bytes) -> None:
    """The lean decode of the whole call."""
    _typed_decoder.decode(body)


def _raw(read: Callable[[bytes], object]) -> Callable[..., Awaitable[None]]:
    """A raw ASGI app that joins the body by hand, reads it so and answers the constant card."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        body = await _body(receive)
        if body:  # GET /readyz has none
            read(body)
        await _send(send, orjson.dumps(CARD))

    return app


raw_null = _raw(len)
raw_orjson = _raw(orjson.loads)
raw_lean = _raw(decode_by_key)
raw_typed = _raw(decode_in_one_pass)
