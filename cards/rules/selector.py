"""Which drugs a rule means: any of these ingredients or any of these classes, narrowed by form and effect."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fhir.mapping.medications import Identity

_MEMBERS = frozenset({"ingredients", "classes", "exclude_classes", "systemic", "dose_form_any"})


@dataclass(frozen=True, slots=True)
class Selector:
    """A compiled drug selector. `systemic` True leaves local forms out, False wants only them, None takes both."""

    ingredients: frozenset[str] = frozenset()
    classes: frozenset[str] = frozenset()
    exclude_classes: frozenset[str] = frozenset()
    systemic: bool | None = None
    dose_forms: tuple[str, ...] = ()

    @property
    def keys(self) -> list[str]:
        """Its ingredients and classes, always in the same order: a decision must replay bit for bit."""
        return sorted(self.ingredients | self.classes)

    @classmethod
    def read(cls, spec: Any) -> "Selector":
        """The selector of a table entry; refuses a member it does not know and an entry that selects nothing."""
        if not isinstance(spec, Mapping) or set(spec) - _MEMBERS or not {"ingredients", "classes"} & set(spec):
            raise ValueError(f"{spec!r} is no drug selector")
        return cls(
            frozenset(drug["rxcui"] for drug in spec.get("ingredients", ())),
            frozenset(spec.get("classes", ())),
            frozenset(spec.get("exclude_classes", ())),
            spec.get("systemic"),
            tuple(form.lower() for form in spec.get("dose_form_any", ())),
        )

    def matches(self, identity: Identity) -> bool:
        """Whether the medication is one that is meant; one that is not recognised never is."""
        classes = identity.classes
        if not (self.classes & classes or self.ingredients.intersection(identity.rxcuis)):
            return False
        if self.exclude_classes & classes:
            return False
        if self.systemic is not None and (identity.systemic is not False) is not self.systemic:
            return False
        form = (identity.dose_form or "").lower()
        return not self.dose_forms or any(wanted in form for wanted in self.dose_forms)
