"""Computes with lists (CQL Appendix B, section 10), and compares any two values."""

from collections.abc import Callable
from functools import cmp_to_key
from typing import TypeAlias

from cards.knowledge.elm.compiling import Body, Closure, ElmNode, builds, computes
from cards.knowledge.elm.errors import CqlError
from cards.knowledge.elm.fhir_model import Node, elements
from cards.knowledge.elm.limits import spend
from cards.knowledge.elm.temporal import Temporal
from cards.knowledge.elm.values import (
    Tuple,
    Value,
    as_list,
    compare,
    distinct,
    equal,
    equivalent,
    negated_truth,
    plain,
)


@builds("List")
def _list(body: Body, node: ElmNode) -> Closure:
    closures = [body.build(element) for element in node.get("element", ())]
    return lambda frame: [closure(frame) for closure in closures]


@builds("ToList")
def _to_list(body: Body, node: ElmNode) -> Closure:
    operand = body.build(node["operand"])
    return lambda frame: [] if (value := operand(frame)) is None else [value]


computes("Exists", nulls=True)(lambda values: any(plain(value) is not None for value in values or ()))
computes("Distinct")(distinct)
computes("First")(lambda values: values[0] if values else None)
computes("Last")(lambda values: values[-1] if values else None)
computes("Slice", parts=("source", "startIndex?", "endIndex?"))(
    lambda values, start, end: values[max(0, start or 0) : None if end is None else max(0, end)]
)
computes("Indexer")(lambda values, index: values[index] if 0 <= index < len(values) else None)
computes("IndexOf", parts=("source", "element"))(
    lambda values, wanted: next((index for index, value in enumerate(values) if equal(value, wanted) is True), -1)
)


@computes("Flatten")
def _flatten(values: list[Value]) -> list[Value]:
    flat: list[Value] = []
    for value in values:
        flat += value if isinstance(value, list) else [value]
        spend(1 + len(flat) // 16)
    return flat


@computes("SingletonFrom")
def _singleton(values: list[Value]) -> Value:
    if len(values) > 1:
        raise CqlError("A list has more than one element where one is expected.")
    return values[0] if values else None


# Order


def sorted_by(values: list[Value], keys: list[list[Value]], descending: list[bool]) -> list[Value]:
    """Return the values in the order of their keys, of which null is the smallest."""

    def order(item: int, other: int) -> int:
        for left, right, down in zip(keys[item], keys[other], descending, strict=True):
            result = _order(plain(left), plain(right))
            if result:
                return -result if down else result
        return 0

    spend(3 * len(values))
    return [values[index] for index in sorted(range(len(values)), key=cmp_to_key(order))]


def _order(left: Value, right: Value) -> int:
    if left is None or right is None:
        return (left is not None) - (right is not None)
    if isinstance(left, Temporal) and isinstance(right, Temporal):
        return (left.at_home > right.at_home) - (left.at_home < right.at_home)
    return compare(left, right) or 0


Relation: TypeAlias = Callable[..., bool | None]


def _relation(*accepted: int) -> Relation:
    def relates(left: Value, right: Value, precision: str | None = None) -> bool | None:
        order = compare(left, right, precision)
        return None if order is None else order in accepted

    return relates


is_less = _relation(-1)
is_at_most = _relation(-1, 0)
is_same = _relation(0)
computes("Less")(is_less)
computes("LessOrEqual")(is_at_most)
computes("Greater")(_relation(1))
computes("GreaterOrEqual")(_relation(0, 1))
computes("Equal")(equal)
computes("NotEqual")(lambda left, right: negated_truth(equal(left, right)))
computes("Equivalent", nulls=True)(equivalent)


def _children(value: Value) -> list[Value]:
    """Return what a value is made of: the elements of a FHIR value or of a tuple, the values of a list."""
    parts = value if isinstance(value, list) else list(value.values()) if isinstance(value, Tuple) else []
    if isinstance(value, Node):
        parts = [value.property(name) for name in elements(value.type)]
    children = [part for part in parts for part in as_list(part) if part is not None]
    spend(1 + len(children))
    return children


@computes("Descendents", "Descendants")
def _descendants(value: Value) -> list[Value]:
    return [part for child in _children(value) for part in (child, *_descendants(child))]


computes("Children")(_children)
