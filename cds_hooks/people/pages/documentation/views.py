"""Shows the documentation at /docs/: a page, the results of a search, and the pictures and files beside the pages."""

from pathlib import Path
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route

from cds_hooks.people.web.documentation import address_of, chapters, read_page, search
from cds_hooks.people.web.files import Files
from cds_hooks.people.web.site import HEADERS, Failure, PageRefusal, render, static_version

_HEADERS: Final = HEADERS | {"cache-control": "no-cache"}
_NO_PAGE: Final = Failure(
    "There is no such page of documentation",
    "The address may be that of another version; pages made from the code are there once `make docs` has run.",
    "The start of the documentation, /docs/, lists all pages.",
)


def documentation_routes(folder: Path) -> list[BaseRoute]:
    """Return the routes of the documentation in a folder; where it is not there, a page says so."""

    def to_start(request: Request) -> Response:
        return RedirectResponse(request.url.path + "/", 308, _HEADERS)

    def page(request: Request) -> Response:
        path = request.url.path.removeprefix(request.scope.get("root_path", "")).removeprefix("/docs/")
        address = path if path.endswith(".html") else f"{path}index.html"
        for source, title in (page for pages in chapters(folder).values() for page in pages.items()):
            if address_of(source) == address:
                html, parts = read_page(folder, source)
                return _shown(folder, address, title=title, html=html, parts=parts)
        raise PageRefusal(_NO_PAGE)

    def results(request: Request) -> Response:
        query = request.query_params.get("q", "").strip()[:200]
        return _shown(folder, "search", title="Search", query=query, results=search(folder, query))

    return [
        Route("/docs", to_start),
        Route("/docs/search", results),
        *(Route(path, page) for path in ("/docs/", "/docs/{path:path}/", "/docs/{path:path}.html")),
        *([Mount("/docs", Files(folder, _HEADERS))] if folder.is_dir() else []),
    ]


def _shown(folder: Path, address: str, **values: Any) -> Response:
    contents = {
        title: {words: address_of(source) for source, words in pages.items()}
        for title, pages in chapters(folder).items()
    }
    values |= {"address": address, "root": "../" * address.count("/"), "chapters": contents}
    text = render("documentation/page.html", documentation_look=static_version("documentation.css"), **values)
    return HTMLResponse(text, headers=_HEADERS)
