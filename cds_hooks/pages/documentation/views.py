"""The documentation site (/docs/), the OpenAPI document (/openapi.json), and the API reference (/api: Swagger UI).

The site is written by cds_hooks/web/documentation when the wheel is built, and by `make docs` in a checkout.
"""

from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route

from cds_hooks.pages.server import PageServer
from cds_hooks.routes.openapi import describe
from cds_hooks.web.files import Files
from cds_hooks.web.site import Failure, Refusal

SITE: Final = Path(str(files("cds_hooks.web") / "docs"))
"""Where the pages of the documentation are, once they were written."""

_SWAGGER: Final = Path(__file__).parent / "swagger_ui"
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src {styles}; img-src {images}; connect-src 'self'; "
    "base-uri 'none'; frame-ancestors 'none'; form-action {forms}"
)
_HEADERS: Final = {"referrer-policy": "no-referrer", "x-content-type-options": "nosniff"}
_SITE_HEADERS: Final = _HEADERS | {
    "content-security-policy": _POLICY.format(styles="'self'", images="'self'", forms="'none'"),
    "cache-control": "no-cache",
}
# Swagger UI sets styles in its markup and draws its icons from data: addresses; nothing comes from another host.
_SWAGGER_HEADERS: Final = _HEADERS | {
    "content-security-policy": _POLICY.format(styles="'self' 'unsafe-inline'", images="'self' data:", forms="'self'")
}
_NOT_WRITTEN: Final = Failure(
    "The documentation has not been written",
    "Not found",
    "In this checkout the pages of the documentation have not been written.",
    "Run `make docs` in the folder of the sources, then load this page again.",
)


def routes(server: PageServer) -> list[BaseRoute]:
    """Return the routes of the site and, where the site shows it, of the API reference."""
    return [*site_routes(), *(_api_routes(server) if server.settings.trust_file is None else ())]


def site_routes(folder: Path | None = None) -> list[BaseRoute]:
    """Return the routes of the site in the folder that it was written to, or of a page that says how to write it."""
    folder = folder or SITE

    def not_written(_: Request) -> Response:
        raise Refusal(_NOT_WRITTEN)

    def to_start(request: Request) -> Response:
        return RedirectResponse(request.url.path + "/", 308, _SITE_HEADERS)

    if not (folder / "index.html").is_file():
        return [Route("/docs", not_written), Route("/docs/{path:path}", not_written)]
    return [Route("/docs", to_start), Mount("/docs", Files(folder, _SITE_HEADERS, html=True))]


def _api_routes(server: PageServer) -> list[BaseRoute]:
    @cache
    def described() -> dict[str, Any]:
        return describe(server.services)

    def document(_: Request) -> Response:
        return JSONResponse(described())

    def page(_: Request) -> Response:
        return FileResponse(_SWAGGER.with_name("swagger.html"), headers=_SWAGGER_HEADERS)

    swagger = Files(_SWAGGER, _SWAGGER_HEADERS | {"cache-control": "public, max-age=86400"})
    return [server.route("/openapi.json", document), Route("/api", page), Mount("/api", swagger)]
