"""Prefetch tokens: the grammar of their paths (a FHIRPath subset), their values in a chart, the query they make."""

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import date, timedelta
from functools import cached_property
from typing import Any, Final
from urllib.parse import unquote

import msgspec
from msgspec import Raw, Struct, field, structs

from fhir.client.errors import InvalidQuery
from fhir.client.query import Query, Read, Search, escaped
from fhir.record.resources import TYPES, Bundle
from fhir.terminology.caching import remembered

USER_TOKENS: Final = {
    "userPractitionerId": "Practitioner",
    "userPractitionerRoleId": "PractitionerRole",
    "userPatientId": "Patient",
    "userRelatedPersonId": "RelatedPerson",
}
TOKEN: Final = re.compile(r"\{\{\s*([^{}]*?)\s*\}\}")

_TODAY: Final = re.compile(r"today\(\)(?:\s*([+-])\s*(\d{1,6})\s*days?)?")
# The text of 3.0 writes both `context` and `%context` (TRAP-11); a key with other characters stands in backticks.
_ROOT: Final = re.compile(r"%?(context)(?=\.)|%(?:([A-Za-z_][\w-]*)|`([^`|]+)`)(?=\.)")
_STEP: Final = re.compile(
    r"\.(?:(?P<type>ofType)\(\s*(?P<of>[A-Za-z]+)\s*\)|(?P<resolve>resolve)\(\s*\)|(?P<member>_?[A-Za-z]\w*)(?!\s*\())"
)


class WrongToken(ValueError):
    """The token is not of the grammar; the message says what is wrong, with the row."""


class Member(Struct, frozen=True):
    """`.name`: an element, of every item of a list; of a choice (`medication[x]`) whichever is there."""

    name: str


class OfType(Struct, frozen=True):
    """`.ofType(Type)`: only resources of this type, and references to such."""

    type: str


class Resolve(Struct, frozen=True):
    """`.resolve()`: what a reference refers to."""


Step = Member | OfType | Resolve


class Path(Struct, frozen=True):
    """Steps from the context, or from the answer to another key of the same service."""

    root: str
    """`context`, or the key; `is_key` tells a key of that name from it."""
    is_key: bool
    steps: tuple[Step, ...]

    @property
    def field(self) -> str | None:
        """The context field, where the path is nothing but that: all there was up to 2.0.1."""
        if self.is_key or len(self.steps) != 1:
            return None
        (step,) = self.steps
        return step.name if isinstance(step, Member) else None


class TodayToken(Struct, frozen=True):
    """The day of the call, or so many days after it (before it where negative)."""

    days: int


class UserToken(Struct, frozen=True):
    """The bare id of the user, where the user is a resource of this type."""

    type: str


