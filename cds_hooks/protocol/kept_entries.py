"""Entries of Bundles that came before in the visit, byte for byte, whatever stood beside them.

Services ask for other results of the same chart, so the lists that they are sent differ and most of their entries do
not: at 700 KB a visit sends 2.3 MB in lists that did not come before, of which 0.7 MB are entries that did not.
"""

from typing import Final

import msgspec
from msgspec import Raw, Struct, structs

from cds_hooks.protocol.body import count_sign, value_end
from fhir.record.datatypes import may_hold_runs
from fhir.record.record import without_runs
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
    """The text of an entry and what was read of it."""

    text: bytes
    entry: BundleEntry


NewEntries = dict[bytes, KeptEntry]
"""By their first bytes."""

_wrapper: Final = msgspec.json.Decoder(AnyResource)
_members: Final = msgspec.json.Decoder(dict[str, Raw])
_entries: Final = msgspec.json.Decoder(tuple[BundleEntry, ...])


class KeptEntries:
    """The entries of the lists that one client sent about one patient."""

    __slots__ = ("_by_head",)

    def __init__(self) -> None:
        self._by_head: NewEntries = {}

    def read(self, text: bytes, position: int) -> tuple[Bundle, NewEntries, int] | None:
        """Return the Bundle that begins there, its entries that did not come before, for `keep`, and where it ends.

        None where that cannot be said with certainty, or it is none: it is to be read as a whole then. Raises
        msgspec.DecodeError where an entry is not as FHIR has it.
        """
        start = text.find(_LIST, position, position + _WRAPPER) + len(_LIST)
        if start < len(_LIST) or not _is_outermost(text[position:start]) or not (split := self._split(text, start)):
            return None
        entries, texts, end = split
        wrapper = text[position:start] + text[end : end + _WRAPPER]
        after = value_end(wrapper, 0)
        if after < 0 or not text.startswith(b"]", end):
            return None
        bundle = _wrapper.decode(wrapper := wrapper[:after])
        if type(bundle) is not Bundle or may_hold_runs(wrapper):
            return None
        new = _read_new(texts)
        following = iter(new)
        whole = tuple([next(following) if entry is None else entry for entry in entries])
        pairs = zip(texts, new, strict=True)
        heads = {text[:_HEAD]: KeptEntry(text, entry) for text, entry in pairs if len(text) >= _HEAD}
        return structs.replace(bundle, entry=whole), heads, end + after - (start - position)

    def keep(self, new: NewEntries) -> None:
        """Keep these entries, for which there is room."""
        self._by_head.update(new)

    def _split(self, text: bytes, position: int) -> tuple[list[BundleEntry | None], list[bytes], int] | None:
        """Return the entries that came before, None for each other, the texts of those, and where the list ends."""
        entries: list[BundleEntry | None] = []
        texts: list[bytes] = []
        by_head = self._by_head
        while True:
            kept = by_head.get(text[position : position + _HEAD])
            if kept is not None and text.startswith(kept.text, position):
                entries.append(kept.entry)
                position += len(kept.text)
            else:
                end = value_end(text, position)
                if end < 0:
                    return None
                texts.append(text[position:end])
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


def _read_new(texts: list[bytes]) -> tuple[BundleEntry, ...]:
    """Return the entry of each text."""
    together = b"[%b]" % b",".join(texts)
    new = _entries.decode(together)
    return without_runs(Bundle(entry=new)).entry if b"\n" in together or may_hold_runs(together) else new
