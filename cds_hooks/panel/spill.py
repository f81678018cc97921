"""Files in which the lines of a patient lie together before they are grouped: each small enough to be held in memory.

A block is one patient's lines as they came one after the other, behind a head that names the patient and says how long
the block is; so what is read back is neither searched nor copied line by line.
"""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, NamedTuple
from zlib import crc32

PART_BYTES = 64_000_000
_MOST_PARTS = 256  # open files, of which many systems allow 1,024
# What waits to be written, of all files together and of one of them.
_HELD_BYTES = 64_000_000
_BUFFER_BYTES = 1_000_000
_HASHES = 2**32
_OF_PATIENT, _OF_OTHER = b"+", b"-"


class Block(NamedTuple):
    """Lines of one patient with their line breaks; `has_patient` where the Patient itself is among them."""

    patient: bytes
    has_patient: bool
    lines: bytes


class Spill:
    """Blocks dealt out to files by a hash of the patient; `size` is about how many bytes are to come."""

    def __init__(self, folder: Path, size: int, level: int = 1) -> None:
        self._parts = max(1, min(_MOST_PARTS, -(-size // PART_BYTES)))
        self._level = level
        self._stack = ExitStack()
        self._folder = folder
        # Without names: those of one Spill never stand in the way of those of another one in the same folder.
        self._files: list[IO[bytes]] = []
        buffer = min(_BUFFER_BYTES, _HELD_BYTES // self._parts)
        for _ in range(self._parts):
            file = TemporaryFile("w+b", buffer, dir=folder)  # noqa: SIM115 - the stack closes it
            self._files.append(self._stack.enter_context(file))

    def __enter__(self) -> "Spill":
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
        """The blocks of one file after the other, every patient's in one of them, in the order they came.

        A file that grew too long, because far more came than was said, is dealt out once more.
        """
        for file in self._files:
            size = file.seek(0, 2)
            file.seek(0)
            if size > 2 * PART_BYTES and self._level * self._parts < _HASHES:
                yield from self._dealt_again(file, size)
            else:
                yield _blocks_in(file)
            file.truncate(0)

    def _dealt_again(self, file: IO[bytes], size: int) -> Iterator[Iterator[Block]]:
        with Spill(self._folder, size, self._level * self._parts) as finer:
            for block in _blocks_in(file):
                finer.put(block.patient, [block.lines], has_patient=block.has_patient)
            yield from finer.parts()


def _blocks_in(file: IO[bytes]) -> Iterator[Block]:
    while head := file.readline():
        patient, sign, length = head.split(b"\t")
        yield Block(patient, sign == _OF_PATIENT, file.read(int(length)))
