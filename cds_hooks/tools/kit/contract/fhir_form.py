"""The form that FHIR R4 gives to a resource: elements, JSON types, formats, what is required, choices, codes.

The table of elements is made into a JSON Schema. `fhir_elements.csv` has besides, for resources that are ordered or
charted, which primitive elements are required (each may be replaced by its extension) and which codes are allowed.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any, Final

from jsonschema import Draft6Validator, ValidationError
from jsonschema.validators import extend

from cds_hooks.tools.kit.contract.definitions import FHIR_ELEMENTS, R4_TYPES, read_table
from cds_hooks.tools.kit.contract.document import Fault, Node, quoted

_YEAR: Final = r"(?!0000)[0-9]{4}"
_DAY: Final = rf"{_YEAR}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])"
_CLOCK: Final = r"([01][0-9]|2[0-3]):[0-5][0-9]:([0-5][0-9]|60)(\.[0-9]+)?"
_ZONE: Final = r"(Z|[+-](0[0-9]|1[0-3]):[0-5][0-9]|[+-]14:00)"
_FORMATS: Final = {
    "base64Binary": "",
    "canonical": r"^\S*$",
    "code": r"^\S+(\s\S+)*$",
    "date": rf"^({_YEAR}(-(0[1-9]|1[0-2]))?|{_DAY})$",
    "dateTime": rf"^({_YEAR}(-(0[1-9]|1[0-2]))?|{_DAY}(T{_CLOCK}{_ZONE})?)$",
    "id": r"^[A-Za-z0-9.-]{1,64}$",
    "instant": rf"^{_DAY}T{_CLOCK}{_ZONE}$",
    "markdown": r"^[\s\S]+$",
    "oid": r"^urn:oid:[0-2](\.(0|[1-9][0-9]*))+$",
    "string": r"^[\s\S]+$",
    "time": rf"^{_CLOCK}$",
    "uri": r"^\S*$",
    "url": r"^\S*$",
    "uuid": r"^urn:uuid:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$",
    "xhtml": "",
}
"""The primitive types that JSON has as texts, with their format (FHIR R4, 2.24 Data Types)."""
_PRIMITIVES: Final[Mapping[str, Any]] = {
    kind: {"type": "string", "pattern": form} for kind, form in _FORMATS.items()
} | {
    "boolean": {"type": "boolean"},
    "decimal": {"type": "number"},
    "integer": {"type": "integer"},
    "positiveInt": {"type": "integer", "minimum": 1},
    "unsignedInt": {"type": "integer", "minimum": 0},
}
_EVERYWHERE: Final = ("id:string", "extension:Extension*")
_OF_BACKBONE: Final = ("modifierExtension:Extension*",)
_OF_RESOURCES: Final = (
    "id:id",
    "meta:Meta",
    "implicitRules:uri",
    "language:code",
    "text:Narrative",
    "contained:Resource*",
    *_OF_BACKBONE,
)
_WRONG: Final = {
    "type": "which is of another type in FHIR",
    "enum": "which is not among the codes of FHIR",
    "const": "which is not what FHIR has there",
    "pattern": "which is not the format of FHIR",
    "minimum": "which is not the format of FHIR",
}


def form_faults(resource: Node, *, are_types: bool) -> Iterator[Fault]:
    """Yield what is not as FHIR R4 has it: JSON types, or all else; nothing for a type that R4 has not."""
    kind = resource.text("resourceType")
    if kind in R4_TYPES:
        for error in _validator().evolve(schema={"$ref": f"#/definitions/{kind}"}).iter_errors(resource.value):
            if (error.validator == "type") is are_types:
                yield from _faults(resource.location, error)


def _faults(location: str, error: ValidationError) -> Iterator[Fault]:
    for step in error.absolute_path:
        location += f"[{step}]" if isinstance(step, int) else f".{step}"
    schema: Any = error.schema
    value: Any = error.instance
    if error.validator == "additionalProperties":
        for name in sorted(set(value) - set(schema["properties"])):
            yield Fault(f"FHIR R4 has no element {name} here", f"{location}.{name}")
    elif error.validator in _WRONG:
        yield Fault(f"{location.rpartition('.')[2]} is {quoted(value)}, {_WRONG[error.validator]}", location)
    else:
        yield Fault(error.message, location)


@cache
def _validator() -> Any:
    """Return the validator of all R4 types."""
    definitions: dict[str, Any] = {**_PRIMITIVES, "Resource": {}, "Element": _definition("Element", ())}
    for name, elements in FHIR_ELEMENTS.items():
        definitions[name.lstrip("!")] = _definition(name, elements)
    for row in read_table("fhir_elements.csv"):
        definition = definitions[row["type"]]
        if row["required"]:
            definition["needed"].append(row["element"])
        if row["codes"]:
            codes = {"enum": row["codes"].split()}
            is_list = definition["properties"][row["element"]].get("type") == "array"
            definition["properties"][row["element"]] = {"type": "array", "items": codes} if is_list else codes
    kind: Any = extend(Draft6Validator, {"choices": _one_of_each, "needed": _there})  # type: ignore[no-untyped-call]
    return kind({"definitions": definitions})


def _definition(name: str, elements: Sequence[str]) -> dict[str, Any]:
    """Return the schema of a type; what is contained may be of any type, and would be compared with all of them."""
    is_resource, is_part = name.startswith("!"), "." in name
    inherited = (*_EVERYWHERE, *(_OF_RESOURCES if is_resource else _OF_BACKBONE if is_part or name == "Timing" else ()))
    properties: dict[str, Any] = {"resourceType": {"const": name.lstrip("!")}} if is_resource else {}
    choices: dict[str, list[str]] = defaultdict(list)
    needed = []
    for element in (*inherited, *elements):
        element_name, _, types = element.rstrip("+").partition(":")
        kinds = types.rstrip("*").split("|")
        for kind in kinds:
            json_name = element_name if len(kinds) == 1 else element_name + kind[0].upper() + kind[1:]
            names = {json_name: kind} | ({f"_{json_name}": "Element"} if kind in _PRIMITIVES else {})
            for name_of_part, kind_of_part in names.items():
                part: dict[str, Any] = {"$ref": f"#/definitions/{kind_of_part}"}
                if types.endswith("*"):  # null stands where only the other of the two has something
                    may_be_null = {"anyOf": [{"type": "null"}, part]} if kind in _PRIMITIVES else part
                    part = {"type": "array", "items": may_be_null}
                properties[name_of_part] = part
            if len(kinds) > 1:
                choices[element_name].append(json_name)
        if element.endswith("+"):
            needed.append(element_name)
    return {
        "type": "object",
        "properties": properties,
        "additionalProperties": False,
        "choices": choices,
        "needed": needed,
    }


def _one_of_each(_: Any, choices: Mapping[str, list[str]], value: Any, _schema: Any) -> Iterator[ValidationError]:
    for choice, names in choices.items() if isinstance(value, dict) else ():
        there = [name for name in names if name in value]
        if len(there) > 1:
            yield ValidationError(f"{' and '.join(there)} are both there: {choice}[x] is a choice of one")


def _there(_: Any, needed: list[str], value: Any, schema: Any) -> Iterator[ValidationError]:
    choices = schema["choices"]
    for element in needed if isinstance(value, dict) else ():
        names = choices.get(element.removesuffix("[x]"), [element])
        if not any(name in value or f"_{name}" in value for name in names):
            yield ValidationError(f"{element} is missing, which FHIR requires")
