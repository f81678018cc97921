"""A family of rules: what its module declares beside its rules, and how the families are found."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from operator import attrgetter

from cards.rules.conditions.condition import Condition
from cards.rules.conditions.vocabulary import Vocabulary, common_vocabulary
from cards.rules.language.rule import OrderChange
from cards.rules.patient.context import RuleContext
from models_onnx.discovery import discover

Placeholder = Callable[[RuleContext], str | None]
"""The text for a {name} of a template in this context; None when it is not known."""
Gap = Callable[[RuleContext], tuple[str, str] | None]
"""Why a fact is not known: reason code and sentence, None when it is known."""
Correction = Callable[[RuleContext], OrderChange | None]
"""Works out a change for this draft; None where none can be offered."""


@dataclass(frozen=True)
class Family:
    """What the module `family.py` of a family declares: its name, which is that of its folder, and what only it uses.

    `placeholders` fill its texts; `longest` holds for each of them the longest text that it becomes, with which the
    lint fills summaries. `conditions` are its own words of conditions; `gaps` says for a kind of fact (a name in
    `uses`) of its own why it is not known; `changes` are the functions that a change may name as `computed`.
    """

    name: str
    placeholders: Mapping[str, Placeholder] = field(default_factory=dict)
    longest: Mapping[str, str] = field(default_factory=dict)
    conditions: tuple[Condition, ...] = ()
    gaps: Mapping[str, Gap] = field(default_factory=dict)
    changes: Mapping[str, Correction] = field(default_factory=dict)

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """The words that its conditions may use: the common ones and its own."""
        return common_vocabulary().extended(self.conditions)


@cache
def rule_families() -> tuple[Family, ...]:
    """Every family: each is a folder of cards/rules/families whose module `family.py` declares FAMILY.

    Raises:
        DeclarationError: a folder's module declares no family, or two families have one name.
    """
    found = discover("cards.rules.families", "FAMILY", Family, id_of=attrgetter("name"), inner="family")
    return tuple(found.values())


def family_named(name: str) -> Family:
    """The family of this name; KeyError where there is none."""
    return {one.name: one for one in rule_families()}[name]
