"""Reads the files of an export that are in one order of patients side by side, and decodes each of their lines once.

Nothing is written to the disk and no line is copied: a run of lines of one patient is a part of a list of resources.
Lines that cannot be decoded as they stand go the careful way, line by line.
"""

import gzip
import zlib
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any, Final

import msgspec
import numpy as np

from cds_hooks.panel.chart_lines import (
    ChartLines,
    ChartResources,
    GroupingTally,
    Wanted,
    broken_off,
    head_of,
    medications_of,
    opened,
)
from cds_hooks.panel.dealing import Dealer, kind_of
from cds_hooks.panel.order import Order, OutOfOrder
from fhir.record.reading import id_of_reference
from fhir.record.resources import READ_TYPES, Medication, Observation, Patient, decoder
from models_onnx.errors import PanelRefused

_CHUNK_BYTES = 128_000
_TOGETHER = 200  # patients
_BROKEN_OFF = (gzip.BadGzipFile, EOFError, zlib.error)
# The member of each type that says whom a resource is about; a type that is not here goes the careful way.
_SUBJECT_OF: Final = {
    kind: member
    for kind in READ_TYPES
    for member in ("subject", "patient")
    if member in kind.__struct_fields__ and kind is not Medication
}


def charts_side_by_side(
    order: Order, wanted: Wanted, tally: GroupingTally, changed_after: str = "", first: int = 0, last: int | None = None
) -> Iterator[ChartLines | ChartResources]:
    """The charts of the patients from number `first` to before `last`, in their order.

    A chart with a date after the day `changed_after` comes as lines, also one with Medications or a line that cannot
    be decoded; every other one as resources.

    Raises:
        OutOfOrder: a line does not stand where its patient's lines have to.
        PanelRefused: a packed file breaks off.
    """
    end = order.patients if last is None else last
    with ExitStack() as stack:
        if first == 0:
            tally.add(order.read)
            for path in order.left_out:
                _pass_over(path, wanted, tally)
        streams = [
            stack.enter_context(_Stream(path, order, (first, end), wanted, tally, changed_after))
            for path in order.files
        ]
        for start in range(first, end, _TOGETHER):
            some = _Some(order, start, min(start + _TOGETHER, end))
            for stream in streams:
                stream.give_to(some)
            for number in range(some.first, some.last):
                yield some.chart(number).read(order.medications, wanted, tally)
        if any(stream.has_more for stream in streams):
            raise OutOfOrder


class _Chunk:
    """Whole lines of a file: as resources of one type with the bytes they came as, or as lines alone."""

    __slots__ = ("_lines", "_raw", "is_changed", "is_observations", "resources")

    def __init__(self, raw: bytes, resources: list[Any] | None, is_changed: bool, lines: list[bytes] | None = None):
        self._raw, self._lines, self.resources, self.is_changed = raw, lines, resources, is_changed
        self.is_observations = bool(resources) and type(resources[0]) is Observation  # type: ignore[index]

    def lines(self) -> list[bytes]:
        """One for each resource."""
        if self._lines is None:
            self._lines = [line for line in self._raw.split(b"\n") if line.strip()]
        return self._lines


class _Chart:
    """The runs of lines of one patient."""

    __slots__ = ("patient_id", "runs")

    def __init__(self) -> None:
        self.patient_id = ""
        self.runs: list[tuple[_Chunk, int, int]] = []

    def read(
        self, medications: dict[bytes, bytes], wanted: Wanted, tally: GroupingTally
    ) -> ChartLines | ChartResources:
        """The chart, without the Observations that nothing asks for, with the Medications that its orders name."""
        if not self.patient_id:
            raise OutOfOrder
        needs_lines = any(chunk.resources is None or chunk.is_changed for chunk, _, _ in self.runs)
        if not needs_lines:
            found = [each for run in self.runs for each in _part_of(run, wanted)]
            tally.used += len(found)
            products = _products(found, medications) if medications else []
            if products is not None:
                return ChartResources(self.patient_id, found + products)
            tally.used -= len(found)
        lines = [line for run in self.runs for line in _lines_of(run, wanted, tally)]
        return ChartLines(self.patient_id, lines, medications_of(lines, medications) if medications else ())


def _part_of(run: tuple[_Chunk, int, int], wanted: Wanted) -> list[Any]:
    chunk, start, end = run
    part = chunk.resources[start:end] if chunk.resources is not None else []
    return wanted.of_read(part) if chunk.is_observations else part


