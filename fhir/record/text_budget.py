"""How much text of one call is read: the words of its resources, up to a number of characters.

Reading a text takes time in proportion to its length, up to 8 µs for each character, of an allergy's name 16. What is
longer than a name costs its share of the budget: allergies first, then medications, problems, and the rest, each in
the order in which they came. Names and directions for a dose have budgets of their own, in which the same ones cost
once, because what was read of them is remembered. The texts of a resource that is over a budget are replaced by words
that name nothing, so that it is told of as one that could not be read. By characters and not by time, so that a replay
reads the same.
"""

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
"""The longest text, in characters, that is a name."""
CHARACTERS_OF_NAMES: Final = 24_000
"""Characters in different names that are read: twice as many as the largest of 450 calls about charts of MIMIC-IV
and Synthea has (12,158)."""
CHARACTERS_OF_ALLERGIES: Final = 12_000
"""How many of them may be of allergies, since reading those takes twice as long; the other half stays for the rest."""
NOT_READ: Final = "not read: too much text"
_NAMES: Final = frozenset({"text", "display", "valueString"})
"""The members whose short texts are read as words."""
_QUOTE, _COLON = b'":'
_MAY_END_NAME: Final = np.isin(np.arange(256), [ord(name[-1]) for name in _NAMES])
_LOOKED_UP: Final = frozenset({"reference", "system", "id"})
"""Members whose texts are looked up as they are. A code is read as words where it stands for a timing or a drug."""
CHARACTERS_OF_DIRECTIONS: Final = 30_000
"""Characters in long directions for doses that are read: two hundred of 150 characters."""
REMEMBERED: Final = 200
"""The longest directions, in characters, whose reading is remembered (`read_sig`)."""
_DOSAGES: Final = frozenset({"dosage", "dosageInstruction"})
_FIRST: Final = ("AllergyIntolerance", "MedicationRequest", "MedicationStatement", "Medication", "Condition")

_encode: Final = msgspec.json.Encoder().encode


class ResourceTexts(Struct, frozen=True):
    """A resource with texts: its content as JSON values, and the places of the long ones and of the names."""

    resource: LeanResource
    content: Any
    prose: list["_Place"]
    directions: list["_Place"]
    names: list["_Place"]


class _Place(Struct, frozen=True):
    holder: Any
    key: str | int

    @property
    def text(self) -> str:
        return str(self.holder[self.key])


def _may_have_too_much(chart: bytes) -> bool:
    """Return whether the long texts of this JSON, or its names, may be over a budget.

    Of members that end as those of names do all is counted, so rather too much: 0.03 ms for 33 KB. Most charts have no
    more names than may be read, however often each stands.
    """
    if b"\\" in chart:  # two signs for an escaped one, so that quotes stand in pairs
        chart = chart.replace(b"\\\\", b"--").replace(b'\\"', b"--")
    signs = np.frombuffer(chart, np.uint8)
    quotes = (signs == _QUOTE).nonzero()[0]
    starts, lengths = quotes[::2], quotes[1::2] - quotes[::2]
    if lengths[lengths > LONGEST_SHORT + 1].sum() > CHARACTERS_OF_A_CALL:
        return True
    values = (signs[starts - 1] == _COLON).nonzero()[0]
    starts, lengths = starts[values], lengths[values]
    is_name = _MAY_END_NAME[signs[starts - 3]]
    if lengths[is_name].sum() <= CHARACTERS_OF_ALLERGIES:
        return False
    starts, lengths = starts[is_name], lengths[is_name]
    places = zip(starts.tolist(), lengths.tolist(), strict=True)
    return sum(map(len, {chart[start + 1 : start + length] for start, length in places})) > CHARACTERS_OF_ALLERGIES


