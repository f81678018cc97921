"""What one calculation gives: the value, and how it came about in the equation's own terms."""

from dataclasses import dataclass
from math import exp, log
from typing import Literal, TypeAlias

Value: TypeAlias = float | bool | str

Link = Literal["logit", "cloglog", "log", "identity"]


@dataclass(frozen=True, slots=True)
class Contribution:
    """One input's part, on the scale of the link; the reference person's own value contributes 0."""

    input: str
    value: Value
    contribution: float


@dataclass(frozen=True, slots=True)
class Working:
    """base + sum of contributions = link(value before rounding and limits); `value` is what is published."""

    value: float | str
    link: Link
    base: float
    contributions: tuple[Contribution, ...]

    @property
    def margin(self) -> float:
        """The sum on the scale of the link."""
        return self.base + sum(each.contribution for each in self.contributions)


def linked(link: Link, value: float) -> float:
    """link(value).

    >>> round(linked("cloglog", unlinked("cloglog", -2.0)), 12)
    -2.0
    """
    if link == "logit":
        return log(value / (1.0 - value))
    if link == "cloglog":
        return log(-log(1.0 - value))
    return log(value) if link == "log" else value


def unlinked(link: Link, margin: float) -> float:
    """The value of which `margin` is the link."""
    if link == "logit":
        return 1.0 / (1.0 + exp(-margin))
    if link == "cloglog":
        return 1.0 - exp(-exp(margin))
    return exp(margin) if link == "log" else margin