def _lines_of(run: tuple[_Chunk, int, int], wanted: Wanted, tally: GroupingTally) -> list[bytes]:
    chunk, start, end = run
    lines = chunk.lines()[start:end]
    if chunk.resources is None:  # judged and counted by the dealer
        return lines
    taken = set(map(id, _part_of(run, wanted)))
    tally.used += len(taken)
    return [line for line, each in zip(lines, chunk.resources[start:end], strict=True) if id(each) in taken]


def _products(resources: list[Any], medications: dict[bytes, bytes]) -> list[Any] | None:
    """The Medications that orders and statements name; None where one cannot be decoded."""
    named = {
        id_of_reference(product.reference).encode()
        for each in resources
        if (product := getattr(each, "medicationReference", None)) is not None
        and product.reference
        and "Medication/" in product.reference
    }
    try:
        return [decoder.decode(medications[name]) for name in sorted(named) if name in medications]
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


class _Some:
    """The charts of some patients who follow each other, by every reference to them."""

    def __init__(self, order: Order, first: int, last: int) -> None:
        self.first, self.last, self._order = first, last, order
        self.known: dict[str, _Chart | None] = {}
        self._charts = [_Chart() for _ in range(first, last)]

    def chart(self, number: int) -> _Chart:
        """The chart of the patient with this number."""
        return self._charts[number - self.first]

    def find(self, reference: str) -> bool:
        """Puts the chart that a reference means into `known`, None for one of nobody; False for a later patient."""
        number = self._order.number_of(id_of_reference(reference))
        if number is not None and number < self.first:
            raise OutOfOrder
        if number is not None and number >= self.last:
            return False
        self.known[reference] = None if number is None else self.chart(number)
        return True


class _Stream:
    """One file from the first line of a patient to before that of another one."""

    def __init__(
        self, path: Path, order: Order, between: tuple[int, int], wanted: Wanted, tally: GroupingTally, day: str
    ) -> None:
        self._path, self._wanted, self._tally, self._day = path, wanted, tally, day.encode()
        self._file = opened(path)
        self._left: int | None = None  # bytes that are still to be read; None: to the end
        if between != (0, order.patients):
            begin, end = (order.begin_of(path, number) for number in between)
            self._file.seek(begin)
            self._left = end - begin
        self._chunk = _Chunk(b"", [], False)
        self._keys: list[str] = []
        self._keys_are_patients = False
        self._at = 0

    def __enter__(self) -> "_Stream":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    @property
    def has_more(self) -> bool:
        """Whether a line was not given to any chart."""
        return self._at < len(self._keys) or self._fill()

    def give_to(self, some: _Some) -> None:
        """Gives the lines of these patients to their charts, up to the first line of a later one."""
        known = some.known
        while self._at < len(self._keys) or self._fill():
            keys, at, count = self._keys, self._at, len(self._keys)
            while at < count:
                key = keys[at]
                if key not in known and not some.find(key):
                    self._at = at
                    return
                end = at + 1
                while end < count and keys[end] == key:
                    end += 1
                self._give(known[key], at, end)
                at = end
            self._at = at

    def _give(self, chart: _Chart | None, start: int, end: int) -> None:
        chunk = self._chunk
        if chart is None:
            part = _part_of((chunk, start, end), self._wanted)
            self._tally.used += len(part)
            self._tally.without_patient += len(part) if chunk.resources is not None else end - start
            return
        chart.runs.append((chunk, start, end))
        if self._keys_are_patients:
            chart.patient_id = id_of_reference(self._keys[start])

    def _fill(self) -> bool:
        """Reads on until there are lines that can matter; False at the end."""
        while raw := self._read():
            self._at = 0
            self._keys = self._read_chunk(raw)
            if self._keys:
                return True
        self._keys, self._at = [], 0
        return False

    def _read(self) -> bytes:
        """The next whole lines, empty at the end."""
        size = _CHUNK_BYTES if self._left is None else min(_CHUNK_BYTES, self._left)
        try:
            found = _whole_lines(self._file, size)
        except _BROKEN_OFF as error:
            raise PanelRefused(broken_off(self._path)) from error
        if self._left is not None:
            self._left -= min(len(found), self._left)
        return found

    def _read_chunk(self, raw: bytes) -> list[str]:
        kind_first = kind_of(raw)
        if kind_first and kind_first not in self._wanted.types:
            return self._line_by_line(raw)
        try:
            resources = decoder.decode_lines(raw)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return self._line_by_line(raw)
        kinds = set(map(type, resources))
        if len(kinds) != 1:
            return self._line_by_line(raw)
        kind: type[Any] = kinds.pop()
        if str(kind.__struct_config__.tag) not in self._wanted.types:
            self._tally.resources += len(resources)
            return []
        keys = _keys_of(kind, resources)
        if keys is None:
            return self._line_by_line(raw)
        self._tally.resources += len(resources)
        self._keys_are_patients = kind is Patient
        is_changed = bool(self._day) and _has_date_after(raw, self._day)
        self._chunk = _Chunk(raw, resources, is_changed)
        return keys

    def _line_by_line(self, raw: bytes) -> list[str]:
        kept = _Kept()
        dealer = Dealer(kept, self._wanted, self._tally)
        lines = [line + b"\n" for line in raw.split(b"\n")[:-1]]
        self._tally.resources += len(lines)
        for line in lines:
            dealer.deal_lines([line])
        # A Patient or a Medication in a file of other things may stand anywhere.
        if dealer.shared or (kept.patients and kept.patients != len(kept.lines)):
            raise OutOfOrder
        self._keys_are_patients = kept.patients > 0
        self._chunk = _Chunk(b"", None, False, kept.lines)
        return kept.keys


