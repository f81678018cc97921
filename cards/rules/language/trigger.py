"""What activates a rule, and the templates of its sentences."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from msgspec import to_builtins

from cards.rules.language.rule import DeclaredSelector, RuleError, Trigger
from cards.rules.language.selector import Selector
from fhir.mapping.medications.identity import MedicationIdentity
from fhir.terminology.medications import Ingredient

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


Side = tuple[Selector, ...]


@dataclass(frozen=True, slots=True)
class Activation:
    """How a draft activates a rule.

    `ingredient` is the first that does; `partners` select the other side of the pair, none where no partner is
    needed; `alone`: it activates the rule without a partner too; `is_local`: it would, were it not a local form;
    `same_ingredient`: the partners are what else holds an ingredient of the draft, `same_class`: what else is of one of
    these classes of it.
    """

    ingredient: Ingredient
    partners: Side = ()
    alone: bool = True
    is_local: bool = False
    same_ingredient: bool = False
    same_class: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class CompiledTrigger:
    """A trigger ready to meet drafts."""

    singles: Side
    sides: tuple[Side, ...]
    same_ingredient: bool = False
    same_class: bool = False

    @classmethod
    def read(cls, trigger: Trigger) -> "CompiledTrigger":
        """Refuses a trigger that activates nothing, a pair of other than two sides, a washout outside a pair."""
        systemic = None if trigger.local_forms else True
        singles = _side(trigger.draft, systemic)
        sides = tuple(_side(side, systemic) for side in trigger.pair)
        if not singles and not sides:
            raise RuleError("a trigger without draft and pair activates nothing")
        if sides and (len(sides) != 2 or not all(sides)):
            raise RuleError("a pair has two sides, each with a selector")
        if any(one.washout_days for one in singles):
            raise RuleError("washout_days is for the sides of a pair")
        return cls(singles, sides, trigger.same_ingredient, trigger.same_class)

    @property
    def _named_classes(self) -> frozenset[str]:
        return frozenset().union(*(one.classes for one in self.singles))

    @property
    def is_for_any(self) -> bool:
        """Whether every drug activates it."""
        return any(one.any_drug for one in self.singles)

    def selectors(self) -> Iterator[Selector]:
        """Every selector that a draft may meet."""
        yield from self.singles
        for side in self.sides:
            yield from side

    def activation(self, medication: MedicationIdentity) -> Activation | None:
        """How the medication activates the rule, None when it does not."""
        single = _first(self.singles, medication)
        partners = self._partners(medication)
        if single is not None or partners:
            ingredient = single if single is not None else _first(_joined(self.sides), medication)
            if ingredient is None:
                return None
            classes = self._named_classes & medication.classes if self.same_class else frozenset()
            alone = single is not None and not self.same_class
            return Activation(ingredient, partners, alone, same_ingredient=self.same_ingredient, same_class=classes)
        if medication.systemic is False:
            of_that_drug = (ingredient for one in self.selectors() for ingredient in one.members(medication))
            ingredient = next(of_that_drug, None)
            return Activation(ingredient, is_local=True) if ingredient is not None else None
        return None

    def _partners(self, medication: MedicationIdentity) -> Side:
        found: dict[Selector, None] = {}
        for own, other in zip(self.sides, reversed(self.sides), strict=True):
            if any(selector.matches(medication) for selector in own):
                found |= dict.fromkeys(other)
        return tuple(found)

    def is_on(self, position: int, medication: MedicationIdentity) -> bool:
        """Whether the medication is of that side (0 or 1) of the pair, whatever its form."""
        return any(one.members(medication) for one in self.sides[position])

    def members(self, position: int, medication: MedicationIdentity) -> tuple[Ingredient, ...]:
        """The ingredients of the medication that are of that side of the pair."""
        return tuple(dict.fromkeys(part for one in self.sides[position] for part in one.members(medication)))


def _side(selected: tuple[DeclaredSelector, ...], systemic: bool | None) -> Side:
    return tuple(_selector(one, systemic) for one in selected)


def _selector(selected: DeclaredSelector, systemic: bool | None) -> Selector:
    spec: dict[str, Any] = to_builtins(selected)
    return Selector.read(spec, systemic=systemic)


def _joined(sides: tuple[Side, ...]) -> Side:
    return tuple(one for side in sides for one in side)


def _first(selectors: Side, medication: MedicationIdentity) -> Ingredient | None:
    """The first ingredient of the medication that one of the selectors means, None when none matches."""
    for ingredient in medication.ingredients if selectors else ():
        for selector in selectors:
            if ingredient in selector.members(medication) and selector.matches(medication):
                return ingredient
    return None
