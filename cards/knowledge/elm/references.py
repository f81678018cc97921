"""Compiles references to definitions, parameters and functions, and chooses among functions of one name."""

import threading
from typing import Final

from cards.knowledge.elm.compiling import Closure, Compiler, ElmNode, Frame, Function, builds
from cards.knowledge.elm.errors import CqlError, NotSupported
from cards.knowledge.elm.fhir_model import Node
from cards.knowledge.elm.typing_of import specifier_key, type_key
from cards.knowledge.elm.values import Value


@builds("ExpressionRef")
def _expression(compiler: Compiler, node: ElmNode) -> Closure:
    target = compiler.library.find(node).definition(str(node["name"]))
    compiler.body.uses_body(target)
    return lambda frame: frame[0].definition(target)


@builds("ParameterRef")
def _parameter(compiler: Compiler, node: ElmNode) -> Closure:
    library, name = compiler.library.find(node), str(node["name"])
    if name not in library.parameters:
        raise NotSupported(f"The library {library.id} has no parameter {name!r}.")
    compiler.body.reads_context()
    compiler.body.parameters.add((library.id, name))
    if name in library.defaults:
        compiler.body.uses_body(library.defaults[name])
    return lambda frame: frame[0].parameter(library, name)


@builds("FunctionRef")
def _function(compiler: Compiler, node: ElmNode) -> Closure:
    operands = [compiler.build(operand) for operand in node.get("operand") or ()]
    library, name = compiler.library.find(node), str(node["name"])
    candidates = [function for function in library.functions.get(name, ()) if function.count == len(operands)]
    signature = tuple(specifier_key(specifier) for specifier in node.get("signature") or ())
    exact = [function for function in candidates if function.signature == signature] if signature else []
    candidates = exact or candidates
    if not candidates:
        raise NotSupported(f"The library {library.id} has no function {name} of {len(operands)} operands.")
    if len(candidates) == 1:
        return _called(compiler, candidates[0], operands)
    return _chosen(compiler, candidates, operands)


def _called(compiler: Compiler, function: Function, operands: list[Closure]) -> Closure:
    compiler.body.uses_body(function)
    if _is_value_of_operand(function):  # most of FHIRHelpers: the value of a primitive
        (only,) = operands
        return lambda frame: value.property("value") if isinstance(value := only(frame), Node) else value
    return lambda frame: function.call(frame[0], [operand(frame) for operand in operands])


def _is_value_of_operand(function: Function) -> bool:
    node = function._node or {}
    if function.count != 1 or (node.get("type"), node.get("path")) != ("Property", "value"):
        return False
    return bool((node.get("source") or {}).get("type") == "OperandRef")


def _chosen(compiler: Compiler, candidates: list[Function], operands: list[Closure]) -> Closure:
    """Choose among functions of one name by the types of the operands, once for each combination of types."""
    for candidate in candidates:
        if not candidate.external and not candidate._compiling:
            try:
                compiler.body.uses_body(candidate)
            except NotSupported:
                continue  # found again when it is the one that is called
    compiler.body.reads_context()
    recognized: dict[object, Function] = {}

    def call(frame: Frame) -> Value:
        values = [operand(frame) for operand in operands]
        types = tuple(type_key(value) for value in values)
        function = recognized.get(types)
        if function is None:
            function = next((candidate for candidate in candidates if candidate.accepts(values)), None)
            if function is None:
                raise CqlError(f"No function {candidates[0].title} takes operands of these types.")
            with _LOCK:
                if len(recognized) < 256:
                    recognized[types] = function
        return function.call(frame[0], values)

    return call


_LOCK: Final = threading.Lock()
