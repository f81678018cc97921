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
from cards.knowledge.elm.limits import current_budget
from cards.knowledge.elm.typing_of import matcher, specifier_key
from cards.knowledge.elm.values import Value, plain

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
        def build(compiler: Compiler, node: ElmNode) -> Closure:
            operands = [compiler.build(operand) for operand in _operands(node, parts)]
            required = 0 if nulls else sum(not part.endswith("?") for part in parts) or len(operands)
            given = (str(node["precision"]).lower() if node.get("precision") else None,) if precision else ()
            return _applied(function, operands, required, given)

        builds(*names)(build)
        return function

    return register


def _operands(node: ElmNode, parts: tuple[str, ...]) -> list[ElmNode | None]:
    if not parts:
        given = node.get("operand", node.get("source"))
        if given is None:
            raise NotSupported(f"{node.get('type')} has no operand.")
        return given if isinstance(given, list) else [given]
    for part in parts:
        if not part.endswith("?") and node.get(part) is None:
            raise NotSupported(f"{node.get('type')} has no {part}.")
    return [node.get(part.rstrip("?")) for part in parts]


def _applied(function: Callable[..., Value], operands: list[Closure], required: int, given: tuple[Any, ...]) -> Closure:
    if len(operands) == required == 1:
        (only,) = operands

        def unary(frame: Frame) -> Value:
            value = only(frame)
            if type(value) is Primitive:  # `plain` as a call would make the calculator of opioid doses a third slower
                value = value.property("value")
            return None if value is None else function(value, *given)

        return unary
    if len(operands) == required == 2:
        left, right = operands

        def binary(frame: Frame) -> Value:
            item = left(frame)
            if type(item) is Primitive:
                item = item.property("value")
            if item is None:
                return None
            other = right(frame)
            if type(other) is Primitive:
                other = other.property("value")
            return None if other is None else function(item, other, *given)

        return binary

    def several(frame: Frame) -> Value:
        values = [plain(operand(frame)) for operand in operands]
        return None if any(value is None for value in values[:required]) else function(*values, *given)

    return several


class Compiler:
    """Compiles the body of one definition or function of a library.

    `reads` are the elements of the frame on which the node that is being compiled depends: 0 where it needs the
    evaluation, its instant, its parameters or its data. What reads none is computed once for all evaluations.
    """

    def __init__(self, library: "Library", body: "Body") -> None:
        self.library = library
        self.body = body
        self.reads: set[int] = set()
        self._constants: set[Closure] = set()
        self._scope: dict[tuple[str, str], int] = {}
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
        outside, self.reads = self.reads, set()
        try:
            closure = builder(self, node)
            return closure if self.reads or closure in self._constants else self._computed_once(closure)
        except (KeyError, TypeError, AttributeError) as error:
            raise NotSupported(f"ELM node {kind} is malformed ({type(error).__name__}: {error}).") from error
        finally:
            self.reads |= outside
            self._depth -= 1

    def constant(self, value: Value) -> Closure:
        """Return a closure that always gives the value."""

        def give(_frame: Frame) -> Value:
            return value

        self._constants.add(give)
        return give

    def _computed_once(self, closure: Closure) -> Closure:
        body, computed = self.body, list[Value]()

        def give(_frame: Frame) -> Value:
            if not computed:
                computed.append(closure(body.new_frame(None)))
            return computed[0]

        self._constants.add(give)
        return give

    def reads_evaluation(self) -> None:
        """Note that the value depends on the evaluation: its instant, its parameters or its data."""
        self.reads.add(0)

    @contextmanager
    def names(self, *names: tuple[str, str]) -> Iterator[list[int]]:
        """Give each (kind, name) a slot in the frame while the `with` block compiles what may refer to it."""
        before, slots = self._scope, [self.new_slot() for _ in names]
        self._scope = {**before, **dict(zip(names, slots, strict=True))}
        try:
            yield slots
        finally:
            self._scope = before
            self.reads -= set(slots)

    def new_slot(self) -> int:
        """Return the index of a new element of the frame."""
        self.body.size += 1
        return self.body.size - 1

    def slot(self, kind: str, name: str) -> int:
        """Return the slot of a name that is in scope."""
        slot = self._scope.get((kind, name))
        if slot is None:
            raise NotSupported(f"The {kind} {name!r} is not in scope.")
        self.reads.add(slot)
        return slot


# What is compiled: libraries, their definitions and functions


