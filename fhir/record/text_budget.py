"""How much prose of one call is read: the long texts of its resources, up to a number of characters.

Reading a text takes time in proportion to its length, up to 8 µs for each character. What is longer than a name costs
its share of the budget: allergies first, then medications, problems, and the rest, each in the order in which they
came. The long texts of a resource that is over it are replaced by words that name nothing, so that it is told of as
one that could not be read. By characters and not by time, so that a replay reads the same.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec
from msgspec import structs

from fhir.record.datatypes import LeanResource
from fhir.record.refusals import Refusal
from fhir.record.resources import Bundle

CHARACTERS_OF_A_CALL: Final = 20_000
"""Characters in long texts that are read: fifty texts as long as the longest of the sample charts."""
LONGEST_SHORT: Final = 80
"""The longest text, in characters, that is a name and costs nothing."""
NOT_READ: Final = "not read: too much text"
_LONG: Final = re.compile(rb'"(?:[^"\\]|\\.){%d}' % (LONGEST_SHORT + 1))
_LONG_WITHOUT_ESCAPES: Final = re.compile(rb'"[^"]{%d}' % (LONGEST_SHORT + 1))
_ENTRIES_TOGETHER: Final = 32
"""So many entries are looked through at once; mostly a few of a chart have a long text."""
_LOOKED_UP: Final = frozenset({"reference", "system", "code", "id"})
"""Members whose texts are no prose, but looked up as they are."""
_DIRECTIONS: Final = frozenset({"text", "patientInstruction"})
"""Members of a dosage whose texts have a bound of their own (`read_sig`)."""
_FIRST: Final = ("AllergyIntolerance", "MedicationRequest", "MedicationStatement", "Medication", "Condition")

_encode: Final = msgspec.json.Encoder().encode


def within_text_budget(values: Mapping[str, Any]) -> tuple[Mapping[str, Any], list[Refusal]]:
    """Return the lean resources and Bundles by key, and a refusal for each type of which long texts are not read."""
    costs = sorted(_costs(values), key=lambda cost: _rank(cost[0]))
    unread: dict[int, Any] = {}
    left = CHARACTERS_OF_A_CALL
    for resource, content, characters in costs:
        left -= characters
        if left < 0:
            unread[id(resource)] = msgspec.json.decode(_encode(_without_prose(content)), type=type(resource))
    if not unread:
        return values, []
    counts = Counter(_type_of(resource) for resource, _, _ in costs if id(resource) in unread)
    return {key: _replaced(value, unread) for key, value in values.items()}, [
        Refusal(name, "too-much-text", f"The long texts of {count} {name} were not read: the call has too much text.")
        for name, count in counts.items()
    ]


def _costs(values: Mapping[str, Any]) -> Iterator[tuple[LeanResource, Any, int]]:
    """Each resource that has long texts, as JSON values, with the characters of these."""
    for value in values.values():
        for resource in _with_long_texts(value):
            content = msgspec.json.decode(_encode(resource))
            if characters := sum(map(len, _prose(content))):
                yield resource, content, characters


def _with_long_texts(value: Any) -> Iterator[LeanResource]:
    resources = [entry.resource for entry in value.entry] if isinstance(value, Bundle) else [value]
    for start in range(0, len(resources), _ENTRIES_TOGETHER):
        together = resources[start : start + _ENTRIES_TOGETHER]
        if _may_be_long(together):
            yield from (
                resource for resource in together if isinstance(resource, LeanResource) and _may_be_long(resource)
            )


def _may_be_long(value: Any) -> bool:
    encoded = _encode(value)
    return (_LONG if b"\\" in encoded else _LONG_WITHOUT_ESCAPES).search(encoded) is not None


def _prose(value: Any, free: frozenset[str] = _LOOKED_UP) -> Iterator[str]:
    if isinstance(value, str):
        if len(value) > LONGEST_SHORT:
            yield value
    elif isinstance(value, list):
        for element in value:
            yield from _prose(element, free)
    elif isinstance(value, dict):
        for name, element in value.items():
            if not (name in free and isinstance(element, str)):
                yield from _prose(element, _free_in(name))


def _without_prose(value: Any, free: frozenset[str] = _LOOKED_UP) -> Any:
    if isinstance(value, str):
        return value if len(value) <= LONGEST_SHORT else NOT_READ
    if isinstance(value, list):
        return [_without_prose(element, free) for element in value]
    if isinstance(value, dict):
        return {
            name: element if name in free and isinstance(element, str) else _without_prose(element, _free_in(name))
            for name, element in value.items()
        }
    return value


def _free_in(name: str) -> frozenset[str]:
    """Returns the members with a text that costs nothing, of the value of a member of this name."""
    return _LOOKED_UP | _DIRECTIONS if name in ("dosage", "dosageInstruction") else _LOOKED_UP


def _replaced(value: Any, unread: Mapping[int, Any]) -> Any:
    if not isinstance(value, Bundle):
        return unread.get(id(value), value)
    entries = tuple(
        structs.replace(entry, resource=unread[id(entry.resource)]) if id(entry.resource) in unread else entry
        for entry in value.entry
    )
    return structs.replace(value, entry=entries)


def _type_of(resource: LeanResource) -> str:
    return str(type(resource).__struct_config__.tag)


def _rank(resource: LeanResource) -> int:
    name = _type_of(resource)
    return _FIRST.index(name) if name in _FIRST else len(_FIRST)
