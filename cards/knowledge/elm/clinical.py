"""Compiles codes, value sets and the retrieval of resources (CQL Appendix B, section "Clinical operators")."""

from collections.abc import Callable, Iterable
from typing import Any, Final

from cards.knowledge.elm.compiling import Closure, Compiler, ElmNode, Frame, Library, builds
from cards.knowledge.elm.errors import NotSupported
from cards.knowledge.elm.fhir_model import Node
from cards.knowledge.elm.profiles import profile_test
from cards.knowledge.elm.temporal import Temporal
from cards.knowledge.elm.typing_of import local_name
from cards.knowledge.elm.values import Code, Concept, Interval, Value, Vocabulary, compare, end, plain, start

CodeKey = tuple[str | None, str]


def _vocabulary(library: Library, node: ElmNode, kind: str) -> Vocabulary:
    name = str(node["name"])
    term = library.find(node).term("valueSets" if kind == "ValueSet" else "codeSystems", name)
    return Vocabulary(kind, term["id"], term.get("version"), name)


def _code(library: Library, node: ElmNode) -> Code:
    owner = library.find(node)
    term = owner.term("codes", str(node["name"]))
    system = _vocabulary(owner, term["codeSystem"], "CodeSystem")
    return Code(str(term["id"]), system.id, system.version, term.get("display"))


@builds("CodeSystemRef")
def _code_system_ref(compiler: Compiler, node: ElmNode) -> Closure:
    return compiler.constant(_vocabulary(compiler.library, node, "CodeSystem"))


@builds("ValueSetRef")
def _value_set_ref(compiler: Compiler, node: ElmNode) -> Closure:
    vocabulary = _vocabulary(compiler.library, node, "ValueSet")
    compiler.body.value_sets.add(str(vocabulary.id))
    return compiler.constant(vocabulary)


@builds("CodeRef")
def _code_ref(compiler: Compiler, node: ElmNode) -> Closure:
    return compiler.constant(_code(compiler.library, node))


@builds("ConceptRef")
def _concept_ref(compiler: Compiler, node: ElmNode) -> Closure:
    owner = compiler.library.find(node)
    term = owner.term("concepts", str(node["name"]))
    return compiler.constant(Concept(tuple(_code(owner, code) for code in term["code"]), term.get("display")))


def _selected(compiler: Compiler, node: ElmNode) -> Code:
    system = _vocabulary(compiler.library, node["system"], "CodeSystem").id if node.get("system") else None
    return Code(str(node["code"]), system, None, node.get("display"))


@builds("Code")
def _code_selector(compiler: Compiler, node: ElmNode) -> Closure:
    return compiler.constant(_selected(compiler, node))


@builds("Concept")
def _concept_selector(compiler: Compiler, node: ElmNode) -> Closure:
    codes = tuple(_selected(compiler, code) for code in node["code"])
    return compiler.constant(Concept(codes, node.get("display")))


def code_keys(value: Value) -> list[CodeKey]:
    """Return system and code of each coding of a value: a code, a concept, a text, FHIR's codes, a list of these."""
    if value is None:
        return []
    if isinstance(value, Code):
        return [(value.system, value.code)] if value.code is not None else []
    if isinstance(value, Concept):
        return [key for code in value.codes for key in code_keys(code)]
    if isinstance(value, list):
        return [key for part in value for key in code_keys(part)]
    if isinstance(value, str):
        return [(None, value)]
    return _fhir_keys(value.raw) if isinstance(value, Node) else []


def _fhir_keys(raw: Any) -> list[CodeKey]:
    if isinstance(raw, str):
        return [(None, raw)]
    if not isinstance(raw, dict):
        return []
    codings = raw.get("coding", ()) if "code" not in raw else (raw,)
    return [
        (coding.get("system"), coding["code"])
        for coding in codings
        if isinstance(codings, list | tuple)
        if isinstance(coding, dict) and isinstance(coding.get("code"), str)
    ]


def in_value_set(frame: Frame, value: Value, vocabulary: Vocabulary) -> bool:
    """Return whether one of the codings of the value is in the value set.

    Raises:
        CqlError: the value set is not there.
    """
    members = frame[0].value_set(vocabulary.id)
    return any(members.has(key) for key in code_keys(value))


@builds("InValueSet", "AnyInValueSet")
def _in_value_set(compiler: Compiler, node: ElmNode) -> Closure:
    code = compiler.build(node.get("code") or node.get("codes"))
    given = node.get("valueset")
    vocabulary = _value_set_ref(compiler, given) if given else compiler.build(node["valuesetExpression"])
    compiler.reads_evaluation()

    def test(frame: Frame) -> Value:
        wanted = vocabulary(frame)
        value = code(frame)
        if wanted is None:
            return None
        return False if value is None else in_value_set(frame, value, wanted)

    return test


