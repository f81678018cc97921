"""Compiles codes, value sets and the retrieval of resources (CQL Appendix B, section "Clinical operators")."""

import hashlib
import json
from collections.abc import Callable, Iterable
from typing import Any, Final, TypeAlias

from cards.knowledge.elm.compiling import Body, Closure, ElmNode, Frame, Library, builds, constant
from cards.knowledge.elm.errors import NotSupported
from cards.knowledge.elm.fhir_model import Node
from cards.knowledge.elm.profiles import profile_test
from cards.knowledge.elm.values import (
    Code,
    Concept,
    Value,
    Vocabulary,
    as_list,
    local_name,
)

CodeKey: TypeAlias = tuple[str | None, str]


def _vocabulary(library: Library, node: ElmNode) -> Vocabulary:
    kind = "ValueSet" if node.get("type") == "ValueSetRef" else "CodeSystem"
    term = library.find(node).term(f"{kind[0].lower()}{kind[1:]}s", str(node["name"]))
    return Vocabulary(kind, term["id"], term.get("version"), str(node["name"]))


def _code(library: Library, node: ElmNode) -> Code:
    """Return a code that the library names, or one that is written out."""
    owner = library.find(node)
    term = owner.term("codes", str(node["name"])) if "name" in node else {"id": node["code"], **node}
    stated = term.get("codeSystem") or term.get("system")
    system = _vocabulary(owner, {**stated, "type": "CodeSystemRef"}) if stated else Vocabulary("CodeSystem", None)
    return Code(str(term["id"]), system.id, system.version, term.get("display"))


def _concept(library: Library, node: ElmNode) -> Concept:
    owner = library.find(node)
    term = owner.term("concepts", str(node["name"])) if "name" in node else node
    return Concept(tuple(_code(owner, code) for code in term["code"]), term.get("display"))


def _term(make: Callable[[Library, ElmNode], Value]) -> Callable[[Body, ElmNode], Closure]:
    return lambda body, node: constant(make(body.library, node))


builds("CodeSystemRef")(_term(_vocabulary))
builds("CodeRef", "Code")(_term(_code))
builds("ConceptRef", "Concept")(_term(_concept))


@builds("ValueSetRef")
def _value_set_ref(body: Body, node: ElmNode) -> Closure:
    vocabulary = _vocabulary(body.library, {**node, "type": "ValueSetRef"})
    body.value_sets.add(str(vocabulary.id))
    return constant(vocabulary)


def code_keys(value: Value) -> list[CodeKey]:
    """Return system and code of each coding of a value: a code, a concept, a text, FHIR's codes, a list of these."""
    raw = value.raw if isinstance(value, Node) else value
    if isinstance(raw, str):
        return [(None, raw)]
    if isinstance(raw, Code):
        return [(raw.system, raw.code)] if raw.code is not None else []
    if isinstance(raw, Concept | list):
        return [key for code in (raw if isinstance(raw, list) else raw.codes) for key in code_keys(code)]
    if not isinstance(raw, dict) or not isinstance(value, Node):
        return []
    codings = raw.get("coding", ()) if "code" not in raw else (raw,)
    return [
        (coding.get("system"), coding["code"])
        for coding in codings
        if isinstance(codings, list | tuple)
        if isinstance(coding, dict) and isinstance(coding.get("code"), str)
    ]


@builds("InValueSet", "AnyInValueSet")
def _in_value_set(body: Body, node: ElmNode) -> Closure:
    code = body.build(node.get("code") or node.get("codes"))
    given = node.get("valueset")
    vocabulary = _value_set_ref(body, given) if given else body.build(node["valuesetExpression"])
    body.is_fixed = False

    def test(frame: Frame) -> Value:
        wanted = vocabulary(frame)
        return None if wanted is None else any(frame[0].value_set(wanted.id).has(key) for key in code_keys(code(frame)))

    return test


@builds("InCodeSystem", "AnyInCodeSystem")
def _in_code_system(body: Body, node: ElmNode) -> Closure:
    code = body.build(node.get("code") or node.get("codes"))
    if not node.get("codesystem"):
        raise NotSupported("A code system that is computed is not supported.")
    wanted = _vocabulary(body.library, node["codesystem"]).id
    return lambda frame: any(system == wanted for system, _ in code_keys(code(frame)))


# Retrieve

_Test: TypeAlias = Callable[[Node], bool]


@builds("Retrieve")
def _retrieve(body: Body, node: ElmNode) -> Closure:
    kind = local_name(str(node["dataType"]))
    for part in ("include", "context", "dateRange"):
        if node.get(part):
            raise NotSupported(f"A Retrieve with {part} is not supported.")
    profile = profile_test(kind, str(node.get("templateId") or ""))
    tests = [*([lambda _frame: profile] if profile else []), *_code_tests(body, node)]
    body.is_fixed = False

    def retrieve(frame: Frame) -> Value:
        resources = frame[0].resources(kind)
        for make_test in tests:
            resources = list(filter(make_test(frame), resources))
        frame[0].retrieved[retrieve] = resources
        return resources

    body.retrieves.append((kind, retrieve))
    return retrieve


def _code_tests(body: Body, node: ElmNode) -> list[Callable[[Frame], _Test]]:
    if not node.get("codes"):
        return []
    name, codes = str(node.get("codeProperty") or "code"), body.build(node["codes"])
    if name.startswith("id"):
        raise NotSupported("A Retrieve by identifier is not supported.")

    def make(frame: Frame) -> _Test:
        wanted = as_list(codes(frame))
        sets = [frame[0].value_set(part.id) for part in wanted if isinstance(part, Vocabulary)]
        keys = frozenset(code_keys(wanted))
        bare = frozenset(code for system, code in keys if system is None)
        return lambda resource: any(
            key in keys or key[1] in bare or any(members.has(key) for members in sets)
            for key in keys_at(resource, name)
        )

    return [make]


_KEYS_AT: Final = "\0keys of "


def keys_at(resource: Node, name: str) -> list[CodeKey]:
    """Return the codings of an element of a resource; they are kept with the resource."""
    keys: list[CodeKey] = resource.kept(_KEYS_AT + name, lambda _key: code_keys(resource.property(name)))
    return keys


class ValueSet:
    """The members of a value set: a frozen set of 64-bit hashes, since the codes are never asked back."""

    __slots__ = ("_keys", "_only_system", "sha256")

    def __init__(self, codes: Iterable[CodeKey]) -> None:
        codes = list(codes)
        self.sha256 = hashlib.sha256(json.dumps(sorted(map(str, codes))).encode()).hexdigest()
        systems = {system for system, _ in codes}
        self._keys = frozenset(map(hash, codes))
        self._only_system: Any = systems.pop() if len(systems) == 1 else None

    def __len__(self) -> int:
        return len(self._keys)

    def has(self, key: CodeKey) -> bool:
        """Return whether the value set has the code; one without a system where all codes are of one system."""
        return hash((self._only_system, key[1]) if key[0] is None else key) in self._keys
