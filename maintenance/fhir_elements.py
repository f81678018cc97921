"""Makes the table of the elements of a FHIR release from its JSON Schema.

Run by `python -m maintenance.fhir_elements fhir-r4.schema.json.gz fhir/elements/fhir_elements.txt`. A line is a type
and its elements: `name:Type`, `*` behind a list, `+` behind what is required, `|` between the types of a choice; `!`
stands before a resource.
"""

import gzip
import json
import sys
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Final

_EVERYWHERE: Final = {"id", "extension", "modifierExtension"}
_OF_RESOURCES: Final = {"resourceType", "contained", "meta", "implicitRules", "language", "text"}

# types of the publisher of the schema that are not in FHIR R4
_NOT_FHIR: Final = frozenset({
    "AccessPolicy", "Agent", "AsyncJob", "Bot", "BulkDataExport", "ClientApplication", "DomainConfiguration",
    "IdentityProvider",
    "JsonWebKey", "Login", "PasswordChangeRequest", "Project", "ProjectMembership", "ProjectSetting", "ProjectSite",
    "SmartAppLaunch", "User", "UserConfiguration", "UserSecurityRequest", "ViewDefinition",
})  # fmt: skip
_PRIMITIVES: Final = (
    "base64Binary", "boolean", "canonical", "code", "date", "dateTime", "decimal", "id", "instant", "integer",
    "markdown",
    "oid", "positiveInt", "string", "time", "unsignedInt", "uri", "url", "uuid",
)  # fmt: skip


def element_table(schema: Mapping[str, Any]) -> str:
    """Return the lines of the table for a schema."""
    lines = []
    for name, definition in sorted(schema["definitions"].items()):
        properties = definition.get("properties")
        if properties and name not in {"Element", "BackboneElement"} and not name.startswith(tuple(_NOT_FHIR)):
            mark = "!" if "resourceType" in properties else ""
            lines.append(
                " ".join([mark + name.replace("_", "."), *_elements(properties, definition.get("required", ()))])
            )
    return "\n".join(lines) + "\n"


def _elements(properties: Mapping[str, Any], required: Collection[str]) -> list[str]:
    inherited = _EVERYWHERE | (_OF_RESOURCES if "resourceType" in properties else set())
    types = {
        name: _type(name, value)
        for name, value in properties.items()
        if not name.startswith("_") and name not in inherited
    }
    choices: dict[str, list[str]] = {}
    for name, (kind, many) in types.items():
        suffix = kind[:1].upper() + kind[1:]
        if not many and name.endswith(suffix) and name != suffix:
            choices.setdefault(name.removesuffix(suffix), []).append(kind)
    written = []
    for name, (kind, many) in types.items():
        suffix = kind[:1].upper() + kind[1:]
        stem = name.removesuffix(suffix) if name.endswith(suffix) else ""
        of_choice = choices.get(stem, [])
        if len(of_choice) > 1:
            if of_choice[0] == kind:
                written.append(f"{stem}:{'|'.join(of_choice)}")
        else:
            written.append(f"{name}:{kind}{'*' if many else ''}{'+' if name in required else ''}")
    return written


def _type(name: str, value: Mapping[str, Any]) -> tuple[str, bool]:
    many = value.get("type") == "array"
    inner = value["items"] if many else value
    if "enum" in inner:
        return "code", many
    if "$ref" in inner:
        kind = inner["$ref"].rpartition("/")[2].replace("_", ".")
        return ("Resource" if kind == "ResourceList" else kind), many
    # a primitive of a choice stands in the schema with its pattern alone; its type is the end of its name
    ends = [kind for kind in _PRIMITIVES if name.endswith(kind[0].upper() + kind[1:])]
    return max(ends, key=len, default="string"), many


if __name__ == "__main__":
    given, target = map(Path, sys.argv[1:3])
    schema = json.loads(gzip.decompress(given.read_bytes()))
    target.write_text(element_table(schema), encoding="utf-8")
