"""Reads the documentation: its pages in their order, one page as HTML, and the pages that have some words.

The pages are those of docs/ in the sources, or of the copy in the wheel. markdown-it-py renders a page when it is asked
for; SQLite (FTS5) searches them. The HTML needs no style and no script of its own, and raw HTML is shown as text: every
tag in it is the renderer's.
"""

import os
import re
import sqlite3
import tomllib
from functools import cache, partial
from html import escape, unescape
from pathlib import Path, PurePosixPath
from typing import Final
from urllib.parse import unquote, urlsplit

from markdown_it import MarkdownIt

import cds_hooks

CONTENTS: Final = "contents.toml"
_RENDERER: Final = MarkdownIt("commonmark", {"html": False}).enable("table")
_SHOWN: Final = {
    "<table>": '<div class="scroll" role="group" aria-label="Table" tabindex="0"><table>',
    "</table>": "</table></div>",
    "<pre>": '<pre tabindex="0">',
    ' style="text-align:left"': "",
    ' style="text-align:center"': ' class="mid"',
    ' style="text-align:right"': ' class="num"',
}
"""A wide table and a block of code scroll by themselves, reached by the keyboard; an alignment is a class."""
_PICTURE: Final = re.compile(r'<img src="([^"]*)-light(\.[^"]*)"[^>]*>')
_THEMES: Final = r'<picture><source media="(prefers-color-scheme: dark)" srcset="\1-dark\2">\g<0></picture>'


def documentation_folder() -> Path:
    """Return the folder of the pages: that of the sources, else that of the wheel."""
    package = Path(cds_hooks.__file__).parent
    return (
        package.parent / "docs"
        if (package.parent / "docs" / CONTENTS).is_file()
        else package / "people" / "web" / "docs"
    )


def address_of(source: PurePosixPath) -> str:
    """Return the address of a page: README.md is the index of its folder."""
    return str(source.with_name("index.html") if source.stem == "README" else source.with_suffix(".html"))


@cache
def chapters(folder: Path) -> dict[str, dict[PurePosixPath, str]]:
    """Return the pages of each chapter with their titles; a page stands where it or a pattern of it comes first."""
    contents, ordered = folder / CONTENTS, dict[str, dict[PurePosixPath, str]]()
    listed: set[PurePosixPath] = set()
    for chapter in tomllib.loads(contents.read_text(encoding="utf-8"))["chapter"] if contents.is_file() else ():
        paths = [path.relative_to(folder) for name in chapter["pages"] for path in sorted(folder.glob(name))]
        sources = [source for source in dict.fromkeys(map(PurePosixPath, paths)) if source not in listed]
        listed.update(sources)
        if sources:
            ordered[chapter["title"]] = {source: _title(folder / source) for source in sources}
    return ordered


def _title(page: Path) -> str:
    with page.open(encoding="utf-8") as lines:
        return next(lines, "").removeprefix("# ").replace("`", "").strip()


def read_page(folder: Path, source: PurePosixPath) -> tuple[str, list[tuple[str, str]]]:
    """Return a page of the folder as HTML, and the anchor and words of each second heading."""
    html: str = _RENDERER.render((folder / source).read_text(encoding="utf-8"))
    for rendered, shown in _SHOWN.items():
        html = html.replace(rendered, shown)
    parts = [_anchor(heading) for heading in re.findall("<h2>(.*?)</h2>", html)]
    html = re.sub("<(h[1-6])>(.*?)</h", _with_id, html)
    html = re.sub('<a href="([^"]*)"', partial(_follow, folder, source), html)
    return _PICTURE.sub(_THEMES, html), parts


def _with_id(heading: re.Match[str]) -> str:
    return f'<{heading[1]} id="{_anchor(heading[2])[0]}">{heading[2]}</h'


def _anchor(heading: str) -> tuple[str, str]:
    """Return the anchor of a heading, as GitHub makes it, and its words."""
    words = unescape(re.sub("<[^>]*>", "", heading))
    return re.sub(r"[^\w\- ]", "", words.lower()).replace(" ", "-"), words


def _follow(folder: Path, source: PurePosixPath, link: re.Match[str]) -> str:
    """Lead a link to the address of its page; one to a file of the sources outside the folder leads nowhere here."""
    parts = urlsplit(link[1])
    if parts.scheme or parts.netloc or not parts.path:
        return link[0]
    path = PurePosixPath(os.path.normpath(source.parent / unquote(parts.path)))
    if path.parts[0] == "..":
        return "<a"
    path = path / "README.md" if (folder / path).is_dir() else path
    target = os.path.relpath(address_of(path) if path.suffix == ".md" else path, source.parent)
    return f'<a href="{escape(target)}{"#" * bool(parts.fragment)}{parts.fragment}"'


_FILLING: Final = {"a", "an", "and", "do", "for", "how", "i", "in", "is", "my", "of", "on", "or", "the", "to"}
_LISTS: Final = re.compile(r"rules/(?!README)|decisions/|reference/|models/.*_|conformance|crd-|features|caches")
"""Pages that name everything and explain little."""
_SEARCH: Final = """
select source, title, snippet(page, 4, char(2), char(3), '…', 30) from page where page match ?
order by bm25(page, 0, 0, 8, 6, 1) * weight limit 20
"""


@cache
def index(folder: Path) -> sqlite3.Connection:
    """Return the pages in a full-text index of SQLite in memory."""
    connection = sqlite3.connect(":memory:", check_same_thread=False)
    columns = "source unindexed, weight unindexed, title, headings, text, tokenize='porter unicode61'"
    connection.execute(f"create virtual table page using fts5({columns})")
    for source, title in (page for pages in chapters(folder).values() for page in pages.items()):
        text = (folder / source).read_text(encoding="utf-8")
        row = (
            str(source),
            0.4 if _LISTS.match(str(source)) else 1,
            title,
            " ".join(re.findall("\n##+ (.*)", text)),
            text,
        )
        connection.execute("insert into page values (?, ?, ?, ?, ?)", row)
    return connection


def search(folder: Path, text: str) -> list[tuple[str, str, str]]:
    """Return address, title and excerpt (HTML) of the pages with all words of the text, else with some, best first."""
    words = [f'"{word}"*' for word in re.findall(r"\w+", text[:200].lower()) if word not in _FILLING]
    queries = (" AND ".join(words), " OR ".join(words)) if words else ()
    pages = next(filter(None, (index(folder).execute(_SEARCH, (query,)).fetchall() for query in queries)), [])
    return [(address_of(PurePosixPath(source)), title, _excerpt(text)) for source, title, text in pages]


def _excerpt(text: str) -> str:
    words = escape(re.sub(r"[`*|#]|\]\([^)]*\)", " ", text))
    return words.replace("\2", "<mark>").replace("\3", "</mark>")
