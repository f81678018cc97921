"""A document of headings, paragraphs, tables and cards, written as Markdown or as one HTML file."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, TypeAlias

from markupsafe import Markup, escape

from cds_hooks.web.markdown import render_markdown

_SIGNS = {"info": "ⓘ info", "warning": "△ warning", "critical": "⬣ critical"}


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading of level 1, 2 or 3."""

    level: int
    text: str


@dataclass(frozen=True, slots=True)
class Words:
    """A paragraph; `code` stands between backticks."""

    text: str


@dataclass(frozen=True, slots=True)
class Points:
    """A list; `code` stands between backticks."""

    items: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Rows:
    """A table; the columns named in `code` hold what is copied letter by letter."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    code: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Shown:
    """A card as it is sent, with what of it this client shows."""

    card: dict[str, Any]
    shows_labels: bool


Block: TypeAlias = Heading | Words | Points | Rows | Shown


# Markdown


def as_markdown(blocks: Iterable[Block]) -> str:
    """The document as GitHub's Markdown."""
    return "\n\n".join("\n".join(_markdown(block)) for block in blocks) + "\n"


def _markdown(block: Block) -> Iterator[str]:
    match block:
        case Heading(level, text):
            yield f"{'#' * level} {text}"
        case Words(text):
            yield text
        case Points(items):
            yield from (f"- {item}" for item in items)
        case Rows(head, rows, code):
            yield f"| {' | '.join(head)} |"
            yield f"|{'---|' * len(head)}"
            for row in rows:
                cells = zip(head, row, strict=True)
                yield f"| {' | '.join(_cell(text, as_code=name in code) for name, text in cells)} |"
        case Shown(card, shows_labels):
            yield from (f"> {line}".rstrip() for line in _card_lines(card, shows_labels))


def _cell(text: str, *, as_code: bool) -> str:
    # a pipe ends a cell, in code too (GFM, section 4.10)
    kept = text.replace("|", "\\|").replace("\n", " ")
    return f"`{kept}`" if as_code and kept else kept


def _card_lines(card: dict[str, Any], shows_labels: bool) -> Iterator[str]:
    yield f"**{_SIGNS[card['indicator']]}: {card['summary']}**"
    yield ""
    yield from str(card.get("detail", "")).splitlines()
    yield ""
    for words, advised in _suggestions(card, shows_labels):
        yield f"- [ {words} ]{' (advised)' if advised else ''}"
    yield ""
    yield f"{_foot(card)}"


# HTML


def as_html(title: str, blocks: Iterable[Block]) -> str:
    """The document as one HTML file with the look of the server's pages in it; it loads nothing."""
    look = files("cds_hooks.web").joinpath("static", "look.css").read_text(encoding="utf-8")
    body = Markup("\n").join(_html(block) for block in blocks)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>\n{look}</style>\n</head>\n<body>\n<main>\n{body}\n</main>\n"
        "</body>\n</html>\n"
    )


def _html(block: Block) -> Markup:
    match block:
        case Heading(level, text):
            return Markup("<h{0}>{1}</h{0}>").format(level, _inline(text))
        case Words(text):
            return Markup("<p>{}</p>").format(_inline(text))
        case Points(items):
            return Markup("<ul>{}</ul>").format(_each("li", (_inline(item) for item in items)))
        case Rows(head, rows, code):
            top = _each("th", head)
            lines = (
                _each("td", (_html_cell(text, name in code) for name, text in zip(head, row, strict=True)))
                for row in rows
            )
            return Markup("<table><thead><tr>{}</tr></thead><tbody>{}</tbody></table>").format(top, _each("tr", lines))
        case Shown(card, shows_labels):
            return _html_card(card, shows_labels)


def _html_card(card: dict[str, Any], shows_labels: bool) -> Markup:
    offered = _each(
        "li",
        (f"{words} (advised)" if advised else words for words, advised in _suggestions(card, shows_labels)),
    )
    return Markup('<article class="card"><h3>{}: {}</h3>{}<ul>{}</ul><p class="meta">{}</p></article>').format(
        _SIGNS[card["indicator"]], card["summary"], render_markdown(str(card.get("detail", ""))), offered, _foot(card)
    )


def _html_cell(text: str, is_code: bool) -> Markup:
    return Markup("<code>{}</code>").format(text) if is_code and text else _inline(text)


def _inline(text: str) -> Markup:
    parts = text.split("`")
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if position % 2 else escape(part) for position, part in enumerate(parts)
    )


def _each(tag: str, values: Iterable[Any]) -> Markup:
    """Every value in a `tag` of its own."""
    return Markup("").join(Markup("<{0}>{1}</{0}>").format(tag, value) for value in values)


# Both


def _suggestions(card: dict[str, Any], shows_labels: bool) -> Iterator[tuple[str, bool]]:
    for suggestion in card.get("suggestions", ()):
        said = "; ".join(action["description"] for action in suggestion.get("actions", ()))
        yield (f"{suggestion['label']} ({said})" if shows_labels else said), suggestion.get("isRecommended", False)


def _foot(card: dict[str, Any]) -> str:
    source = card["source"]
    topic = source.get("topic", {}).get("code")
    links = "; ".join(f"{link['label']}" for link in card.get("links", ()))
    return " · ".join(
        part
        for part in (
            f"Source: {source['label']}",
            f"topic {topic}" if topic else "",
            f"links: {links}" if links else "",
        )
        if part
    )
