"""Prints an answer in the terminal as a clinician would see it."""

from typing import Any, Final

from rich.console import Console, Group, RenderableType
from rich.markdown import Markdown
from rich.panel import Panel
from rich.text import Text

from cds_hooks.tools.kit.simulator.request import EXTENSION_KEY, outcome_text

# LOOK: a shape and a word, always both; color only repeats what they say.
_SIGNS = {"info": ("ⓘ info", "cyan"), "warning": ("△ warning", "yellow"), "critical": ("⬣ critical", "red")}


def printable(value: Any) -> Any:
    """Return a JSON value without control characters but new lines: a strange server could steer the terminal."""
    if isinstance(value, str):
        return "".join(
            character if character.isprintable() or character == "\n" else "\N{REPLACEMENT CHARACTER}"
            for character in value
        )
    if isinstance(value, list):
        return [printable(item) for item in value]
    return {key: printable(member) for key, member in value.items()} if isinstance(value, dict) else value


_FRAME: Final = 4
"""Columns that the frame of a card takes."""


def print_answer(console: Console, title: str, answer: dict[str, Any], *, reasons: bool = True) -> None:
    """Print the cards of a response, then what was called and, with `reasons`, why others have no card.

    Without `reasons` one line names the others by the code of their reason.
    """
    cards = answer.get("cards") or []
    for card in cards:
        long_links = [link for link in card.get("links") or [] if len(str(link["url"])) > console.width - _FRAME]
        console.print(_card(card, [link for link in card.get("links") or [] if link not in long_links]))
        for link in long_links:  # an address that the frame would break cannot be followed
            console.print(Text(f"{link['label']}: {link['url']}", style="dim"), soft_wrap=True)
    ours = (answer.get("extension") or {}).get(EXTENSION_KEY) or {}
    decision = f", decision {ours['decision']}" if ours.get("decision") else ""
    console.print(Text(f"{title}: {len(cards)} {'card' if len(cards) == 1 else 'cards'}{decision}", style="bold"))
    silences = ours.get("silence") or []
    if not reasons:
        if silences:
            console.print(Text(f"  No card, by reason: {_by_reason(silences)}.", style="dim"))
        return
    if ours.get("looked"):
        console.print(Text(f"  {ours['looked']}", style="dim"))
    for silence in silences:
        console.print(Text(f"  ○ {silence['subject']} · {silence['reason']}: {silence['text']}", style="dim"))


def _by_reason(silences: list[dict[str, Any]]) -> str:
    subjects: dict[str, list[str]] = {}
    for silence in silences:
        subjects.setdefault(silence["reason"], []).append(silence["subject"])
    return "; ".join(f"{reason} {', '.join(dict.fromkeys(names))}" for reason, names in subjects.items())


def _card(card: dict[str, Any], links: list[dict[str, Any]]) -> Panel:
    sign, colour = _SIGNS.get(str(card.get("indicator")), ("card", "white"))
    parts: list[RenderableType] = [Text(str(card.get("summary")), style="bold")]
    if card.get("detail"):
        parts.append(Markdown(str(card["detail"])))
    for suggestion in card.get("suggestions") or []:
        advised = " (advised)" if suggestion.get("isRecommended") else ""
        parts.append(Text(f"[ {suggestion['label']} ]{advised}", style="bold"))
        parts += [
            Text(f"    {action['type']}: {action.get('description', '')}") for action in suggestion.get("actions") or []
        ]
    source = card.get("source") or {}
    parts.append(Text(f"Source: {source.get('label', '')} {source.get('url', '')}".rstrip(), style="dim"))
    parts += [Text(f"{link['label']}: {link['url']}", style="dim") for link in links]
    return Panel(Group(*parts), title=sign, title_align="left", border_style=colour)


def print_error(console: Console, title: str, status: int, outcome: dict[str, Any]) -> None:
    """Print an error as the server words it."""
    text = outcome_text(outcome) or "no OperationOutcome in the answer"
    title = f"{title}: failed with HTTP {status}"
    console.print(Panel(Text(text), title=title, title_align="left", border_style="red"))
