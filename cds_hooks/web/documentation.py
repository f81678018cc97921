"""Reads the documentation: its pages in their order, one page as HTML, and the pages that have some words.

The pages are those of docs/ in the sources, or of the copy in the wheel. markdown-it-py parses a page when it is asked
for; SQLite (FTS5) searches them. The HTML needs no style and no script of its own: raw HTML is shown as text, and the
alignment of a column is a class.
"""

import os
import re
import sqlite3
import tomllib
from collections.abc import Sequence
from functools import cache
from html import escape
from pathlib import Path, PurePosixPath
from typing import Final
from urllib.parse import unquote, urlsplit

from markdown_it import MarkdownIt
from markdown_it.token import Token
from msgspec import Struct

import cds_hooks

CONTENTS: Final = "contents.toml"
_PARSER: Final = MarkdownIt("commonmark", {"html": False}).enable("table")
_TABLE: Final = '<div class="scroll" role="group" aria-label="Table" tabindex="0"><table>'
_ALIGNED: Final = {"text-align:right": "num", "text-align:center": "mid"}


class Page(Struct, frozen=True):
    """A page as it is shown: its title, its HTML, and the anchor and words of each second heading."""

    title: str
    html: str
    parts: Sequence[tuple[str, str]]


def documentation_folder() -> Path | None:
    """Return the folder of the pages: that of the sources, else that of the wheel; None where there is neither."""
    package = Path(cds_hooks.__file__).parent
    folders = (package.parent / "docs", package / "web" / "docs")
    return next((folder for folder in folders if (folder / CONTENTS).is_file()), None)


def address_of(source: PurePosixPath) -> str:
    """Return the address of a page: README.md is the index of its folder."""
    return str(source.with_name("index.html") if source.stem == "README" else source.with_suffix(".html"))


@cache
def chapters(folder: Path) -> dict[str, dict[PurePosixPath, str]]:
    """Return the pages of each chapter with their titles; a pattern with * takes the pages that nothing else names."""
    declared = tomllib.loads((folder / CONTENTS).read_text(encoding="utf-8"))["chapter"]
    listed = {name for chapter in declared for name in chapter["pages"] if "*" not in name}
    ordered: dict[str, dict[PurePosixPath, str]] = {}
    for chapter in declared:
        pages = ordered.setdefault(chapter["title"], {})
        for name in chapter["pages"]:
            for path in sorted(folder.glob(name)):
                source = PurePosixPath(path.relative_to(folder).as_posix())
                if name == str(source) or str(source) not in listed:
                    pages[source] = _title(path.read_text(encoding="utf-8"))
                    listed.add(str(source))
    return {title: pages for title, pages in ordered.items() if pages}


def _title(text: str) -> str:
    return next((line[2:].replace("`", "").strip() for line in text.splitlines() if line.startswith("# ")), "")


def read_page(folder: Path, source: PurePosixPath) -> Page:
    """Return a page of the folder."""
    tokens = _PARSER.parse((folder / source).read_text(encoding="utf-8"))
    parts, title = list[tuple[str, str]](), ""
    for position, token in enumerate(tokens):
        if token.type == "heading_open":
            words = "".join(child.content for child in tokens[position + 1].children or ())
            anchor = re.sub(r"[^\w\- ]", "", words.lower()).replace(" ", "-")  # as GitHub makes it
            token.attrSet("id", anchor)
            title = title or words
            parts += [(anchor, words)] if token.tag == "h2" else []
        _show(token)
        for child in token.children or ():
            if child.type == "link_open":
                _follow(child, folder, source)
            elif child.type == "image":
                child.type, child.content = "html_inline", _picture(str(child.attrs["src"]), child.content)
    return Page(title, _PARSER.renderer.render(tokens, _PARSER.options, {}), parts)


def _show(token: Token) -> None:
    """Let a wide table and a block of code scroll by themselves, reached by the keyboard."""
    if token.type == "table_open":
        token.type, token.content = "html_block", _TABLE
    elif token.type == "table_close":
        token.type, token.content = "html_block", "</table></div>\n"
    elif token.type in ("fence", "code_block"):
        token.type, token.content = "html_block", f'<pre tabindex="0"><code>{escape(token.content)}</code></pre>\n'
    elif align := _ALIGNED.get(str(token.attrs.pop("style", ""))):
        token.attrSet("class", align)


def _follow(link: Token, folder: Path, source: PurePosixPath) -> None:
    """Lead a link to the address of its page; one to a file of the sources outside the folder leads nowhere here."""
    parts = urlsplit(str(link.attrs["href"]))
    if parts.scheme or parts.netloc or not parts.path:
        return
    path = PurePosixPath(os.path.normpath(source.parent / unquote(parts.path)))
    if path.parts[0] == "..":
        link.attrs = {}
        return
    path = path / "README.md" if (folder / path).is_dir() else path
    target = address_of(path) if path.suffix == ".md" else str(path)
    link.attrSet("href", os.path.relpath(target, source.parent) + (f"#{parts.fragment}" if parts.fragment else ""))


def _picture(src: str, words: str) -> str:
    """Return a picture; where its name ends in "-light", the "-dark" beside it is shown to whom the dark theme is."""
    picture = f'<img src="{escape(src)}" alt="{escape(words)}">'
    dark = escape(src.replace("-light.", "-dark."))
    return f'<picture><source media="(prefers-color-scheme: dark)" srcset="{dark}">{picture}</picture>'


class Result(Struct, frozen=True):
    """A page that has the words: where it is, and the text around them as HTML."""

    address: str
    title: str
    excerpt: str


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
        headings = " ".join(re.findall("^##+ (.*)", text, re.MULTILINE))
        weight = 0.4 if _LISTS.match(str(source)) else 1
        connection.execute("insert into page values (?, ?, ?, ?, ?)", (str(source), weight, title, headings, text))
    return connection


def search(folder: Path, text: str) -> list[Result]:
    """Return the pages with all words of the text, the best first; where there are none, those with some."""
    words = [f'"{word}"*' for word in re.findall(r"\w+", text[:200].lower()) if word not in _FILLING]
    for query in (" AND ".join(words), " OR ".join(words)) if words else ():
        if pages := index(folder).execute(_SEARCH, (query,)).fetchall():
            return [_result(*page) for page in pages]
    return []


def _result(source: str, title: str, excerpt: str) -> Result:
    words = escape(re.sub(r"[`*|#]|\]\([^)]*\)", " ", excerpt))
    return Result(address_of(PurePosixPath(source)), title, words.replace("\2", "<mark>").replace("\3", "</mark>"))
