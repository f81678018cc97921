"""Hooks that a site defines itself, read from a TOML or JSON file of names and fields (docs/hooks.md)."""

import json
import re
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import Raw, Struct

from cds_hooks.protocol.hooks.library import LIBRARY, Context, Hook
from fhir.terminology.toml_file import TomlFault, read_toml

TYPES: Final[dict[str, Any]] = {
    "string": str,
    "number": float,
    "boolean": bool,
    "object": Raw,
    "array": tuple[Raw, ...],
}
_TOKEN_TYPES = frozenset({"string", "number", "boolean"})  # checklist TOK-05
# HOOK-02: a hook of one organisation is named in reverse domain notation; standard hooks have no dot.
_NAME = re.compile(r"[a-z][a-z0-9-]*(\.[a-z0-9][a-z0-9-]*)+")
_VERSION = re.compile(r"\d+(\.\d+){0,2}")
_FIELD = re.compile(r"[a-z][A-Za-z0-9]*")
_HOOK_MEMBERS = frozenset({"name", "version", "like", "services", "field"})
_FIELD_MEMBERS = frozenset({"name", "type", "required", "token"})


class WrongDeclaration(ValueError):
    """A declaration that cannot be used; the message is a sentence with its place."""


class DeclaredHook(Struct, frozen=True):
    """A hook of the site's own, the hook of the library it extends, and the ids of the services that answer it."""

    hook: Hook
    like: str
    services: tuple[str, ...]


class _Field(Struct, frozen=True):
    name: str
    type: str
    required: bool
    token: bool


def read_declarations(path: Path) -> list[DeclaredHook]:
    """The hooks of a file; WrongDeclaration says what is wrong with the file or with one of them."""
    found: list[DeclaredHook] = []
    for position, entry in enumerate(_entries(path), start=1):
        declared = _declared(entry, f"{path.name}, hook {position}")
        if any(declared.hook.name == other.hook.name for other in found):
            raise WrongDeclaration(f"{path.name}: {declared.hook.name} is declared twice.")
        found.append(declared)
    return found


def _entries(path: Path) -> list[Any]:
    try:
        is_json = path.suffix == ".json"
        document = json.loads(path.read_text(encoding="utf-8")) if is_json else read_toml(path)
    except TomlFault as error:
        raise WrongDeclaration(f"{path.name} {error}.") from error
    except (OSError, UnicodeDecodeError) as error:
        raise WrongDeclaration(f"{path.name} cannot be read ({type(error).__name__}).") from error
    except (ValueError, RecursionError) as error:
        raise WrongDeclaration(f"{path.name} is not valid JSON: {error}.") from error
    entries = document.get("hook") if isinstance(document, dict) else None
    if not isinstance(entries, list) or set(document) != {"hook"}:
        raise WrongDeclaration(f"{path.name} holds a list `hook` and nothing else; see docs/hooks.md.")
    return entries


def _declared(entry: Any, place: str) -> DeclaredHook:
    members = _members(entry, _HOOK_MEMBERS, {"name", "version", "like", "services"}, place)
    name = _text(members, "name", place)
    if name in LIBRARY or not _NAME.fullmatch(name):
        raise WrongDeclaration(
            f"{place}: the name of your own hook is in reverse domain notation, such as org.example.ward-round-start."
        )
    version = _text(members, "version", name)
    if not _VERSION.fullmatch(version):
        raise WrongDeclaration(f"{name}: version is a number such as 1.0.")
    like = _text(members, "like", name)
    if like not in LIBRARY:
        raise WrongDeclaration(f"{name}: like names a hook of the library: {', '.join(LIBRARY)}.")
    services = members["services"]
    if not isinstance(services, list) or not services or not all(isinstance(each, str) for each in services):
        raise WrongDeclaration(f"{name}: services is a list of the ids of those that answer it.")
    fields = _fields(members.get("field", []), name)
    tokens = LIBRARY[like].tokens | {each.name for each in fields if each.token}
    hook = Hook(name, _context_of(name, LIBRARY[like].context, fields), version, tokens=tokens)
    return DeclaredHook(hook, like, tuple(services))


