"""How a fault is planted in the good server: a habit, or a change of what it sends."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Change = Callable[[Any], Any]
GONE = object()


@dataclass(frozen=True)
class Planted:
    """One fault: a habit of the server, or a change of its discovery document or of its responses with a card."""

    row: str
    what: str
    discovery: Change | None = None
    response: Change | None = None
    token: bool = False
    signed: bool = False
    dialect: str = "standard"
    check: str = ""
    """The check that has to find it, where the row has several."""


def put(path: str, value: Any) -> Change:
    """Sets the member at a path such as `cards.0.summary`; GONE takes it out. A path that is not there stays out."""

    def change(document: Any) -> Any:
        *holders, last = (int(part) if part.isdigit() else part for part in path.split("."))
        holder = document
        for part in holders:
            if part >= len(holder) if isinstance(part, int) else part not in holder:
                return document
            holder = holder[part]
        if value is GONE:
            holder.pop(last, None)
        else:
            holder[last] = value(holder[last]) if callable(value) else value
        return document

    return change


def both(*changes: Change) -> Change:
    """One change after the other."""

    def change(document: Any) -> Any:
        for each in changes:
            document = each(document)
        return document

    return change


def discovery(row: str, what: str, path: str, value: Any) -> Planted:
    """A fault of the first service in discovery."""
    return Planted(row, what, discovery=put(f"services.0.{path}", value))


def template(row: str, text: str) -> Planted:
    """A prefetch template that breaks a rule, besides the others of the first service."""
    return Planted(row, f"template {text}", discovery=put("services.0.prefetch.more", text))


def three(row: str, **templates: str) -> Planted:
    """Prefetch of a service that says it speaks 3.0."""
    change = both(put("services.0.version", "3.0.0"), put("services.0.prefetch", templates))
    return Planted(row, f"3.0 {templates}", discovery=change)


def card(row: str, what: str, path: str, value: Any) -> Planted:
    """A fault of the first card of each response."""
    return Planted(row, what, response=put(f"cards.0.{path}", value))


def habit(row: str, what: str) -> Planted:
    """A habit that the good server's code asks for."""
    return Planted(row, what)
