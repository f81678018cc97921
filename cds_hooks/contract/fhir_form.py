"""The form that FHIR R4 gives to resources that actions carry: elements, JSON types, what is required, choices, codes.

Source: `fhir_elements.csv`: elements of resources that are ordered or charted and of their data types, of R4B (4.3.0),
which for these types are those of R4; their codes from the JSON Schema of R4 (4.0.1). Other types are not judged.
"""

import csv
import re
from collections import defaultdict
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Final

from cds_hooks.contract.document import Node, quoted
from cds_hooks.contract.registry import Faults

_COMMON: Final = frozenset(
    {"resourceType", "id", "implicitRules", "language", "meta", "contained", "extension", "modifierExtension", "text"}
)
_NUMBERS: Final = ("integer", "decimal", "unsignedInt", "positiveInt")
_PATTERNS: Final = {
    "date": re.compile(r"\d{4}(-\d\d(-\d\d)?)?"),
    "dateTime": re.compile(r"\d{4}(-\d\d(-\d\d(T\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d))?)?)?"),
    "instant": re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)"),
    "time": re.compile(r"\d\d:\d\d:\d\d(\.\d+)?"),
}


@dataclass(frozen=True, slots=True)
class Element:
    """One element of a type; `choice` is the name before the type where it is one of several (`medication[x]`)."""

    name: str
    form: str
    is_array: bool
    required: bool
    choice: str
    choice_required: bool
    codes: tuple[str, ...]


@cache
def _elements() -> dict[str, dict[str, Element]]:
    text = files("cds_hooks.contract").joinpath("fhir_elements.csv").read_text(encoding="utf-8")
    found: dict[str, dict[str, Element]] = defaultdict(dict)
    for row in csv.DictReader(text.splitlines()):
        found[row["type"]][row["element"]] = Element(
            name=row["element"],
            form=row["form"],
            is_array=row["array"] == "yes",
            required=row["required"] == "yes",
            choice=row["choice"].rstrip("!"),
            choice_required=row["choice"].endswith("!"),
            codes=tuple(row["codes"].split()),
        )
    return dict(found)


def form_faults(node: Node, kind: str) -> Faults:
    """What of this object is not as FHIR R4 has it for its type: one fault for each element."""
    known = _elements().get(kind)
    if known is None or not isinstance(node.value, dict):
        return
    for member in node.members():
        name = str(member.name)
        element = known.get(name)
        if element is not None:
            yield from _value_faults(member, element)
        elif name not in _COMMON and not name.startswith("_"):
            yield member.fault(f"FHIR R4 has no element {name} in {kind}")
    yield from _presence_faults(node, known, kind)


def _presence_faults(node: Node, known: dict[str, Element], kind: str) -> Faults:
    choices: dict[str, list[str]] = defaultdict(list)
    for element in known.values():
        there = node.has(element.name) or node.has(f"_{element.name}")
        if element.required and not there:
            yield node.fault(f"{kind} lacks {element.name}, which FHIR requires")
        if element.choice:
            choices[element.choice] += [element.name] * there
    for choice, names in choices.items():
        if len(names) > 1:
            yield node.fault(f"{' and '.join(names)} are both there: {choice}[x] is a choice of one")
    needed = {element.choice for element in known.values() if element.choice_required}
    for choice in sorted(needed):
        if not choices[choice]:
            yield node.fault(f"{kind} lacks {choice}[x], which FHIR requires")


def _value_faults(member: Node, element: Element) -> Faults:
    if element.is_array != isinstance(member.value, list):
        yield member.fault(f"{element.name} is {'no ' if element.is_array else 'an '}array")
        return
    for each in member.items() if element.is_array else (member,):
        yield from _single_value_faults(each, element)


def _single_value_faults(node: Node, element: Element) -> Faults:
    value, form = node.value, element.form
    if form[0].isupper():
        if isinstance(value, dict):
            yield from form_faults(node, form)
        else:
            yield node.fault(f"{element.name} is {quoted(value)}, not an object")
    elif form == "boolean" or form in _NUMBERS:
        fits = isinstance(value, bool) if form == "boolean" else type(value) in (int, float)
        if not fits:
            yield node.fault(f"{element.name} is {quoted(value)}, not a {form}")
    elif not isinstance(value, str):
        yield node.fault(f"{element.name} is {quoted(value)}, not a string")
    elif form in _PATTERNS and not _PATTERNS[form].fullmatch(value):
        yield node.fault(f"{element.name} is {quoted(value)}, not a {form}")
    elif element.codes and value not in element.codes:
        yield node.fault(f"{element.name} is {quoted(value)}, which is not among the codes of FHIR")
