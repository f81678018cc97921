"""Sends style sheets and scripts, the counts for Prometheus, the OpenAPI document, and the documentation (/docs/).

The site is written by maintenance/documentation_site.py when the wheel is built, and by `make docs` in a checkout.
"""

from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Final

from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route

from cds_hooks.pages.server import PageServer
from cds_hooks.routes.openapi import describe
from cds_hooks.web.files import Files
from cds_hooks.web.site import HEADERS, STATIC, Failure, PageRefusal

SITE: Final = Path(str(files("cds_hooks.web") / "docs"))
"""Where the pages of the documentation are, once they were written."""

_HEADERS: Final = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "base-uri 'none'; frame-ancestors 'none'; form-action 'none'"
    ),
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "cache-control": "no-cache",
}
_NOT_WRITTEN: Final = Failure(
    "The documentation has not been written",
    "In this checkout the pages of the documentation have not been written.",
    "Run `make docs` in the folder of the sources, then load this page again.",
)


def routes(server: PageServer) -> list[BaseRoute]:
    """Return the addresses; pages ask for static files with their digest, so a new one has a new address."""

    def metrics() -> Response:
        return Response(server.metrics.page(), media_type="text/plain; version=0.0.4; charset=utf-8")

    @cache
    def document() -> Response:
        return JSONResponse(describe(server.services))

    static = Files(STATIC, HEADERS | {"cache-control": "public, max-age=86400"})
    programs = [server.route("/metrics", metrics), server.route("/openapi.json", document)]
    return [Mount("/static", static), *programs, *site_routes()]


def site_routes(folder: Path | None = None) -> list[BaseRoute]:
    """Return the routes of the site in the folder that it was written to, or of a page that says how to write it."""
    folder = folder or SITE

    def not_written(_: Request) -> Response:
        raise PageRefusal(_NOT_WRITTEN)

    def to_start(request: Request) -> Response:
        return RedirectResponse(request.url.path + "/", 308, _HEADERS)

    if not (folder / "index.html").is_file():
        return [Route("/docs", not_written), Route("/docs/{path:path}", not_written)]
    return [Route("/docs", to_start), Mount("/docs", Files(folder, _HEADERS, html=True))]
