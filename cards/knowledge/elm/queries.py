"""Compiles queries and what stands in their scope (CQL Appendix B, section "Queries")."""

from collections.abc import Callable, Iterator
from itertools import product
from math import prod
from typing import Any

from cards.knowledge.elm.compiling import Body, Closure, ElmNode, Frame, builds
from cards.knowledge.elm.errors import NotSupported
from cards.knowledge.elm.limits import spend
from cards.knowledge.elm.lists import sorted_by
from cards.knowledge.elm.types import element_of
from cards.knowledge.elm.values import Tuple, Value, as_list, distinct, plain


@builds("AliasRef", "QueryLetRef", "OperandRef", "Current")
def _reference(body: Body, node: ElmNode) -> Closure:
    kind = {"QueryLetRef": "let", "OperandRef": "operand"}.get(node["type"], "alias")
    slot = body.slot(kind, str(node.get("scope", "$this") if node["type"] == "Current" else node["name"]))
    return lambda frame: frame[slot]


@builds("IdentifierRef")
def _identifier(body: Body, node: ElmNode) -> Closure:
    name, slot = str(node["name"]), body.slot("alias", "$sort")
    return lambda frame: element_of(frame[slot], name)


@builds("Query")
def _query(body: Body, node: ElmNode) -> Closure:
    """Go through the rows: each combination of elements of the sources for which the conditions hold.

    A source that is one value is one row; where all are, the query gives one value.
    """
    sources, lets = [body.build(source["expression"]) for source in node["source"]], node.get("let") or ()
    aliases = [str(source["alias"]) for source in node["source"]]
    with body.names(*(("alias", alias) for alias in aliases), *(("let", let["identifier"]) for let in lets)) as slots:
        assigned = [
            (slot, body.build(let["expression"])) for slot, let in zip(slots[len(aliases) :], lets, strict=True)
        ]
        tests = [_related(body, relationship) for relationship in node.get("relationship") or ()]
        if node.get("where"):
            tests.append(body.build(node["where"]))
        finish = (_aggregated if node.get("aggregate") else _returned)(
            body, node, dict(zip(aliases, slots, strict=False))
        )

    def rows(frame: Frame, given: list[Value]) -> Iterator[None]:
        elements = list(map(as_list, given))
        spend(prod(map(len, elements)))
        for values in product(*elements):
            frame[slots[0] : slots[0] + len(values)] = values
            for slot, let in assigned:
                frame[slot] = let(frame)
            for test in tests:
                if plain(test(frame)) is not True:
                    break
            else:
                yield

    def evaluate(frame: Frame) -> Value:
        given = [source(frame) for source in sources]
        return finish(frame, rows(frame, given), any(isinstance(value, list) for value in given))

    return evaluate


Finish = Callable[[Frame, Iterator[None], bool], Value]


def _related(body: Body, relationship: ElmNode) -> Closure:
    """Test whether some row of another source (With) or none (Without) has the condition."""
    source = body.build(relationship["expression"])
    if relationship["type"] not in {"With", "Without"}:
        raise NotSupported(f"The relationship {relationship['type']} is not supported.")
    with body.names(("alias", relationship["alias"])) as (slot,):
        condition, wanted = body.build(relationship["suchThat"]), relationship["type"] == "With"
    return lambda frame: (
        wanted is any(plain(condition(frame)) is True for _ in _each(frame, as_list(source(frame)), slot))
    )


def _returned(body: Body, node: ElmNode, aliases: dict[str, int]) -> Finish:
    clause, order = node.get("return"), _order(body, node.get("sort"))
    once = bool(clause.get("distinct", True)) if clause else len(aliases) > 1
    result = body.build(clause["expression"]) if clause else None

    def row(frame: Frame) -> Value:
        if result is not None:
            return result(frame)
        values = {alias: frame[slot] for alias, slot in aliases.items()}
        return Tuple(values) if len(values) > 1 else next(iter(values.values()))

    def collect(frame: Frame, rows: Iterator[None], many: bool) -> Value:
        values = [row(frame) for _ in rows]
        if not many:
            return values[0] if values else None
        return order(frame, distinct(values) if once else values)

    return collect


def _aggregated(body: Body, node: ElmNode, aliases: dict[str, int]) -> Finish:
    clause = node["aggregate"]
    starting = body.build(clause.get("starting"))
    with body.names(("let", clause["identifier"])) as (total,):
        expression = body.build(clause["expression"])

    def accumulate(frame: Frame, rows: Iterator[None], _many: bool) -> Value:
        frame[total], slots = starting(frame), list(aliases.values())
        if clause.get("distinct"):
            rows = _assigned(frame, distinct([[frame[slot] for slot in slots] for _ in rows]), slots)
        for _ in rows:
            frame[total] = expression(frame)
        return frame[total]

    return accumulate


def _assigned(frame: Frame, rows: list[list[Value]], slots: list[int]) -> Iterator[None]:
    for row in rows:
        frame[slots[0] : slots[0] + len(row)] = row
        yield


def _order(body: Body, clause: Any) -> Callable[[Frame, list[Value]], list[Value]]:
    if not clause:
        return lambda _frame, values: values
    with body.names(("alias", "$sort"), ("alias", "$this")) as slots:
        keys = [_sort_key(body, item, slots[0]) for item in clause["by"]]
    descending = [item["direction"] in {"desc", "descending"} for item in clause["by"]]

    def order(frame: Frame, values: list[Value]) -> list[Value]:
        rows = [[key(frame) for key in keys] for _ in _each(frame, values, *slots)]
        return sorted_by(values, rows, descending)

    return order


def _sort_key(body: Body, item: ElmNode, slot: int) -> Closure:
    if item["type"] == "ByExpression":
        return body.build(item["expression"])
    path = str(item["path"]) if item["type"] == "ByColumn" else None
    return lambda frame: frame[slot] if path is None else element_of(frame[slot], path)


def _each(frame: Frame, values: list[Value], *slots: int) -> Iterator[Value]:
    """Go through the values, each being what the slots of the frame hold meanwhile."""
    for value in values:
        spend(1)
        for slot in slots:
            frame[slot] = value
        yield value
