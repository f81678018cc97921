"""Reads one page of docs/ (CommonMark with tables): its title, its sections, its links and its HTML.

The parser is markdown-it-py. The HTML needs no more than `script-src 'self'; style-src 'self'`: raw HTML in a page is
shown as text, and the alignment of a column is a class instead of a style.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from html import escape
from pathlib import PurePosixPath
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.token import Token

_ALIGNED = {"text-align:right": "num", "text-align:center": "mid"}


@dataclass(frozen=True, slots=True)
class Section:
    """A heading and the text below it, up to the next heading; `anchor` is "" for what stands before the first."""

    level: int
    anchor: str
    title: str
    text: str


@dataclass(slots=True)
class Page:
    """One page: where it lies in docs/, its parsed tokens, and what was found in them."""

    source: PurePosixPath
    tokens: list[Token]
    sections: list[Section] = field(default_factory=list)

    @property
    def title(self) -> str:
        """The page's first heading; "" where it has none."""
        return next((section.title for section in self.sections if section.level == 1), "")

    @property
    def address(self) -> PurePosixPath:
        """Where the site has it: README.md is the index of its folder."""
        name = "index" if self.source.stem == "README" else self.source.stem
        return self.source.with_name(f"{name}.html")

    @property
    def root(self) -> str:
        """The way from the page back to the site's first page: "" or "../" as often as there are folders."""
        return "../" * (len(self.source.parts) - 1)

    @property
    def anchors(self) -> set[str]:
        """The fragments by which a link can name a part of the page."""
        return {section.anchor for section in self.sections}

    def links(self) -> Iterator[tuple[Token, list[Token], int]]:
        """Return every link and image with the list of tokens that it stands in and its place there."""
        for block in self.tokens:
            inside = block.children or []
            for position, token in enumerate(inside):
                if token.type in ("link_open", "image"):
                    yield token, inside, position

    def html(self) -> str:
        """Return the page's content."""
        markup: str = _PARSER.renderer.render(self.tokens, _PARSER.options, {})
        return markup


def read_page(source: PurePosixPath, text: str) -> Page:
    """Parse a page and give each of its headings an anchor, made as GitHub makes them."""
    page = Page(source, _PARSER.parse(text))
    _number_headings(page.tokens)
    page.sections = list(_sections(page.tokens))
    return page


def _number_headings(tokens: list[Token]) -> None:
    number_headings: dict[str, int] = {}
    for position, token in enumerate(tokens):
        if token.type == "heading_open":
            anchor = re.sub(r"[^\w\- ]", "", plain(tokens[position + 1]).lower()).replace(" ", "-")
            count = number_headings[anchor] = number_headings.get(anchor, -1) + 1
            token.attrSet("id", f"{anchor}-{count}" if count else anchor)
        elif token.type in ("th_open", "td_open"):
            align = _ALIGNED.get(str(token.attrs.pop("style", "")))
            if align is not None:
                token.attrSet("class", align)


def _sections(tokens: list[Token]) -> Iterator[Section]:
    level, anchor, title, sections = 0, "", "", list[str]()
    for position, token in enumerate(tokens):
        if token.type == "heading_open":
            if title or sections:
                yield Section(level, anchor, title, " ".join(sections))
            level, anchor, title = int(token.tag[1]), str(token.attrs["id"]), plain(tokens[position + 1])
            sections = []
        elif token.type in ("fence", "code_block") or (token.type == "inline" and not _is_heading(tokens, position)):
            sections.append(" ".join(plain(token).split()))
    yield Section(level, anchor, title, " ".join(sections))


def _is_heading(tokens: list[Token], position: int) -> bool:
    return tokens[position - 1].type == "heading_open"


def plain(token: Token) -> str:
    """Return the words of a token without their markup; a picture's are its description."""
    if not token.children:
        return token.content
    return "".join(" " if child.type in ("softbreak", "hardbreak") else child.content for child in token.children)


def _parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    rules: dict[str, Callable[..., str]] = {
        "table_open": _open_table,
        "table_close": _close_table,
        "th_open": _head_cell,
        "th_close": _head_cell,
        "fence": _show_code,
        "code_block": _show_code,
        "image": _show_picture,
    }
    for name, rule in rules.items():
        parser.add_render_rule(name, rule)
    return parser


def _open_table(_self: Any, _tokens: list[Token], _index: int, *_: Any) -> str:
    # a wide table scrolls by itself, and the keyboard reaches it
    return '<div class="scroll" role="group" aria-label="Table" tabindex="0"><table>\n'


def _close_table(_self: Any, _tokens: list[Token], _index: int, *_: Any) -> str:
    return "</table></div>\n"


def _head_cell(renderer: Any, tokens: list[Token], index: int, options: Any, env: Any) -> str:
    """Return a tag of a cell of the head; the empty corner of a table with names at its side is no heading."""
    words = tokens[index + 1 if tokens[index].nesting > 0 else index - 1]
    tokens[index].tag = "th" if words.content else "td"
    return str(renderer.renderToken(tokens, index, options, env))


def _show_code(_self: Any, tokens: list[Token], position: int, *_: Any) -> str:
    return f'<pre tabindex="0"><code>{escape(tokens[position].content)}</code></pre>\n'


def _show_picture(_self: Any, tokens: list[Token], position: int, *_: Any) -> str:
    """Return a picture; where its name ends in "-light", the "-dark" beside it is shown to whom the dark theme is."""
    token = tokens[position]
    source = escape(str(token.attrs["src"]))
    picture = f'<img src="{source}" alt="{escape(plain(token))}">'
    dark = dark_of(source)
    if dark is None:
        return picture
    return f'<picture><source media="(prefers-color-scheme: dark)" srcset="{dark}">{picture}</picture>'


def dark_of(source: str) -> str | None:
    """Return the picture of the dark theme beside one of the light theme; None for any other."""
    stem, dot, suffix = source.rpartition(".")
    return f"{stem.removesuffix('-light')}-dark{dot}{suffix}" if stem.endswith("-light") else None


_PARSER = _parser()