class _Kept:
    """The lines that the dealer found to matter, and whose they are."""

    def __init__(self) -> None:
        self.keys: list[str] = []
        self.lines: list[bytes] = []
        self.patients = 0

    def put(self, patient: bytes, lines: list[bytes], *, has_patient: bool = False) -> None:
        self.keys += [f"Patient/{patient.decode()}"] * len(lines)
        self.lines += lines
        self.patients += has_patient


def _pass_over(path: Path, wanted: Wanted, tally: GroupingTally) -> None:
    """Counts the lines of a file that nothing asks for; OutOfOrder where another line stands in it."""
    with opened(path) as file:
        try:
            while lines := file.readlines(_CHUNK_BYTES):
                if not _are_left_out(lines, wanted):
                    lines = [line for line in lines if line.strip()]
                    if not all(_is_of_no_use(line, wanted) for line in lines):
                        raise OutOfOrder
                tally.resources += len(lines)
        except _BROKEN_OFF as error:
            raise PanelRefused(broken_off(path)) from error


def _whole_lines(file: IO[bytes], size: int) -> bytes:
    """About so many bytes of whole lines, each with its line break; empty at the end."""
    found = file.read(size)
    if found and not found.endswith(b"\n"):
        found += file.readline()
        if not found.endswith(b"\n"):  # the last one of the file
            found += b"\n"
    return found


def _are_left_out(lines: list[bytes], wanted: Wanted) -> bool:
    """Whether each of these lines begins with one type, which nothing asks for."""
    kind = kind_of(lines[0])
    if not kind or kind in wanted.types:
        return False
    begin = b'{"resourceType":"' + kind.encode() + b'"'
    return len([line for line in lines if line.startswith(begin)]) == len(lines)


def _is_of_no_use(line: bytes, wanted: Wanted) -> bool:
    head = head_of(line)
    return head is not None and bool(head.resourceType) and head.resourceType not in wanted.types


def _keys_of(kind: type[Any], resources: list[Any]) -> list[str] | None:
    """Whom each resource is about, by the reference as it was written; None where one does not say it."""
    if kind is Patient:
        return [f"Patient/{each.id}" for each in resources]
    member = _SUBJECT_OF.get(kind)
    if member is None:
        return None
    try:
        if member == "subject":
            keys = [each.subject.reference for each in resources]
        else:
            keys = [each.patient.reference for each in resources]
    except AttributeError:
        return None
    return None if None in keys or "" in keys else keys


def _has_date_after(raw: bytes, day: bytes) -> bool:
    """Whether a text begins with a later date; what only looks like a date may count as one."""
    signs = np.frombuffer(raw, dtype=np.uint8)
    if len(signs) < len(day) + 1:
        return False
    found = np.flatnonzero((signs[:-10] == ord('"')) & (signs[5:-5] == ord("-")) & (signs[8:-2] == ord("-")))
    return any(raw[place + 1 : place + 11] > day for place in found.tolist())
