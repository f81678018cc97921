"""Compiles three-valued logic, conditions and nulls (CQL Appendix B, sections 1 to 3).

Where one side of And or Or rests on data that are not known, the other side may still decide.
"""

from cards.knowledge.elm.compiling import Closure, Compiler, ElmNode, Frame, builds, computes
from cards.knowledge.elm.errors import UnknownData
from cards.knowledge.elm.values import Value, equal, negated_truth, plain


@builds("And", "Or", "Implies")
def _deciding(compiler: Compiler, node: ElmNode) -> Closure:
    """And is decided by one false side, Or by one true side, Implies as Or of the negated first side."""
    left, right = map(compiler.build, node["operand"])
    decider, implies = node["type"] != "And", node["type"] == "Implies"

    def decide(frame: Frame) -> Value:
        unknown: UnknownData | None = None
        item = None
        try:
            item = plain(left(frame))
        except UnknownData as error:
            unknown = error
        item = negated_truth(item) if implies else item
        if item is decider:
            return decider
        other = plain(right(frame))
        if other is decider:
            return decider
        if unknown is not None:
            raise unknown
        return None if item is None or other is None else not decider

    return decide


computes("Not")(negated_truth)
computes("Xor")(lambda left, right: left is not right)
computes("IsNull", nulls=True)(lambda value: value is None)
computes("IsTrue", nulls=True)(lambda value: value is True)
computes("IsFalse", nulls=True)(lambda value: value is False)


@builds("Null")
def _null(compiler: Compiler, _node: ElmNode) -> Closure:
    return compiler.constant(None)


@builds("If")
def _if(compiler: Compiler, node: ElmNode) -> Closure:
    condition, then, otherwise = (compiler.build(node.get(part)) for part in ("condition", "then", "else"))
    return lambda frame: then(frame) if plain(condition(frame)) is True else otherwise(frame)


@builds("Case")
def _case(compiler: Compiler, node: ElmNode) -> Closure:
    comparand = compiler.build(node["comparand"]) if node.get("comparand") else None
    items = [(compiler.build(item["when"]), compiler.build(item["then"])) for item in node["caseItem"]]
    otherwise = compiler.build(node.get("else"))

    def choose(frame: Frame) -> Value:
        value = True if comparand is None else comparand(frame)
        for when, then in items:
            if equal(when(frame), value) is True:
                return then(frame)
        return otherwise(frame)

    return choose


@builds("Coalesce")
def _coalesce(compiler: Compiler, node: ElmNode) -> Closure:
    operands = [compiler.build(operand) for operand in node["operand"]]

    def first(frame: Frame) -> Value:
        values = (operand(frame) for operand in operands)
        if len(operands) == 1:
            values = (element for value in values for element in (value if isinstance(value, list) else [value]))
        return next((value for value in values if value is not None), None)

    return first
