"""Groups bundles and NDJSON by patient out of core: what can matter goes to temporary files that fit into memory.

A block is one patient's lines as they came one after the other, behind a head that names the patient and says how long
the block is; so what is read back is neither searched nor copied line by line.
Most of the time of a whole run went into these lines. A line as servers usually write it, with its resourceType first,
is judged by a few searches in its bytes; any other one is decoded as far as its type, patient and codes.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from itertools import combinations, groupby
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any, NamedTuple
from zlib import crc32

import msgspec
from msgspec import Struct

from cds_hooks.panel.chart_lines import (
    ChartLines,
    GroupingTally,
    Head,
    Wanted,
    head_of,
    medications_of,
    patient_of,
)

# So many bytes of lines stay in the cache of a core until they are written.
_AT_ONCE_BYTES = 128_000
_KIND = b'"resourceType":"'
# The resource as servers write it: the first reference of a subject is enough, unless a contained one comes before it.
_SUBJECT = b'"subject":{"reference":"Patient/'
_CONTAINED = b'"contained"'
# A Patient says itself who it is, a Medication is nobody's: their lines are always decoded.
_DECODED = frozenset({"", "Patient", "Medication"})
PART_BYTES = 64_000_000
_MOST_PARTS = 256  # open files, of which many systems allow 1,024
# What waits to be written, of all files together and of one of them.
_HELD_BYTES = 64_000_000
_BUFFER_BYTES = 1_000_000
_HASHES = 2**32
_OF_PATIENT, _OF_OTHER = b"+", b"-"
_NO_ID = re.compile(rb"[\x00-\x1f]")


class _Person(Struct, frozen=True):
    """What two Patient resources of one person agree in."""

    birthDate: Any = None
    gender: Any = None


_person = msgspec.json.Decoder(_Person)


class Block(NamedTuple):
    """Lines of one patient with their line breaks; `has_patient` where the Patient itself is among them."""

    patient: bytes
    has_patient: bool
    lines: bytes


class Partitions:
    """Blocks in temporary files by a hash of the patient; `size` is about how many bytes are to come."""

    def __init__(self, folder: Path, size: int, level: int = 1) -> None:
        self._parts = max(1, min(_MOST_PARTS, -(-size // PART_BYTES)))
        self._level = level
        self._stack = ExitStack()
        self._folder = folder
        # Without names: those of one Partitions never stand in the way of those of another one in the same folder.
        self._files: list[IO[bytes]] = []
        buffer = min(_BUFFER_BYTES, _HELD_BYTES // self._parts)
        for _ in range(self._parts):
            file = TemporaryFile("w+b", buffer, dir=folder)  # noqa: SIM115 - the stack closes it
            self._files.append(self._stack.enter_context(file))

    def __enter__(self) -> "Partitions":
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def put(self, patient: bytes, lines: list[bytes], *, has_patient: bool = False) -> None:
        """Takes in lines, each with its line break, of a patient whose id has no tab and no line break."""
        # Another digit of the hash at each level: those of one file would else lie in one file again.
        file = self._files[crc32(patient) // self._level % self._parts]
        # Joined and written at once, while the lines are in the cache: to keep them for later cost twice as much.
        block = b"".join(lines)
        file.write(b"%b\t%b\t%d\n" % (patient, _OF_PATIENT if has_patient else _OF_OTHER, len(block)))
        file.write(block)

    def parts(self) -> Iterator[Iterator[Block]]:
        """Yields the blocks of one file after the other, every patient's in one of them, in the order they came.

        A file that grew too long, because far more came than was announced, is divided once more.
        """
        for file in self._files:
            size = file.seek(0, 2)
            file.seek(0)
            if size > 2 * PART_BYTES and self._level * self._parts < _HASHES:
                yield from self._divided(file, size)
            else:
                yield _blocks_in(file)
            file.truncate(0)

    def _divided(self, file: IO[bytes], size: int) -> Iterator[Iterator[Block]]:
        with Partitions(self._folder, size, self._level * self._parts) as finer:
            for block in _blocks_in(file):
                finer.put(block.patient, [block.lines], has_patient=block.has_patient)
            yield from finer.parts()


def _blocks_in(file: IO[bytes]) -> Iterator[Block]:
    while head := file.readline():
        patient, sign, length = head.split(b"\t")
        yield Block(patient, sign == _OF_PATIENT, file.read(int(length)))


class Partitioner:
    """Puts the lines that can matter with their patient; keeps the Medications by id."""

    def __init__(self, sink: Partitions, wanted: Wanted, tally: GroupingTally) -> None:
        self.shared: dict[bytes, bytes] = {}
        self._sink, self._wanted, self._tally = sink, wanted, tally

    def add_file(self, file: IO[bytes]) -> None:
        """Takes in the lines of a file."""
        while lines := file.readlines(_AT_ONCE_BYTES):
            if not lines[-1].endswith(b"\n"):  # the last one of the file
                lines[-1] += b"\n"
            self._tally.resources += len(lines)
            self.add_lines(lines)

    def add_lines(self, lines: list[bytes]) -> None:
        """Lines in their order: of equal results of one instant the first one counts."""
        kind = kind_of(lines[0])
        begins = b'{"resourceType":"' + kind.encode() + b'"'
        if kind and len([line for line in lines if line.startswith(begins)]) == len(lines):
            self._add_kind(kind, lines)
            return
        for kind, run in groupby(lines, kind_of):
            self._add_kind(kind, list(run))

    def _add_kind(self, kind: str, lines: list[bytes]) -> None:
        if kind in _DECODED:
            for line in lines:
                self._add_decoded(line)
        elif kind in self._wanted.types:
            self._add_wanted(self._wanted.observations(lines) if kind == "Observation" else lines)

    def _add_wanted(self, lines: list[bytes]) -> None:
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
                self._sink.put(last, run)
                self._tally.used += len(run)
            # No id has a sign that is written in another way in JSON; Patient/1/_history/2 is of a version.
            if start < 0 or line.find(_CONTAINED, 0, start) >= 0 or b"/" in patient or b"\\" in patient:
                last, run, usual = b"", [], b"\x00"
                self._add_decoded(line)
            else:
                last, run, usual = patient, [line], _SUBJECT + patient + b'"'
        if run:
            self._sink.put(last, run)
            self._tally.used += len(run)

    def _add_decoded(self, line: bytes) -> None:
        """A line that is decoded as far as its head."""
        if not line.strip():
            self._tally.resources -= 1
            return
        self.add(head_of(line), line, {})

    def add(self, head: Head | None, line: bytes, names: Mapping[str, str]) -> None:
        """A resource and its head, None where it is none; `names` has what each fullUrl stands for."""
        if head is None or head.resourceType is None:
            self._tally.unreadable += 1
            return
        if not self._wanted.takes_head(head):
            return
        if head.resourceType == "Medication":
            self.shared[(head.id or "").encode()] = line
            return
        patient = (patient_of(head, names) or "").encode()
        if not patient or _NO_ID.search(patient):
            self._tally.without_patient += 1
            return
        self._tally.used += 1
        self._sink.put(patient, [line], has_patient=head.resourceType == "Patient")


def kind_of(line: bytes) -> str:
    """The type by the first member that says it, which is the first of all in what servers write; else empty."""
    start = line.find(_KIND, 0, 40)
    if start != 1:
        return ""
    end = line.find(b'"', start + len(_KIND))
    return line[start + len(_KIND) : end].decode("ascii", "replace") if end > 0 else ""  # cut off: no type


def grouped(part: Iterable[Block], shared: dict[bytes, bytes], tally: GroupingTally) -> Iterator[ChartLines]:
    """Yields the charts of those of the patients in this file of whom there is a Patient."""
    blocks: dict[bytes, list[bytes]] = {}
    patients: dict[bytes, list[bytes]] = {}
    for block in part:
        lines = blocks.get(block.patient)
        if lines is None:
            lines = blocks[block.patient] = []
        if block.has_patient:
            patients.setdefault(block.patient, []).append(block.lines)
        lines.append(block.lines)
    for patient in sorted(blocks):
        of_patient = blocks.pop(patient)
        if patient not in patients:  # named, and not in the folder
            tally.without_patient += sum(block.count(b"\n") for block in of_patient)
            continue
        if len(patients[patient]) > 1 and _may_be_two(patients[patient]):
            tally.two_persons += 1
            continue
        yield ChartLines(
            patient.decode(), blocks=of_patient, shared=medications_of(of_patient, shared) if shared else ()
        )


def _may_be_two(patients: list[bytes]) -> bool:
    """Whether Patient resources of one id differ in what a person has once; a date may be more exact than another."""
    people = []
    for line in patients:
        try:
            people.append(_person.decode(line))
        except (msgspec.DecodeError, UnicodeDecodeError):
            continue
    for person, other in combinations(set(people), 2):
        if person.gender and other.gender and person.gender != other.gender:
            return True
        days = str(person.birthDate or ""), str(other.birthDate or "")
        if not days[0].startswith(days[1]) and not days[1].startswith(days[0]):
            return True
    return False
