"""Turns the nodes of ELM into Python closures, once, when a library is loaded.

HL7 CQL 1.5.3, Appendix "Expression Logical Model". A closure takes the frame of its definition: element 0 is the
evaluation, the others hold what aliases, lets and operands mean. Each chapter of nodes is a module that registers its
builders here; a node without a builder is not supported and is refused when the library is compiled.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final, TypeAlias

from cards.knowledge.elm.errors import NotSupported
from cards.knowledge.elm.fhir_model import Primitive
from cards.knowledge.elm.limits import spend
from cards.knowledge.elm.values import SYSTEM, Value, matcher, plain, specifier_key

ElmNode: TypeAlias = Mapping[str, Any]
Frame: TypeAlias = list[Any]
Closure: TypeAlias = Callable[[Frame], Value]
Builder: TypeAlias = Callable[["Body", ElmNode], Closure]

_BUILDERS: Final[dict[str, Builder]] = {}
_MOST_NODES: Final = 20_000


def builds(*names: str) -> Callable[[Builder], Builder]:
    """Register a function that makes the closure of these nodes."""

    def register(builder: Builder) -> Builder:
        _BUILDERS.update(dict.fromkeys(names, builder))
        return builder

    return register


def computes(
    *names: str, parts: tuple[str, ...] = (), precision: bool = False, nulls: bool = False
) -> Callable[[Callable[..., Value]], Callable[..., Value]]:
    """Register a function of the values of the operands; a FHIR primitive is given as the value that it holds.

    `parts` are the members of the node that are its operands, where these are not `operand` or `source`. Unless
    `nulls`, an operand that is null gives null; a part with `?` may be null. With `precision` the function is given
    the precision of the node (None without one) as its last argument.
    """

    def register(function: Callable[..., Value]) -> Callable[..., Value]:
        def build(body: Body, node: ElmNode) -> Closure:
            operands = [body.build(operand) for operand in _operands(node, parts)]
            required = 0 if nulls else sum(not part.endswith("?") for part in parts) or len(operands)
            given = (str(node["precision"]).lower() if node.get("precision") else None,) if precision else ()

            def compute(frame: Frame) -> Value:
                values = list[Value]()
                for operand in operands:
                    value = plain(operand(frame))
                    if value is None and len(values) < required:
                        return None
                    values.append(value)
                return function(*values, *given)

            def binary(
                frame: Frame,
            ) -> Value:  # most nodes: as `compute`, a calculator of doses would take twice as long
                item = left(frame)
                item = item.property("value") if type(item) is Primitive else item
                if item is None:
                    return None
                other = right(frame)
                other = other.property("value") if type(other) is Primitive else other
                return None if other is None else function(item, other, *given)

            def unary(frame: Frame) -> Value:
                value = left(frame)
                value = value.property("value") if type(value) is Primitive else value
                return None if value is None else function(value, *given)

            left, right = (operands + operands)[:2]
            return {1: unary, 2: binary}.get(required, compute) if len(operands) == required else compute

        builds(*names)(build)
        return function

    return register


def _operands(node: ElmNode, parts: tuple[str, ...]) -> list[ElmNode | None]:
    given = node.get("operand", node.get("source"))
    if not parts and given is not None:
        return given if isinstance(given, list) else [given]
    for part in parts or ("operand",):
        if not part.endswith("?") and node.get(part) is None:
            raise NotSupported(f"{node.get('type')} has no {part}.")
    return [node.get(part.rstrip("?")) for part in parts]


def constant(value: Value) -> Closure:
    """Return a closure that always gives the value."""
    return lambda _frame: value


class Body:
    """One definition, function or default of a parameter: its closure once it is compiled, and what it reaches.

    It is fixed where it needs neither the instant nor the parameters nor the data of an evaluation. `parameters` are
    those without a default.
    """

    def __init__(self, library: "Library", name: str, node: ElmNode | None, operands: Iterable[str] = ()) -> None:
        self.library = library
        self.name = name
        self.is_fixed = True
        self.retrieves: list[tuple[str, Closure]] = []
        self.value_sets: set[str] = set()
        self.parameters: set[tuple[str, str]] = set()
        self.uses: list[Body] = []
        self.notes: list[str] = []
        self._node = node
        self._operands = list(operands)
        self._scope: dict[tuple[str, str], int] = {}
        self._size = 1
        self._nodes = 0
        self._closure: Closure | None = None
        self._fault: NotSupported | None = None

    @property
    def title(self) -> str:
        """Return library and name."""
        return f"{self.library.id}.{self.name}"

    def compile(self) -> None:
        """Make the closure.

        Raises:
            NotSupported: something in it, or in what it refers to, is not run by this interpreter.
        """
        if self._fault is not None:
            raise self._fault
        if self._closure is not None:
            return
        self._fault = NotSupported(f"{self.title} refers to itself; recursion is not supported.")
        try:
            with self.names(*(("operand", name) for name in self._operands)):
                self._closure = self.build(self._node)
            self._fault = None
        except (NotSupported, RecursionError) as error:
            reason = "Its nodes are inside each other too deeply." if isinstance(error, RecursionError) else str(error)
            self._fault = NotSupported(reason if reason.startswith("In ") else f"In {self.title}: {reason}")
            raise self._fault from error
        finally:
            self._node = None  # memory: the nodes of a library take ten times what its closures take

    def build(self, node: ElmNode | None) -> Closure:
        """Return the closure of a node.

        Raises:
            NotSupported: the node, or its form, is not one that this interpreter runs.
        """
        if node is None:
            return constant(None)
        kind = str(node.get("type"))
        self._nodes += 1
        if kind not in _BUILDERS:
            raise NotSupported(f"ELM node {kind} is not supported.")
        if self._nodes > _MOST_NODES:
            raise NotSupported(f"It has more than {_MOST_NODES} nodes.")
        try:
            return _BUILDERS[kind](self, node)
        except (LookupError, TypeError, AttributeError, ValueError, ArithmeticError) as error:
            raise NotSupported(f"ELM node {kind} is malformed ({type(error).__name__}: {error}).") from error

    def use(self, body: "Body") -> None:
        """Compile another definition that this one refers to."""
        body.compile()
        self.uses.append(body)
        self.is_fixed = self.is_fixed and body.is_fixed

    @contextmanager
    def names(self, *names: tuple[str, str]) -> Iterator[list[int]]:
        """Give each (kind, name) a slot in the frame while the `with` block compiles what may refer to it."""
        before, slots = self._scope, list(range(self._size, self._size + len(names)))
        self._size += len(names)
        self._scope = {**before, **dict(zip(names, slots, strict=True))}
        try:
            yield slots
        finally:
            self._scope = before

    def slot(self, kind: str, name: str) -> int:
        """Return the slot of a name that is in scope."""
        if (kind, name) not in self._scope:
            raise NotSupported(f"The {kind} {name!r} is not in scope.")
        return self._scope[kind, name]

    def evaluate(self, evaluation: Any, values: Iterable[Value] = ()) -> Value:
        """Return the value of the definition, or of the function for these operands."""
        self.compile()
        spend(1)
        frame = [evaluation, *values]
        assert self._closure is not None  # noqa: S101 - `compile` made it
        return self._closure(frame + [None] * (self._size - len(frame)))

    def reachable(self) -> list["Body"]:
        """Return this body and each one that it refers to, compiled."""
        self.compile()
        collected, waiting = dict[Body, None](), [self]
        while waiting:
            body = waiting.pop()
            if body not in collected:
                collected[body] = None
                waiting += body.uses
        return list(collected)


class Function(Body):
    """A function with the types of its operands."""

    def __init__(self, library: "Library", node: ElmNode) -> None:
        operands = node.get("operand") or ()
        super().__init__(library, str(node["name"]), node.get("expression"), [str(part["name"]) for part in operands])
        specifiers = [
            part.get("operandTypeSpecifier") or {"name": part.get("operandType", SYSTEM + "Any")} for part in operands
        ]
        self.signature = tuple(map(specifier_key, specifiers))
        self._types = list(map(matcher, specifiers))
        if node.get("external") or node.get("expression") is None:
            self._fault = NotSupported(f"The function {self.title} is external.")

    def accepts(self, values: list[Value]) -> bool:
        """Return whether each value is null or of the type of its operand."""
        return all(value is None or is_type(value) for is_type, value in zip(self._types, values, strict=True))


class Library:
    """One library of ELM and the libraries that it includes."""

    def __init__(self, elm: Mapping[str, Any]) -> None:
        content = elm.get("library")
        if not isinstance(content, Mapping) or not isinstance(content.get("identifier"), Mapping):
            raise NotSupported("This is not a library of ELM: `library.identifier` is missing.")
        self.id = str(content["identifier"].get("id"))
        self.version = content["identifier"].get("version")
        self.notes: list[ElmNode] = list(content.get("annotation") or ())
        self.includes: dict[str, Library] = {}
        self.definitions: dict[str, Body] = {}
        self.functions: dict[str, list[Function]] = {}
        self.fixed: dict[Body, Value] = {}  # values that are the same in all evaluations
        for name, node in _named(content, "statements"):
            if node.get("type") == "FunctionDef":
                self.functions.setdefault(name, []).append(Function(self, node))
            else:
                self.definitions[name] = Body(self, name, node.get("expression"))
        self.parameters = dict(_named(content, "parameters"))
        self.defaults = {
            name: Body(self, name, node["default"]) for name, node in self.parameters.items() if node.get("default")
        }
        self.included = [
            (str(node["localIdentifier"]), str(node["path"]).rpartition("/")[2], node.get("version"))
            for node in (content.get("includes") or {}).get("def") or ()
        ]
        self._terms = {kind: dict(_named(content, kind)) for kind in ("codeSystems", "valueSets", "codes", "concepts")}

    def release(self) -> None:
        """Give the memory of what was not compiled back: what was compiled stays, and nothing more can be."""
        self.definitions, self.functions, self._terms = {}, {}, {}

    def translator_errors(self) -> list[str]:
        """Return what the translator could not translate: it put Null in its place."""
        return [
            str(note.get("message", "no message"))
            for note in self.notes
            if note.get("type") == "CqlToElmError" and str(note.get("errorSeverity", "error")).lower() == "error"
        ]

    def converts_lists(self) -> bool:
        """Return whether the translator turned lists into values, or values into lists, without being told to."""
        options = [set(str(note["translatorOptions"]).split(",")) for note in self.notes if "translatorOptions" in note]
        return any({"DisableListDemotion", "DisableListPromotion"} - given for given in options)

    def find(self, node: ElmNode) -> "Library":
        """Return the library that a reference names: an included one or this one."""
        name = node.get("libraryName")
        if name is not None and name not in self.includes:
            raise NotSupported(f"The library {name} that {self.id} includes is missing.")
        return self if name is None else self.includes[name]

    def definition(self, name: str) -> Body:
        """Return a definition by name."""
        if name not in self.definitions:
            raise NotSupported(f"The library {self.id} has no definition {name!r}.")
        return self.definitions[name]

    def term(self, kind: str, name: str) -> ElmNode:
        """Return a code system, a value set, a code or a concept by its name in this library."""
        if name not in self._terms[kind]:
            raise NotSupported(f"The library {self.id} has no {name!r} among its {kind}.")
        return self._terms[kind][name]


def _named(content: ElmNode, part: str) -> list[tuple[str, ElmNode]]:
    return [(str(node["name"]), node) for node in (content.get(part) or {}).get("def") or ()]


def link(libraries: Iterable[Library]) -> None:
    """Give each library the ones that it includes, in the version that it names where this is there."""
    libraries = list(libraries)
    for library in libraries:
        for local, name, version in library.included:
            same = [other for other in libraries if other.id == name]
            if same:
                library.includes[local] = min(same, key=lambda other: other.version != version)
