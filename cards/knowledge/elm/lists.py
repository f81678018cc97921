"""Computes with lists (CQL Appendix B, section 10)."""

from collections.abc import Hashable
from functools import cmp_to_key

from cards.knowledge.elm.compiling import Closure, Compiler, ElmNode, Frame, builds, computes
from cards.knowledge.elm.errors import CqlError, LimitExceeded
from cards.knowledge.elm.fhir_model import Node
from cards.knowledge.elm.limits import spend
from cards.knowledge.elm.temporal import Temporal
from cards.knowledge.elm.values import Tuple, Value, both, compare, distinct, equal, equivalent, is_member, key, plain

MOST_ELEMENTS = 10_000


@builds("List")
def _list(compiler: Compiler, node: ElmNode) -> Closure:
    elements = [compiler.build(element) for element in node.get("element", ())]
    if not elements:
        return compiler.constant([])
    return compiler.folded(lambda frame: [element(frame) for element in elements], elements)


computes("Exists", nulls=True)(lambda values: any(plain(value) is not None for value in values or ()))
computes("Distinct")(distinct)
computes("ToList", nulls=True)(lambda value: [] if value is None else [value])
computes("First")(lambda values: values[0] if values else None)
computes("Last")(lambda values: values[-1] if values else None)


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


@builds("IndexOf")
def _index_of(compiler: Compiler, node: ElmNode) -> Closure:
    source, element = compiler.build(node["source"]), compiler.build(node["element"])

    def find(frame: Frame) -> Value:
        values, wanted = source(frame), element(frame)
        if values is None or wanted is None:
            return None
        return next((index for index, value in enumerate(values) if equal(value, wanted) is True), -1)

    return find


@builds("Slice")
def _slice(compiler: Compiler, node: ElmNode) -> Closure:
    source, start, end = (compiler.build(node.get(part)) for part in ("source", "startIndex", "endIndex"))

    def cut(frame: Frame) -> Value:
        values, first, last = source(frame), start(frame), end(frame)
        if values is None:
            return None
        return values[max(0, first or 0) : None if last is None else max(0, last)]

    return cut


@builds("Times")
def _times(compiler: Compiler, node: ElmNode) -> Closure:
    left, right = map(compiler.build, node["operand"])

    def multiply(frame: Frame) -> Value:
        items, others = left(frame), right(frame)
        if items is None or others is None:
            return None
        spend(len(items) * len(others))
        return [Tuple({**item, **other}) for item in items for other in others]

    return multiply


# What CQL says of lists and of intervals in one word; `intervals` calls these


def contains(values: list[Value], element: Value) -> bool | None:
    """Return whether the list has the element; whether it has one that is null is known only where it has."""
    collected = is_member(plain(element), values)
    return None if element is None and not collected and values else collected


def properly_contains(values: list[Value], element: Value) -> bool | None:
    """Return whether the list has the element and another one."""
    if element is None:
        return None in values and len(distinct(values)) > 1
    same = [equal(value, element) for value in values]
    has, has_other = (True if wanted in same else None if None in same else False for wanted in (True, False))
    return both(has, has_other)


def includes(whole: Value, part: Value) -> bool | None:
    """Return whether the list has each element of another list, or the one element."""
    if whole is None or part is None:
        return None
    if not isinstance(part, list):
        return is_member(part, whole)
    return all(is_member(value, whole) for value in part)


def properly_includes(whole: Value, part: Value) -> bool | None:
    """Return whether the list has each element of another one, and more."""
    if whole is None or part is None:
        return None
    if not isinstance(part, list):
        return properly_contains(whole, part)
    return includes(whole, part) is True and len(distinct(whole)) > len(distinct(part))


def union(left: Value, right: Value) -> list[Value]:
    """Return each element of both lists once."""
    return distinct([*_as_list(left), *_as_list(right)])


def _as_list(value: Value) -> list[Value]:
    return value if isinstance(value, list) else [] if value is None else [value]


def intersect(left: Value, right: Value) -> Value:
    """Return each element that both lists have once."""
    if left is None or right is None:
        return None
    return [value for value in distinct(left) if _has(right, value)]


def without(left: Value, right: Value) -> Value:
    """Return each element of the first list that the second does not have, once."""
    if left is None:
        return None
    return distinct(left) if right is None else [value for value in distinct(left) if not _has(right, value)]


def _has(values: list[Value], value: Value) -> bool:
    wanted: Hashable | None = key(value)
    if wanted is not None:
        spend(len(values))
        return any(key(other) == wanted and equal(other, value) is True for other in values)
    return is_member(value, values)


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
        return (left.at_home() > right.at_home()) - (left.at_home() < right.at_home())
    return compare(left, right) or 0


def is_descending(direction: str) -> bool:
    """Return whether a sort direction of ELM is downwards."""
    return direction in {"desc", "descending"}


@computes("Children")
def _children(value: Value) -> list[Value]:
    return _parts(value)


@computes("Descendents", "Descendants")
def descendants(value: Value) -> list[Value]:
    """Return the parts of a value, their parts and so on."""
    collected: list[Value] = []
    waiting = [value]
    while waiting:
        parts = _parts(waiting.pop(0))
        collected += parts
        waiting += parts
        if len(collected) > MOST_ELEMENTS:
            raise LimitExceeded(f"A list has more than {MOST_ELEMENTS} elements.")
    return collected


def _parts(value: Value) -> list[Value]:
    if isinstance(value, list):
        return [part for part in value if part is not None]
    if isinstance(value, Tuple):
        return [part for part in value.values() if part is not None]
    if isinstance(value, Node):
        return value.children()
    fields = getattr(value, "__dataclass_fields__", None)
    parts = [getattr(value, name) for name in fields if not name.startswith("_")] if fields else []
    return [part for part in parts if part is not None and not isinstance(part, bool)]


computes("Equal")(equal)
computes("NotEqual")(lambda left, right: None if (same := equal(left, right)) is None else not same)
computes("Equivalent", nulls=True)(equivalent)


def _relation(name: str, *accepted: int) -> None:
    def relate(left: Value, right: Value) -> bool | None:
        order = compare(left, right)
        return None if order is None else order in accepted

    computes(name)(relate)


_relation("Less", -1)
_relation("LessOrEqual", -1, 0)
_relation("Greater", 1)
_relation("GreaterOrEqual", 0, 1)
