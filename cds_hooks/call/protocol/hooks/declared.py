"""Hooks that a site defines itself, read from a TOML or JSON file of names and fields (docs/hooks.md)."""

import json
import re
from pathlib import Path
from typing import Any, ClassVar, Final

import msgspec
from msgspec import Raw, Struct

from cds_hooks.call.protocol.hooks.library import LIBRARY, Context, Hook
from fhir.terminology.plain_file import plain_file
from fhir.terminology.toml_file import TomlFault, read_toml

TYPES: Final[dict[str, Any]] = {
    "string": str,
    "number": float,
    "boolean": bool,
    "object": Raw,
    "array": tuple[Raw, ...],
}
_TOKEN_TYPES = frozenset({"string", "number", "boolean"})  # checklist TOK-05
# HOOK-02: a hook of one organization is named in reverse domain notation; standard hooks have no dot.
_NAME = re.compile(r"[a-z][a-z0-9-]*(\.[a-z0-9][a-z0-9-]*)+")
_VERSION = re.compile(r"\d+(\.\d+){0,2}")
_FIELD = re.compile(r"[a-z][A-Za-z0-9]*")
_HOOK_MEMBERS = frozenset({"name", "version", "like", "services", "field"})
_FIELD_MEMBERS = frozenset({"name", "type", "required", "token"})


class WrongDeclaration(ValueError):
    """A declaration that cannot be used; the message is a sentence with its place."""

    what_cannot_be_used: ClassVar[str] = "A declared hook"


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
    """Return the hooks of a file; WrongDeclaration says what is wrong with the file or with one of them."""
    declarations: list[DeclaredHook] = []
    for position, entry in enumerate(_entries(path), start=1):
        declared = _declared(entry, f"{path.name}, hook {position}")
        if any(declared.hook.name == earlier.hook.name for earlier in declarations):
            raise WrongDeclaration(f"{path.name}: {declared.hook.name} is declared twice.")
        declarations.append(declared)
    return declarations


def _entries(path: Path) -> list[Any]:
    try:
        is_json = path.suffix == ".json"
        document = json.loads(plain_file(path).read_text(encoding="utf-8")) if is_json else read_toml(path)
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


def _declared(entry: Any, location: str) -> DeclaredHook:
    members = _members(entry, _HOOK_MEMBERS, {"name", "version", "like", "services"}, location)
    name = _text(members, "name", location)
    if name in LIBRARY or not _NAME.fullmatch(name):
        raise WrongDeclaration(
            f"{location}: the name of your own hook must be in reverse domain notation, such as "
            "org.example.ward-round-start."
        )
    version = _text(members, "version", name)
    if not _VERSION.fullmatch(version):
        raise WrongDeclaration(f"{name}: `version` must be a number such as 1.0.")
    like = _text(members, "like", name)
    if like not in LIBRARY:
        raise WrongDeclaration(f"{name}: `like` must name a hook of the library: {', '.join(LIBRARY)}.")
    services = members["services"]
    if not isinstance(services, list) or not services or not all(isinstance(service, str) for service in services):
        raise WrongDeclaration(f"{name}: `services` must be a list of service ids.")
    fields = _fields(members.get("field", []), name)
    tokens = LIBRARY[like].tokens | {field.name for field in fields if field.token}
    hook = Hook(name, _context_of(name, LIBRARY[like].context, fields), version, tokens=tokens)
    return DeclaredHook(hook, like, tuple(services))


def _fields(entries: Any, hook: str) -> list[_Field]:
    if not isinstance(entries, list):
        raise WrongDeclaration(f"{hook}: `field` must be a list of fields, each with name and type.")
    fields = [_field(entry, f"{hook}, field {position}") for position, entry in enumerate(entries, start=1)]
    for field in fields:
        if sum(field.name == second.name for second in fields) > 1:
            raise WrongDeclaration(f"{hook}: the field {field.name} is declared twice.")
    return fields


def _field(entry: Any, location: str) -> _Field:
    members = _members(entry, _FIELD_MEMBERS, {"name", "type"}, location)
    name, kind = _text(members, "name", location), _text(members, "type", location)
    if not _FIELD.fullmatch(name):
        raise WrongDeclaration(f"{location}: the name of a field must be one word such as wardId.")
    if kind not in TYPES:
        raise WrongDeclaration(f"{location}: `type` must be one of {', '.join(TYPES)}.")
    flags = {flag: members.get(flag, False) for flag in ("required", "token")}
    for flag, value in flags.items():
        if not isinstance(value, bool):
            raise WrongDeclaration(f"{location}: {flag} must be true or false.")
    if flags["token"] and kind not in _TOKEN_TYPES:
        raise WrongDeclaration(f"{location}: only a string, number or boolean can be a prefetch token.")
    return _Field(name, kind, **flags)


def _context_of(hook: str, base: type[Context], fields: list[_Field]) -> type[Context]:
    inherited = {field.encode_name: field for field in msgspec.structs.fields(base)}
    attributes: list[Any] = []
    for declared_field in fields:
        inherited_field = inherited.get(declared_field.name)
        attribute = inherited_field.name if inherited_field is not None else declared_field.name
        declared = TYPES[declared_field.type]
        if inherited_field is not None:
            if declared not in (inherited_field.type, *getattr(inherited_field.type, "__args__", ())):
                raise WrongDeclaration(f"{hook}: {declared_field.name} is of another type in the hook that it extends.")
            if inherited_field.required and not declared_field.required:
                raise WrongDeclaration(f"{hook}: {declared_field.name} is required and cannot be made optional.")
        attributes.append((attribute, declared) if declared_field.required else _optional(attribute, declared))
    wire = {attribute: name for name, attribute in _attributes(inherited, fields)}
    context = msgspec.defstruct(
        "DeclaredContext", attributes, bases=(base,), module=__name__, frozen=True, kw_only=True, rename=wire
    )
    assert issubclass(context, Context)  # noqa: S101 - made from it one line above
    return context


def _optional(attribute: str, declared: Any) -> tuple[str, Any, Any]:
    # msgspec reads `Raw | None` as null only
    return (attribute, Raw, Raw(b"null")) if declared is Raw else (attribute, declared | None, None)


def _attributes(inherited: dict[str, Any], fields: list[_Field]) -> list[tuple[str, str]]:
    names = {name: field.name for name, field in inherited.items()}
    return list((names | {field.name: names.get(field.name, field.name) for field in fields}).items())


def _members(entry: Any, allowed: frozenset[str], required: set[str], location: str) -> dict[str, Any]:
    if not isinstance(entry, dict):
        raise WrongDeclaration(f"{location}: a table with {', '.join(sorted(required))} is expected.")
    for name in sorted(required - set(entry)):
        raise WrongDeclaration(f"{location}: {name} is missing.")
    for name in sorted(set(entry) - allowed):
        raise WrongDeclaration(f"{location}: {name!r} is not known here; there are {', '.join(sorted(allowed))}.")
    return entry


def _text(members: dict[str, Any], name: str, location: str) -> str:
    value = members[name]
    if not isinstance(value, str) or not value.strip():
        raise WrongDeclaration(f"{location}: {name} must be a string.")
    return value
