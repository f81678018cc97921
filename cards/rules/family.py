"""A family of rules: the table beside its module, and the words that only its own texts and conditions use."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from cards.rules.condition import Condition
from cards.rules.rule import Change
from cards.rules.situation import Situation

Word = Callable[[Situation], str | None]
"""What stands for a {name} of a text in this situation, None when it cannot be said."""
Gap = Callable[[Situation], tuple[str, str] | None]
"""Why a fact is not known: reason code and sentence, None when it is known."""
Correction = Callable[[Situation], Change | None]
"""Works out a change for this draft; None where none can be offered."""


@dataclass(frozen=True, slots=True)
class Family:
    """What a family's module declares: its name, which is also that of its table, and its own words.

    `longest` holds for each own word of texts the longest it can become; the lint fills summaries with it.
    `conditions` are its own words of conditions, several families may declare the same one; `gaps` says for a fact
    (a name in `uses`) of its own why it is not known; `changes` are the functions that a change may name as `computed`.
    """

    name: str
    words: Mapping[str, Word] = field(default_factory=dict)
    longest: Mapping[str, str] = field(default_factory=dict)
    conditions: Mapping[str, Condition] = field(default_factory=dict)
    gaps: Mapping[str, Gap] = field(default_factory=dict)
    changes: Mapping[str, Correction] = field(default_factory=dict)
