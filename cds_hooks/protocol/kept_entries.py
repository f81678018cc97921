"""Entries of Bundles that came before in the visit, byte for byte, whatever stood beside them.

Services ask for other results of the same chart, so the lists that they are sent differ and most of their entries do
not: at 700 KB a visit sends 2.3 MB in lists that did not come before, of which 0.7 MB are entries that did not.
"""

from collections.abc import Iterable, Sequence
from itertools import repeat
from typing import Final

import msgspec
from msgspec import Raw, Struct, structs

from cds_hooks.protocol.body import count_sign, value_end
from fhir.record.datatypes import may_hold_runs
from fhir.record.record import is_of_place, read_entries, without_runs
from fhir.record.refusals import Refusal
from fhir.record.resources import AnyResource, Bundle, BundleEntry

_LIST: Final = b'"entry":['
_WRAPPER: Final = 4096
"""How far the list of a Bundle stands from its beginning and its end, in bytes; otherwise it is read as a whole."""
_HEAD: Final = 128
"""First bytes of an entry by which an equal one is found: its address or its id; a shorter one is not kept."""
_ENTRY_BYTES: Final = 300
"""What keeping an entry takes beside its text and what is read of it: its head and its place."""
OBJECT_BYTES: Final = 128
"""What an object of JSON takes as a resource or a part of one, beside its texts; measured at 40 to 110."""


class KeptEntry(Struct, frozen=True, gc=False):
    """The text of an entry, what was read of it, and what of it could not be read, whatever its place."""

    text: bytes
    entry: BundleEntry
    refusals: Sequence[Refusal] = ()


NewEntries = dict[bytes, KeptEntry]
"""By their first bytes."""


class SplitBundle(Struct, frozen=True):
    """A Bundle that was read, with its entries that did not come before, for `keep`, and where it ends."""

    bundle: Bundle
    refusals: list[Refusal]
    new: NewEntries
    end: int


_wrapper: Final = msgspec.json.Decoder(AnyResource)
_members: Final = msgspec.json.Decoder(dict[str, Raw])
_entries: Final = msgspec.json.Decoder(tuple[BundleEntry, ...])


class KeptEntries:
    """The entries of the lists that one client sent about one patient."""

    __slots__ = ("_by_head",)

    def __init__(self) -> None:
        self._by_head: NewEntries = {}

    def read(self, name: str, text: bytes, position: int) -> SplitBundle | None:
        """Return the Bundle that begins there, the value of a key of this name.

        None where that cannot be said with certainty, or it is none: it is to be read as a whole then.
        """
        start = text.find(_LIST, position, position + _WRAPPER) + len(_LIST)
        if start < len(_LIST) or not _is_outermost(text[position:start]) or not (split := self._split(text, start)):
            return None
        entries, texts, end = split
        wrapper = text[position:start] + text[end : end + _WRAPPER]
        after = value_end(wrapper, 0)
        if after < 0 or not text.startswith(b"]", end):
            return None
        try:
            bundle = _wrapper.decode(wrapper := wrapper[:after])
        except msgspec.ValidationError:
            return None
        if type(bundle) is not Bundle or may_hold_runs(wrapper):
            return None
        new = _read_new(name, texts)
        following = iter(new)
        kept = [next(following) if entry is None else entry for entry in entries]
        refusals = [refusal for entry in kept for refusal in entry.refusals]
        if any(map(is_of_place, refusals)):
            return None
        whole = structs.replace(bundle, entry=tuple([entry.entry for entry in kept]))
        heads = {entry.text[:_HEAD]: entry for entry in new if len(entry.text) >= _HEAD}
        return SplitBundle(whole, refusals, heads, end + after - (start - position))

    def keep(self, new: NewEntries) -> None:
        """Keep these entries, for which there is room."""
        self._by_head.update(new)

    def _split(self, text: bytes, position: int) -> tuple[list[KeptEntry | None], dict[int, bytes], int] | None:
        """Return the entries that came before, None for each other, their texts by place, and where the list ends."""
        entries: list[KeptEntry | None] = []
        texts: dict[int, bytes] = {}
        by_head = self._by_head
        while True:
            kept = by_head.get(text[position : position + _HEAD])
            if kept is not None and text.startswith(kept.text, position):
                entries.append(kept)
                position += len(kept.text)
            else:
                end = value_end(text, position)
                if end < 0:
                    return None
                texts[len(entries)] = text[position:end]
                entries.append(None)
                position = end
            if not text.startswith(b",", position):
                return entries, texts, position
            position += 1


def size_of(new: NewEntries) -> int:
    """Return how many bytes of memory keeping these entries takes, estimated."""
    text = b"".join([kept.text for kept in new.values()])
    return 2 * len(text) + _ENTRY_BYTES * len(new) + OBJECT_BYTES * count_sign(text, b"{")


def _is_outermost(text: bytes) -> bool:
    """Return whether the list that begins at the end of this text is a member of the outermost object."""
    try:
        return "entry" in _members.decode(text + b"]}")
    except msgspec.DecodeError:
        return False


def _read_new(name: str, texts: dict[int, bytes]) -> list[KeptEntry]:
    """Return the entries of these texts, which stand by their places."""
    together = b"[%b]" % b",".join(texts.values())
    refused: Iterable[Sequence[Refusal]] = repeat(())
    try:
        new = _entries.decode(together)
    except msgspec.ValidationError:
        new, refused = zip(*read_entries(name, texts.items()), strict=True)
    if b"\n" in together or may_hold_runs(together):
        new = without_runs(Bundle(entry=new)).entry
    return list(map(KeptEntry, texts.values(), new, refused))