def readable_texts(values: Mapping[str, Any], chart: bytes) -> tuple[Mapping[str, Any], list[Refusal]]:
    """Return the values with texts within the budget, and a refusal for each type of which texts are not read.

    `chart` is all that was read of them, as JSON: the narrative, which nobody reads, is not in it.
    """
    if len(chart) > CHARACTERS_OF_A_CALL and _may_have_too_much(chart):
        return within_text_budget({key: without_runs(value) for key, value in values.items()})
    return values, []


def within_text_budget(values: Mapping[str, Any]) -> tuple[Mapping[str, Any], list[Refusal]]:
    """Return the lean resources and Bundles by key, and a refusal for each type of which texts are not read."""
    by_rank = sorted(chain.from_iterable(map(texts_in, values.values())), key=_rank)
    unread: dict[int, Any] = {}
    left, left_for_directions, left_for_names = CHARACTERS_OF_A_CALL, CHARACTERS_OF_DIRECTIONS, CHARACTERS_OF_NAMES
    left_for_allergies = CHARACTERS_OF_ALLERGIES
    remembered: set[str] = set()
    for texts in by_rank:
        too_much: list[_Place] = []
        left -= sum(len(passage.text) for passage in texts.prose)
        if left < 0:
            too_much += texts.prose
        new_directions = [passage.text for passage in texts.directions if passage.text not in remembered]
        if (cost := sum(map(len, new_directions))) > left_for_directions:
            too_much += texts.directions
        else:
            left_for_directions -= cost
            remembered.update(text for text in new_directions if len(text) <= REMEMBERED)
        new_names = {name.text for name in texts.names} - remembered
        is_allergy = _type_of(texts.resource) == _FIRST[0]
        cost = sum(map(len, new_names))
        if cost > (min(left_for_names, left_for_allergies) if is_allergy else left_for_names):
            too_much += texts.names
        else:
            left_for_names -= cost
            left_for_allergies -= cost if is_allergy else 0
            remembered |= new_names
        for passage in too_much:
            passage.holder[passage.key] = NOT_READ
        if too_much:
            unread[id(texts.resource)] = msgspec.json.decode(_encode(texts.content), type=type(texts.resource))
    if not unread:
        return values, []
    counts = Counter(_type_of(texts.resource) for texts in by_rank if id(texts.resource) in unread)
    return {key: _replaced(value, unread) for key, value in values.items()}, [
        Refusal(name, "too-much-text", f"The texts of {count} {name} were not read: the call has too much text.")
        for name, count in counts.items()
    ]


def texts_in(value: Any) -> list[ResourceTexts]:
    """Return the resources with texts of a lean resource or Bundle."""
    resources = [entry.resource for entry in value.entry] if isinstance(value, Bundle) else [value]
    with_texts = []
    for resource in resources:
        if isinstance(resource, LeanResource):
            texts = ResourceTexts(resource, msgspec.json.decode(_encode(resource)), [], [], [])
            _collect(texts.content, texts)
            with_texts.append(texts)
    return with_texts


def _collect(holder: Any, texts: ResourceTexts, name: str = "", within: str = "") -> None:
    """Add where the texts are of an object, or of a list that is the member `name` of one named `within`."""
    is_object = isinstance(holder, dict)
    members: Iterable[tuple[Any, Any]] = holder.items() if is_object else enumerate(holder)
    for key, value in members:
        member, outer = (key, name) if is_object else (name, within)
        if isinstance(value, str):
            if len(value) > LONGEST_SHORT and member not in _LOOKED_UP:
                (texts.directions if outer in _DOSAGES else texts.prose).append(_Place(holder, key))
            elif member in _NAMES:
                texts.names.append(_Place(holder, key))
        elif isinstance(value, (dict, list)):
            _collect(value, texts, member, outer)


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


def _rank(texts: ResourceTexts) -> tuple[int, bool]:
    name = _type_of(texts.resource)
    is_active = getattr(texts.resource, "status", None) == "active"
    return _FIRST.index(name) if name in _FIRST else len(_FIRST), not is_active
