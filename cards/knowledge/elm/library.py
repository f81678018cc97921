"""Links libraries of ELM: who includes whom in which version, and the definitions and functions that each has.

A definition is compiled when it is first asked for, with all that it refers to.
"""

import threading
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

from cards.knowledge.elm.compiling import Closure, Compiler, ElmNode, Frame, builds
from cards.knowledge.elm.errors import CqlError, NotSupported
from cards.knowledge.elm.fhir_model import Node
from cards.knowledge.elm.typing_of import matcher, specifier_key, type_key
from cards.knowledge.elm.values import Code, Concept, Value, Vocabulary

if TYPE_CHECKING:
    from cards.knowledge.elm.evaluation import Evaluation

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

    def evaluate(self, evaluation: "Evaluation") -> Value:
        """Return the value of the definition; it is computed once for all where it reads no data."""
        if self._value is not _NOT_YET:
            return self._value
        closure = self._closure or self.compile()
        with evaluation.budget.inside():
            value = closure([evaluation, *[None] * (self.size - 1)])
        if self._fixed:
            self._value = value
        return value

    def call(self, evaluation: "Evaluation", values: list[Value]) -> Value:
        """Return the value of the function for these operands."""
        closure = self._closure or self.compile()
        with evaluation.budget.inside():
            return closure([evaluation, *values, *[None] * (self.size - 1 - len(values))])

    def release(self) -> None:
        """Forget the ELM of the body."""
        self._node = None
        if self._closure is None and self._fault is None:
            self._fault = NotSupported(f"In {self.title}: nothing that was checked refers to it.")

    def reachable(self) -> list["Body"]:
        """Return this body and each one that it refers to, compiled."""
        self.compile()
        found, waiting = dict[Body, None](), [self]
        while waiting:
            body = waiting.pop()
            if body not in found:
                found[body] = None
                waiting += body.uses
        return list(found)


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
        for body in (*self.definitions.values(), *(one for functions in self.functions.values() for one in functions)):
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


# References


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
    known: dict[object, Function] = {}

    def call(frame: Frame) -> Value:
        values = [operand(frame) for operand in operands]
        types = tuple(type_key(value) for value in values)
        function = known.get(types)
        if function is None:
            function = next((candidate for candidate in candidates if candidate.accepts(values)), None)
            if function is None:
                raise CqlError(f"No function {candidates[0].title} takes operands of these types.")
            with _LOCK:
                if len(known) < 256:
                    known[types] = function
        return function.call(frame[0], values)

    return call


_LOCK: Final = threading.Lock()
