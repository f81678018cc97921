"""The Markdown that our cards use (bold, lists, links) as HTML; whatever else is in it stays text."""

import re
from collections.abc import Iterator

from markupsafe import Markup, escape

_TOKEN = re.compile(
    r"\\(?P<literal>[!-/:-@\[-`{-~])"
    r"|\*\*(?P<bold>(?:\\.|[^\\*])+)\*\*"
    r"|\[(?P<label>(?:\\.|[^\\\]])+)\]\((?P<url>https?://[^\s()<>\"]+)\)"
)
_ITEM = re.compile(r"[-*] (?P<text>.*)")


def render_markdown(text: str) -> Markup:
    """Paragraphs and lists; only http(s) addresses become links, and no HTML of the text is one.

    >>> render_markdown("**A** <b>\\n- one")
    Markup('<p><b>A</b> &lt;b&gt;</p>\\n<ul><li>one</li></ul>')
    """
    return Markup("\n").join(_blocks(text))


def _blocks(text: str) -> Iterator[Markup]:
    items: list[Markup] = []
    for line in text.splitlines():
        if match := _ITEM.fullmatch(line.strip()):
            items.append(Markup("<li>{}</li>").format(_inline(match["text"])))
            continue
        if items:
            yield _list(items)
            items = []
        if line.strip():
            yield Markup("<p>{}</p>").format(_inline(line.strip()))
    if items:
        yield _list(items)


def _list(items: list[Markup]) -> Markup:
    return Markup("<ul>{}</ul>").format(Markup("").join(items))


def _inline(text: str) -> Markup:
    pieces: list[Markup] = []
    end = 0
    for match in _TOKEN.finditer(text):
        pieces += [escape(text[end : match.start()]), _token(match)]
        end = match.end()
    return Markup("").join([*pieces, escape(text[end:])])


def _token(match: re.Match[str]) -> Markup:
    if match["literal"]:
        return escape(match["literal"])
    if match["bold"]:
        return Markup("<b>{}</b>").format(_inline(match["bold"]))
    return Markup('<a href="{}" rel="noreferrer">{}</a>').format(match["url"], _inline(match["label"]))
