"""Reads prefetch templates and fills their tokens, as a client does."""

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import date, timedelta
from typing import Any, Final

TOKEN: Final = re.compile(r"\{\{\s*([^{}]*?)\s*\}\}")
"""A token of a template; its first group is what it names."""
_THREE: Final = re.compile(r"[(%|]|today|context\.\w+\.")
_LITERAL: Final = re.compile(r"'[^']*'")


def tokens_in(template: str) -> Iterator[str]:
    """Yield what stands between {{ and }}, trimmed."""
    return (match[1] for match in TOKEN.finditer(template))


def without_tokens(template: str) -> str:
    """Return the template with the word TOKEN in place of each token."""
    return TOKEN.sub("TOKEN", template)


def needs_three(token: str) -> bool:
    """Return whether only a client of CDS Hooks 3.0 can fill the token: it is FHIRPath, or names another prefetch."""
    return bool(_THREE.search(token))


def functions_in(token: str) -> set[str]:
    """Return the names of the functions a token calls."""
    return set(re.findall(r"\b([A-Za-z]{1,40})\(", _LITERAL.sub("''", token)))


def keys_in(template: str) -> frozenset[str]:
    """Return the prefetch keys that the tokens of a template name with %."""
    return frozenset(key for token in tokens_in(template) for key in re.findall(r"%([\w-]+)", token))


_NAMED: Final = re.compile(r"%?context|%`([^`]+)`|%([\w-]+)")
_PART: Final = re.compile(r"\.([A-Za-z_]\w*)(?:\(\s*([^()]*?)\s*\))?")
_REFERENCE: Final = re.compile(r"(?:.*/)?([A-Z][A-Za-z]+)/([^/]+?)(?:/_history/.*)?")


def values_of(token: str, context: Mapping[str, Any], answers: Mapping[str, Any]) -> list[str] | None:
    """Return the distinct values of a token; None where it is no path, or names a key without an answer."""
    values: dict[str, None] = {}
    for path in token.split("|"):
        nodes = _follow(path.strip(), context, answers)
        if nodes is None:
            return None
        values.update(dict.fromkeys(text for node in nodes if (text := _written(node))))
    return list(values)


def _follow(path: str, context: Mapping[str, Any], answers: Mapping[str, Any]) -> list[Any] | None:
    start = _NAMED.match(path)
    if start is None:
        return None
    key = start[1] or start[2]
    if key is None:
        nodes: list[Any] = [context]
    elif key in answers:
        nodes = [answers[key]]
    else:
        return None
    position = start.end()
    everything = [context, *answers.values()]
    while position < len(path):
        part = _PART.match(path, position)
        if part is None:
            return None
        position = part.end()
        stepped = _step(nodes, part[1], part[2], everything)
        if stepped is None:
            return None
        nodes = stepped
    return nodes


def _step(nodes: list[Any], name: str, argument: str | None, everything: Iterable[Any]) -> list[Any] | None:
    if argument is None:
        return [value for node in nodes for value in _children(node, name)]
    if name == "ofType" and argument:
        return [node for node in nodes if isinstance(node, dict) and node.get("resourceType") == argument]
    if name == "resolve" and not argument:
        return [resource for node in nodes for resource in _resolved(node, everything)]
    return None


def _children(node: Any, name: str) -> list[Any]:
    if not isinstance(node, dict):
        return []
    # A choice such as medication[x] has the type behind its name in JSON; resourceType is none of `resource`.
    choice = re.compile(rf"(?!resourceType$){name}(?:[A-Z]\w*)?")
    value = node.get(name, next((node[member] for member in sorted(node) if choice.fullmatch(member)), None))
    return value if isinstance(value, list) else [] if value is None else [value]


def _resolved(node: Any, everything: Iterable[Any]) -> list[Any]:
    """Return the resource, where it is available; else what its reference says of it: type and id."""
    text = node.get("reference") if isinstance(node, dict) else node
    match = _REFERENCE.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        return []
    reference = {"resourceType": match[1], "id": match[2]}
    return [next((resource for resource in _resources(everything) if reference.items() <= resource.items()), reference)]


def _resources(values: Iterable[Any]) -> Iterable[dict[str, Any]]:
    for value in values:
        if isinstance(value, dict):
            if "resourceType" in value:
                yield value
            yield from _resources(value.values())
        elif isinstance(value, list):
            yield from _resources(value)


def _written(node: Any) -> str:
    if isinstance(node, dict):
        node = node.get("reference", "")
    if isinstance(node, bool):
        return str(node).lower()
    return str(node) if isinstance(node, str | int | float) else ""


_TODAY: Final = re.compile(r"today\(\)(?:\s*([+-])\s*(\d+)\s*days?)?")
_NONE: Final[Mapping[str, Any]] = {}


def fill(template: str, context: Mapping[str, Any], today: date, answers: Mapping[str, Any] = _NONE) -> str | None:
    """Return the query, every token replaced; None where a token has no value here, as the specification has it.

    `answers` are those of the templates before this one, which tokens of 3.0 may name.
    """
    user = str(context.get("userId", ""))
    kind, _, bare = user.partition("/")
    tokens = {f"user{kind}Id": bare} if kind and bare else {}
    tokens |= {f"context.{name}": value for name, value in context.items() if isinstance(value, str)}
    missing = False

    def value_of(match: re.Match[str]) -> str:
        nonlocal missing
        value = tokens.get(match[1]) or _day(match[1], today) or _path(match[1], context, answers)
        missing = missing or value is None
        return str(value)

    query = TOKEN.sub(value_of, template)
    return None if missing else query


def _path(token: str, context: Mapping[str, Any], answers: Mapping[str, Any]) -> str | None:
    """Return the values a FHIRPath token finds, as alternatives of a search (TOK-13)."""
    values = values_of(token, context, answers) if needs_three(token) else None
    return ",".join(values) if values else None


def _day(token: str, today: date) -> str | None:
    match = _TODAY.fullmatch(token)
    if match is None:
        return None
    days = int(match[2] or 0)
    return (today + timedelta(days=-days if match[1] == "-" else days)).isoformat()
