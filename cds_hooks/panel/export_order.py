"""The order of the patients in a Bulk Data export, and where in its files the lines of some of them begin.

Servers that write an export patient by patient keep one order in all its files. Such files can be read side by side
(`ordered_charts.py`), without partitioning their lines first.
"""

import re
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from cds_hooks.panel.chart_lines import (
    BROKEN_OFF,
    GroupingTally,
    Wanted,
    broken_off,
    head_of,
    is_packed,
    opened,
    patient_of,
)
from models_onnx.errors import PanelRefused

_MOST_FILES = 128
_PLAIN_ID = re.compile(r"[\w.\-]+")
# After so many lines without a patient of the export the file is nothing to be searched for one.
_MOST_WITHOUT = 1000


class OutOfOrder(Exception):
    """The files are not in one order of patients: their lines have to be partitioned."""


@dataclass(frozen=True, slots=True)
class ExportOrder:
    """The files of an export in one order of patients.

    The patients are numbered as they come in the Patient files. Of each there is a digest of the id, in the order of
    the digests, and the number: 12 bytes a patient. `skipped` are files that begin with a type that nothing asks for,
    `medications` the Medications by id, and `tally` what was counted while they were read.
    """

    files: tuple[Path, ...]
    skipped: tuple[Path, ...]
    medications: dict[bytes, bytes]
    tally: GroupingTally
    _digests: NDArray[np.uint64]
    _numbers: NDArray[np.uint32]

    @property
    def patients(self) -> int:
        """How many there are."""
        return len(self._digests)

    @property
    def can_begin_anywhere(self) -> bool:
        """Whether a part of the patients can be read by itself: a packed file is only read from its beginning."""
        return not any(is_packed(path) for path in self.files)

    def number_of(self, patient: str) -> int | None:
        """Returns the number of the patient with this id; None for one who is not in the Patient files."""
        # With an int below 2**63 all digests would become floats, each time, of which only 53 bits are compared.
        digest = np.uint64(_digest(patient))
        position = int(self._digests.searchsorted(digest))
        if position < len(self._digests) and self._digests[position] == digest:
            return int(self._numbers[position])
        return None

    def begin_of(self, path: Path, number: int) -> int:
        """Where in the file the first line of this patient or a later one begins; its size where there is none."""
        size = path.stat().st_size
        if number in (0, self.patients):
            return size if number else 0
        low, high = 0, size
        with path.open("rb") as file:
            while low < high:
                middle = (low + high) // 2
                line = self._next_line(file, middle, high)
                if line is None or line[0] >= number:
                    high = middle
                else:
                    low = line[1]
            return _line_begin(file, low) if low < size else size

    def _next_line(self, file: IO[bytes], offset: int, end: int) -> tuple[int, int] | None:
        """Returns the number of the patient and the end of the first line of one that begins at `offset` or later."""
        begin = _line_begin(file, offset)
        file.seek(begin)
        for _ in range(_MOST_WITHOUT):
            if begin >= end or not (line := file.readline()):
                return None
            begin += len(line)
            head = head_of(line)
            patient = patient_of(head, {}) if head is not None else None
            number = self.number_of(patient) if patient else None
            if number is not None:
                return number, begin
        raise OutOfOrder


def order_of(files: list[Path], wanted: Wanted) -> ExportOrder | None:
    """The order of these files; None where they are in none, or are written in a way in which it cannot be seen.

    Raises:
        PanelRefused: a packed file breaks off.
    """
    if len(files) > _MOST_FILES:
        return None
    digests, medications, tally = array("Q"), dict[bytes, bytes](), GroupingTally()
    in_order: list[Path] = []
    skipped: list[Path] = []
    try:
        for path in files:
            with opened(path) as file:
                if file.tell():
                    return None  # a byte order mark, behind which no part of the file can be read by itself
                head = head_of(file.readline())
            kind = head.resourceType if head is not None else None
            if kind == "Medication" and kind in wanted.types:
                medications |= _medications(path, tally)
                continue
            (skipped if kind and kind not in wanted.types else in_order).append(path)
            if kind == "Patient":
                digests.extend(_patients(path))
        return ExportOrder(tuple(in_order), tuple(skipped), medications, tally, *_numbered(digests))
    except OutOfOrder:
        return None
    except BROKEN_OFF as error:
        raise PanelRefused(broken_off(path)) from error


def _medications(path: Path, tally: GroupingTally) -> dict[bytes, bytes]:
    medications: dict[bytes, bytes] = {}
    with opened(path) as file:
        for line in filter(bytes.strip, file):
            tally.resources += 1
            head = head_of(line)
            if head is None or head.resourceType is None:
                tally.unreadable += 1
            elif head.resourceType != "Medication":
                raise OutOfOrder
            else:
                medications[(head.id or "").encode()] = line
    tally.note_file(path, 0)
    return medications


def _patients(path: Path) -> Iterator[int]:
    with opened(path) as file:
        for line in file:
            head = head_of(line)
            patient = (head.id or "") if head is not None and head.resourceType == "Patient" else ""
            if not _PLAIN_ID.fullmatch(patient):
                raise OutOfOrder
            yield _digest(patient)


def _numbered(digests: "array[int]") -> tuple[NDArray[np.uint64], NDArray[np.uint32]]:
    """Returns the digests in their own order, and the number of each patient."""
    in_file_order = np.frombuffer(digests, dtype=np.uint64)
    numbers = np.argsort(in_file_order, kind="stable").astype(np.uint32)
    ordered = in_file_order[numbers]
    if not len(ordered) or bool((ordered[1:] == ordered[:-1]).any()):
        raise OutOfOrder  # nobody, or a patient who comes twice
    return ordered, numbers


def _digest(patient: str) -> int:
    return int.from_bytes(blake2b(patient.encode(), digest_size=8).digest(), "little")


def _line_begin(file: IO[bytes], offset: int) -> int:
    """Returns where the first line begins at `offset` or after it."""
    if offset == 0:
        return 0
    file.seek(offset - 1)
    return offset - 1 + len(file.readline())
