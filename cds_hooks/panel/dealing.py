"""Groups Bulk Data NDJSON by patient out of core: wanted lines are dealt out to files, each small enough to be held.

Most of the time of a whole run went into these lines, so a block of lines that all begin with the same resourceType,
as servers write them, is looked at as a whole: one of a type that nothing asks for is left out with two searches.
"""

import re
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import IO
from zlib import crc32

from cds_hooks.panel.chart_lines import ChartLines, GroupingTally, Wanted, head_of, opened, patient_of

_PART_BYTES = 64_000_000
_AT_ONCE_BYTES = 4_000_000
_BLOCK_BYTES = 128_000  # with all its lines it stays in the cache of a core
_KIND = b'"resourceType":"'
# The resource as servers write it: the first reference of a subject is enough, unless a contained one comes before it.
_SUBJECT = (b'"subject":{"reference":"Patient/', b'"patient":{"reference":"Patient/')
_CONTAINED = b'"contained"'
# Between the patient's id and a line: whether it may be the Patient itself.
_OF_PATIENT, _OF_OTHER = b"\t+", b"\t-"
_PLUS = _OF_PATIENT[1]
# A Patient says itself who it is, a Medication is nobody's: their lines are always decoded.
_DECODED = frozenset({"", "Patient", "Medication"})


