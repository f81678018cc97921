"""Selects drugs: any of these ingredients or classes, narrowed by form, route and effect."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import count
from typing import Any

from fhir.mapping.medications.identity import MedicationIdentity
from fhir.terminology.caching import remembered
from fhir.terminology.medications import Ingredient, classes_of

_MEMBERS = frozenset(
    {"ingredients", "classes", "exclude_classes", "systemic", "route", "dose_form_any", "washout_days", "any_drug"}
)
_INJECTED = re.compile(
    r"inject|infus|intraven|intramusc|subcut|prefilled syringe|\b(?:iv|im|sc|sq|subq|iv drip|ivpb|ivp|ivpca|pca)\b",
    re.IGNORECASE,
)
_NOT_ORAL = re.compile(r"transderm|patch|rectal|suppositor|vaginal|implant", re.IGNORECASE)

_NUMBERS = count()


@dataclass(frozen=True)
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
    number: int = field(default_factory=_NUMBERS.__next__, compare=False)
    """Its own, by which a medication remembers whether it is meant."""

    @cached_property
    def keyed(self) -> frozenset[str]:
        """Its ingredients and classes."""
        return self.ingredients | self.classes

    @cached_property
    def keys(self) -> tuple[str, ...]:
        """The same in one order: a decision must replay bit for bit."""
        return tuple(sorted(self.keyed))

    @classmethod
    def read(cls, spec: Any, *, systemic: bool | None = None) -> "Selector":
        """The selector of a table entry; `systemic` holds where the entry does not say it.

        Refuses a member it does not know and an entry that selects nothing.
        """
        selects = {"ingredients", "classes", "any_drug"}
        if not isinstance(spec, Mapping) or set(spec) - _MEMBERS or not selects & set(spec):
            raise ValueError(f"{spec!r} is no drug selector")
        return cls(
            frozenset(drug["rxcui"] for drug in spec.get("ingredients", ())),
            frozenset(spec.get("classes", ())),
            frozenset(spec.get("exclude_classes", ())),
            spec.get("systemic", systemic),
            spec.get("route"),
            tuple(form.lower() for form in spec.get("dose_form_any", ())),
            float(spec.get("washout_days", 0)),
            bool(spec.get("any_drug", False)),
        )

    def matches(self, identity: MedicationIdentity) -> bool:
        """Whether the medication is one that is meant; one that is not recognised never is."""
        known = identity.selected.get(self.number)
        if known is None:
            known = identity.selected[self.number] = self._matches(identity)
        return known

    def _matches(self, identity: MedicationIdentity) -> bool:
        if not (self.classes & identity.classes or self.ingredients.intersection(identity.rxcuis) or self.any_drug):
            return False
        return not self.exclude_classes & identity.classes and self.fits(identity)

    def fits(self, identity: MedicationIdentity) -> bool:
        """Whether form, route and effect are those that are meant."""
        if self.systemic is not None and (identity.systemic is not False) is not self.systemic:
            return False
        if self.route is not None and not _is_given(self.route, identity):
            return False
        form = (identity.dose_form or "").lower()
        return not self.dose_forms or any(wanted in form for wanted in self.dose_forms)

    def members(self, identity: MedicationIdentity) -> tuple[Ingredient, ...]:
        """The ingredients of the medication that are meant, whatever the rest of it is."""
        if self.any_drug:
            return identity.ingredients
        return tuple(
            one
            for one in identity.ingredients
            if one.rxcui in self.ingredients or (self.classes and self.classes & classes_of((one,)))
        )


def _is_given(route: str, identity: MedicationIdentity) -> bool:
    if route == "injected":
        return is_injected(identity)
    if is_injected(identity):
        return False
    said = f"{identity.route or ''} {identity.dose_form or ''}"
    return route == "not injected" or not (identity.systemic is False or _NOT_ORAL.search(said))


def is_injected(identity: MedicationIdentity) -> bool:
    """Whether route or form say that it is injected or infused; the route that is ordered goes first."""
    return _says_injected(identity.route or identity.dose_form or "")


@remembered("words of injected products", entries=1024, longest=200)
def _says_injected(words: str) -> bool:
    return bool(_INJECTED.search(words))
