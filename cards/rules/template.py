"""Texts with `{name}` in them, filled from the facts of a finding; a text with an unfilled name is never sent."""

import re
from collections.abc import Callable

_NAME = re.compile(r"\{(\w+)\}")


class Template:
    """A text of the table, read once.

    >>> Template("{Drug} at {egfr}.").fill({"Drug": "Metformin", "egfr": "eGFR 28"}.get)
    'Metformin at eGFR 28.'
    """

    __slots__ = ("names", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self.names = tuple(dict.fromkeys(_NAME.findall(text)))

    def fill(self, word: Callable[[str], str | None]) -> str | None:
        """The text with every name filled, its first letter a capital; None when a name has no word."""
        words: dict[str, str] = {}
        for name in self.names:
            found = word(name)
            if found is None:
                return None
            words[name] = found
        filled = " ".join(_NAME.sub(lambda match: words[match[1]], self.text).split())
        return f"{filled[:1].upper()}{filled[1:]}"
