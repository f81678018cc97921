"""Turns the nodes of ELM into Python closures, once, when a library is loaded.

HL7 CQL 1.5.3, Appendix "Expression Logical Model". A closure takes the frame of its definition: element 0 is the
evaluation, the others hold what aliases, lets and operands mean. Each chapter of nodes is a module that registers its
builders here; a node without a builder is not supported and is refused when the library is compiled.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from cards.knowledge.elm.errors import CqlError, NotSupported
from cards.knowledge.elm.values import Value

if TYPE_CHECKING:
    from cards.knowledge.elm.library import Body, Library

ElmNode: TypeAlias = Mapping[str, Any]
Frame: TypeAlias = list[Any]
Closure: TypeAlias = Callable[[Frame], Value]
Builder: TypeAlias = Callable[["Compiler", ElmNode], Closure]

_BUILDERS: Final[dict[str, Builder]] = {}
_DEEPEST = 500
_MOST_NODES = 20_000


def builds(*names: str) -> Callable[[Builder], Builder]:
    """Register a function that makes the closure of these nodes."""

    def register(builder: Builder) -> Builder:
        for name in names:
            _BUILDERS[name] = builder
        return builder

    return register


def computes(
    *names: str, precision: bool = False, nulls: bool = False
) -> Callable[[Callable[..., Value]], Callable[..., Value]]:
    """Register a function of the values of the operands; unless `nulls`, a null operand gives null.

    With `precision` the function is given the precision of the node (None without one) as its last argument.
    """

    def register(function: Callable[..., Value]) -> Callable[..., Value]:
        for name in names:
            _BUILDERS[name] = _computing(function, precision, nulls)
        return function

    return register


def _computing(function: Callable[..., Value], precision: bool, nulls: bool) -> Builder:
    def build(compiler: "Compiler", node: ElmNode) -> Closure:
        given = (str(node["precision"]).lower() if node.get("precision") else None,) if precision else ()
        operands = [compiler.build(operand) for operand in operands_of(node)]
        return compiler.folded(_strict(function, operands, given, nulls), operands)

    return build


def _strict(function: Callable[..., Value], operands: list[Closure], given: tuple[Any, ...], nulls: bool) -> Closure:
    if nulls:
        return lambda frame: function(*[operand(frame) for operand in operands], *given)
    if len(operands) == 1:
        (only,) = operands
        return lambda frame: None if (value := only(frame)) is None else function(value, *given)
    if len(operands) == 2:
        left, right = operands

        def binary(frame: Frame) -> Value:
            one = left(frame)
            if one is None:
                return None
            other = right(frame)
            return None if other is None else function(one, other, *given)

        return binary

    def several(frame: Frame) -> Value:
        values = [operand(frame) for operand in operands]
        return None if any(value is None for value in values) else function(*values, *given)

    return several


def operands_of(node: ElmNode) -> list[ElmNode]:
    """Return the operands of a node, one or several, in their order."""
    given = node.get("operand", node.get("source"))
    if given is None:
        raise NotSupported(f"{node.get('type')} has no operand.")
    return given if isinstance(given, list) else [given]


class Compiler:
    """Compiles the body of one definition or function of a library."""

    def __init__(self, library: "Library", body: "Body") -> None:
        self.library = library
        self.body = body
        self.scope: dict[tuple[str, str], int] = {}
        self.size = 1
        self.constants: dict[Closure, Value] = {}
        self._depth = 0
        self._nodes = 0

    def build(self, node: ElmNode | None) -> Closure:
        """Return the closure of a node.

        Raises:
            NotSupported: the node, or its form, is not one that this interpreter runs.
        """
        if node is None:
            return self.constant(None)
        kind = str(node.get("type"))
        builder = _BUILDERS.get(kind)
        if builder is None:
            raise NotSupported(f"ELM node {kind} is not supported.")
        self._depth += 1
        self._nodes += 1
        if self._depth > _DEEPEST or self._nodes > _MOST_NODES:
            raise NotSupported(
                f"A definition has more than {_MOST_NODES} nodes, or more than {_DEEPEST} inside each other."
            )
        try:
            return builder(self, node)
        except (KeyError, TypeError, AttributeError) as error:
            raise NotSupported(f"ELM node {kind} is malformed ({type(error).__name__}: {error}).") from error
        finally:
            self._depth -= 1

    def constant(self, value: Value) -> Closure:
        """Return a closure that always gives the value."""

        def give(_frame: Frame) -> Value:
            return value

        self.constants[give] = value
        return give

    def folded(self, closure: Closure, operands: list[Closure]) -> Closure:
        """Return the closure, computed once where its operands are constants."""
        if not operands or not all(operand in self.constants for operand in operands):
            return closure
        try:
            return self.constant(closure([None]))
        except CqlError:
            return closure

    @contextmanager
    def names(self, *names: tuple[str, str]) -> Iterator[list[int]]:
        """Give each (kind, name) a slot in the frame while the `with` block compiles what may refer to it."""
        before = dict(self.scope)
        slots = []
        for name in names:
            self.scope[name] = self.new_slot()
            slots.append(self.scope[name])
        try:
            yield slots
        finally:
            self.scope = before

    def new_slot(self) -> int:
        """Return the index of a new element of the frame."""
        self.size += 1
        return self.size - 1

    def slot(self, kind: str, name: str) -> int:
        """Return the slot of a name that is in scope."""
        slot = self.scope.get((kind, name))
        if slot is None:
            raise NotSupported(f"The {kind} {name!r} is not in scope.")
        return slot