class PathUnion(Struct, frozen=True):
    """What any of the paths finds (TOK-17); one path is a union of one."""

    paths: tuple[Path, ...]

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys whose answers it reads, each once, as they are named."""
        return tuple(dict.fromkeys(path.root for path in self.paths if path.is_key))


Token = TodayToken | UserToken | PathUnion


def read_token(text: str) -> Token:
    """Return what a token means; WrongToken where it is outside the grammar.

    >>> read_token("today() - 90 days")
    TodayToken(days=-90)
    >>> read_token("%orders.entry.resource.medication.resolve().id").keys
    ('orders',)
    """
    if text in USER_TOKENS:
        return UserToken(USER_TOKENS[text])
    moment = _TODAY.fullmatch(text)
    if moment is not None:
        sign, days = moment.groups()
        return TodayToken(int(f"{sign}{days}") if sign else 0)
    return PathUnion(tuple(_path(part.strip()) for part in text.split("|")))


def needs_version_3(token: Token) -> bool:
    """Return whether only clients of CDS Hooks 3.0 can be given it (TOK-19)."""
    if isinstance(token, PathUnion):
        return len(token.paths) != 1 or token.paths[0].field is None
    return isinstance(token, TodayToken)


def keys_in(query: str) -> tuple[str, ...]:
    """Return the keys that must be answered before this template can be filled; WrongToken if a token is unreadable."""
    tokens = (read_token(match[1]) for match in TOKEN.finditer(query))
    return tuple(dict.fromkeys(key for token in tokens if isinstance(token, PathUnion) for key in token.keys))


def _path(text: str) -> Path:
    root = _ROOT.match(text)
    if root is None:
        raise WrongToken(f"TOK-02, TOK-03: {text} is not a path from context. or from a %key")
    context, plain, quoted = root.groups()
    return Path(context or plain or quoted, context is None, tuple(_steps(text, root.end())))


def _steps(text: str, start: int) -> Iterator[Step]:
    while start < len(text):
        step = _STEP.match(text, start)
        if step is None:
            raise WrongToken(f"TOK-18: {text[start:]} is not an element, ofType() or resolve()")
        start = step.end()
        if step["resolve"]:
            yield Resolve()
        elif step["type"]:
            if step["of"] not in TYPES:
                raise WrongToken(f"TOK-11: {step['of']} is not a resource type")
            yield OfType(step["of"])
        else:
            yield Member(step["member"])


# What R4 puts behind the name of a choice where a path of the subset can end or go on: a reference, or a simple value.
_CHOICES: Final = ("Reference", "CodeableConcept", "String", "Code", "Boolean", "Integer", "DateTime", "Date", "Uri")

# There are as many as there are types in our readers.


class Target(Struct, frozen=True):
    """What a reference names. The resource itself is looked for only where a path goes on into it."""

    type: str
    id: str


Simple = str | int | float | bool


class PathEvaluator:
    """Follows paths from one call's context and from what its keys were answered with."""

    def __init__(self, context: Any, answers: Mapping[str, Any]) -> None:
        self._context = context
        self._answers = answers
        self._begun: dict[tuple[str, bool, Step], list[Any]] = {}
        """What the first step of a path finds: a draft order is decoded once for all paths that begin with it."""

    def field(self, name: str) -> Iterator[str]:
        """Yield the one simple value of a context field (TOK-04); a list of them has none."""
        value = _member(self._context, name)
        if isinstance(value, Simple) and str(value).strip():
            yield _text(value)

    def values(self, path: Path) -> Iterator[str]:
        """Yield the simple values at the end of the path, and the text of references, as they stand in a query."""
        first = path.root, path.is_key, path.steps[0]
        if first not in self._begun:
            root = self._answers.get(path.root) if path.is_key else self._context
            self._begun[first] = list(self._step(root, path.steps[0]))
        nodes: Iterable[Any] = self._begun[first]
        for step in path.steps[1:]:
            nodes = [child for node in nodes for child in self._step(node, step)]
        for node in nodes:
            value = _text(node)
            if value.strip():
                yield value

    def has(self, kind: str, identity: str) -> bool:
        """Return whether the resource came with the call, or was fetched for it already."""
        return (kind, identity) in self._index

    def _step(self, node: Any, step: Step) -> Iterable[Any]:
        if isinstance(step, Resolve):
            target = _target(node)
            return () if target is None else (target,)
        if isinstance(step, OfType):
            return (node,) if _type(node) == step.type else ()
        if isinstance(node, Target):
            if step.name == "id":
                return (node.id,)
            return _members(self._index.get((node.type, node.id)), step.name)
        return _members(node, step.name)

    @cached_property
    def _index(self) -> dict[tuple[str | None, Any], Any]:
        index: dict[tuple[str | None, Any], Any] = {}
        for root in (*self._answers.values(), *_fields(self._context)):
            if type(root) is Bundle:  # read by our readers: hundreds of resources whose attributes are known
                resources = (entry.resource for entry in root.entry if entry.resource is not None)
                index |= {
                    (resource.__struct_config__.tag, getattr(resource, "id", None)): resource for resource in resources
                }
            else:
                index |= {
                    (_type(resource), next(_members(resource, "id"), None)): resource for resource in _resources(root)
                }
        return index


def _members(node: Any, name: str) -> Iterator[Any]:
    for candidate in (name, *(f"{name}{kind}" for kind in _CHOICES)):
        value = _member(node, candidate)
        if value is not None:
            yield from value if isinstance(value, list | tuple) else (value,)
            return


def _member(node: Any, name: str) -> Any:
    if isinstance(node, dict):
        value = node.get(name)
    elif isinstance(node, Struct):
        attribute = _attributes(type(node)).get(name)
        value = getattr(node, attribute) if attribute else None
    else:
        return None
    return _decoded(value) if isinstance(value, Raw) else value


def _decoded(raw: Raw) -> Any:
    """Return the decoded JSON; None where it is not JSON, which the service reports."""
    try:
        return msgspec.json.decode(raw)
    except (msgspec.DecodeError, RecursionError):
        return None


def _type(node: Any) -> str | None:
    if isinstance(node, Target):
        return node.type
    if isinstance(node, dict):
        kind = node.get("resourceType")
        return kind if isinstance(kind, str) else None
    tag = node.__struct_config__.tag if isinstance(node, Struct) else None
    return tag if isinstance(tag, str) else None


def _target(node: Any) -> Target | None:
    """Of `Type/id`, relative or absolute, with or without a version; None for `#…` and `urn:…`, which need no query."""
    text = node if isinstance(node, str) else _member(node, "reference")
    if not isinstance(text, str):
        return None
    *_, kind, identity = ["", "", *text.partition("/_history/")[0].split("/")]
    return Target(kind, identity) if kind[:1].isupper() and kind.isalpha() and identity.strip() else None


