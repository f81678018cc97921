"""Reads the files of an export in pieces of whole lines, into one piece of memory that stays in the processor's cache.

What was read is not kept: the few lines that are needed again are read again. Also here: a file of a type that nothing
asks for is counted, and looked through for lines of another type.
"""

import gzip
import io
from collections.abc import Callable
from pathlib import Path

from cds_hooks.panel.chart_lines import BROKEN_OFF, GroupingTally, Wanted, broken_off, head_of, is_packed
from cds_hooks.panel.dealing import kind_of
from cds_hooks.panel.order import OutOfOrder
from models_onnx.errors import PanelRefused

PIECE_BYTES = 128_000


class Pieces:
    """The lines of a file from one place to before another, a piece at a time."""

    def __init__(self, path: Path, begin: int = 0, end: int | None = None) -> None:
        """`end` None: to the end of the file; a packed file is only read from its beginning to its end."""
        self._path = path
        self._is_packed = is_packed(path)
        # Without a buffer of its own: a piece is read straight to where it is decoded.
        self._file: io.RawIOBase | io.BufferedIOBase = (
            gzip.GzipFile(path) if self._is_packed else path.open("rb", buffering=0)
        )
        if begin:
            self._file.seek(begin)
        self._left = None if end is None else end - begin
        self._memory = bytearray(PIECE_BYTES)
        self._filled = self._done = 0
        self._place = begin

    def close(self) -> None:
        """Closes the file."""
        self._file.close()

    def next(self) -> memoryview:
        """The next whole lines, which hold until the next call; empty at the end.

        Raises:
            PanelRefused: a packed file breaks off.
        """
        self._begin_anew()
        while True:
            if self._filled == len(self._memory):  # one line is longer than that; the last piece may still be in use
                self._memory = self._memory + bytes(PIECE_BYTES)
            count = self._read_more()
            begin, self._filled = self._filled, self._filled + count
            if not count and self._filled:  # the last line of the file has no line break
                self._memory[self._filled : self._filled + 1] = b"\n"
                self._filled += 1
            end = self._memory.rfind(b"\n", begin, self._filled) + 1
            if end or not count:
                self._done = end
                return memoryview(self._memory)[:end]

    def same_again(self) -> Callable[[], bytes]:
        """Gives the last piece again, as bytes, whenever it is asked for.

        PanelRefused where the file is shorter by then.
        """
        if self._is_packed:
            known = bytes(memoryview(self._memory)[: self._done])
            return lambda: known
        path, place, length = self._path, self._place, self._done
        return lambda: _read_again(path, place, length)

    def _begin_anew(self) -> None:
        """Puts the begun line after the last piece where the next one begins."""
        rest = self._memory[self._done : self._filled]
        self._memory[: len(rest)] = rest
        self._place += self._done
        self._filled, self._done = len(rest), 0

    def _read_more(self) -> int:
        end = len(self._memory) if self._left is None else min(len(self._memory), self._filled + self._left)
        try:
            with memoryview(self._memory)[self._filled : end] as free:
                count = self._file.readinto(free) or 0
        except BROKEN_OFF as error:
            raise PanelRefused(broken_off(self._path)) from error
        if self._left is not None:
            self._left -= count
        return count


def _read_again(path: Path, place: int, length: int) -> bytes:
    with path.open("rb") as file:
        file.seek(place)
        found = file.read(length)
    if len(found) < length - 1:  # the last line may lack its line break
        raise PanelRefused(f"{path.name} became shorter while it was read. Begin again when nobody writes to it.")
    return found


def pass_over(path: Path, wanted: Wanted, tally: GroupingTally) -> None:
    """Counts the lines of a file that nothing asks for.

    Raises:
        OutOfOrder: a line of a type that is asked for stands in it.
        PanelRefused: a packed file breaks off.
    """
    pieces = Pieces(path)
    try:
        while piece := pieces.next():
            count = _left_out(piece, wanted)
            if not count:
                lines = [line for line in bytes(piece).split(b"\n") if line.strip()]
                if not all(_is_of_no_use(line, wanted) for line in lines):
                    raise OutOfOrder
                count = len(lines)
            tally.resources += count
    finally:
        pieces.close()


def _left_out(piece: memoryview, wanted: Wanted) -> int:
    """How many lines these are, where each of them begins with one type, which nothing asks for; else 0."""
    text = bytes(piece)
    kind = kind_of(text)
    if not kind or kind in wanted.types:
        return 0
    count = text.count(b"\n")
    # A line break does not stand within JSON on one line, so what follows one is the begin of a line.
    return count if text.count(b'\n{"resourceType":"' + kind.encode() + b'"') == count - 1 else 0


def _is_of_no_use(line: bytes, wanted: Wanted) -> bool:
    head = head_of(line)
    return head is not None and bool(head.resourceType) and head.resourceType not in wanted.types