class Body:
    """One definition, function or default of a parameter: its closure once it is compiled."""

    def __init__(self, library: "Library", name: str, node: ElmNode | None, operands: Iterable[str] = ()) -> None:
        self.library = library
        self.name = name
        self.retrieves: list[tuple[str, Closure]] = []
        self.value_sets: set[str] = set()
        self.parameters: set[tuple[str, str]] = set()
        self.uses: list[Body] = []
        self.notes: list[str] = []
        self.size = 1
        self.is_fixed = False
        self._node = node
        self._operands = list(operands)
        self._closure: Closure | None = None
        self._fault: NotSupported | None = None

    @property
    def title(self) -> str:
        """Return library and name."""
        return f"{self.library.id}.{self.name}"

    def compile(self) -> Closure:
        """Return the closure.

        Raises:
            NotSupported: something in it, or in what it refers to, is not run by this interpreter.
        """
        if self._fault is not None:
            raise self._fault
        if self._closure is None:
            self._fault = NotSupported(f"{self.title} refers to itself; recursion is not supported.")
            compiler = Compiler(self.library, self)
            try:
                with compiler.names(*(("operand", name) for name in self._operands)):
                    self._closure = compiler.build(self._node)
            except NotSupported as error:
                self._fault = error if str(error).startswith("In ") else NotSupported(f"In {self.title}: {error}")
                raise self._fault from error
            finally:
                self._node = None  # memory: the nodes of a library take ten times what its closures take
            self._fault = None
            self.is_fixed = not compiler.reads
        return self._closure

    def new_frame(self, evaluation: Any, values: Iterable[Value] = ()) -> Frame:
        """Return the frame for one evaluation of the closure: the values of the operands, then what it assigns."""
        frame = [evaluation, *values]
        return frame + [None] * (self.size - len(frame))

    def evaluate(self, evaluation: Any, values: Iterable[Value] = ()) -> Value:
        """Return the value of the definition, or of the function for these operands."""
        closure, budget = self._closure or self.compile(), current_budget()
        budget.enter()
        try:
            return closure(self.new_frame(evaluation, values))
        finally:
            budget.leave()

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
        operands, expression = node.get("operand") or (), node.get("expression")
        super().__init__(library, str(node["name"]), expression, [str(part["name"]) for part in operands])
        self.count = len(operands)
        self.is_value_of_operand = self.count == 1 and _is_value_of_operand(expression or {})
        self._specifiers = [_specifier(part) for part in operands]
        self.signature = tuple(map(specifier_key, self._specifiers))
        if node.get("external") or expression is None:
            self._fault = NotSupported(f"The function {self.title} is external.")

    def accepts(self, values: list[Value]) -> bool:
        """Return whether each value is null or of the type of its operand."""
        return all(
            value is None or matcher(specifier)(value)
            for specifier, value in zip(self._specifiers, values, strict=True)
        )


def _is_value_of_operand(node: ElmNode) -> bool:
    is_value = (node.get("type"), node.get("path")) == ("Property", "value")
    return is_value and (node.get("source") or {}).get("type") == "OperandRef"


def _specifier(operand: ElmNode) -> ElmNode:
    named = {"name": operand.get("operandType", "{urn:hl7-org:elm-types:r1}Any")}
    return operand.get("operandTypeSpecifier") or named


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
        for node in _defs(content, "statements"):
            if node.get("type") == "FunctionDef":
                self.functions.setdefault(str(node["name"]), []).append(Function(self, node))
            else:
                self.definitions[str(node["name"])] = Body(self, str(node["name"]), node.get("expression"))
        self.parameters = {str(node["name"]): node for node in _defs(content, "parameters")}
        self.defaults = {
            name: Body(self, name, node["default"]) for name, node in self.parameters.items() if node.get("default")
        }
        self.included = [
            (str(node["localIdentifier"]), str(node["path"]).rpartition("/")[2], node.get("version"))
            for node in _defs(content, "includes")
        ]
        self._terms = {
            kind: {str(node["name"]): node for node in _defs(content, kind)}
            for kind in ("codeSystems", "valueSets", "codes", "concepts")
        }

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
        if name is None:
            return self
        if name not in self.includes:
            raise NotSupported(f"The library {name} that {self.id} includes is missing.")
        return self.includes[name]

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


def _defs(content: Mapping[str, Any], part: str) -> list[ElmNode]:
    return list((content.get(part) or {}).get("def") or ())


def link(libraries: Iterable[Library]) -> None:
    """Give each library the ones that it includes, in the version that it names where this is there."""
    libraries = list(libraries)
    for library in libraries:
        for local, name, version in library.included:
            same = [other for other in libraries if other.id == name]
            exact = [other for other in same if other.version == version]
            if same:
                library.includes[local] = (exact or same)[0]
