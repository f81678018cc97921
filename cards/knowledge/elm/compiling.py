"""Turns the nodes of ELM into Python closures, once, when a library is loaded.

HL7 CQL 1.5.3, Appendix "Expression Logical Model". A closure takes the frame of its definition: element 0 is the
evaluation, the others hold what aliases, lets and operands mean. Each chapter of nodes is a module that registers its
builders here; a node without a builder is not supported and is refused when the library is compiled.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final, Protocol, TypeAlias

from cards.knowledge.elm.errors import CqlError, NotSupported
from cards.knowledge.elm.limits import Budget
from cards.knowledge.elm.typing_of import matcher, specifier_key
from cards.knowledge.elm.values import Code, Concept, Value, Vocabulary

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
            item = left(frame)
            if item is None:
                return None
            other = right(frame)
            return None if other is None else function(item, other, *given)

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


# What is compiled: libraries, their definitions and functions


class Running(Protocol):
    """An evaluation, as far as a definition counts its steps."""

    budget: Budget


_NOT_YET: Final = object()


class Body:
    """One definition, function or default of a parameter: its closure once it is compiled."""

    def __init__(self, library: "Library", name: str, node: ElmNode | None, operands: Iterable[str] = ()) -> None:
        self.library = library
        self.name = name
        self.retrieves: list[tuple[str, ElmNode]] = []
        self.value_sets: set[str] = set()
        self.parameters: set[tuple[str, str]] = set()
        self.uses: list[Body] = []
        self.notes: list[str] = []
        self.size = 1
        self._node = node
        self._operands = list(operands)
        self._closure: Closure | None = None
        self._fixed = True
        self._compiling = False
        self._value: Value = _NOT_YET
        self._fault: NotSupported | None = None
        self._reachable: list[Body] | None = None

    def reads_context(self) -> None:
        """Note that the value depends on the evaluation: its instant, its parameters or its data."""
        self._fixed = False

    def retrieves_data(self, kind: str, node: ElmNode) -> None:
        """Note a Retrieve."""
        self.reads_context()
        self.retrieves.append((kind, node))

    def uses_body(self, other: "Body") -> None:
        """Note that this body refers to another one, compiled now.

        Raises:
            NotSupported: the two refer to each other.
        """
        if other._compiling:
            raise NotSupported(f"{other.title} refers to itself; recursion is not supported.")
        other.compile()
        self.uses.append(other)
        self._fixed = self._fixed and other._fixed

    @property
    def title(self) -> str:
        """Return library and name."""
        return f"{self.library.id}.{self.name}"

    def compile(self) -> Closure:
        """Return the closure.

        Raises:
            NotSupported: something in it, or in what it refers to, is not run by this interpreter.
        """
        if self._closure is not None:
            return self._closure
        if self._fault is not None:
            raise self._fault
        self._compiling = True
        try:
            compiler = Compiler(self.library, self)
            with compiler.names(*(("operand", name) for name in self._operands)):
                closure = compiler.build(self._node)
            self.size = compiler.size
            self._closure = closure
            return closure
        except NotSupported as error:
            self._fault = error if str(error).startswith("In ") else NotSupported(f"In {self.title}: {error}")
            raise self._fault from error
        finally:
            self._compiling = False

    def evaluate(self, evaluation: Running) -> Value:
        """Return the value of the definition; it is computed once for all where it reads no data."""
        if self._value is not _NOT_YET:
            return self._value
        closure = self._closure or self.compile()
        budget = evaluation.budget
        try:
            budget.enter()
            value = closure([evaluation, *[None] * (self.size - 1)])
        finally:
            budget.leave()
        if self._fixed:
            self._value = value
        return value

    def call(self, evaluation: Running, values: list[Value]) -> Value:
        """Return the value of the function for these operands."""
        closure = self._closure or self.compile()
        budget = evaluation.budget
        try:
            budget.enter()
            return closure([evaluation, *values, *[None] * (self.size - 1 - len(values))])
        finally:
            budget.leave()

    def release(self) -> None:
        """Forget the ELM of the body."""
        self._node = None
        if self._closure is None and self._fault is None:
            self._fault = NotSupported(f"In {self.title}: nothing that was checked refers to it.")

    @property
    def is_fixed(self) -> bool:
        """Return whether the value is the same for every patient, instant and parameter."""
        return self._fixed

    def reachable(self) -> list["Body"]:
        """Return this body and each one that it refers to, compiled."""
        if self._reachable is None:
            self.compile()
            collected, waiting = dict[Body, None](), [self]
            while waiting:
                body = waiting.pop()
                if body not in collected:
                    collected[body] = None
                    waiting += body.uses
            self._reachable = list(collected)
        return self._reachable


class Function(Body):
    """A function with the types of its operands."""

    def __init__(self, library: "Library", node: ElmNode) -> None:
        operands = node.get("operand") or ()
        super().__init__(library, str(node["name"]), node.get("expression"), [str(part["name"]) for part in operands])
        self.count = len(operands)
        self.external = bool(node.get("external")) or "expression" not in node
        self._specifiers = [_specifier(part) for part in operands]
        self.signature = tuple(specifier_key(specifier) for specifier in self._specifiers)

    def accepts(self, values: list[Value]) -> bool:
        """Return whether each value is null or of the type of its operand."""
        return all(
            value is None or matcher(specifier)(value)
            for specifier, value in zip(self._specifiers, values, strict=True)
        )

    def compile(self) -> Closure:
        """Return the closure.

        Raises:
            NotSupported: the function is defined outside of its library, or something in it is not run.
        """
        if self.external:
            raise NotSupported(f"The function {self.title} is external.")
        return super().compile()


def _specifier(operand: ElmNode) -> ElmNode:
    if operand.get("operandTypeSpecifier"):
        specifier: ElmNode = operand["operandTypeSpecifier"]
        return specifier
    return {"type": "NamedTypeSpecifier", "name": operand.get("operandType", "{urn:hl7-org:elm-types:r1}Any")}


class Library:
    """One library of ELM and the libraries that it includes."""

    def __init__(self, elm: Mapping[str, Any]) -> None:
        content = elm.get("library")
        if not isinstance(content, Mapping) or not isinstance(content.get("identifier"), Mapping):
            raise NotSupported("This is not a library of ELM: `library.identifier` is missing.")
        self.content = content
        self.id = str(content["identifier"].get("id"))
        self.version = content["identifier"].get("version")
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
        self._terms = {
            kind: {str(node["name"]): node for node in _defs(content, kind)}
            for kind in ("codeSystems", "valueSets", "codes", "concepts")
        }

    def release(self) -> None:
        """Give the memory of the ELM back: what was compiled stays, and nothing more can be."""
        for body in (
            *self.definitions.values(),
            *(item for functions in self.functions.values() for item in functions),
        ):
            body.release()
        self.content = {}

    def included(self) -> list[tuple[str, str, str | None]]:
        """Return of each include the local name, the id and the version."""
        return [
            (str(node["localIdentifier"]), str(node["path"]).rpartition("/")[2], node.get("version"))
            for node in _defs(self.content, "includes")
        ]

    def translator_errors(self) -> list[str]:
        """Return what the translator could not translate: it put Null in its place."""
        return [
            str(note.get("message", "no message"))
            for note in self.content.get("annotation") or ()
            if note.get("type") == "CqlToElmError" and str(note.get("errorSeverity", "error")).lower() == "error"
        ]

    def converts_lists(self) -> bool:
        """Return whether the translator turned lists into values, or values into lists, without being told to."""
        options = [
            str(note["translatorOptions"]).split(",")
            for note in self.content.get("annotation") or ()
            if "translatorOptions" in note
        ]
        return any({"DisableListDemotion", "DisableListPromotion"} - set(given) for given in options)

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

    def _term(self, kind: str, name: str) -> ElmNode:
        if name not in self._terms[kind]:
            raise NotSupported(f"The library {self.id} has no {name!r} among its {kind}.")
        return self._terms[kind][name]

    def code_system(self, name: str) -> Vocabulary:
        """Return a code system by its name in this library."""
        node = self._term("codeSystems", name)
        return Vocabulary("CodeSystem", node["id"], node.get("version"), name)

    def value_set(self, name: str) -> Vocabulary:
        """Return a value set by its name in this library."""
        node = self._term("valueSets", name)
        return Vocabulary("ValueSet", node["id"], node.get("version"), name)

    def code(self, name: str) -> Code:
        """Return a code by its name in this library."""
        node = self._term("codes", name)
        system = self.find(node["codeSystem"]).code_system(str(node["codeSystem"]["name"]))
        return Code(str(node["id"]), system.id, system.version, node.get("display"))

    def concept(self, name: str) -> Concept:
        """Return a concept by its name in this library."""
        node = self._term("concepts", name)
        return Concept(tuple(self.find(code).code(str(code["name"])) for code in node["code"]), node.get("display"))


def _defs(content: Mapping[str, Any], part: str) -> list[ElmNode]:
    return list((content.get(part) or {}).get("def") or ())


def link(libraries: Iterable[Library]) -> list[str]:
    """Give each library the ones that it includes; return a sentence for each that is missing."""
    by_id: dict[str, list[Library]] = {}
    libraries = list(libraries)
    for library in libraries:
        by_id.setdefault(library.id, []).append(library)
    faults = []
    for library in libraries:
        for local, wanted, version in library.included():
            same = by_id.get(wanted, [])
            exact = [other for other in same if version is None or other.version == version]
            if exact:
                library.includes[local] = exact[0]
            elif same:
                library.includes[local] = same[0]
                versions = ", ".join(str(other.version) for other in same)
                faults.append(f"{library.id} includes {wanted} version {version}; the folder has version {versions}.")
            else:
                faults.append(
                    f"{library.id} includes {wanted}{f' version {version}' if version else ''}; it is missing."
                )
    return faults
