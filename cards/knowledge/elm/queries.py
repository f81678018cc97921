"""Compiles queries and what stands in their scope (CQL Appendix B, section "Queries")."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any

from cards.knowledge.elm.compiling import Closure, Compiler, ElmNode, Frame, builds
from cards.knowledge.elm.errors import NotSupported
from cards.knowledge.elm.limits import spend
from cards.knowledge.elm.lists import sorted_by
from cards.knowledge.elm.types import element_of
from cards.knowledge.elm.values import Tuple, Value, distinct, equal, plain

Row = Callable[[Frame], None]
Step = Callable[[Row, Frame], None]


@builds("AliasRef", "QueryLetRef", "OperandRef", "Current")
def _reference(compiler: Compiler, node: ElmNode) -> Closure:
    kind = {"QueryLetRef": "let", "OperandRef": "operand"}.get(node["type"], "alias")
    slot = compiler.slot(kind, str(node.get("scope", "$this") if node["type"] == "Current" else node["name"]))
    return lambda frame: frame[slot]


@builds("IdentifierRef")
def _identifier(compiler: Compiler, node: ElmNode) -> Closure:
    name = str(node["name"])
    slot = compiler.slot("alias", "$sort")
    return lambda frame: element_of(frame[slot], name)


@builds("Query")
def _query(compiler: Compiler, node: ElmNode) -> Closure:
    with ExitStack() as scope:
        steps: list[Step] = []
        sources: list[tuple[str, int]] = []
        given: list[tuple[Closure, int]] = []
        many = compiler.new_slot()
        for source in node["source"]:
            closure = compiler.build(source["expression"])
            (slot,) = scope.enter_context(compiler.names(("alias", source["alias"])))
            sources.append((source["alias"], slot))
            values = compiler.new_slot()
            given.append((closure, values))
            steps.append(_rows_of(values, slot, many))
        for let in node.get("let") or ():
            closure = compiler.build(let["expression"])
            (slot,) = scope.enter_context(compiler.names(("let", let["identifier"])))
            steps.append(_assign(closure, slot))
        steps += [_related(compiler, relationship) for relationship in node.get("relationship") or ()]
        if node.get("where"):
            steps.append(_where(compiler.build(node["where"])))
        if node.get("aggregate"):
            return _reading(given, _aggregated(compiler, node["aggregate"], steps, sources))
        return _reading(given, _finished(compiler, node, steps, sources, many))


def _reading(given: list[tuple[Closure, int]], query: Closure) -> Closure:
    """Evaluate each source once, before the first row."""

    def evaluate(frame: Frame) -> Value:
        for source, slot in given:
            frame[slot] = source(frame)
        return query(frame)

    return evaluate


def _rows_of(values_slot: int, slot: int, many: int) -> Step:
    """Go through the elements of a source; a source that is one value is one row, and the query gives one value."""

    def step(following: Row, frame: Frame) -> None:
        values = frame[values_slot]
        if isinstance(values, list):
            frame[many] = True
            for _ in _each(frame, values, slot):
                following(frame)
        elif values is not None:
            frame[slot] = values
            following(frame)

    return step


def _assign(closure: Closure, slot: int) -> Step:
    def step(following: Row, frame: Frame) -> None:
        frame[slot] = closure(frame)
        following(frame)

    return step


def _where(condition: Closure) -> Step:
    def step(following: Row, frame: Frame) -> None:
        if plain(condition(frame)) is True:
            following(frame)

    return step


def _related(compiler: Compiler, relationship: ElmNode) -> Step:
    """Keep the row where some row of another source (With) or none (Without) has the condition."""
    source = compiler.build(relationship["expression"])
    with compiler.names(("alias", relationship["alias"])) as (slot,):
        condition = compiler.build(relationship["suchThat"])
    wanted = {"With": True, "Without": False}.get(relationship["type"])
    if wanted is None:
        raise NotSupported(f"The relationship {relationship['type']} is not supported.")

    def step(following: Row, frame: Frame) -> None:
        values = source(frame)
        rows = values if isinstance(values, list) else [] if values is None else [values]
        has_row = False
        for value in rows:
            spend(1)
            frame[slot] = value
            if plain(condition(frame)) is True:
                has_row = True
                break
        if has_row is wanted:
            following(frame)

    return step


def _finished(
    compiler: Compiler, node: ElmNode, steps: Sequence[Step], sources: list[tuple[str, int]], many: int
) -> Closure:
    result, once = _returned(compiler, node.get("return"), sources)
    order = _order(compiler, node.get("sort"))
    rows_slot = compiler.new_slot()

    def collect(frame: Frame) -> None:
        frame[rows_slot].append(result(frame))

    row = _chained(steps, collect)

    def evaluate(frame: Frame) -> Value:
        values: list[Value] = []
        before, frame[rows_slot], frame[many] = frame[rows_slot], values, False
        row(frame)
        frame[rows_slot] = before
        if not frame[many]:
            return values[0] if values else None
        if once and len(values) > 1:
            values = distinct(values)
        return order(frame, values) if order is not None and len(values) > 1 else values

    return evaluate


def _chained(steps: Sequence[Step], last: Row) -> Row:
    row = last
    for step in reversed(steps):
        row = partial(step, row)
    return row


def _returned(compiler: Compiler, clause: Any, sources: list[tuple[str, int]]) -> tuple[Closure, bool]:
    if clause:
        return compiler.build(clause["expression"]), bool(clause.get("distinct", True))
    if len(sources) == 1:
        slot = sources[0][1]
        return (lambda frame: frame[slot]), False
    return (lambda frame: Tuple({alias: frame[slot] for alias, slot in sources})), True


def _aggregated(compiler: Compiler, clause: ElmNode, steps: Sequence[Step], sources: list[tuple[str, int]]) -> Closure:
    starting = compiler.build(clause.get("starting"))
    with compiler.names(("let", clause["identifier"])) as (total,):
        expression = compiler.build(clause["expression"])

    def accumulate(frame: Frame) -> None:
        frame[total] = expression(frame)

    seen = compiler.new_slot()
    row = _chained(steps, _once(seen, sources, accumulate) if clause.get("distinct") else accumulate)

    def evaluate(frame: Frame) -> Value:
        before = frame[total]
        frame[total], frame[seen] = starting(frame), []
        row(frame)
        result, frame[total] = frame[total], before
        return result

    return evaluate


def _once(seen: int, sources: list[tuple[str, int]], row: Row) -> Row:
    """Pass each combination of elements on once."""

    def once(frame: Frame) -> None:
        values = [frame[source] for _, source in sources]
        spend(5 * len(frame[seen]))
        if not any(equal(values, others) is True for others in frame[seen]):
            frame[seen].append(values)
            row(frame)

    return once


def _order(compiler: Compiler, clause: Any) -> Callable[[Frame, list[Value]], list[Value]] | None:
    if not clause:
        return None
    with compiler.names(("alias", "$sort"), ("alias", "$this")) as slots:
        keys = [_sort_key(compiler, item, slots[0]) for item in clause["by"]]
    descending = [item["direction"] in {"desc", "descending"} for item in clause["by"]]

    def order(frame: Frame, values: list[Value]) -> list[Value]:
        rows = [[key(frame) for key in keys] for _ in _each(frame, values, *slots)]
        return sorted_by(values, rows, descending)

    return order


def _sort_key(compiler: Compiler, item: ElmNode, slot: int) -> Closure:
    if item["type"] == "ByExpression":
        return compiler.build(item["expression"])
    if item["type"] == "ByColumn":
        path = str(item["path"])
        return lambda frame: element_of(frame[slot], path)
    return lambda frame: frame[slot]


@builds("Sort")
def _sort(compiler: Compiler, node: ElmNode) -> Closure:
    source, order = compiler.build(node["source"]), _order(compiler, node)

    def evaluate(frame: Frame) -> Value:
        values = source(frame)
        return order(frame, values) if values and order is not None else values

    return evaluate


@builds("Filter", "ForEach")
def _loop(compiler: Compiler, node: ElmNode) -> Closure:
    source, keeps = compiler.build(node["source"]), node["type"] == "Filter"
    with compiler.names(("alias", str(node.get("scope", "$this")))) as (slot,):
        expression = compiler.build(node["condition" if keeps else "element"])

    def evaluate(frame: Frame) -> Value:
        values = source(frame)
        if values is None:
            return None
        results = []
        for value in _each(frame, values, slot):
            result = expression(frame)
            if not keeps or plain(result) is True:
                results.append(value if keeps else result)
        return results

    return evaluate


def _each(frame: Frame, values: list[Value], *slots: int) -> Iterator[Value]:
    """Go through the values, each being what the slots of the frame hold meanwhile."""
    spend(len(values))
    for value in values:
        for slot in slots:
            frame[slot] = value
        yield value
