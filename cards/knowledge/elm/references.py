"""Compiles references to definitions, parameters and functions, and chooses among functions of one name."""

from cards.knowledge.elm.compiling import Body, Closure, Compiler, ElmNode, Frame, Function, builds
from cards.knowledge.elm.errors import CqlError, NotSupported
from cards.knowledge.elm.fhir_model import Node
from cards.knowledge.elm.typing_of import specifier_key, type_key
from cards.knowledge.elm.values import Value


def _use(compiler: Compiler, body: Body) -> Closure:
    """Compile what a definition refers to, and note that it does."""
    closure = body.compile()
    compiler.body.uses.append(body)
    if not body.is_fixed:
        compiler.reads_evaluation()
    return closure


@builds("ExpressionRef")
def _expression(compiler: Compiler, node: ElmNode) -> Closure:
    target = compiler.library.find(node).definition(str(node["name"]))
    closure = _use(compiler, target)
    return closure if target.is_fixed else lambda frame: frame[0].definition(target)


@builds("ParameterRef")
def _parameter(compiler: Compiler, node: ElmNode) -> Closure:
    library, name = compiler.library.find(node), str(node["name"])
    if name not in library.parameters:
        raise NotSupported(f"The library {library.id} has no parameter {name!r}.")
    compiler.reads_evaluation()
    compiler.body.parameters.add((library.id, name))
    if name in library.defaults:
        _use(compiler, library.defaults[name])
    return lambda frame: frame[0].parameter(library, name)


@builds("FunctionRef")
def _function(compiler: Compiler, node: ElmNode) -> Closure:
    operands = [compiler.build(operand) for operand in node.get("operand") or ()]
    library, name = compiler.library.find(node), str(node["name"])
    candidates = [function for function in library.functions.get(name, ()) if function.count == len(operands)]
    signature = tuple(map(specifier_key, node.get("signature") or ()))
    candidates = [function for function in candidates if signature and function.signature == signature] or candidates
    if not candidates:
        raise NotSupported(f"The library {library.id} has no function {name} of {len(operands)} operands.")
    if len(candidates) > 1:
        return _chosen(compiler, candidates, operands)
    (function,) = candidates
    _use(compiler, function)
    if function.is_value_of_operand:  # most of FHIRHelpers: a frame for each would double what a Retrieve takes
        (only,) = operands
        return lambda frame: value.property("value") if isinstance(value := only(frame), Node) else value
    return lambda frame: function.evaluate(frame[0], [operand(frame) for operand in operands])


def _chosen(compiler: Compiler, candidates: list[Function], operands: list[Closure]) -> Closure:
    """Choose among functions of one name by the types of the operands, once for each combination of types."""
    for candidate in candidates:
        try:
            _use(compiler, candidate)
        except NotSupported:
            compiler.reads_evaluation()  # found again when it is the one that is called
    recognized: dict[object, Function] = {}

    def call(frame: Frame) -> Value:
        values = [operand(frame) for operand in operands]
        types = tuple(map(type_key, values))
        function = recognized.get(types)
        if function is None:
            function = next((candidate for candidate in candidates if candidate.accepts(values)), None)
            if function is None:
                raise CqlError(f"No function {candidates[0].title} takes operands of these types.")
            if len(recognized) < 256:
                recognized[types] = function
        return function.evaluate(frame[0], values)

    return call
