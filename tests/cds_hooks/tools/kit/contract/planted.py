"""The faults that are planted in the good server, a row of planted.csv each, and how one is planted.

A row names the row of the checklist whose check has to find the fault, and what is wrong: a habit that the good
server's code asks for, or a member of discovery or of its responses with another value. A value that is empty takes the
member out, one with `@` is made of what is there. A row without a name goes on with the fault above it.
"""

import csv
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Change = Callable[[Any], Any]
GONE = object()
_MADE: Mapping[str, Change] = {
    "@services": lambda document: document["services"],
    "@upper": str.upper,
    "@twice": lambda entries: entries * 2,
    "@first twice": lambda entries: [entries[0], entries[0]],
    "@first once more": lambda entries: [*entries, dict(entries[0])],
    "@two versions": lambda entries: [*entries, *(entries[0] | {"hookVersion": name} for name in ("1.0", "1.1"))],
}


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


@dataclass(frozen=True)
class Planted:
    """One fault: a habit of the server, or changes of its discovery document or of its responses with a card."""

    row: str
    what: str
    check: str
    """The check that has to find it, where the row has several."""
    given: str
    """Whether the server asks for a `token` or a `signed` one, or the caller speaks `epic`."""
    changes: dict[str, list[Change]] = field(default_factory=dict)

    def change(self, where: str, document: Any) -> Any:
        """Return discovery or a response with the fault."""
        for each in self.changes.get(where, ()):
            document = each(document)
        return document


def _change(path: str, text: str) -> Change:
    made = _MADE.get(text)
    if made is not None:
        return put(path, made) if path else made
    if text.startswith("@"):  # a long text: a character and how often
        return put(path, text[1] * int(text[3:]))
    try:
        return put(path, json.loads(text) if text else GONE)
    except ValueError:
        return put(path, text)


def _read() -> tuple[Planted, ...]:
    faults: list[Planted] = []
    with Path(__file__).with_suffix(".csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            if row["row"]:
                faults.append(Planted(row["row"], row["what"], row["check"], row["with"]))
            if row["in"]:
                faults[-1].changes.setdefault(row["in"], []).append(_change(row["path"], row["value"]))
    return tuple(faults)


ALL = _read()
