"""Equations that are sums of products: margin = constant + Σ coefficient × product of functions of one input each.

Each input's part is its Shapley value against one reference person, which for a product is short and exact: what an
interaction adds is shared by the inputs in it. What an input alone adds is coefficient × (f(x) − f(reference)).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import combinations
from math import factorial, log, prod

from models_onnx.calculation.result import Contribution, Value


@dataclass(frozen=True, slots=True)
class Factor:
    """A function of one input: limited, then its natural logarithm if `ln`, then (· − centre) / scale, then squared.

    Yes counts as 1. The limits are part of the formula (a broken line, the caps of MELD), never a repair of the input.
    """

    input: str
    low: float | None = None
    high: float | None = None
    ln: bool = False
    centre: float = 0.0
    scale: float = 1.0
    squared: bool = False

    def of(self, value: Value) -> float:
        """The function at this value of the input; texts have none (TypeError)."""
        if isinstance(value, str):
            raise TypeError(f"{self.input} is {value!r}, a word: a term needs a number")
        number = float(value)
        number = number if self.low is None else max(number, self.low)
        number = number if self.high is None else min(number, self.high)
        scaled = ((log(number) if self.ln else number) - self.centre) / self.scale
        return scaled * scaled if self.squared else scaled


@dataclass(frozen=True, slots=True)
class Term:
    """coefficient × product of its factors, each of another input."""

    coefficient: float
    factors: tuple[Factor, ...]

    def at(self, values: Mapping[str, Value]) -> float:
        """What it adds for these values."""
        return self.coefficient * prod(factor.of(values[factor.input]) for factor in self.factors)

    def shares(self, values: Mapping[str, Value], reference: Mapping[str, Value]) -> dict[str, float]:
        """How the difference to the reference is shared among its inputs: Shapley values, which add up to it."""
        own = {factor.input: factor.of(values[factor.input]) for factor in self.factors}
        others = {factor.input: factor.of(reference[factor.input]) for factor in self.factors}
        return {name: self.coefficient * _share(name, own, others) for name in own}


def _share(name: str, own: Mapping[str, float], others: Mapping[str, float]) -> float:
    rest = [each for each in own if each != name]
    count, total = len(own), 0.0
    for size in range(len(rest) + 1):
        weight = factorial(size) * factorial(count - size - 1) / factorial(count)
        for chosen in combinations(rest, size):
            total += weight * prod(own[each] if each in chosen else others[each] for each in rest)
    return (own[name] - others[name]) * total


def margin(constant: float, terms: Iterable[Term], values: Mapping[str, Value]) -> float:
    """constant + the terms at these values."""
    return constant + sum(term.at(values) for term in terms)


def contributions(
    terms: Iterable[Term], values: Mapping[str, Value], reference: Mapping[str, Value]
) -> tuple[Contribution, ...]:
    """One contribution for each input that any term has, in the order in which the terms name them.

    They add up to margin(values) − margin(reference).
    """
    parts: dict[str, float] = {}
    for term in terms:
        for name, share in term.shares(values, reference).items():
            parts[name] = parts.get(name, 0.0) + share
    return tuple(Contribution(name, values[name], part) for name, part in parts.items())
