"""The documentation site (/docs/).

It is written by maintenance/documentation_site.py when the wheel is built, and by `make docs` in a checkout.
"""

from importlib.resources import files
from pathlib import Path
from typing import Final

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route

from cds_hooks.pages.server import PageServer
from cds_hooks.web.files import Files
from cds_hooks.web.site import Failure, PageRefusal

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


def routes(_: PageServer) -> list[BaseRoute]:
    """Return the routes of the site."""
    return site_routes()


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
