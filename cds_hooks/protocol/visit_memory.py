"""What the calls of a visit repeat: values of prefetch, byte for byte, with what was read and made of them.

An EHR opens a chart and calls many services with the same resources, then again for every order. The first call of a
client about a patient leaves a note only; what comes with the second is kept, so that nothing is done for a patient
about whom nobody asks again. A value counts as sent before where the same client sent the same bytes about the same
patient, under whichever key: nothing that is kept can be out of date, and no patient's value stands for another's.

Calls with the same values share the chart that is made of them: their resources, each once, sorted by type and analyte,
and what is recorded of them. What follows from the instant of a call, or is met by its questions, is its own.

Services ask for other results of the same chart, so the lists that they are sent differ and most of their entries do
not: at 700 KB a visit sends 2.3 MB in lists that did not come before, of which 0.7 MB are entries that did not. So
entries of Bundles are kept as well, byte for byte, whatever stood beside them.

All of it is in the memory of one process, for `_KEPT_SECONDS` after the first call and at most as many bytes as the
site sets; the oldest patients go first.
"""

import asyncio
import re
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import repeat
from threading import Lock
from time import monotonic
from typing import Any, Final, NamedTuple

import msgspec
from msgspec import Raw, Struct, structs

from cds_hooks.protocol.body import MemberName, check_depth, count_sign, member_name, members_once, value_end
from cds_hooks.storage.decision import StoredChart
from fhir.mapping.medications.active import find_active
from fhir.record.datatypes import may_hold_runs
from fhir.record.facts import ReadResources
from fhir.record.lean_chart import ChartsBefore
from fhir.record.record import PatientRecord, is_of_place, read_entries, read_repaired, without_runs
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
        if after == -1 or not text.startswith(b"]", end):
            return None
        try:
            bundle = _wrapper.decode(wrapper[:after])
        except msgspec.ValidationError:
            return None
        if type(bundle) is not Bundle:
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
                if end == -1:
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
    if may_hold_runs(together):
        new = without_runs(Bundle(entry=new)).entry
    return list(map(KeptEntry, texts.values(), new, refused))


_KEPT_SECONDS: Final = 300.0
_SWEEP_SECONDS: Final = 15.0
_MOST_OF_A_KEY: Final = 32
"""Values under one key: each service asks for other results under the same one, and there are two dozen of them."""
_OUTLINE: Final = 80
"""Last bytes of a value by which, with its length, an equal one is found: hashing all of it takes too long."""
_MOST_CHARTS: Final = 32
"""Charts of one patient that are kept: services ask for different values."""
_MOST_PARTS: Final = 16
"""Charts that go on from each other: a replay reads all of them."""
_RESOURCE_BYTES: Final = 500
"""What a resource takes in what is made of it: its places, its parts by analyte, and itself where it is changed."""
_PATIENT_BYTES: Final = 1_000
_REFUSAL_BYTES: Final = 600
_RECORD_BYTES: Final = 200_000
"""What a record takes beside its resources, with what was worked out of it and the judgements of ten drafts."""
_MEMBER: Final = re.compile(rb'[ \t\r\n]*"([^"\\\x00-\x1f]*)"[ \t\r\n]*:[ \t\r\n]*')
_END: Final = re.compile(rb"[ \t\r\n]*([,}])")

_rest: Final = msgspec.json.Decoder(dict[MemberName, Raw] | None, dec_hook=member_name)


class KeptChart(Struct):
    """What is recorded of a chart."""

    hash: bytes
    """Its name; where only this is recorded, SHA-256 of the lean chart as JSON."""
    row: StoredChart | None
    """None where only its hash is recorded."""
    when_committed: Callable[[], None] | None = None
    is_committed: bool = False
    """Whether the row is in the record, where it stays for the calls of this visit (`go_on_from`)."""


class SentChart(Struct, frozen=True):
    """The resources of one call, whatever is asked of them and when."""

    resources: ReadResources
    """Of which nothing is asked: each call asks its own (`for_another_call`)."""
    refusals: Sequence[Refusal]
    """Long texts that were not read."""
    kept: KeptChart
    records: dict[tuple[Any, ...], PatientRecord] = {}
    """Records of calls with these values that are over, by what else they were read with."""

    @property
    def count(self) -> int:
        """How many resources it has."""
        return sum(map(len, self.resources.by_type.values()))


class _Value(NamedTuple):
    """The bytes of a value, what was read of it, and what of it could not be read."""

    sent: bytes
    value: Any
    refusals: Sequence[Refusal] = ()