def _fields(entries: Any, hook: str) -> list[_Field]:
    if not isinstance(entries, list):
        raise WrongDeclaration(f"{hook}: field is a list of fields, each with name and type.")
    fields = [_field(entry, f"{hook}, field {position}") for position, entry in enumerate(entries, start=1)]
    for each in fields:
        if sum(each.name == other.name for other in fields) > 1:
            raise WrongDeclaration(f"{hook}: the field {each.name} is declared twice.")
    return fields


def _field(entry: Any, place: str) -> _Field:
    members = _members(entry, _FIELD_MEMBERS, {"name", "type"}, place)
    name, kind = _text(members, "name", place), _text(members, "type", place)
    if not _FIELD.fullmatch(name):
        raise WrongDeclaration(f"{place}: the name of a field is one word such as wardId.")
    if kind not in TYPES:
        raise WrongDeclaration(f"{place}: type is one of {', '.join(TYPES)}.")
    flags = {flag: members.get(flag, False) for flag in ("required", "token")}
    for flag, value in flags.items():
        if not isinstance(value, bool):
            raise WrongDeclaration(f"{place}: {flag} is true or false.")
    if flags["token"] and kind not in _TOKEN_TYPES:
        raise WrongDeclaration(f"{place}: only a string, number or boolean can be a prefetch token.")
    return _Field(name, kind, **flags)


def _context_of(hook: str, base: type[Context], fields: list[_Field]) -> type[Context]:
    inherited = {each.encode_name: each for each in msgspec.structs.fields(base)}
    own: list[Any] = []
    for each in fields:
        known = inherited.get(each.name)
        attribute = known.name if known is not None else each.name
        declared = TYPES[each.type]
        if known is not None:
            if declared not in (known.type, *getattr(known.type, "__args__", ())):
                raise WrongDeclaration(f"{hook}: {each.name} is of another type in the hook that it extends.")
            if known.required and not each.required:
                raise WrongDeclaration(f"{hook}: {each.name} is required and cannot be made optional.")
        own.append((attribute, declared) if each.required else _optional(attribute, declared))
    wire = {attribute: name for name, attribute in _attributes(inherited, fields)}
    context = msgspec.defstruct(
        "DeclaredContext", own, bases=(base,), module=__name__, frozen=True, kw_only=True, rename=wire
    )
    assert issubclass(context, Context)  # noqa: S101 - made from it one line above
    return context


def _optional(attribute: str, declared: Any) -> tuple[str, Any, Any]:
    # msgspec reads `Raw | None` as null only
    return (attribute, Raw, Raw(b"null")) if declared is Raw else (attribute, declared | None, None)


def _attributes(inherited: dict[str, Any], fields: list[_Field]) -> list[tuple[str, str]]:
    names = {name: each.name for name, each in inherited.items()}
    return list((names | {each.name: names.get(each.name, each.name) for each in fields}).items())


def _members(entry: Any, allowed: frozenset[str], required: set[str], place: str) -> dict[str, Any]:
    if not isinstance(entry, dict):
        raise WrongDeclaration(f"{place}: a table with {', '.join(sorted(required))} is expected.")
    for name in sorted(required - set(entry)):
        raise WrongDeclaration(f"{place}: {name} is missing.")
    for name in sorted(set(entry) - allowed):
        raise WrongDeclaration(f"{place}: {name!r} is not known here; there are {', '.join(sorted(allowed))}.")
    return entry


def _text(members: dict[str, Any], name: str, place: str) -> str:
    value = members[name]
    if not isinstance(value, str) or not value.strip():
        raise WrongDeclaration(f"{place}: {name} is a text.")
    return value
