"""Makes a plain PNG."""

import struct
import zlib


def png(side: int, *, alpha: bool = False) -> bytes:
    """A white PNG of `side` by `side` pixels, with an alpha channel or without."""
    kind, pixel = (6, b"\xff\xff\xff\x00") if alpha else (2, b"\xff\xff\xff")
    header = struct.pack(">IIBBBBB", side, side, 8, kind, 0, 0, 0)
    rows = (b"\x00" + pixel * side) * side
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(name, data) for name, data in chunks)


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
