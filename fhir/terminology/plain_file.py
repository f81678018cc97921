"""Says why a file of a site cannot be read, and refuses those that never end or fill the memory with one line."""

import errno
import gzip
import os
import re
import stat
import zlib
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from io import BufferedReader
from pathlib import Path
from typing import AnyStr, Final

LONGEST_LINE: Final = 16 * 1024 * 1024
"""Of a table or of reports."""


class LongLine(ValueError):
    """A line is longer than the limit; the message has the file, the line and the limit."""


# PEM, JSON of a key, a web token, hexadecimal digits, base64
_KEY: Final = re.compile(
    r"\s*(-----BEGIN|\{|eyJ).*|[0-9A-Fa-f]{32,}|(?=\S*[A-Z])(?=\S*[a-z])(?=\S*\d)[A-Za-z0-9+/=_-]{32,}", re.DOTALL
)


def looks_like_a_key(text: str) -> bool:
    """Whether a text may be a key or token itself, which was given where a file is named: it is never repeated."""
    return _KEY.fullmatch(text) is not None


def why_unreadable(path: Path, error: OSError) -> str:
    """Return why a file that was named cannot be read, as a predicate: "is not there; it was looked for in /srv".

    The whole program says it in these words; the contract kit, which is installed alone, has its own copy of them.
    """
    if isinstance(error, FileNotFoundError):
        if not path.parent.is_dir():
            return f"is not there, nor is its folder {path.parent}"
        return "is not there" if path.is_absolute() else f"is not there; it was looked for in {Path.cwd()}"
    if isinstance(error, IsADirectoryError):
        return "is a folder; give a file"
    if isinstance(error, PermissionError):
        return "may not be read by the user who runs this program"
    return f"cannot be read: {error.strerror}"


def unreadable(path: Path, error: OSError | None = None) -> str:
    """Return the file's name and why it cannot be read, without an error that it is not there.

    A name that looks like a key is not repeated.
    """
    fault = IsADirectoryError() if path.is_dir() else FileNotFoundError()
    shown = "a file whose name looks like a key, and is not shown," if looks_like_a_key(str(path)) else str(path)
    return f"{shown} {why_unreadable(path, error or fault)}"


def no_folder(path: Path) -> str:
    """Return the name of a folder that was named, and why it cannot be used: it is a file, or not there."""
    return f"{path} is a file; give a folder" if path.is_file() else f"the folder {unreadable(path)}"


def plain_file(path: Path) -> Path:
    """Return the path, for reading it: a file, or whatever else reading ends with by itself, `/dev/null` among it.

    Raises:
        OSError: It is a named pipe, a socket or a device. With such a file a start would hang, or take all memory.
    """
    try:
        status = path.stat()
    except OSError:
        return path  # reading it says why
    _refuse_special(status, path)
    return path


def open_plain(path: Path) -> BufferedReader:
    """Return it opened, as `plain_file`; a named pipe that takes its place in between holds nobody either.

    Raises:
        OSError: It cannot be opened, or is a named pipe, a socket or a device.
    """
    file = open(plain_file(path), "rb", opener=lambda name, flags: os.open(name, flags | getattr(os, "O_NONBLOCK", 0)))  # noqa: SIM115
    try:
        _refuse_special(os.fstat(file.fileno()), path)
    except OSError:
        file.close()
        raise
    return file


def read_plain(path: Path) -> bytes:
    """Return what `open_plain` reads."""
    with open_plain(path) as file:
        return file.read()


def _refuse_special(status: os.stat_result, path: Path) -> None:
    mode = status.st_mode
    is_special = stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or stat.S_ISBLK(mode) or stat.S_ISCHR(mode)
    if is_special and status.st_rdev != os.stat(os.devnull).st_rdev:
        raise OSError(errno.EINVAL, "it is a named pipe, a socket or a device, not a file", str(path))


def bounded_lines(readline: Callable[[int], AnyStr], name: str, longest: int = LONGEST_LINE) -> Iterator[AnyStr]:
    """Yield the lines of an open file by its `readline`; LongLine where one is longer, and no more of it is read."""
    number = 0
    while line := readline(longest + 1):
        number += 1
        if len(line) > longest:
            raise LongLine(f"{name}, line {number}: it is longer than {longest:,} characters")
        yield line


def is_packed(path: Path) -> bool:
    """Whether the file begins as gzip does, whatever its name says."""
    with path.open("rb") as file:
        return file.read(2) == b"\x1f\x8b"


def refuse_long_lines(path: Path) -> None:
    """Raise LongLine where a line of this file, packed with gzip or not, is too long to be read with the others.

    What cannot be unpacked ends the search: whoever reads the file says that.
    """
    damaged = (EOFError, gzip.BadGzipFile, zlib.error)
    with gzip.open(path) if is_packed(path) else path.open("rb") as file, suppress(*damaged):
        deque(bounded_lines(file.readline, path.name), maxlen=0)
