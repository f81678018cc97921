"""What the calls of a visit repeat: a whole prefetch, byte for byte, with what was read and made of it.

An EHR opens a chart, then calls for every order with the same resources. The first call of a client about a patient
leaves a note only; what comes with the second is kept, so that nothing is done for a patient about whom nobody asks
again. A prefetch counts as sent before where the same client sent the same bytes about the same patient: nothing that
is kept can be out of date, and no patient's chart stands for another's.

Calls with the same prefetch share the resources, each once, what is recorded of them, and the facts of the patient: a
later call of the same day answers as of the instant of the first one.

All of it is in the memory of one process, for `_KEPT_SECONDS` after the first call and at most as many bytes as the
site sets; the oldest patients go first.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from operator import is_
from threading import Lock
from time import monotonic
from typing import Any, Final

from msgspec import Struct

from cds_hooks.call.protocol.body import count_sign
from cds_hooks.evidence.storage.decision import StoredChart
from fhir.record.facts import ReadResources
from fhir.record.record import PatientRecord
from fhir.record.refusals import Refusal

_OBJECT_BYTES: Final = 128
"""What an object of JSON takes as a resource or a part of one, beside its texts; measured at 40 to 110."""
_TEXTS: Final = 3
"""How often the texts of a prefetch are kept: as they came, as they were read, and as they are recorded."""
_KEPT_SECONDS: Final = 300.0
_SWEEP_SECONDS: Final = 15.0
_RESOURCE_BYTES: Final = 1_000
"""What a resource takes in what is made of it: its places, its parts by analyte, and itself where it is changed."""
_PATIENT_BYTES: Final = 1_000
_REFUSAL_BYTES: Final = 600
_RECORD_BYTES: Final = 200_000
"""What a record takes beside its resources, with what was worked out of it."""


class SentChart(Struct):
    """The resources of one call, whatever is asked of them and when, and what is recorded of them."""

    resources: ReadResources
    """Of which each call derives its own."""
    refusals: Sequence[Refusal]
    """Long texts that were not read."""
    hash: bytes
    """The name of the chart; where only this is recorded, SHA-256 of the lean chart as JSON."""
    row: StoredChart | None
    """None where only its hash is recorded."""
    is_committed: bool = False
    """Whether the row is in the record, where it stays for a day at least."""
    record: tuple[tuple[Any, ...], PatientRecord] | None = None
    """The record of the last call, with what else it was read with."""


class ReadPrefetch(Struct):
    """What was read of a prefetch, and what was made of it once it was whole."""

    values: dict[str, Any]
    refusals: Sequence[Refusal]
    """What of it could not be read."""
    is_kept: bool = False
    """Whether it is in the memory for the next call."""
    size: int = 0
    """How many bytes of memory it and what is made of it count for."""
    chart: SentChart | None = None
    state: tuple[object, Any] | None = None
    """The templates that it was looked through for, and the state of their keys (`prefetch/state.py`)."""

    def has_all(self, values: Mapping[str, Any]) -> bool:
        """Return whether these are its values and no others: none of them was fetched."""
        own = self.values
        return own.keys() == values.keys() and all(map(is_, map(own.get, values), values.values()))


class SentPrefetches:
    """What one client sent about one patient: the prefetches, of those with equally many bytes the last."""

    __slots__ = ("_add", "_read", "is_kept", "size")

    def __init__(self, add: Callable[["SentPrefetches", int], bool]) -> None:
        self._add = add
        # By their length: bytes are compared ten times as fast as a hash of them is made (11 µs for 72 KB, 77 for 520).
        self._read: dict[int, tuple[bytes, ReadPrefetch]] = {}
        self.size = _PATIENT_BYTES
        """How many bytes of memory it counts for."""
        self.is_kept = True
        """Whether it is in the memory still; what is read is not added to it otherwise."""

    def get(self, sent: bytes) -> ReadPrefetch | None:
        """Return what was read of the same bytes before."""
        kept, read = self._read.get(len(sent), (None, None))
        return read if kept == sent else None

    def keep(self, sent: bytes, read: ReadPrefetch) -> None:
        """Keep what was read of these bytes."""
        size = _TEXTS * len(sent) + _OBJECT_BYTES * count_sign(sent, b"{") + _REFUSAL_BYTES * len(read.refusals)
        size += _RECORD_BYTES + _RESOURCE_BYTES * sent.count(b'"resourceType"')
        _, replaced = self._read.get(len(sent), (None, None))
        if self._add(self, size - (replaced.size if replaced is not None else 0)):
            if replaced is not None:
                replaced.is_kept = False
            read.is_kept, read.size = True, size
            self._read[len(sent)] = sent, read


class VisitMemory:
    """What was sent about all patients; threads of large calls use it, too."""

    def __init__(self, most_bytes: int, clock: Callable[[], float] = monotonic) -> None:
        """`most_bytes` is what is kept of all of them; nothing where that is 0."""
        self.size = 0
        """How many bytes are kept; estimated, and rather too many."""
        self._most_bytes = most_bytes
        self._clock = clock
        self._lock = Lock()
        self._patients: OrderedDict[tuple[str, str], tuple[float, SentPrefetches]] = OrderedDict()

    def of_patient(self, client: str, patient: str) -> SentPrefetches | None:
        """Return what this client sent about the patient; None at the first call of a visit."""
        key, now = (client, patient), self._clock()
        with self._lock:
            kept = self._patients.get(key)
            if kept is not None and kept[0] > now:
                return kept[1]
            if kept is not None:
                self._drop(key)
            sent = SentPrefetches(self._add)
            if self._make_room(sent, _PATIENT_BYTES):
                self._patients[key] = now + _KEPT_SECONDS, sent
        return None

    def forget_old(self) -> None:
        """Drop what was kept for long enough."""
        now = self._clock()
        with self._lock:
            while self._patients and next(iter(self._patients.values()))[0] <= now:
                self._drop(next(iter(self._patients)))

    async def keep_sweeping(self) -> None:
        """Do so every few seconds, until canceled: no chart stays because nobody calls."""
        while True:
            await asyncio.sleep(_SWEEP_SECONDS)
            self.forget_old()

    def _add(self, sent: SentPrefetches, size: int) -> bool:
        """Count so many bytes more for the patient; False where there is no room, or not any more."""
        with self._lock:
            if not sent.is_kept or not self._make_room(sent, size):
                return False
            sent.size += size
            return True

    def _make_room(self, sent: SentPrefetches, size: int) -> bool:
        """Count the bytes where there is room for them once patients with an earlier first call have gone."""
        while self.size + size > self._most_bytes:
            oldest = next(iter(self._patients), None)
            if oldest is None or self._patients[oldest][1] is sent:
                return False
            self._drop(oldest)
        self.size += size
        return True

    def _drop(self, key: tuple[str, str]) -> None:
        _, sent = self._patients.pop(key)
        sent.is_kept = False
        self.size -= sent.size