class PatientValues:
    """The values that one client sent about one patient, and what was made of those that came together."""

    __slots__ = ("_add", "_charts", "_entries", "_kept", "_values", "_values_by_key", "charts", "is_kept", "size")

    def __init__(self, add: Callable[["PatientValues", int], bool]) -> None:
        self._add = add
        self._values: dict[tuple[int, bytes], _Value] = {}
        self._kept: dict[int, Any] = {id(None): None}
        self._values_by_key: dict[str, tuple[_Value, ...]] = {}
        self._charts: dict[tuple[tuple[str, int], ...], SentChart] = {}
        self._entries = KeptEntries()
        self.charts: ChartsBefore | None = None
        """The charts that are committed, from which the next one can go on."""
        self.size = _PATIENT_BYTES
        """How many bytes of memory it counts for."""
        self.is_kept = True
        """Whether it is in the memory still; what is read is not added to it otherwise."""

    def read(self, prefetch: bytes) -> tuple[dict[str, Any], list[Refusal]]:
        """Return the lean resources by key of an object of prefetch values, and what of them could not be read.

        There are no runs of white space in their texts. Values that came before are found at their place by comparing
        bytes; from the first other one on the text is split.

        Raises:
            msgspec.DecodeError, RecursionError, HookError: it is not an object of resources in which every member
                stands once; reading the whole body says where.
        """
        read: dict[str, _Value] = {}
        position = 1 if prefetch.startswith(b"{") else len(prefetch)
        while (member := _MEMBER.match(prefetch, position)) is not None:
            name = member[1].decode()
            if name in read:
                raise msgspec.DecodeError("a key stands twice")
            value = self._sent_at(name, prefetch, member.end()) or self._read_at(name, prefetch, member.end())
            end = value and _END.match(prefetch, member.end() + len(value.sent))
            if value is None or not end:
                break
            read[name] = value
            position = end.end()
            if end[1] == b"}" and not prefetch[position:].strip():
                return _values_and_refusals(read)
        rest = members_once(_rest.decode(b"{" + prefetch[position:] if read else prefetch) or {}, "prefetch")
        if read and not rest:
            raise msgspec.DecodeError("no member behind a comma")
        if rest.keys() & read.keys():
            raise msgspec.DecodeError("a key stands twice")
        for name, raw in rest.items():
            sent = bytes(raw)
            read[name] = self._sent_at(name, sent, 0) or self._keep(name, sent, None)
        return _values_and_refusals(read)

    def chart(self, values: Mapping[str, Any]) -> SentChart | None:
        """Return what was made of these very values before; None where they did not come together yet."""
        return self._charts.get(_identity(values))

    def keep_chart(self, values: Mapping[str, Any], chart: SentChart) -> bool:
        """Keep what was made of these values, where all of them are kept; none is dropped before all of it is."""
        if len(self._charts) >= _MOST_CHARTS or not self._kept.keys() >= set(map(id, values.values())):
            return False
        row = chart.kept.row
        if not self._add(self, len(row.content if row else b"") + _RESOURCE_BYTES * chart.count):
            return False
        self._charts[_identity(values)] = chart
        return True

    def go_on_from(self, count: int, following: Callable[[], ChartsBefore]) -> None:
        """Let the next chart go on from one that was kept and committed, where it has more resources than those before.

        That row stays: a decision of these minutes names it, and only what is older than a day is taken out.
        """
        before = self.charts
        if before is None or (count > len(before.places) and before.count < _MOST_PARTS):
            self.charts = following()

    def take_record(self, chart: SentChart, read_with: tuple[Any, ...]) -> PatientRecord | None:
        """Return the record of an earlier call, for this call alone."""
        record = chart.records.pop(read_with, None)
        if record is not None:
            record.resources.by_analyte, record.resources.unread = None, []  # met again where somebody asks
            self._add(self, -_size_of(record))
        return record

    def keep_record(self, chart: SentChart, read_with: tuple[Any, ...], record: PatientRecord) -> None:
        """Keep the record for the next call where nothing that was asked of it met a refusal.

        The refusals of a call are those that its own questions met, so it must not find those of another one.
        """
        # What only this call has would not be forgotten with the patient.
        is_found = any(kept is chart for kept in self._charts.values())
        resources, of_service = record.resources, read_with[0]
        is_of_drafts = of_service and resources.judgements.session is not None
        # Every call of a service that judges drafts asks for results, so each meets those without a readable code, and
        # each that has a draft to judge asks for what is taken, so it meets the orders that are too old to count.
        is_whole = not resources.unread or is_of_drafts
        resources.unasked = find_active if is_of_drafts else None
        is_whole = is_found and is_whole and next(resources.refused_values(), None) is None
        if is_whole and read_with not in chart.records and self._add(self, _size_of(record)):
            chart.records[read_with] = record
        else:
            record.resources.judgements = None  # which hold the record: both would stay until the collector comes

    def forget_records(self) -> None:
        """Drop the records; with what was judged of them they would stay until the collector comes."""
        for chart in list(self._charts.values()):
            for record in list(chart.records.values()):
                record.resources.judgements = None

    def _sent_at(self, name: str, prefetch: bytes, position: int) -> _Value | None:
        for value in self._values_by_key.get(name, ()):
            if prefetch.startswith(value.sent, position):
                return value
        return _NULL if prefetch.startswith(_NULL.sent, position) else None

    def _read_at(self, name: str, text: bytes, position: int) -> _Value | None:
        """Return the value that begins there; None where its end is not certain."""
        split = self._entries.read(name, text, position)
        end = split.end if split is not None else value_end(text, position)
        return self._keep(name, text[position:end], split, is_checked=True) if end != -1 else None

    def _keep(self, name: str, sent: bytes, split: SplitBundle | None, *, is_checked: bool = False) -> _Value:
        """Return this value of a key, and keep it."""
        others, outline = self._values_by_key.get(name, ()), (len(sent), sent[-_OUTLINE:])
        value = self._values.get(outline)
        if value is None or value.sent != sent:
            if split is not None:
                value, size = _Value(sent, split.bundle, split.refusals), len(sent) + size_of(split.new)
            else:
                value, size = _decode(name, sent, is_checked=is_checked), len(sent) + _size_of_text(sent)
            size += _REFUSAL_BYTES * len(value.refusals)
            if len(others) >= _MOST_OF_A_KEY or not self._add(self, size):
                return value
            if split is not None:
                self._entries.keep(split.new)
            if not any(map(is_of_place, value.refusals)):  # which name the key
                self._values[outline] = value
            self._kept[id(value.value)] = value.value
        self._values_by_key[name] = (*others, value)
        return value


