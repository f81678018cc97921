"""Reads the files of an export that are in one order of patients side by side, and decodes each of their lines once.

Nothing is written to the disk and no line is copied: a run of lines of one patient is a part of a list of resources.
Lines that cannot be decoded as they stand go the careful way, line by line.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import groupby, islice
from pathlib import Path
from typing import Any, Final, TypeAlias

import msgspec
import numpy as np

from cds_hooks.panel.chart_lines import (
    ChartLines,
    ChartResources,
    GroupingTally,
    Wanted,
    medications_of,
)
from cds_hooks.panel.dealing import Dealer, kind_of
from cds_hooks.panel.order import Order, OutOfOrder
from cds_hooks.panel.pieces import Pieces, pass_over
from fhir.record.reading import id_of_reference
from fhir.record.resources import READ_TYPES, Medication, Observation, Patient, decoder

_TOGETHER = 200  # patients
_LONGEST_HEAD = 120  # bytes, in which the type of the first resource stands
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
                pass_over(path, wanted, tally)
        streams = [
            stack.enter_context(_Stream(path, order, (first, end), wanted, tally, changed_after))
            for path in order.files
        ]
        for start in range(first, end, _TOGETHER):
            some = _Some(order, start, min(start + _TOGETHER, end))
            for stream in streams:
                stream.give_to(some)
            for number in range(some.first, some.last):
                yield some.chart(number).read(order.medications, tally)
        if any(stream.has_more for stream in streams):
            raise OutOfOrder


class _Chunk:
    """Lines of a file: as resources of one type that are asked for, or as the lines alone.

    `again` gives the lines of the resources; `numbers` says which of these they are, None for all.
    """

    __slots__ = ("_again", "_lines", "_numbers", "is_changed", "resources")

    def __init__(self, resources: list[Any] | None, lines: list[bytes] | None = None) -> None:
        self.resources, self._lines = resources, lines
        self._again: Callable[[], bytes] = bytes
        self._numbers: list[int] | None = None
        self.is_changed = False

    def come_from(self, pieces: Pieces, numbers: list[int] | None, day: bytes, piece: memoryview) -> None:
        """Notes where the lines are; with a date after the `day` they may have been changed since."""
        self._again, self._numbers = pieces.same_again(), numbers
        self.is_changed = bool(day) and _has_date_after(bytes(piece), day)

    def lines(self, start: int, end: int) -> list[bytes]:
        """Those of these resources."""
        if self._lines is None:
            lines = [line for line in self._again().split(b"\n") if line.strip()]
            self._lines = lines if self._numbers is None else [lines[number] for number in self._numbers]
        return self._lines[start:end]


_Run: TypeAlias = tuple[_Chunk, int, int, str]
"""Lines that follow each other in a chunk, from and to before, and their reference to the patient."""


class _Chart:
    """The runs of lines of one patient."""

    __slots__ = ("patient_id", "runs")

    def __init__(self) -> None:
        self.patient_id = ""
        self.runs: list[_Run] = []

    def read(self, medications: dict[bytes, bytes], tally: GroupingTally) -> ChartLines | ChartResources:
        """The chart with the Medications that its orders name."""
        if not self.patient_id:
            raise OutOfOrder
        found: list[tuple[str, list[Any]]] = []
        used = 0
        for chunk, start, end, key in self.runs:
            if chunk.resources is None or chunk.is_changed:
                break
            found.append((key, chunk.resources[start:end]))
            used += end - start
        else:
            products = _products(found, medications) if medications else []
            if products is not None:
                tally.used += used
                return ChartResources(self.patient_id, [*found, ("", products)] if products else found)
        lines: list[bytes] = []
        for chunk, start, end, _ in self.runs:
            lines += chunk.lines(start, end)
            tally.used += end - start if chunk.resources is not None else 0  # the others were counted by the dealer
        return ChartLines(self.patient_id, lines, medications_of(lines, medications) if medications else ())


def _products(runs: list[tuple[str, list[Any]]], medications: dict[bytes, bytes]) -> list[Any] | None:
    """The Medications that orders and statements name; None where one cannot be decoded."""
    named = {
        id_of_reference(product.reference).encode()
        for _, resources in runs
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
        self._wanted, self._tally, self._day = wanted, tally, day.encode()
        is_whole = between == (0, order.patients)
        begin, end = (0, None) if is_whole else (order.begin_of(path, number) for number in between)
        self._path, self._pieces = path, Pieces(path, begin or 0, end)
        self._chunk = _Chunk([])
        self._keys: list[str] = []
        self._keys_are_patients = False
        self._at = 0

    def __enter__(self) -> "_Stream":
        return self

    def __exit__(self, *_: object) -> None:
        self._pieces.close()

    @property
    def has_more(self) -> bool:
        """Whether a line was not given to any chart."""
        return self._at < len(self._keys) or self._fill()

    def give_to(self, some: _Some) -> None:
        """Gives the lines of these patients to their charts, up to the first line of a later one."""
        known = some.known
        while self._at < len(self._keys) or self._fill():
            at = self._at
            for key, same in groupby(islice(self._keys, at, None)):
                if key not in known and not some.find(key):
                    self._at = at
                    return
                end = at + len(list(same))
                self._give(known[key], at, end)
                at = end
            self._at = at

    def _give(self, chart: _Chart | None, start: int, end: int) -> None:
        chunk = self._chunk
        if chart is None:
            self._tally.used += end - start if chunk.resources is not None else 0
            self._tally.without_patient += end - start
            return
        chart.runs.append((chunk, start, end, self._keys[start]))
        if self._keys_are_patients:
            chart.patient_id = id_of_reference(self._keys[start])

    def _fill(self) -> bool:
        """Reads on until there are lines that can matter; False at the end."""
        while piece := self._pieces.next():
            self._at = 0
            self._keys = self._read_piece(piece)
            if self._keys:
                return True
        self._keys, self._at = [], 0
        return False

    def _read_piece(self, piece: memoryview) -> list[str]:
        kind_first = kind_of(bytes(piece[:_LONGEST_HEAD]))
        if kind_first and kind_first not in self._wanted.types:
            return self._line_by_line(piece)
        try:
            resources = decoder.decode_lines(piece)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return self._line_by_line(piece)
        kinds = set(map(type, resources))
        if len(kinds) != 1:
            return self._line_by_line(piece)
        kind: type[Any] = kinds.pop()
        if str(kind.__struct_config__.tag) not in self._wanted.types:
            self._tally.resources += len(resources)
            return []
        taken = self._wanted.of_read(resources) if kind is Observation else resources
        keys = _keys_of(kind, taken)
        if keys is None:
            return self._line_by_line(piece)
        self._tally.resources += len(resources)
        self._keys_are_patients = kind is Patient
        self._chunk = _Chunk(taken)
        self._chunk.come_from(self._pieces, _numbers_of(taken, resources), self._day, piece)
        return keys

    def _line_by_line(self, piece: memoryview) -> list[str]:
        kept = _Kept()
        dealer = Dealer(kept, self._wanted, self._tally)
        lines = [line + b"\n" for line in bytes(piece).split(b"\n")[:-1]]
        self._tally.resources += len(lines)
        before = self._tally.unreadable
        for line in lines:
            dealer.deal_lines([line])
        self._tally.note_file(self._path, before)
        # A Patient or a Medication in a file of other things may stand anywhere.
        if dealer.shared or (kept.patients and kept.patients != len(kept.lines)):
            raise OutOfOrder
        self._keys_are_patients = kept.patients > 0
        self._chunk = _Chunk(None, kept.lines)
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


def _numbers_of(taken: list[Any], resources: list[Any]) -> list[int] | None:
    """The places of these resources among all of them; None where they are all."""
    if len(taken) == len(resources):
        return None
    chosen = set(map(id, taken))
    return [number for number, each in enumerate(resources) if id(each) in chosen]


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
    return keys if all(keys) else None


def _has_date_after(raw: bytes, day: bytes) -> bool:
    """Whether a text begins with a later date; what only looks like a date may count as one."""
    signs = np.frombuffer(raw, dtype=np.uint8)
    if len(signs) < len(day) + 1:
        return False
    found = np.flatnonzero((signs[:-10] == ord('"')) & (signs[5:-5] == ord("-")) & (signs[8:-2] == ord("-")))
    return any(raw[place + 1 : place + 11] > day for place in found.tolist())
