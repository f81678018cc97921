"""Computes with lists (CQL Appendix B, section 10), and compares any two values."""

from collections.abc import Callable
from functools import cmp_to_key
from typing import TypeAlias

from cards.knowledge.elm.compiling import Body, Closure, ElmNode, builds, computes
from cards.knowledge.elm.errors import CqlError, LimitExceeded
from cards.knowledge.elm.fhir_model import Node
from cards.knowledge.elm.limits import spend
from cards.knowledge.elm.temporal import Temporal
from cards.knowledge.elm.values import (
    Tuple,
    Value,
    as_list,
    both,
    compare,
    distinct,
    equal,
    equivalent,
    is_member,
    key,
    negated_truth,
    plain,
)

_MOST_ELEMENTS = 10_000


@builds("List")
def _list(body: Body, node: ElmNode) -> Closure:
    elements = [body.build(element) for element in node.get("element", ())]
    return lambda frame: [element(frame) for element in elements]


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


@computes("Times")
def _times(items: list[Tuple], others: list[Tuple]) -> list[Tuple]:
    spend(len(items) * len(others))
    return [Tuple({**item, **other}) for item in items for other in others]


# What CQL says of lists and of intervals in one word; `intervals` calls these


def contains(values: list[Value], element: Value) -> bool | None:
    """Return whether the list has the element; whether it has one that is null is known only where it has."""
    member = is_member(element, values)
    return None if element is None and not member and values else member


def properly_contains(values: list[Value], element: Value) -> bool | None:
    """Return whether the list has the element and another one."""
    if element is None:
        return None in values and len(distinct(values)) > 1
    same = [equal(value, element) for value in values]
    return both(*(True if wanted in same else None if None in same else False for wanted in (True, False)))


def includes(whole: Value, part: Value) -> bool | None:
    """Return whether the list has each element of another list, or the one element."""
    if whole is None or part is None:
        return None
    return all(is_member(value, whole) for value in as_list(part))


def properly_includes(whole: Value, part: Value) -> bool | None:
    """Return whether the list has each element of another one, and more."""
    if whole is None or part is None:
        return None
    if not isinstance(part, list):
        return properly_contains(whole, part)
    return includes(whole, part) is True and len(distinct(whole)) > len(distinct(part))


def union(left: Value, right: Value) -> list[Value]:
    """Return each element of both lists once."""
    return distinct([*as_list(left), *as_list(right)])


def intersect(left: Value, right: Value) -> Value:
    """Return each element that both lists have once."""
    return None if left is None or right is None else [value for value in distinct(left) if _has(right, value)]


def without(left: Value, right: Value) -> Value:
    """Return each element of the first list that the second does not have, once."""
    return None if left is None else [value for value in distinct(left) if not _has(right or [], value)]


def _has(values: list[Value], value: Value) -> bool:
    wanted = key(value)
    if wanted is None:
        return is_member(value, values)
    spend(len(values))
    return any(key(other) == wanted and equal(other, value) is True for other in values)


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


# What a value is made of


def _parts(value: Value) -> list[Value]:
    if isinstance(value, Node):
        return value.children()
    parts = value.values() if isinstance(value, Tuple) else value
    if not isinstance(value, list | Tuple):
        parts = [getattr(value, name) for name in getattr(value, "__dataclass_fields__", ())]
    return [part for part in parts if part is not None and not isinstance(part, bool)]


computes("Children")(_parts)


@computes("Descendents", "Descendants")
def _descendants(value: Value) -> list[Value]:
    collected: list[Value] = []
    waiting = [value]
    while waiting:
        parts = _parts(waiting.pop(0))
        collected += parts
        waiting += parts
        if len(collected) > _MOST_ELEMENTS:
            raise LimitExceeded(f"A list has more than {_MOST_ELEMENTS} elements.")
    return collected