_NULL: Final = _Value(b"null", None)


def _values_and_refusals(read: Mapping[str, _Value]) -> tuple[dict[str, Any], list[Refusal]]:
    refusals = [refusal for value in read.values() for refusal in value.refusals]
    return {name: value.value for name, value in read.items()}, refusals


def _decode(name: str, sent: bytes, *, is_checked: bool) -> _Value:
    value, refusals = read_repaired(name, sent)
    if not is_checked:
        check_depth(sent, "prefetch")
    return _Value(sent, without_runs(value) if b"\n" in sent else value, refusals)


def _size_of_text(sent: bytes) -> int:
    return len(sent) + OBJECT_BYTES * count_sign(sent, b"{")


def _size_of(record: PatientRecord) -> int:
    return _RECORD_BYTES + _RESOURCE_BYTES * sum(map(len, record.resources.by_type.values()))


def _identity(values: Mapping[str, Any]) -> tuple[tuple[str, int], ...]:
    return tuple([(key, id(value)) for key, value in values.items()])


class VisitMemory:
    """The values of all patients; threads of large calls use it, too."""

    def __init__(self, most_bytes: int, clock: Callable[[], float] = monotonic) -> None:
        """`most_bytes` is what is kept of all of them; nothing where that is 0."""
        self.size = 0
        """How many bytes are kept; estimated, and rather too many."""
        self._most_bytes = most_bytes
        self._clock = clock
        self._lock = Lock()
        self._patients: OrderedDict[tuple[str, str], tuple[float, PatientValues]] = OrderedDict()

    def of_patient(self, client: str, patient: str) -> PatientValues | None:
        """Return what this client sent about the patient; None at the first call of a visit."""
        key, now = (client, patient), self._clock()
        with self._lock:
            kept = self._patients.get(key)
            if kept is not None and kept[0] > now:
                return kept[1]
            if kept is not None:
                self._drop(key)
            values = PatientValues(self._add)
            if self._make_room(values, _PATIENT_BYTES):
                self._patients[key] = now + _KEPT_SECONDS, values
        return None

    def forget_old(self) -> None:
        """Drop what was kept for long enough."""
        now = self._clock()
        with self._lock:
            while self._patients and next(iter(self._patients.values()))[0] <= now:
                self._drop(next(iter(self._patients)))

    async def keep_sweeping(self) -> None:
        """Do so every few seconds, until cancelled: no chart stays because nobody calls."""
        while True:
            await asyncio.sleep(_SWEEP_SECONDS)
            self.forget_old()

    def _add(self, values: PatientValues, size: int) -> bool:
        """Count so many bytes more for the patient; False where there is no room, or not any more."""
        with self._lock:
            if not values.is_kept or not self._make_room(values, size):
                return False
            values.size += size
            return True

    def _make_room(self, values: PatientValues, size: int) -> bool:
        """Count the bytes where there is room for them once patients with an earlier first call have gone."""
        while self.size + size > self._most_bytes:
            oldest = next(iter(self._patients), None)
            if oldest is None or self._patients[oldest][1] is values:
                return False
            self._drop(oldest)
        self.size += size
        return True

    def _drop(self, key: tuple[str, str]) -> None:
        _, values = self._patients.pop(key)
        values.is_kept = False
        values.forget_records()
        self.size -= values.size
