"""The form that FHIR R4 gives to a resource: elements, JSON types, formats, what is required, choices, codes.

HL7's JSON Schema of R4 (4.0.1, `fhir.schema.json.gz`) has most of it. It does not say which primitive elements are
required (each may be replaced by its extension), which codes a required binding allows, and that only one element of a
choice may be there. `fhir_elements.csv` has the first two for resources that are ordered or charted.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, Final

from jsonschema import Draft6Validator, ValidationError
from jsonschema.validators import extend

from cds_hooks.tools.kit.contract.definitions import FHIR, read_table
from cds_hooks.tools.kit.contract.document import Fault, Node, quoted

_PRIMITIVE = """
    Base64Binary Boolean Canonical Code Date DateTime Decimal Id Instant Integer Markdown Oid PositiveInt String Time
    UnsignedInt Uri Url Uuid
"""
_PRIMITIVES: Final = tuple(_PRIMITIVE.split())
_WRONG: Final = {
    "type": "which is of another type in FHIR",
    "enum": "which is not among the codes of FHIR",
    "const": "which is not what FHIR has there",
    "pattern": "which is not the format of FHIR",
}


def form_faults(resource: Node) -> Iterator[Fault]:
    """Yield what of this resource is not as FHIR R4 has it for its type; nothing where R4 has no such type."""
    kind = resource.text("resourceType")
    if kind in FHIR:
        for error in _validator().evolve(schema={"$ref": f"#/definitions/{kind}"}).iter_errors(resource.value):
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
    definitions = dict(FHIR)
    for name, definition in FHIR.items():
        if "properties" in definition:
            definitions[name] = definition | {"type": "object", "choices": _choices(definition["properties"])}
    definitions["ResourceList"] = {}  # what is contained may be of any type, and would be compared with all of them
    for row in read_table("fhir_elements.csv"):
        definition = definitions[row["type"]]
        if row["required"]:
            definition["needed"] = [*definition.get("needed", []), row["element"]]
        if row["codes"]:
            codes = {row["element"]: {"enum": row["codes"].split()}}
            definition["properties"] = definition["properties"] | codes
    kind: Any = extend(Draft6Validator, {"choices": _one_of_each, "needed": _there})  # type: ignore[no-untyped-call]
    return kind({"definitions": definitions})


def _choices(elements: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return the elements with several types: `medication` has medicationCodeableConcept and medicationReference.

    A primitive type of a choice stands in the schema with its pattern, any other one as a reference.
    """
    choices: dict[str, list[str]] = defaultdict(list)
    for name, element in elements.items():
        kind = element.get("$ref", "").rpartition("/")[2]
        suffixes = (kind,) if kind else () if "items" in element else _PRIMITIVES
        suffix = max((suffix for suffix in suffixes if name.endswith(suffix)), key=len, default="")
        choices[name.removesuffix(suffix)].append(name)
    return {choice: names for choice, names in choices.items() if len(names) > 1}


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