def charts_of_ndjson(
    files: list[Path], wanted: Wanted, tally: GroupingTally, progress: Callable[[int], None]
) -> Iterator[ChartLines]:
    """Every patient of whom there is a Patient among these files, each with all wanted lines."""
    size = sum(path.stat().st_size * (8 if path.name.endswith(".gz") else 1) for path in files)
    parts = max(1, size // _PART_BYTES)
    with tempfile.TemporaryDirectory(prefix="cds-hooks-panel-") as work, ExitStack() as stack:
        places = [Path(work) / f"{number}.lines" for number in range(parts)]
        out: list[IO[bytes]] = [stack.enter_context(place.open("wb+")) for place in places]
        dealer = _Dealer(out, wanted, tally)
        for path in files:
            with opened(path) as file:
                for block in _blocks(file):
                    dealer.deal(block)
            progress(tally.resources)
        dealer.flush()
        for part in out:
            part.seek(0)
            yield from _grouped(part, dealer.shared, tally)
            part.truncate(0)


def _blocks(file: IO[bytes]) -> Iterator[bytes]:
    """The file in pieces of whole lines, without the end of the last one."""
    begun: list[bytes] = []
    while piece := file.read(_BLOCK_BYTES):
        end = piece.rfind(b"\n")
        if end < 0:
            begun.append(piece)
            continue
        yield b"".join((*begun, piece[:end]))
        begun = [piece[end + 1 :]]
    if last := b"".join(begun):
        yield last


class _Dealer:
    """Writes every wanted line behind its patient's id into one of the files; keeps the Medications by id."""

    def __init__(self, out: list[IO[bytes]], wanted: Wanted, tally: GroupingTally) -> None:
        self.shared: dict[bytes, bytes] = {}
        self._out, self._wanted, self._tally = out, wanted, tally
        self._waiting: list[list[bytes]] = [[] for _ in out]
        self._held = 0

    def deal(self, block: bytes) -> None:
        """Takes in a block of whole lines."""
        kind = _kind_of(block)
        begins = b'{"resourceType":"' + kind.encode() + b'"'
        if kind and kind not in self._wanted.types and _all_begin(block, begins):
            self._tally.resources += block.count(b"\n") + 1
            return
        lines = block.split(b"\n")
        self._tally.resources += len(lines)
        self._held += len(block)
        if kind in _DECODED or kind not in self._wanted.types:
            self._deal_each(lines)
        else:
            of_kind = [line for line in lines if line.startswith(begins)]
            if len(of_kind) < len(lines):
                self._deal_each(line for line in lines if not line.startswith(begins))
            self._deal_all(self._wanted.observations(of_kind) if kind == "Observation" else of_kind, kind)
        if self._held > _AT_ONCE_BYTES * len(self._out):
            self.flush()

    def _deal_each(self, lines: Iterable[bytes]) -> None:
        for line in lines:
            self._deal_one(line, _kind_of(line))

    def _deal_all(self, lines: list[bytes], kind: str) -> None:
        """Lines of one type that are wanted. This loop is the hot one."""
        subject, begins = _SUBJECT[0], len(_SUBJECT[0])
        waiting, parts, dealt = self._waiting, len(self._waiting), 0
        for line in lines:
            start = line.find(subject)
            if start < 0 or line.find(_CONTAINED, 0, start) >= 0:
                self._deal_one(line, kind)
                continue
            start += begins
            patient = line[start : line.find(b'"', start)]
            if b"/" in patient:  # of a version, Patient/1/_history/2
                self._deal_one(line, kind)
                continue
            waiting[crc32(patient) % parts] += (patient, _OF_OTHER, line, b"\n")
            dealt += 1
        self._tally.used += dealt

    def _deal_one(self, line: bytes, kind: str) -> None:
        if kind and not self._wanted.takes(kind, line):
            return
        patient = _quickly(line) if kind not in _DECODED else None
        if patient is None:
            patient = self._decoded(line)
        if patient is None:
            return
        self._tally.used += 1
        sign = _OF_PATIENT if kind in ("Patient", "") else _OF_OTHER
        self._waiting[crc32(patient) % len(self._out)] += (patient, sign, line, b"\n")

    def _decoded(self, line: bytes) -> bytes | None:
        """The id of the patient of a wanted line; None for any other line, which is counted where it is a fault."""
        if not line.strip():
            self._tally.resources -= 1
            return None
        head = head_of(line)
        if head is None or head.resourceType is None:
            self._tally.unreadable += 1
            return None
        if not self._wanted.takes(head.resourceType, line):
            return None
        if head.resourceType == "Medication":
            self.shared[(head.id or "").encode()] = line
            return None
        patient = patient_of(head, {})
        if not patient:
            self._tally.without_patient += 1
        return patient.encode() if patient else None

    def flush(self) -> None:
        """Writes what waits to the files."""
        for file, lines in zip(self._out, self._waiting, strict=True):
            file.write(b"".join(lines))
            lines.clear()
        self._held = 0


def _quickly(line: bytes) -> bytes | None:
    """The id of the patient by the first reference of a subject; None where a contained resource may have said it."""
    for sign in _SUBJECT:
        start = line.find(sign)
        if start >= 0 and line.find(_CONTAINED, 0, start) < 0:
            patient = line[start + len(sign) : line.find(b'"', start + len(sign))]
            return patient if b"/" not in patient else None
    return None


def _kind_of(line: bytes) -> str:
    """The type by the first member that says it, which is the first of all in what servers write; else empty."""
    start = line.find(_KIND, 0, 40)
    if start < 1:
        return ""
    return line[start + len(_KIND) : line.find(b'"', start + len(_KIND))].decode("ascii", "replace")


def _all_begin(block: bytes, begins: bytes) -> bool:
    """Whether every line of a block begins so; JSON has no line break within a text."""
    return block.startswith(begins) and block.count(b"\n" + begins) == block.count(b"\n")


def _grouped(part: IO[bytes], shared: dict[bytes, bytes], tally: GroupingTally) -> Iterator[ChartLines]:
    lines: dict[bytes, list[bytes]] = {}
    patients: set[bytes] = set()
    for line in part:
        tab = line.index(b"\t")
        patient, resource = line[:tab], line[tab + 2 : -1]
        known = lines.get(patient)
        if known is None:
            known = lines[patient] = []
        if line[tab + 1] == _PLUS and _is_patient(resource):
            patients.add(patient)
        known.append(resource)
    for patient in sorted(lines):
        of_patient = lines.pop(patient)
        if patient not in patients:  # named, and not in the folder
            tally.without_patient += len(of_patient)
            continue
        yield ChartLines(patient.decode(), of_patient, _medications_of(of_patient, shared) if shared else ())


def _is_patient(line: bytes) -> bool:
    head = head_of(line)
    return head is not None and head.resourceType == "Patient"


def _medications_of(lines: list[bytes], shared: dict[bytes, bytes]) -> tuple[bytes, ...]:
    named = {found for line in lines if b"Medication/" in line for found in re.findall(rb'Medication/([^"/]+)', line)}
    return tuple(shared[name] for name in sorted(named) if name in shared)