@builds("InCodeSystem", "AnyInCodeSystem")
def _in_code_system(compiler: Compiler, node: ElmNode) -> Closure:
    code = compiler.build(node.get("code") or node.get("codes"))
    if not node.get("codesystem"):
        raise NotSupported("A code system that is computed is not supported.")
    wanted = _vocabulary(compiler.library, node["codesystem"], "CodeSystem").id
    return lambda frame: any(system == wanted for system, _ in code_keys(code(frame)))


# Retrieve


@builds("Retrieve")
def _retrieve(compiler: Compiler, node: ElmNode) -> Closure:
    kind = local_name(str(node["dataType"]))
    if node.get("include") or node.get("context"):
        raise NotSupported("A Retrieve of related data or of another context is not supported.")
    tests = [
        *_profile_tests(kind, str(node.get("templateId") or "")),
        *_code_tests(compiler, node),
        *_date_tests(compiler, node),
    ]
    compiler.reads_evaluation()

    def retrieve(frame: Frame) -> Value:
        resources = frame[0].resources(kind)
        for make_test in tests:
            test = make_test(frame)
            resources = [resource for resource in resources if test(resource)]
        frame[0].retrieved[retrieve] = resources
        return resources

    compiler.body.retrieves.append((kind, retrieve))
    return retrieve


_Test = Callable[[Node], bool]


def _profile_tests(kind: str, profile: str) -> list[Callable[[Frame], _Test]]:
    test = profile_test(kind, profile)
    return [] if test is None else [lambda _frame: test]


def _code_tests(compiler: Compiler, node: ElmNode) -> list[Callable[[Frame], _Test]]:
    if not node.get("codes"):
        return []
    name, codes = str(node.get("codeProperty") or "code"), compiler.build(node["codes"])
    if name.startswith("id"):
        raise NotSupported("A Retrieve by identifier is not supported.")

    def make(frame: Frame) -> _Test:
        wanted = codes(frame)
        vocabularies = [
            part for part in (wanted if isinstance(wanted, list) else [wanted]) if isinstance(part, Vocabulary)
        ]
        if vocabularies:
            sets = [frame[0].value_set(vocabulary.id) for vocabulary in vocabularies]
            return lambda resource: any(members.has(key) for members in sets for key in keys_at(resource, name))
        keys = frozenset(code_keys(wanted))
        bare = frozenset(code for system, code in keys if system is None)
        return lambda resource: any(key in keys or key[1] in bare for key in keys_at(resource, name))

    return [make]


_KEYS_AT: Final = "\0keys of "


def keys_at(resource: Node, name: str) -> list[CodeKey]:
    """Return the codings of an element of a resource; they are kept with the resource."""
    keys: list[CodeKey] = resource.kept(_KEYS_AT + name, lambda _key: code_keys(resource.property(name)))
    return keys


def _date_tests(compiler: Compiler, node: ElmNode) -> list[Callable[[Frame], _Test]]:
    if not node.get("dateRange"):
        return []
    if not node.get("dateProperty"):
        raise NotSupported("A Retrieve with a date range names no element of the resource.")
    name, requested = str(node["dateProperty"]), compiler.build(node["dateRange"])

    def make(frame: Frame) -> _Test:
        interval = requested(frame)
        return lambda resource: interval is not None and _is_within(resource.property(name), interval)

    return [make]


def _is_within(value: Value, interval: Interval) -> bool:
    if isinstance(value, Node) and value.type == "Period":
        first, last = plain(value.property("start")), plain(value.property("end"))
    else:
        first = last = plain(value)
    if not isinstance(first, Temporal) or not isinstance(last, Temporal):
        return False
    return (compare(start(interval), first) or 0) <= 0 and (compare(last, end(interval)) or 0) <= 0


class ValueSet:
    """The members of a value set: a frozen set of 64-bit hashes, since the codes are never asked back."""

    __slots__ = ("_keys", "_only_system")

    def __init__(self, codes: Iterable[CodeKey]) -> None:
        systems: set[str | None] = set()
        keys: set[int] = set()
        for code in codes:
            systems.add(code[0])
            keys.add(hash(code))
        self._keys = frozenset(keys)
        self._only_system = systems.pop() if len(systems) == 1 else None

    def __len__(self) -> int:
        return len(self._keys)

    def has(self, key: CodeKey) -> bool:
        """Return whether the value set has the code; one without a system where all codes are of one system."""
        if key[0] is None:
            return hash((self._only_system, key[1])) in self._keys
        return hash(key) in self._keys
