"""A linear equation whose coefficients depend on who the person is (sex, region): one set is chosen, one base for all.

What the choice itself changes is counted first: the difference between the two references. Everything else is then
compared with the reference of the same choice. So base + sum of contributions = margin with one base for everybody.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from models_onnx.calculation.result import Contribution, Link, Value, Working, unlinked
from models_onnx.calculation.terms import Factor, Term, contributions, margin


@dataclass(frozen=True, slots=True)
class Chosen:
    """The constant and the terms for one choice, for example {"sex": "female"}."""

    choice: Mapping[str, str]
    constant: float
    terms: tuple[Term, ...]


@dataclass(frozen=True, slots=True)
class Linear:
    """margin = the chosen constant + the chosen terms; the value is what `link` maps to the margin.

    `by` names the inputs that choose, in the order in which they are counted. The reference chooses too; `sets` holds
    every combination.
    """

    link: Link
    by: tuple[str, ...]
    sets: tuple[Chosen, ...]
    reference: Mapping[str, Value]
    aliases: Mapping[str, str] = field(default_factory=dict)
    """The input of the equation behind a number that the terms name otherwise ("male" for the sex)."""

    def work(self, values: Mapping[str, Value]) -> Working:
        """The value and its working; KeyError for a choice without a set."""
        chosen = self.chosen(values)
        parts = (*self.choices(values), *contributions(chosen.terms, values, self.reference))
        return Working(unlinked(self.link, margin(chosen.constant, chosen.terms, values)), self.link, self.base, parts)

    @property
    def base(self) -> float:
        """The margin of the reference person."""
        return self.at_reference(self.chosen(self.reference))

    def choices(self, values: Mapping[str, Value]) -> tuple[Contribution, ...]:
        """What each choice adds, one after the other: the reference of this choice minus the reference before it."""
        parts, before = [], self.base
        person: dict[str, Value] = {name: self.reference[name] for name in self.by}
        for name in self.by:
            person[name] = values[name]
            after = self.at_reference(self.chosen(person))
            parts.append(Contribution(name, values[name], after - before))
            before = after
        return tuple(parts)

    def chosen(self, values: Mapping[str, Value]) -> Chosen:
        """The set of coefficients for this person."""
        wanted = {name: values[name] for name in self.by}
        return next(one for one in self.sets if one.choice == wanted)

    def at_reference(self, chosen: Chosen) -> float:
        """The margin of the reference person with these coefficients."""
        return margin(chosen.constant, chosen.terms, self.reference)


def terms_of(
    named: Mapping[str, tuple[tuple[Factor, ...], ...]], coefficients: Mapping[str, float]
) -> tuple[Term, ...]:
    """The terms that have a coefficient; KeyError for a coefficient without a term."""
    return tuple(Term(value, factors) for name, value in coefficients.items() for factors in named[name])
