"""The order of the patients in a Bulk Data export, and where in its files the lines of some of them begin.

Servers that write an export patient by patient keep one order in all its files. Such files can be read side by side,
without dealing their lines out first. Whether an export is of that kind is tried at some places before, and watched
at every line while it is read.
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
from cds_hooks.panel.dealing import Dealer
from models_onnx.errors import PanelRefused

_MOST_FILES = 128
_PLAIN_ID = re.compile(r"[\w.\-]+")
_TRIED_PLACES = 64
_TRIED_LINES = 200
# So many lines after each other without a known patient: the file is nothing to be searched for one.
_MOST_WITHOUT = 1000


class OutOfOrder(Exception):
    """The files are not in one order of patients: their lines have to be dealt out."""


@dataclass(frozen=True, slots=True)
class Order:
    """The files of an export in one order of patients.

    The patients are numbered as they come in the Patient files. Of each there is a digest of the id, in the order of
    the digests, and the number: 12 bytes a patient. `left_out` are files that begin with a type that nothing asks for,
    `medications` the Medications by id, and `read` what was found while they were read.
    """

    files: tuple[Path, ...]
    left_out: tuple[Path, ...]
    medications: dict[bytes, bytes]
    read: GroupingTally
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
        """The number of the patient with this id; None for one who is not in the Patient files."""
        # With an int below 2**63 all digests would become floats, each time, of which only 53 bits are compared.
        digest = np.uint64(_digest(patient))
        place = int(self._digests.searchsorted(digest))
        if place < len(self._digests) and self._digests[place] == digest:
            return int(self._numbers[place])
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
                found = self._next(file, middle, high)
                if found is None or found[1] >= number:
                    high = middle
                else:
                    low = found[2]
            return _line_begin(file, low) if low < size else size

    def _next(self, file: IO[bytes], offset: int, end: int) -> tuple[int, int, int] | None:
        """The first line of a known patient that begins at `offset` or later: its begin, the number, and its end."""
        begin = _line_begin(file, offset)
        file.seek(begin)
        for _ in range(_MOST_WITHOUT):
            if begin >= end or not (line := file.readline()):
                return None
            number = self._number_in(line)
            if number is not None:
                return begin, number, begin + len(line)
            begin += len(line)
        raise OutOfOrder

    def _number_in(self, line: bytes) -> int | None:
        head = head_of(line)
        patient = patient_of(head, {}) if head is not None else None
        return self.number_of(patient) if patient else None

    def tried(self) -> bool:
        """Whether the order holds at the beginning of each file and at some places of those that are not packed."""
        for path in self.files:
            try:
                numbers = list(self._some_numbers(path))
            except BROKEN_OFF as error:
                raise PanelRefused(broken_off(path)) from error
            if numbers != sorted(numbers):
                return False
        return True

    def _some_numbers(self, path: Path) -> Iterator[int]:
        with opened(path) as file:
            for _ in range(_TRIED_LINES):
                number = self._number_in(file.readline())
                if number is not None:
                    yield number
            if is_packed(path):
                return
            begin, size = file.tell(), path.stat().st_size
            for place in range(_TRIED_PLACES):
                found = self._next(file, begin + (size - begin) * place // _TRIED_PLACES, size)
                if found is not None:
                    yield found[1]


def order_of(files: list[Path], wanted: Wanted) -> Order | None:
    """The order of these files; None where they are in none, or are written in a way in which it cannot be seen.

    Raises:
        PanelRefused: a packed file breaks off.
    """
    if len(files) > _MOST_FILES:
        return None
    digests = array("Q")
    in_order: list[Path] = []
    left_out: list[Path] = []
    tally = GroupingTally()
    dealer = Dealer(_Nowhere(), wanted, tally)
    path = files[0]
    try:
        for path in files:
            with opened(path) as file:
                if file.tell():
                    raise OutOfOrder  # a byte order mark, with which the file cannot be read in pieces
                head = head_of(file.readline())
                kind = head.resourceType if head is not None else None
            if kind == "Medication" and kind in wanted.types:
                with opened(path) as file:
                    dealer.deal(file)
                tally.note_file(path, 0)
                continue
            (left_out if kind and kind not in wanted.types else in_order).append(path)
            if kind == "Patient":
                digests.extend(_patients(path))
        order = Order(tuple(in_order), tuple(left_out), dealer.shared, tally, *_numbered(digests))
        return order if order.tried() else None
    except OutOfOrder:
        return None
    except BROKEN_OFF as error:
        raise PanelRefused(broken_off(path)) from error


class _Nowhere:
    """Among Medications there is no line of a patient."""

    def put(self, _patient: bytes, _lines: list[bytes], *, has_patient: bool = False) -> None:
        raise OutOfOrder(has_patient)


def _numbered(digests: "array[int]") -> tuple[NDArray[np.uint64], NDArray[np.uint32]]:
    """The digests in their own order, and the number of each patient."""
    found = np.frombuffer(digests, dtype=np.uint64)
    numbers = np.argsort(found, kind="stable").astype(np.uint32)
    found = found[numbers]
    if not len(found) or bool((found[1:] == found[:-1]).any()):
        raise OutOfOrder  # nobody, or a patient who comes twice
    return found, numbers


def _digest(patient: str) -> int:
    return int.from_bytes(blake2b(patient.encode(), digest_size=8).digest(), "little")


def _patients(path: Path) -> Iterator[int]:
    with opened(path) as file:
        for line in file:
            head = head_of(line)
            patient = (head.id or "") if head is not None and head.resourceType == "Patient" else ""
            if not _PLAIN_ID.fullmatch(patient):
                raise OutOfOrder
            yield _digest(patient)


def _line_begin(file: IO[bytes], offset: int) -> int:
    """Where the first line begins at `offset` or after it."""
    if offset == 0:
        return 0
    file.seek(offset - 1)
    return offset - 1 + len(file.readline())
