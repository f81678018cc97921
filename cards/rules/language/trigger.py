"""What activates a rule: selectors of drugs and triggers; and the templates of its sentences.

A selector takes any of its ingredients or classes, narrowed by form, route and effect.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

from msgspec import Struct

from cards.rules.language.rule import DeclaredSelector, RuleError, Trigger, typed
from cards.text import capitalized
from fhir.mapping.medications.identity import MedicationIdentity
from fhir.terminology.medications import Ingredient, classes_of
from fhir.terminology.package_tables import shared

_INTRATHECAL = re.compile(r"\bintra-?(?:thecal|ventricular)|\bintra-?cerebro|(?-i:\bIT\b)", re.IGNORECASE)
_ORDERED_ROUTES = {
    "intravenous": re.compile(r"\b(?:iv|ivpb|ivp)\b|\bintraven", re.IGNORECASE),
    "pushed": re.compile(r"\bivp\b|\b(?:iv|intravenous) push\b", re.IGNORECASE),
    "subcutaneous": re.compile(r"\b(?:sc|sq|subq)\b|\bsubcut", re.IGNORECASE),
    "intramuscular": re.compile(r"\bim\b|\bintramusc", re.IGNORECASE),
    "sublingual": re.compile(r"\bsl\b|\bsublingual", re.IGNORECASE),
    "epidural": re.compile(r"\bepidural", re.IGNORECASE),
}
_NOT_ORAL = re.compile(r"transderm|patch|rectal|suppositor|vaginal|implant", re.IGNORECASE)

TEST = "test:"
"""How the key of a group of studies and tests begins, beside the RxNorm codes of ingredients."""


@dataclass(frozen=True, eq=False)
class Selector:
    """A compiled drug selector.

    `systemic` True leaves local forms out, False wants only them, None takes both. `route` "oral" and "not injected"
    leave out what is said to be given otherwise: an order that does not say is taken for oral. `washout_days`: how
    long a drug still counts after a known end (of a pair's partner only).
    """

    ingredients: frozenset[str] = frozenset()
    classes: frozenset[str] = frozenset()
    exclude_classes: frozenset[str] = frozenset()
    systemic: bool | None = None
    route: str | None = None
    dose_forms: tuple[str, ...] = ()
    washout_days: float = 0.0
    any_drug: bool = False

    @cached_property
    def keyed(self) -> frozenset[str]:
        """Its ingredients and classes."""
        return shared(self.ingredients | self.classes)

    @cached_property
    def keys(self) -> tuple[str, ...]:
        """The same in one order: a decision must replay bit for bit."""
        return tuple(sorted(self.keyed))

    @cached_property
    def is_any_form(self) -> bool:
        """Whether form, route and effect do not matter."""
        return self.systemic is None and self.route is None and not self.dose_forms

    @classmethod
    def read(cls, spec: Any, *, systemic: bool | None = None) -> "Selector":
        """Return the selector of a table entry; `systemic` holds where the entry does not say it.

        Refuses an entry that is not of the form of a selector, or selects nothing.
        """
        declared = typed(spec, DeclaredSelector)
        if not (declared.ingredients or declared.classes or declared.any_drug):
            raise RuleError(f"{spec!r} is not a drug selector: give `ingredients`, `classes` or `any_drug`")
        return cls(
            shared(frozenset(drug.rxcui for drug in declared.ingredients)),
            shared(frozenset(declared.classes)),
            shared(frozenset(declared.exclude_classes)),
            systemic if declared.systemic is None else declared.systemic,
            declared.route,
            declared.dose_form_any,
            declared.washout_days or 0.0,
            declared.any_drug,
        )

    def matches(self, identity: MedicationIdentity) -> bool:
        """Whether the medication is one that is meant; one that is not recognized never is."""
        if self.keyed.isdisjoint(identity.keys) and not self.any_drug:
            return False
        return self.exclude_classes.isdisjoint(identity.classes) and (self.is_any_form or self.fits(identity))

    def fits(self, identity: MedicationIdentity) -> bool:
        """Whether form, route and effect are those that are meant."""
        if self.systemic is not None and (identity.systemic is not False) is not self.systemic:
            return False
        if self.route is not None and not _is_given(self.route, identity):
            return False
        if not self.dose_forms:
            return True
        # An order in one line says both in its words alone ("Levobunolol 0.5 % 1 drop both eyes daily").
        form = f"{identity.dose_form} {identity.route}".strip().lower() or identity.words.lower()
        if any(strength is not None and strength.per == "h" for strength in identity.strengths):
            form += " patch"  # "Butrans 20 mcg/h" gives off so much an hour, whatever its words leave out
        # A strength ("10 %") and a brand ("Apretude") stand in the words of the drug and never in its form.
        words = identity.words.lower()
        return any(wanted in form if wanted[0].islower() else wanted.lower() in words for wanted in self.dose_forms)

    def members(self, identity: MedicationIdentity) -> tuple[Ingredient, ...]:
        """Return the ingredients of the medication that are meant, whatever the rest of it is."""
        if self.any_drug:
            return identity.ingredients
        if len(identity.ingredients) == 1:
            is_meant = identity.rxcuis[0] in self.ingredients or not self.classes.isdisjoint(identity.classes)
            return identity.ingredients if is_meant else ()
        return tuple(
            ingredient
            for ingredient in identity.ingredients
            if ingredient.rxcui in self.ingredients or not self.classes.isdisjoint(classes_of((ingredient,)))
        )


def is_test(identity: MedicationIdentity) -> bool:
    """Whether it stands for an ordered study or test and is not a medication."""
    return bool(identity.rxcuis) and identity.rxcuis[0].startswith(TEST)


def _is_given(route: str, identity: MedicationIdentity) -> bool:
    if route == "intrathecal":
        return _INTRATHECAL.search(f"{identity.route} {identity.dose_form} {identity.words}") is not None
    if route in _ORDERED_ROUTES:
        return _ORDERED_ROUTES[route].search(identity.route) is not None
    if route == "injected":
        return identity.is_injected
    if route == "not injected":
        return not identity.is_said_injected
    words = f"{identity.route} {identity.dose_form}".strip() or identity.words
    return not (identity.is_injected or identity.systemic is False or _NOT_ORAL.search(words))


_NAME = re.compile(r"\{(\w+)\}")
NO_NUMBER = "\u2060"
"""Ends a word that is not a number ("dialysis on record"): beside it no limit is said."""
_LIMIT: Final = re.compile(r"<<([^<>]*)>>")
"""A limit that is said only beside a number: "contraindicated<< below 30>>" of a patient on dialysis has none.

The marks are double, because a sentence may compare: "pH < 7.2, avoid if lactate > 4".
"""
_OF_ADULTS: Final = re.compile(r"\[([^]|]*)\|?([^]]*)\]")
"""What is said of an adult alone, and behind a stroke what a child's card says in its place: "[Give 20 mg.|…]"."""
AMOUNTS_OF_ADULT: Final = "The amounts of this source are an adult's."
ASK_PHARMACIST: Final = "Ask a pediatric pharmacist."
"""What a child's card says beside what it leaves out."""


class Template:
    """A text of the table, read once.

    `for_child` is without what it says of an adult alone, `without_limits` without what it says only beside a number.

    >>> Template("Colchicine: toxicity[ over 0.6 mg]. [Give 0.3 mg.]").for_child.fill({}.get)
    'Colchicine: toxicity.'
    >>> Template("{Drug} at {egfr}.").fill({"Drug": "Metformin", "egfr": "eGFR 28"}.get)
    'Metformin at eGFR 28.'
    >>> Template("At {egfr}<< (under 30)>>.").fill({"egfr": f"dialysis on record{NO_NUMBER}"}.get)
    'At dialysis on record.'
    >>> Template("Consider it if pH < 7.2, avoid if lactate > 4.").without_limits
    'Consider it if pH < 7.2, avoid if lactate > 4.'
    """

    __slots__ = ("for_child", "names", "text", "without_limits")

    def __init__(self, text: str) -> None:
        of_adult = _OF_ADULTS.sub(r"\1", text)
        self.text = _LIMIT.sub(r"\1", of_adult)
        self.without_limits = _LIMIT.sub("", of_adult)
        self.for_child: Template = self
        if "[" in text:
            self.for_child = Template(" ".join(_OF_ADULTS.sub(r"\2", text).split()))
        self.names = tuple(dict.fromkeys(_NAME.findall(text)))

    def fill(self, word: Callable[[str], str | None]) -> str | None:
        """Return the text with every name filled, its first letter a capital; None when a name has no word."""
        words: dict[str, str] = {}
        for name in self.names:
            value = word(name)
            if value is None:
                return None
            words[name] = value
        has_number = NO_NUMBER not in "".join(words.values())
        text = self.text if has_number else self.without_limits
        filled = " ".join(_NAME.sub(lambda name: words[name[1]], text).split()).replace(NO_NUMBER, "")
        # "eGFR" stays as it is written.
        return filled if filled[1:2].isupper() else capitalized(filled)


Side = tuple[Selector, ...]
_NO_CLASSES: Final[frozenset[str]] = frozenset()
"""One for all: Python makes a new empty set of 216 bytes each time."""


class Activation(Struct, frozen=True):
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


class CompiledTrigger(Struct, frozen=True):
    """A trigger ready to meet drafts."""

    singles: Side
    sides: tuple[Side, ...]
    same_ingredient: bool = False
    same_class: bool = False
    is_for_any: bool = False
    """Whether every drug activates it."""
    stops: bool = False
    """Whether it is about drafts that end what is taken."""
    meant: Side = ()
    """All that each side of a pair means: of hundreds of selectors each name of a partner would ask every one."""

    @classmethod
    def read(cls, trigger: Trigger) -> "CompiledTrigger":
        """Refuses a trigger that activates nothing, a pair of other than two sides, a washout outside a pair."""
        systemic = None if trigger.local_forms else True
        singles = _side(trigger.draft, systemic)
        if trigger.tests:
            singles = (*singles, Selector(frozenset(f"{TEST}{name}" for name in trigger.tests)))
        sides = tuple(_side(side, systemic) for side in trigger.pair)
        if not singles and not sides:
            raise RuleError("the trigger must have `draft`, `pair` or `tests`")
        if sides and (len(sides) != 2 or not all(sides)):
            raise RuleError("`pair` must have two lists, each with a selector")
        if any(single.washout_days for single in singles):
            raise RuleError("washout_days is for the sides of a pair")
        is_for_any = any(single.any_drug for single in singles)
        meant = tuple(map(_union, sides))
        return cls(singles, sides, trigger.same_ingredient, trigger.same_class, is_for_any, trigger.stops, meant)

    @property
    def _named_classes(self) -> frozenset[str]:
        return frozenset().union(*(single.classes for single in self.singles))

    @property
    def is_for_tests(self) -> bool:
        """Whether an ordered study or test activates it."""
        return any(key.startswith(TEST) for single in self.singles for key in single.ingredients)

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
            classes = self._named_classes & medication.classes if self.same_class else _NO_CLASSES
            alone = single is not None and not self.same_class
            return Activation(ingredient, partners, alone, same_ingredient=self.same_ingredient, same_class=classes)
        if medication.systemic is False:
            kept_away = [selector for selector in self.selectors() if selector.systemic]
            ingredient = next((drug for selector in kept_away for drug in selector.members(medication)), None)
            return Activation(ingredient, is_local=True) if ingredient is not None else None
        return None

    def _partners(self, medication: MedicationIdentity) -> Side:
        partners: dict[Selector, None] = {}
        for drafted_side, partner_side in zip(self.sides, reversed(self.sides), strict=True):
            if any(selector.matches(medication) for selector in drafted_side):
                partners |= dict.fromkeys(partner_side)
        return tuple(partners)

    def members(self, position: int, medication: MedicationIdentity) -> tuple[Ingredient, ...]:
        """Return the ingredients of the medication that are of that side (0 or 1) of the pair, whatever its form."""
        return self.meant[position].members(medication)


def _side(selected: tuple[DeclaredSelector, ...], systemic: bool | None) -> Side:
    return tuple(Selector.read(selector, systemic=systemic) for selector in selected)


def _union(side: Side) -> Selector:
    """Return a selector of every ingredient and class of these, whatever their forms."""
    return Selector(
        frozenset().union(*(selector.ingredients for selector in side)),
        frozenset().union(*(selector.classes for selector in side)),
        any_drug=any(selector.any_drug for selector in side),
    )


def _joined(sides: tuple[Side, ...]) -> Side:
    return tuple(selector for side in sides for selector in side)


def _first(selectors: Side, medication: MedicationIdentity) -> Ingredient | None:
    """Return the first ingredient of the medication that one of the selectors means, None when none matches."""
    for ingredient in medication.ingredients if selectors else ():
        for selector in selectors:
            if ingredient in selector.members(medication) and selector.matches(medication):
                return ingredient
    return None
