"""Reads Universal Binary JSON (draft 12), which XGBoost writes by default: objects, arrays, typed arrays, numbers.

Values are big-endian; a typed array (`[$d#`) becomes a list like any other. ValueError for anything not whole.
"""

import struct
from typing import Any

import numpy as np

# marker → struct format and size
_NUMBERS = {
    "i": (">b", 1),
    "U": (">B", 1),
    "I": (">h", 2),
    "l": (">i", 4),
    "L": (">q", 8),
    "d": (">f", 4),
    "D": (">d", 8),
}
_WORDS = {"T": True, "F": False, "Z": None}
_DEEPEST = 64


def decode(content: bytes) -> Any:
    """The value of the whole of these bytes."""
    reader = _Reader(content)
    value = reader.value(reader.marker(), 0)
    if reader.at != len(content):
        raise ValueError(f"{len(content) - reader.at} bytes are left over")
    return value


class _Reader:
    def __init__(self, content: bytes) -> None:
        self._content = content
        self.at = 0

    def take(self, count: int) -> bytes:
        """The next bytes."""
        if count < 0 or self.at + count > len(self._content):
            raise ValueError("it ends in the middle of a value")
        taken = self._content[self.at : self.at + count]
        self.at += count
        return taken

    def marker(self) -> str:
        """The next type marker; N says nothing and is passed over."""
        while (found := self.take(1).decode("latin-1")) == "N":
            pass
        return found

    def value(self, marker: str, depth: int) -> Any:
        """The value of this type that follows."""
        if depth > _DEEPEST:
            raise ValueError(f"nested deeper than {_DEEPEST}")
        if marker in _NUMBERS:
            kind, size = _NUMBERS[marker]
            return struct.unpack(kind, self.take(size))[0]
        if marker in _WORDS:
            return _WORDS[marker]
        if marker == "S":
            return self._text()
        if marker == "C":
            return self.take(1).decode("latin-1")
        if marker == "[":
            return self._array(depth)
        if marker == "{":
            return self._object(depth)
        raise ValueError(f"unknown type {marker!r} at byte {self.at - 1}")

    def _text(self) -> str:
        return self.take(self._count()).decode("utf-8")

    def _count(self) -> int:
        marker = self.marker()
        if marker not in "iUIlL":
            raise ValueError(f"a length of type {marker!r} at byte {self.at - 1}")
        return int(self.value(marker, 0))

    def _header(self) -> tuple[str | None, int | None]:
        """Type and number of the members where they are told beforehand."""
        kind = None
        if self._next() == "$":
            self.take(1)
            kind = self.take(1).decode("latin-1")
        if self._next() != "#":
            if kind is not None:
                raise ValueError("a typed container without a count")
            return None, None
        self.take(1)
        return kind, self._count()

    def _next(self) -> str:
        return self._content[self.at : self.at + 1].decode("latin-1")

    def _array(self, depth: int) -> list[Any]:
        kind, count = self._header()
        if kind in _NUMBERS and count is not None:
            form, size = _NUMBERS[kind]
            found: list[Any] = np.frombuffer(self.take(count * size), dtype=form).tolist()
            return found
        if count is not None:
            return [self.value(kind or self.marker(), depth + 1) for _ in range(count)]
        found = []
        while (marker := self.marker()) != "]":
            found.append(self.value(marker, depth + 1))
        return found

    def _object(self, depth: int) -> dict[str, Any]:
        kind, count = self._header()
        found: dict[str, Any] = {}
        while count is None or len(found) < count:
            if count is None and self._next() == "}":
                self.take(1)
                break
            key = self._text()
            found[key] = self.value(kind or self.marker(), depth + 1)
        return found