def _text(node: Any) -> str:
    if isinstance(node, bool):
        return str(node).lower()
    if isinstance(node, Simple):
        return str(node)
    reference = _member(node, "reference")  # TOK-12: a path may end at a reference
    return reference if isinstance(reference, str) else ""


def _resources(value: Any) -> Iterator[Any]:
    if _type(value) == "Bundle":
        for entry in _members(value, "entry"):
            yield from _members(entry, "resource")
    elif _type(value) is not None:
        yield value


def _fields(context: Any) -> Iterator[Any]:
    names = context if isinstance(context, dict) else _attributes(type(context))
    return (_member(context, name) for name in names)


@remembered("elements of resource types", entries=256, longest=0)
def _attributes(kind: type[Any]) -> dict[str, str]:
    """Return the attribute of each element of a struct; of anything else none."""
    elements = structs.fields(kind) if issubclass(kind, Struct) else ()
    return {element.encode_name: element.name for element in elements}


# Prefetch tokens: a template and the values of one call give a query; no value can become part of its syntax


MOST_VALUES: Final = 200
"""Of one token: what is beyond makes a query that no server takes."""


class NoValue(Exception):
    """A token has no value in this call.

    The context field was not sent, the user is of another type (TOK-06), or the path finds nothing. `unknown` are the
    keys that it reads and that are not known themselves.
    """

    def __init__(self, token: str, unknown: tuple[str, ...] = ()) -> None:
        super().__init__(f"this call has no value for {{{{{token}}}}}")
        self.token = token
        self.unknown = unknown


class TokenValues(Struct, frozen=True, dict=True):
    """What tokens stand for in one call: its context, a struct or JSON, and what earlier keys were answered with.

    A key that is not in `answers` is not known; null is an answer.
    """

    context: Any
    today: date
    answers: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def _walk(self) -> PathEvaluator:
        return PathEvaluator(self.context, self.answers)

    def values_of(self, text: str) -> tuple[str, ...]:
        """Return the values of what stands between the braces, each once; NoValue where there is none."""
        try:
            token = read_token(text)
        except WrongToken as error:
            raise NoValue(text) from error
        if isinstance(token, PathUnion):
            values = tuple(dict.fromkeys(self._path_values(token)))[:MOST_VALUES]
            if not values:
                raise NoValue(text, tuple(key for key in token.keys if key not in self.answers))
            return values
        return (self._day(token, text) if isinstance(token, TodayToken) else self._user(token, text),)

    def are_in_hand(self, query: Query) -> bool:
        """Whether a search by nothing but ids would bring only what came with the call, or was fetched already."""
        if not isinstance(query, Search) or len(query.parameters) != 1 or query.parameters[0][0] != "_id":
            return False
        return all(self._walk.has(query.type, identity) for identity in query.parameters[0][1].split(","))

    def _path_values(self, union: PathUnion) -> Iterator[str]:
        for path in union.paths:
            yield from self._walk.values(path) if path.field is None else self._walk.field(path.field)

    def _day(self, token: TodayToken, text: str) -> str:
        try:
            return (self.today + timedelta(days=token.days)).isoformat()
        except OverflowError as error:
            raise NoValue(text) from error

    def _user(self, token: UserToken, text: str) -> str:
        user = next(PathEvaluator(self.context, {}).field("userId"), "")
        kind, _, identity = user.rpartition("/")
        if not identity or kind.rpartition("/")[2] != token.type:
            raise NoValue(text)
        return identity


def fill_template(template: str, values: TokenValues) -> Query:
    """Return the query that a template means in one call; NoValue, or NotAQuery where it is not a read or search."""
    path, question, parameters = template.partition("?")
    if not question:
        kind, slash, identity = path.partition("/")
        if not slash:  # `{{context.userId}}` alone is a whole read: its value is Type/id (TOK-07)
            kind, slash, identity = _plain(path, values).partition("/")
            return Read(kind, identity)
        return Read(kind, _plain(identity, values))
    pairs = [pair.partition("=") for pair in parameters.split("&")]
    if not all(equals for _, equals, _ in pairs):
        raise InvalidQuery
    return Search(path, tuple((name, _escaped(value, values)) for name, _, value in pairs))


def _plain(text: str, values: TokenValues) -> str:
    parts = TOKEN.split(text)
    parts[1::2] = [_only_value(values.values_of(token)) for token in parts[1::2]]
    return "".join(parts)


def _only_value(texts: tuple[str, ...]) -> str:
    if len(texts) != 1:
        raise InvalidQuery  # several ids are a search, no read
    return texts[0]


def _escaped(text: str, values: TokenValues) -> str:
    """Return values in which no sign becomes a separator of the template. Several values mean "or" (TOK-13)."""
    parts = TOKEN.split(text)
    parts[::2] = [unquote(literal) for literal in parts[::2]]
    parts[1::2] = [",".join(escaped(value) for value in values.values_of(token)) for token in parts[1::2]]
    return "".join(parts)
