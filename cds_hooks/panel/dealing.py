"""Groups Bulk Data NDJSON by patient out of core: the lines that can matter are dealt out to files, each held at once.

Most of the time of a whole run went into these lines. A line as servers usually write it, with its resourceType first,
is judged by a few searches in its bytes; any other one is decoded as far as its type, patient and codes.
"""

import gzip
import re
import tempfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from itertools import groupby
from pathlib import Path
from typing import IO, Protocol

from cds_hooks.panel.chart_lines import (
    ChartLines,
    GroupingTally,
    Wanted,
    broken_off,
    head_of,
    medications_of,
    opened,
    patient_of,
)
from cds_hooks.panel.spill import Block, Spill
from models_onnx.errors import PanelRefused

# So many bytes of lines stay in the cache of a core until they are dealt out.
_AT_ONCE_BYTES = 128_000
_PACKED = 8  # how many times longer a file is than when it is packed with gzip, about
_KIND = b'"resourceType":"'
# The resource as servers write it: the first reference of a subject is enough, unless a contained one comes before it.
_SUBJECT = b'"subject":{"reference":"Patient/'
_CONTAINED = b'"contained"'
# A Patient says itself who it is, a Medication is nobody's: their lines are always decoded.
_DECODED = frozenset({"", "Patient", "Medication"})
_NO_ID = re.compile(rb"[\x00-\x1f]")


def charts_of_ndjson(
    files: list[Path], wanted: Wanted, tally: GroupingTally, progress: Callable[[int], None]
) -> Iterator[ChartLines]:
    """Every patient of whom there is a Patient among these files, each with all lines that can matter.

    Raises:
        PanelRefused: a file breaks off, or cannot be unpacked.
    """
    size = sum(path.stat().st_size * (_PACKED if path.name.endswith(".gz") else 1) for path in files)
    with tempfile.TemporaryDirectory(prefix="cds-hooks-panel-") as work, Spill(Path(work), size) as spill:
        dealer = Dealer(spill, wanted, tally)
        for path in files:
            try:
                with opened(path) as file:
                    dealer.deal(file)
            except (gzip.BadGzipFile, EOFError, zlib.error) as error:
                raise PanelRefused(broken_off(path)) from error
            progress(tally.resources)
        for part in spill.parts():
            yield from _grouped(part, dealer.shared, tally)


class Sink(Protocol):
    """Where lines go that can matter."""

    def put(self, patient: bytes, lines: list[bytes], /, *, has_patient: bool = False) -> None:
        """Takes in lines, each with its line break, of one patient; `has_patient`: one is the Patient itself."""


class Dealer:
    """Puts the lines that can matter with their patient; keeps the Medications by id."""

    def __init__(self, spill: Sink, wanted: Wanted, tally: GroupingTally) -> None:
        self.shared: dict[bytes, bytes] = {}
        self._spill, self._wanted, self._tally = spill, wanted, tally

    def deal(self, file: IO[bytes]) -> None:
        """Takes in the lines of a file."""
        while lines := file.readlines(_AT_ONCE_BYTES):
            if not lines[-1].endswith(b"\n"):  # the last one of the file
                lines[-1] += b"\n"
            self._tally.resources += len(lines)
            self.deal_lines(lines)

    def deal_lines(self, lines: list[bytes]) -> None:
        """Lines in their order: of equal results of one instant the first one counts."""
        kind = kind_of(lines[0])
        begins = b'{"resourceType":"' + kind.encode() + b'"'
        if kind and len([line for line in lines if line.startswith(begins)]) == len(lines):
            self._deal_kind(kind, lines)
            return
        for kind, run in groupby(lines, kind_of):
            self._deal_kind(kind, list(run))

    def _deal_kind(self, kind: str, lines: list[bytes]) -> None:
        if kind in _DECODED:
            for line in lines:
                self._deal_one(line)
        elif kind in self._wanted.types:
            self._deal_all(self._wanted.observations(lines) if kind == "Observation" else lines)

    def _deal_all(self, lines: list[bytes]) -> None:
        """Lines that are wanted, those of a patient that follow each other together. This loop is the hot one."""
        last, run, length = b"", list[bytes](), len(_SUBJECT)
        usual = b"\x00"  # the subject of the line before as it was written
        for line in lines:
            start = line.find(_SUBJECT)
            if line.startswith(usual, start) and line.find(_CONTAINED, 0, start) < 0:
                run.append(line)
                continue
            patient = line[start + length : line.find(b'"', start + length)]
            if run:
                self._spill.put(last, run)
                self._tally.used += len(run)
            # No id has a sign that is written in another way in JSON; Patient/1/_history/2 is of a version.
            if start < 0 or line.find(_CONTAINED, 0, start) >= 0 or b"/" in patient or b"\\" in patient:
                last, run, usual = b"", [], b"\x00"
                self._deal_one(line)
            else:
                last, run, usual = patient, [line], _SUBJECT + patient + b'"'
        if run:
            self._spill.put(last, run)
            self._tally.used += len(run)

    def _deal_one(self, line: bytes) -> None:
        """A line that is decoded as far as its head."""
        if not line.strip():
            self._tally.resources -= 1
            return
        head = head_of(line)
        if head is None or head.resourceType is None:
            self._tally.unreadable += 1
            return
        if not self._wanted.takes_head(head):
            return
        if head.resourceType == "Medication":
            self.shared[(head.id or "").encode()] = line
            return
        patient = (patient_of(head, {}) or "").encode()
        if not patient or _NO_ID.search(patient):
            self._tally.without_patient += 1
            return
        self._tally.used += 1
        self._spill.put(patient, [line], has_patient=head.resourceType == "Patient")


def kind_of(line: bytes) -> str:
    """The type by the first member that says it, which is the first of all in what servers write; else empty."""
    start = line.find(_KIND, 0, 40)
    if start != 1:
        return ""
    return line[start + len(_KIND) : line.find(b'"', start + len(_KIND))].decode("ascii", "replace")


def _grouped(part: Iterable[Block], shared: dict[bytes, bytes], tally: GroupingTally) -> Iterator[ChartLines]:
    blocks: dict[bytes, list[bytes]] = {}
    patients: set[bytes] = set()
    for block in part:
        known = blocks.get(block.patient)
        if known is None:
            known = blocks[block.patient] = []
        if block.has_patient:
            patients.add(block.patient)
        known.append(block.lines)
    for patient in sorted(blocks):
        of_patient = blocks.pop(patient)
        if patient not in patients:  # named, and not in the folder
            tally.without_patient += sum(block.count(b"\n") for block in of_patient)
            continue
        yield ChartLines(
            patient.decode(), blocks=of_patient, shared=medications_of(of_patient, shared) if shared else ()
        )
