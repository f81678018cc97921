"""Scores that are sums of points: each item gives whole points for one input, so the points are the explanation."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from models_onnx.calculation.result import Contribution, Value, Working


@dataclass(frozen=True, slots=True)
class Item:
    """The points of one input: `start`, and from each edge on (rising; above it where `strictly`) those beside it.

    Yes is 1 and no is 0; of a choice the first of `choices` is 0.
    """

    input: str
    start: int
    edges: tuple[tuple[float, int], ...]
    strictly: bool = False
    choices: tuple[str, ...] = ()

    def points(self, value: Value) -> int:
        """The points for a value of the input."""
        number = float(self.choices.index(value)) if isinstance(value, str) else float(value)
        reached = [given for edge, given in self.edges if (number > edge if self.strictly else number >= edge)]
        return reached[-1] if reached else self.start


def present(name: str, points: int) -> Item:
    """So many points where a fact is there."""
    return Item(name, 0, ((1, points),))


def steps(name: str, start: int, *edges: tuple[float, int]) -> Item:
    """`start` points, and from each edge on the points beside it.

    >>> [steps("age", 0, (65, 1), (75, 2)).points(age) for age in (64, 65, 75)]
    [0, 1, 2]
    """
    return Item(name, start, edges)


def over(name: str, start: int, *edges: tuple[float, int]) -> Item:
    """`start` points, and above each edge the points beside it."""
    return Item(name, start, edges, strictly=True)


def work_points(items: Iterable[Item], values: Mapping[str, Value]) -> Working:
    """The score: the sum of the points, which are the contributions; nothing is 0 points."""
    parts = tuple(
        Contribution(item.input, values[item.input], float(item.points(values[item.input]))) for item in items
    )
    return Working(int(sum(part.contribution for part in parts)), "identity", 0.0, parts)
