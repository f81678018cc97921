"""The documentation site (/docs/), the OpenAPI document (/openapi.json), and the API reference (/api: Swagger UI).

The site is written by cds_hooks/web/documentation when the wheel is built, and by `make docs` in a checkout. The
OpenAPI document is made at the first request for it.
"""

import mimetypes
from collections.abc import Mapping, MutableMapping
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Receive, Scope, Send

from cds_hooks.services import Service

_FILES: Final = {
    "swagger-ui.css": "text/css; charset=utf-8",
    "swagger-ui-bundle.js": "text/javascript; charset=utf-8",
    "start.js": "text/javascript; charset=utf-8",
}
_HEADERS: Final = {
    # Swagger UI sets styles in its markup and draws its icons from data: addresses; nothing comes from another host.
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
        "connect-src 'self'; base-uri 'none'; frame-ancestors 'none'; form-action 'self'"
    ),
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}


mimetypes.add_type("image/webp", ".webp")  # Python 3.11 does not know it, and the type must be right with nosniff

SITE: Final = Path(str(files("cds_hooks.web") / "docs"))
"""Where the pages of the documentation are, once they were written."""

_SITE_HEADERS: Final = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "base-uri 'none'; frame-ancestors 'none'; form-action 'self'"
    ),
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "cache-control": "no-cache",
}
_NOT_WRITTEN: Final = """<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>The documentation has not been written</title></head>
<body><h1>The documentation has not been written in this checkout</h1>
<p>Run <code>make docs</code> in the folder of the sources, then load this page again.</p>
<p><a href="/">This server</a></p></body>
</html>
"""


class _WithHeaders:
    """An ASGI application whose answers carry the headers of the documentation."""

    def __init__(self, inside: ASGIApp) -> None:
        """`inside` answers."""
        self._inside = inside
        self._headers = [(name.encode(), value.encode()) for name, value in _SITE_HEADERS.items()]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message["headers"], *self._headers]}
            await send(message)

        await self._inside(scope, receive, send_with_headers)


def site_routes(folder: Path | None = None) -> list[BaseRoute]:
    """The documentation site from the folder that it was written to; without one, a page that says how to write it."""
    folder = folder or SITE

    def not_written(_: Request) -> Response:
        return Response(_NOT_WRITTEN, 404, _SITE_HEADERS, "text/html")

    def to_start(request: Request) -> Response:
        return RedirectResponse(request.url.path + "/", 308, _SITE_HEADERS)

    if not (folder / "index.html").is_file():
        return [Route("/docs", not_written), Route("/docs/{path:path}", not_written)]
    return [Route("/docs", to_start), Mount("/docs", _WithHeaders(StaticFiles(directory=folder, html=True)))]


def documentation_routes(services: Mapping[str, Service]) -> list[Route]:
    """The OpenAPI document of these services, the page that shows it, and the files that the page loads."""
    folder = files("cds_hooks.pages.documentation") / "swagger_ui"
    made: list[dict[str, Any]] = []

    def document(_: Request) -> Response:
        # imported here: see the head of this module
        from cds_hooks.routes.openapi import describe

        if not made:
            made.append(describe(services))
        return JSONResponse(made[0])

    def page(_: Request) -> Response:
        return Response((folder / "page.html").read_bytes(), media_type="text/html; charset=utf-8", headers=_HEADERS)

    def file(request: Request) -> Response:
        name = request.path_params["name"]
        if name not in _FILES:
            return Response(status_code=404)
        headers = {**_HEADERS, "cache-control": "public, max-age=86400"}
        # read in parts as they are taken: a copy of 1.7 MB for each slow reader is memory that is not given back
        return FileResponse(str(folder / name), media_type=_FILES[name], headers=headers)

    return [Route("/openapi.json", document), Route("/api", page), Route("/api/{name}", file)]
