"""Compiles three-valued logic, conditions, nulls and references (CQL Appendix B, sections 1 to 3).

Where one side of And or Or is based on data that are not known, the other side may still decide.
"""

from cards.knowledge.elm.compiling import Body, Closure, ElmNode, Frame, builds, computes, constant
from cards.knowledge.elm.errors import CqlError, NotSupported, UnknownData
from cards.knowledge.elm.values import Value, as_list, equal, negated_truth, plain, specifier_key


@builds("And", "Or", "Implies")
def _deciding(body: Body, node: ElmNode) -> Closure:
    """And is decided by one false side, Or by one true side, Implies as Or of the negated first side."""
    left, right = map(body.build, node["operand"])
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
builds("Null")(lambda _body, _node: constant(None))


@builds("If")
def _if(body: Body, node: ElmNode) -> Closure:
    condition, then, otherwise = (body.build(node.get(part)) for part in ("condition", "then", "else"))
    return lambda frame: then(frame) if plain(condition(frame)) is True else otherwise(frame)


@builds("Case")
def _case(body: Body, node: ElmNode) -> Closure:
    comparand = body.build(node["comparand"]) if node.get("comparand") else constant(True)
    items = [(body.build(item["when"]), body.build(item["then"])) for item in node["caseItem"]]
    otherwise = body.build(node.get("else"))

    def choose(frame: Frame) -> Value:
        value = comparand(frame)
        chosen = next((then for when, then in items if equal(when(frame), value) is True), otherwise)
        return chosen(frame)

    return choose


@builds("Coalesce")
def _coalesce(body: Body, node: ElmNode) -> Closure:
    operands = [body.build(operand) for operand in node["operand"]]

    def first(frame: Frame) -> Value:
        values = as_list(operands[0](frame)) if len(operands) == 1 else (operand(frame) for operand in operands)
        return next((value for value in values if value is not None), None)

    return first


# References to definitions, parameters and functions


@builds("ExpressionRef")
def _expression(body: Body, node: ElmNode) -> Closure:
    target = body.library.find(node).definition(str(node["name"]))
    body.use(target)
    return lambda frame: frame[0].definition(target)


@builds("ParameterRef")
def _parameter(body: Body, node: ElmNode) -> Closure:
    library, name = body.library.find(node), str(node["name"])
    if name not in library.parameters:
        raise NotSupported(f"The library {library.id} has no parameter {name!r}.")
    body.is_fixed = False
    if name in library.defaults:
        body.use(library.defaults[name])
    else:
        body.parameters.add((library.id, name))
    return lambda frame: frame[0].parameter(library, name)


@builds("FunctionRef")
def _function(body: Body, node: ElmNode) -> Closure:
    """Call a function; of several with one name the one of the signature, else the first that takes the operands."""
    operands = [body.build(operand) for operand in node.get("operand") or ()]
    library, name = body.library.find(node), str(node["name"])
    candidates = [overload for overload in library.functions.get(name, ()) if len(overload.signature) == len(operands)]
    signature = tuple(map(specifier_key, node.get("signature") or ()))
    candidates = [overload for overload in candidates if overload.signature == signature] or candidates
    if not candidates:
        raise NotSupported(f"The library {library.id} has no function {name} of {len(operands)} operands.")
    only = candidates[0] if len(candidates) == 1 else None
    for candidate in candidates:
        try:
            body.use(candidate)
        except NotSupported:
            body.is_fixed = False
            if only:
                raise  # of several it is found again when it is the one that is called

    def call(frame: Frame) -> Value:
        values = [operand(frame) for operand in operands]
        function = only or next((overload for overload in candidates if overload.accepts(values)), None)
        if function is None:
            raise CqlError(f"No function {library.id}.{name} takes operands of these types.")
        return function.evaluate(frame[0], values)

    return call
