"""How much prose of one call is read: the long texts of its resources, up to a number of characters.

Reading a text takes time in proportion to its length, up to 8 µs for each character. What is longer than a name costs
its share of the budget: allergies first, then medications, problems, and the rest, each in the order in which they
came. Directions for a dose have a budget of their own, those of active orders first; short ones are remembered, so
that the same ones cost once. The long texts of a resource that is over a budget are replaced by words that name
nothing, so that it is told of as one that could not be read. By characters and not by time, so that a replay reads
the same.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import chain
from typing import Any, Final

import msgspec
import numpy as np
from msgspec import Struct, structs

from fhir.record.datatypes import LeanResource
from fhir.record.record import without_runs
from fhir.record.refusals import Refusal
from fhir.record.resources import Bundle

CHARACTERS_OF_A_CALL: Final = 20_000
"""Characters in long texts that are read: fifty texts as long as the longest of the sample charts."""
LONGEST_SHORT: Final = 80
"""The longest text, in characters, that is a name and costs nothing."""
NOT_READ: Final = "not read: too much text"
_LONG: Final = re.compile(rb'"(?:[^"\\]|\\.){%d}' % (LONGEST_SHORT + 1))
_LONG_WITHOUT_ESCAPES: Final = re.compile(rb'"[^"]{%d}' % (LONGEST_SHORT + 1))
_QUOTE, _BACKSLASH = b'"\\'
_LOOKED_UP: Final = frozenset({"reference", "system", "id"})
"""Members whose texts are looked up as they are. A code is read as words where it stands for a timing or a drug."""
CHARACTERS_OF_DIRECTIONS: Final = 30_000
"""Characters in long directions for doses that are read: two hundred of 150 characters."""
REMEMBERED: Final = 200
"""The longest directions, in characters, whose reading is remembered (`read_sig`)."""
_DOSAGES: Final = frozenset({"dosage", "dosageInstruction"})
_FIRST: Final = ("AllergyIntolerance", "MedicationRequest", "MedicationStatement", "Medication", "Condition")

_encode: Final = msgspec.json.Encoder().encode


class LongTexts(Struct, frozen=True):
    """A resource with long texts: its content as JSON values, and the places of those of its doses and of the rest."""

    resource: LeanResource
    content: Any
    prose: list["_Place"]
    directions: list["_Place"]


class _Place(Struct, frozen=True):
    holder: Any
    key: str | int

    @property
    def text(self) -> str:
        return str(self.holder[self.key])


def long_characters(chart: bytes) -> int:
    """Return how many characters stand in the long texts of this JSON.

    What stands between two quotes of which none is escaped is counted, so rather too much: 0.2 ms for 347 KB.
    """
    signs = np.frombuffer(chart, np.uint8)
    is_quote = signs == _QUOTE
    if b"\\" in chart:
        is_quote[1:] &= signs[:-1] != _BACKSLASH
    distances = np.diff(np.flatnonzero(is_quote))
    return int(distances[distances > LONGEST_SHORT + 1].sum())


def readable_texts(values: Mapping[str, Any], chart: bytes) -> tuple[Mapping[str, Any], list[Refusal]]:
    """Return the values with texts within the budget, and a refusal for each type of which long texts are not read.

    `chart` is all that was read of them, as JSON: the narrative, which nobody reads, is not in it.
    """
    if len(chart) > CHARACTERS_OF_A_CALL and long_characters(chart) > CHARACTERS_OF_A_CALL:
        return within_text_budget({key: without_runs(value) for key, value in values.items()})
    return values, []


def within_text_budget(values: Mapping[str, Any]) -> tuple[Mapping[str, Any], list[Refusal]]:
    """Return the lean resources and Bundles by key, and a refusal for each type of which long texts are not read."""
    costs = sorted(chain.from_iterable(map(long_texts_in, values.values())), key=_rank)
    unread: dict[int, Any] = {}
    left, left_for_directions = CHARACTERS_OF_A_CALL, CHARACTERS_OF_DIRECTIONS
    remembered: set[str] = set()
    for long in costs:
        left -= sum(len(passage.text) for passage in long.prose)
        new_directions = [passage.text for passage in long.directions if passage.text not in remembered]
        cost = sum(map(len, new_directions))
        too_much_prose, too_much_directions = left < 0 and bool(long.prose), cost > left_for_directions
        if not too_much_directions:
            left_for_directions -= cost
            remembered.update(text for text in new_directions if len(text) <= REMEMBERED)
        for passage in (*(long.prose if too_much_prose else ()), *(long.directions if too_much_directions else ())):
            passage.holder[passage.key] = NOT_READ
        if too_much_prose or too_much_directions:
            unread[id(long.resource)] = msgspec.json.decode(_encode(long.content), type=type(long.resource))
    if not unread:
        return values, []
    counts = Counter(_type_of(long.resource) for long in costs if id(long.resource) in unread)
    return {key: _replaced(value, unread) for key, value in values.items()}, [
        Refusal(name, "too-much-text", f"The long texts of {count} {name} were not read: the call has too much text.")
        for name, count in counts.items()
    ]


def long_texts_in(value: Any) -> list[LongTexts]:
    """Return the resources with long texts of a lean resource or Bundle."""
    long_texts = []
    resources = [entry.resource for entry in value.entry] if isinstance(value, Bundle) else [value]
    for resource in resources:
        if not isinstance(resource, LeanResource) or not _may_be_long(resource):
            continue
        long = LongTexts(resource, msgspec.json.decode(_encode(resource)), [], [])
        _collect(long.content, long)
        if long.prose or long.directions:
            long_texts.append(long)
    return long_texts


def _may_be_long(value: Any) -> bool:
    encoded = _encode(value)
    return (_LONG if b"\\" in encoded else _LONG_WITHOUT_ESCAPES).search(encoded) is not None


def _collect(holder: Any, long: LongTexts, name: str = "", within: str = "") -> None:
    """Add where the long texts are of an object, or of a list that is the member `name` of one named `within`."""
    is_object = isinstance(holder, dict)
    members: Iterable[tuple[Any, Any]] = holder.items() if is_object else enumerate(holder)
    for key, value in members:
        member, outer = (key, name) if is_object else (name, within)
        if isinstance(value, str):
            if len(value) > LONGEST_SHORT and member not in _LOOKED_UP:
                (long.directions if outer in _DOSAGES else long.prose).append(_Place(holder, key))
        elif isinstance(value, (dict, list)):
            _collect(value, long, member, outer)


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


def _rank(long: LongTexts) -> tuple[int, bool]:
    name = _type_of(long.resource)
    is_active = getattr(long.resource, "status", None) == "active"
    return _FIRST.index(name) if name in _FIRST else len(_FIRST), not is_active
