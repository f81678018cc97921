"""The Markdown of cards (bold, lists, links) as HTML; everything else in a text stays text."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING

from markupsafe import Markup, escape

from cards.card import is_web_address

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.token import Token

# A date or a span of years, and a number with its unit.
_WHOLE = re.compile(
    r"\b\d{4}-\d{2}-\d{2}\b|\b\d{4}[-–]\d{4}\b|\b\d[\d.,]* (?:%|[mµ]?[gl]\b|mmHg\b|ms\b|mcg\b|[^\W\d]+/\w+)", re.I
)
# No HTML, images, headings or tables: a card has none, and text of a chart must not make any.
_RULES = ["emphasis", "link", "list", "escape", "newline"]


def render_markdown(text: str) -> Markup:
    """Render paragraphs and lists; only http(s) addresses become links, and no HTML of the text is one.

    >>> render_markdown("**A** <b>\\n- one")
    Markup('<p><strong>A</strong> &lt;b&gt;</p>\\n<ul>\\n<li>one</li>\\n</ul>')
    """
    # The renderer escapes every text, and its rules above are all that make elements.
    return Markup(_renderer().render(text.replace("\x00", "")).strip())  # noqa: S704


def keep_whole(text: str) -> Markup:
    """Return the text with its dates, and numbers with their units, unbroken at the end of a line.

    >>> keep_whole("<b> since 2026-11-20")
    Markup('&lt;b&gt; since <span class="nowrap">2026-11-20</span>')
    """
    return Markup(_WHOLE.sub(r'<span class="nowrap">\g<0></span>', str(escape(text))))  # noqa: S704 - escaped


def _link_open(_self: object, tokens: Sequence[Token], index: int, *_: object) -> str:
    href = tokens[index].attrGet("href")
    return str(Markup('<a href="{}" rel="noreferrer">').format(href))


def _text(_self: object, tokens: Sequence[Token], index: int, *_: object) -> str:
    return keep_whole(tokens[index].content)


@cache
def _renderer() -> MarkdownIt:
    # imported here: most pages have no Markdown, and the library takes 15 ms of their first opening
    from markdown_it import MarkdownIt

    renderer = MarkdownIt("zero", {"html": False, "breaks": True, "xhtmlOut": True}).enable(_RULES)
    renderer.validateLink = is_web_address  # type: ignore[method-assign]  # the documented way of narrowing links
    renderer.add_render_rule("link_open", _link_open)
    renderer.add_render_rule("text", _text)
    return renderer
