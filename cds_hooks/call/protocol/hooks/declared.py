"""Hooks that a site defines itself, read from a TOML file of names and fields (docs/hooks.md)."""

import re
from pathlib import Path
from typing import Any, ClassVar, Final, Literal

import msgspec
from msgspec import Raw, Struct

from cds_hooks.call.protocol.hooks import LIBRARY, Context, Hook
from fhir.record.site_file import read_toml_as
from fhir.terminology.toml_file import TomlFault

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


class WrongDeclaration(ValueError):
    """A declaration that cannot be used; the message is a sentence with its place."""

    what_cannot_be_used: ClassVar[str] = "A declared hook"


class DeclaredHook(Struct, frozen=True):
    """A hook of the site's own, the hook of the library it extends, and the ids of the services that answer it."""

    hook: Hook
    like: str
    services: tuple[str, ...]


class _Field(Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    type: Literal["string", "number", "boolean", "object", "array"]
    required: bool = False
    token: bool = False


class _Hook(Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    version: str
    like: str
    services: tuple[str, ...]
    field: tuple[_Field, ...] = ()


class _HooksFile(Struct, frozen=True, forbid_unknown_fields=True):
    hook: tuple[_Hook, ...]


def read_declarations(path: Path) -> list[DeclaredHook]:
    """Return the hooks of a file; WrongDeclaration says what is wrong with the file or with one of them."""
    if path.suffix == ".json":
        raise WrongDeclaration(f"{path.name} is not read: write the hooks as hooks.toml (docs/hooks.md).")
    try:
        hooks = read_toml_as(path, _HooksFile).hook
    except TomlFault as error:
        raise WrongDeclaration(f"{path.name} {error}.") from error
    if twice := {hook.name for hook in hooks if [other.name for other in hooks].count(hook.name) > 1}:
        raise WrongDeclaration(f"{path.name}: {min(twice)} is declared twice.")
    return [_declared(hook, f"{path.name}, hook {position}") for position, hook in enumerate(hooks, start=1)]


def _declared(entry: _Hook, location: str) -> DeclaredHook:
    name = entry.name
    if name in LIBRARY or not _NAME.fullmatch(name):
        raise WrongDeclaration(
            f"{location}: the name of your own hook must be in reverse domain notation, such as "
            "org.example.ward-round-start."
        )
    if not _VERSION.fullmatch(entry.version):
        raise WrongDeclaration(f"{name}: `version` must be a number such as 1.0.")
    if entry.like not in LIBRARY:
        raise WrongDeclaration(f"{name}: `like` must name a hook of the library: {', '.join(LIBRARY)}.")
    if not entry.services:
        raise WrongDeclaration(f"{name}: `services` must name a service.")
    for field in entry.field:
        _check_field(field, name)
        if sum(field.name == second.name for second in entry.field) > 1:
            raise WrongDeclaration(f"{name}: the field {field.name} is declared twice.")
    library = LIBRARY[entry.like]
    tokens = library.tokens | {field.name for field in entry.field if field.token}
    hook = Hook(name, _context_of(name, library.context, entry.field), entry.version, tokens=tokens)
    return DeclaredHook(hook, entry.like, entry.services)


def _check_field(field: _Field, hook: str) -> None:
    if not _FIELD.fullmatch(field.name):
        raise WrongDeclaration(f"{hook}: the name of a field must be one word such as wardId.")
    if field.token and field.type not in _TOKEN_TYPES:
        raise WrongDeclaration(f"{hook}, {field.name}: only a string, number or boolean can be a prefetch token.")


def _context_of(hook: str, base: type[Context], fields: tuple[_Field, ...]) -> type[Context]:
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


def _attributes(inherited: dict[str, Any], fields: tuple[_Field, ...]) -> list[tuple[str, str]]:
    names = {name: field.name for name, field in inherited.items()}
    return list((names | {field.name: names.get(field.name, field.name) for field in fields}).items())
