"""A family of rules: the table beside its module, and the words that only its own texts use."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from cards.rules.situation import Situation

Word = Callable[[Situation], str | None]
"""What stands for a {name} of a text in this situation, None when it cannot be said."""


@dataclass(frozen=True, slots=True)
class Family:
    """What a family's module declares: its name, which is also that of its table, and its own words.

    `longest` holds for each own word the longest text it can become; the lint fills summaries with it.
    """

    name: str
    words: Mapping[str, Word] = field(default_factory=dict)
    longest: Mapping[str, str] = field(default_factory=dict)
