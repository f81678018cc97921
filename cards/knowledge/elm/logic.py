"""Compiles three-valued logic, conditions and nulls (CQL Appendix B, sections 1 to 3).

Where one side of And or Or rests on data that are not known, the other side may still decide.
"""

from cards.knowledge.elm.compiling import Closure, Compiler, ElmNode, Frame, builds, computes
from cards.knowledge.elm.errors import UnknownData
from cards.knowledge.elm.values import Value, equal, plain


def _deciding(left: Closure, right: Closure, decider: bool) -> Closure:
    """And is decided by one false side, Or by one true side."""

    def decide(frame: Frame) -> Value:
        unknown: UnknownData | None = None
        item = None
        try:
            item = plain(left(frame))
        except UnknownData as error:
            unknown = error
        if item is decider:
            return decider
        other = plain(right(frame))
        if other is decider:
            return decider
        if unknown is not None:
            raise unknown
        return None if item is None or other is None else not decider

    return decide


@builds("And")
def _and(compiler: Compiler, node: ElmNode) -> Closure:
    left, right = map(compiler.build, node["operand"])
    return _deciding(left, right, False)


@builds("Or")
def _or(compiler: Compiler, node: ElmNode) -> Closure:
    left, right = map(compiler.build, node["operand"])
    return _deciding(left, right, True)


@builds("Implies")
def _implies(compiler: Compiler, node: ElmNode) -> Closure:
    left, right = map(compiler.build, node["operand"])
    return _deciding(lambda frame: _not_null(left(frame)), right, True)


def _not_null(value: Value) -> bool | None:
    value = plain(value)
    return None if value is None else not value


computes("Not")(lambda value: _not_null(value))
computes("Xor")(lambda left, right: plain(left) is not plain(right))
computes("IsNull", nulls=True)(lambda value: plain(value) is None)
computes("IsTrue", nulls=True)(lambda value: plain(value) is True)
computes("IsFalse", nulls=True)(lambda value: plain(value) is False)


@builds("Null")
def _null(compiler: Compiler, _node: ElmNode) -> Closure:
    return compiler.constant(None)


@builds("If")
def _if(compiler: Compiler, node: ElmNode) -> Closure:
    condition, then, otherwise = (compiler.build(node.get(part)) for part in ("condition", "then", "else"))
    return lambda frame: then(frame) if plain(condition(frame)) is True else otherwise(frame)


@builds("Case")
def _case(compiler: Compiler, node: ElmNode) -> Closure:
    items = [(compiler.build(item["when"]), compiler.build(item["then"])) for item in node["caseItem"]]
    otherwise = compiler.build(node.get("else"))
    comparand = compiler.build(node["comparand"]) if node.get("comparand") else None

    def choose(frame: Frame) -> Value:
        value = True if comparand is None else comparand(frame)
        for when, then in items:
            requested = when(frame)
            if (equal(requested, value) if comparand is not None else plain(requested)) is True:
                return then(frame)
        return otherwise(frame)

    return choose


@builds("Coalesce")
def _coalesce(compiler: Compiler, node: ElmNode) -> Closure:
    operands = [compiler.build(operand) for operand in node["operand"]]

    def first(frame: Frame) -> Value:
        for operand in operands:
            value = operand(frame)
            if value is not None and (len(operands) > 1 or not isinstance(value, list)):
                return value
            if isinstance(value, list):
                return next((element for element in value if element is not None), None)
        return None

    return first
