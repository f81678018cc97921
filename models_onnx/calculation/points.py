"""Scores that are sums of points: each item gives whole points for one input, so the points are the explanation."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from models_onnx.calculation.result import Contribution, Value, Working


@dataclass(frozen=True, slots=True)
class Item:
    """The points of one input: by a function of its value."""

    input: str
    points: Callable[[Value], int]


def present(name: str, points: int) -> Item:
    """So many points where a fact is there."""
    return Item(name, lambda value: points if value else 0)


def steps(name: str, start: int, *edges: tuple[float, int]) -> Item:
    """`start` points, and from each edge on (rising) the points beside it.

    >>> [steps("age", 0, (65, 1), (75, 2)).points(age) for age in (64, 65, 75)]
    [0, 1, 2]
    """

    def points(value: Value) -> int:
        reached = [given for edge, given in edges if float(value) >= edge]
        return reached[-1] if reached else start

    return Item(name, points)


def work_points(items: tuple[Item, ...], values: Mapping[str, Value]) -> Working:
    """The score: the sum of the points, which are the contributions; nothing is 0 points."""
    parts = tuple(
        Contribution(item.input, values[item.input], float(item.points(values[item.input]))) for item in items
    )
    return Working(int(sum(part.contribution for part in parts)), "identity", 0.0, parts)
