"""Shows the documentation at /docs/: its pages, the results of a search, and the pictures and files beside the pages.

The pages are those of docs/ in the sources, or of the copy in the wheel. markdown-it-py renders a page when it is asked
for; SQLite (FTS5) searches them. Raw HTML in a page is shown as text: every tag of it is the renderer's.
"""

import re
import sqlite3
import tomllib
from functools import cache
from html import escape, unescape
from pathlib import Path, PurePosixPath
from typing import Any, Final

from markdown_it import MarkdownIt
from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route

import cds_hooks
from cds_hooks.people.pages.server import PageServer
from cds_hooks.people.web.files import Files
from cds_hooks.people.web.site import HEADERS

_RENDERER: Final = MarkdownIt("commonmark", {"html": False}).enable("table")
# A wide table and a block of code scroll by themselves, reached by the keyboard; a picture has a dark sibling.
_SHOWN: Final = {
    "<table>": '<div class="scroll" role="group" aria-label="Table" tabindex="0"><table>',
    "</table>": "</table></div>",
    "<pre>": '<pre tabindex="0">',
    ' style="text-align:[a-z]+"': "",
    r'(<a href="(?![a-z]+:)[^"#]*)\.md\b': r"\1.html",
    '<img src="(.*?)-light(.*?)".*?>': r'<picture><source media="(prefers-color-scheme: dark)" '
    r'srcset="\1-dark\2">\g<0></picture>',
}
_SEARCH: Final = """
select source, title, snippet(page, 3, char(2), char(3), '…', 30) from page where page match ?
order by bm25(page, 0, 8, 6, 1) limit 20
"""


def documentation_folder() -> Path:
    """Return the folder of the pages: that of the sources, else that of the wheel."""
    package = Path(cds_hooks.__file__).parent
    sources = package.parent / "docs"
    return sources if (sources / "contents.toml").is_file() else package / "people" / "web" / "docs"


@cache
def chapters(folder: Path) -> dict[str, dict[PurePosixPath, str]]:
    """Return the pages of each chapter with their titles; a page stands where it or a pattern of it comes first."""
    contents, titles = folder / "contents.toml", dict[PurePosixPath, str]()
    ordered = dict[str, dict[PurePosixPath, str]]()
    for chapter in tomllib.loads(contents.read_text(encoding="utf-8"))["chapter"] if contents.is_file() else ():
        paths = [path for name in chapter["pages"] for path in sorted(folder.glob(name))]
        sources = {
            PurePosixPath(path.relative_to(folder)): path.read_text("utf-8").partition("\n")[0] for path in paths
        }
        ordered[chapter["title"]] = {source: sources[source].strip("# `") for source in sources if source not in titles}
        titles |= sources
    return {title: pages for title, pages in ordered.items() if pages}


def read_page(folder: Path, source: PurePosixPath) -> str:
    """Return a page of the folder as HTML."""
    html: str = _RENDERER.render((folder / source).read_text(encoding="utf-8"))
    for rendered, shown in _SHOWN.items():
        html = re.sub(rendered, shown, html)
    return re.sub("<h([1-6])>(.*?)</h", _with_anchor, html)


def _with_anchor(heading: re.Match[str]) -> str:
    """Give a heading the anchor that GitHub makes of it."""
    words = unescape(re.sub("<[^>]*>", "", heading[2]))
    anchor = re.sub(r"[^\w\- ]", "", words.lower()).replace(" ", "-")
    return f'<h{heading[1]} id="{anchor}">{heading[2]}</h'


@cache
def _index(folder: Path) -> sqlite3.Connection:
    index = sqlite3.connect(":memory:", check_same_thread=False)
    index.execute("create virtual table page using fts5(source unindexed, title, headings, text, tokenize=porter)")
    for source, title in (page for pages in chapters(folder).values() for page in pages.items()):
        text = (folder / source).read_text(encoding="utf-8")
        row = (str(source), title, "".join(re.findall("\n##.*", text)), text)
        index.execute("insert into page values (?, ?, ?, ?)", row)
    return index


def search(folder: Path, text: str) -> list[tuple[PurePosixPath, str, str]]:
    """Return page, title and excerpt (HTML) of the pages with words of the text, best first."""
    words = [f'"{word}"*' for word in re.findall(r"\w+", text[:200])]
    pages = _index(folder).execute(_SEARCH, (" OR ".join(words) or '""',))
    return [(PurePosixPath(source), title, _excerpt(text)) for source, title, text in pages]


def _excerpt(text: str) -> str:
    words = escape(re.sub(r"[`*|#]|\]\([^)]*\)", " ", text))
    return words.replace("\2", "<mark>").replace("\3", "</mark>")


def routes(server: PageServer) -> list[BaseRoute]:
    """Return the routes of the documentation."""
    folder = documentation_folder()
    contents = chapters(folder)
    titles = {source: title for pages in contents.values() for source, title in pages.items()}

    def shown(**values: Any) -> Response:
        return server.page("documentation/page.html", chapters=contents, **values)

    def page(path: str = "README") -> Response:
        source = PurePosixPath(f"{path}.md")
        if source not in titles:
            raise HTTPException(404)
        html = read_page(folder, source)
        return shown(
            source=source, title=titles[source], html=html, parts=re.findall('<h2 id="(.*?)">(.*?)</h2>', html)
        )

    def results(q: str = "") -> Response:
        return shown(source=None, title="Search", query=q[:200], results=search(folder, q))

    return [
        Route("/docs", lambda _: RedirectResponse("docs/", 308, HEADERS)),
        server.route("/docs/search", results),
        server.route("/docs/", page),
        server.route("/docs/{path:path}.html", page),
        *([Mount("/docs", Files(folder, HEADERS))] if folder.is_dir() else []),
    ]
