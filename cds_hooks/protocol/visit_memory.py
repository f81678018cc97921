"""What the calls of a visit repeat: values of prefetch, byte for byte, with what was read and made of them.

An EHR opens a chart and calls many services with the same resources, then again for every order. The first call of a
client about a patient leaves a note only; what comes with the second is kept, so that nothing is done for a patient
about whom nobody asks again. A value counts as sent before where the same client sent the same bytes about the same
patient, under whichever key: nothing that is kept can be out of date, and no patient's value stands for another's.

Calls with the same values share the chart that is made of them: their resources, each once, sorted by type and analyte,
and what is recorded of them. What follows from the instant of a call, or is met by its questions, is its own. A call
that judged drafts hands its record on to the next call of its service, which judges the same drafts again.

All of it is in the memory of one process, for `_KEPT_SECONDS` after the first call and at most as many bytes as the
site sets; the oldest patients go first.
"""

import asyncio
import re
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from threading import Lock
from time import monotonic
from typing import Any, Final, NamedTuple

import msgspec
from msgspec import Raw, Struct

from cds_hooks.protocol.body import MemberName, check_depth, count_sign, member_name, members_once, value_end
from cds_hooks.storage.decision import StoredChart
from fhir.record.facts import ReadResources
from fhir.record.record import PatientRecord, is_of_place, read_repaired, without_runs
from fhir.record.refusals import Refusal

OBJECT_BYTES: Final = 128
"""What an object of JSON takes as a resource or a part of one, beside its texts; measured at 40 to 110."""


_KEPT_SECONDS: Final = 300.0
_SWEEP_SECONDS: Final = 15.0
_MOST_OF_A_KEY: Final = 32
"""Values under one key: each service asks for other results under the same one, and there are two dozen of them."""
_OUTLINE: Final = 80
"""Last bytes of a value by which, with its length, an equal one is found: hashing all of it takes too long."""
_MOST_CHARTS: Final = 32
"""Charts of one patient that are kept: services ask for different values."""
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
    is_committed: bool = False
    """Whether the row is in the record, where it stays for a day at least."""


class SentChart(Struct, frozen=True):
    """The resources of one call, whatever is asked of them and when."""

    resources: ReadResources
    """Of which each call derives its own."""
    refusals: Sequence[Refusal]
    """Long texts that were not read."""
    kept: KeptChart
    records: dict[tuple[Any, ...], PatientRecord] = {}
    """Records of calls that judged drafts and are over, by what else they were read with."""

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

    __slots__ = ("_add", "_charts", "_kept", "_values", "_values_by_key", "is_kept", "size")

    def __init__(self, add: Callable[["PatientValues", int], bool]) -> None:
        self._add = add
        self._values: dict[tuple[int, bytes], _Value] = {}
        self._kept: dict[int, Any] = {id(None): None}
        self._values_by_key: dict[str, tuple[_Value, ...]] = {}
        self._charts: dict[tuple[tuple[str, int], ...], SentChart] = {}
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
            value = self._sent_at(name, prefetch, member.end())
            if value is None and (after := value_end(prefetch, member.end())) != -1:
                value = self._keep(name, prefetch[member.end() : after], is_checked=True)
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
            read[name] = self._sent_at(name, sent, 0) or self._keep(name, sent)
        return _values_and_refusals(read)

    def chart(self, values: Mapping[str, Any]) -> SentChart | None:
        """Return what was made of these very values before; None where they did not come together yet."""
        return self._charts.get(_identity(values))

    def keep_chart(self, values: Mapping[str, Any], chart: SentChart) -> None:
        """Keep what was made of these values, where all of them are kept; none is dropped before all of it is."""
        if len(self._charts) >= _MOST_CHARTS or not self._kept.keys() >= set(map(id, values.values())):
            return
        row = chart.kept.row
        if self._add(self, len(row.content if row else b"") + _RESOURCE_BYTES * chart.count):
            self._charts[_identity(values)] = chart

    def take_record(self, chart: SentChart, read_with: tuple[Any, ...]) -> PatientRecord | None:
        """Return the record of an earlier call, for this call alone."""
        record = chart.records.pop(read_with, None)
        if record is not None:
            self._add(self, -_size_of(record))
        return record

    def keep_record(self, chart: SentChart, read_with: tuple[Any, ...], record: PatientRecord) -> None:
        """Keep the record of a call that judged drafts for the next one."""
        # What only this call has would not be forgotten with the patient.
        is_found = any(kept is chart for kept in self._charts.values())
        has_judged = record.resources.judgements.session is not None
        if is_found and has_judged and read_with not in chart.records and self._add(self, _size_of(record)):
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

    def _keep(self, name: str, sent: bytes, *, is_checked: bool = False) -> _Value:
        """Return this value of a key, and keep it."""
        others, outline = self._values_by_key.get(name, ()), (len(sent), sent[-_OUTLINE:])
        value = self._values.get(outline)
        if value is None or value.sent != sent:
            value = _decode(name, sent, is_checked=is_checked)
            size = len(sent) + _size_of_text(sent) + _REFUSAL_BYTES * len(value.refusals)
            if len(others) >= _MOST_OF_A_KEY or not self._add(self, size):
                return value
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
