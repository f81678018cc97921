"""A document of headings, paragraphs, tables and cards, written as Markdown or as one HTML file."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

from markupsafe import Markup

from cds_hooks.web.markdown import render_markdown
from cds_hooks.web.site import render, static_file

_SIGNS = {"info": "ⓘ info", "warning": "△ warning", "critical": "⬣ critical"}


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading of level 1, 2 or 3."""

    level: int
    text: str


@dataclass(frozen=True, slots=True)
class Paragraph:
    """A paragraph; `code` stands between backticks."""

    text: str


@dataclass(frozen=True, slots=True)
class BulletList:
    """A list; `code` stands between backticks."""

    items: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TableBlock:
    """A table; the columns named in `code` hold what is copied letter by letter."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    code: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class CardBlock:
    """A card as it is sent, with what of it this client shows."""

    card: dict[str, Any]
    shows_labels: bool


Block: TypeAlias = Heading | Paragraph | BulletList | TableBlock | CardBlock


# Markdown


def as_markdown(blocks: Iterable[Block]) -> str:
    """The document as GitHub's Markdown."""
    return "\n\n".join("\n".join(_markdown(block)) for block in blocks) + "\n"


def _markdown(block: Block) -> Iterator[str]:
    match block:
        case Heading(level, text):
            yield f"{'#' * level} {text}"
        case Paragraph(text):
            yield text
        case BulletList(items):
            yield from (f"- {item}" for item in items)
        case TableBlock(head, rows, code):
            yield f"| {' | '.join(head)} |"
            yield f"|{'---|' * len(head)}"
            for row in rows:
                cells = zip(head, row, strict=True)
                yield f"| {' | '.join(_cell(text, as_code=name in code) for name, text in cells)} |"
        case CardBlock(card, shows_labels):
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
    return render(
        "build_sheet.html",
        title=title,
        look=Markup(static_file("look.css").decode()),  # noqa: S704 - our own style sheet
        blocks=[_for_template(block) for block in blocks],
    )


def _for_template(block: Block) -> dict[str, Any]:
    """The block with its kind, for the template; text between backticks is in parts, every second one code."""
    match block:
        case Heading(level, text):
            return {"kind": "heading", "level": level, "parts": text.split("`")}
        case Paragraph(text):
            return {"kind": "paragraph", "parts": text.split("`")}
        case BulletList(items):
            return {"kind": "list", "items": [item.split("`") for item in items]}
        case TableBlock(head, rows, code):
            cells = [[_parts(text, name in code) for name, text in zip(head, row, strict=True)] for row in rows]
            return {"kind": "table", "head": head, "rows": cells}
        case CardBlock(card, shows_labels):
            return {
                "kind": "card",
                "sign": _SIGNS[card["indicator"]],
                "summary": card["summary"],
                "detail": render_markdown(str(card.get("detail", ""))),
                "suggestions": list(_suggestions(card, shows_labels)),
                "foot": _foot(card),
            }


def _parts(text: str, is_code: bool) -> list[str]:
    return ["", text] if is_code and text else text.split("`")


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
