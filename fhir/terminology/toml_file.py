"""Reads a TOML file that a site has written: one reader, and one form of error with file and line."""

import re
import tomllib
from pathlib import Path
from typing import Any

from fhir.terminology.plain_file import open_plain, why_unreadable


class TomlFault(Exception):
    """A TOML file cannot be used.

    The message is a predicate without a subject, such as "is not valid TOML: … (at line 3, column 5)"; whoever reads
    the file puts its name before it. `is_unreadable` says that nothing could be read.
    """

    def __init__(self, text: str, *, is_unreadable: bool = False) -> None:
        super().__init__(text)
        self.is_unreadable = is_unreadable


def read_toml(path: Path, most_bytes: int | None = None) -> dict[str, Any]:
    """Read a TOML file in UTF-8, of at most so many bytes.

    Raises:
        TomlFault: It cannot be read, is larger, or is not TOML.
    """
    return parse_toml(toml_text(path, most_bytes))


def toml_text(path: Path, most_bytes: int | None = None) -> str:
    """Return the text of such a file, for who needs it beside what it says; TomlFault where it cannot be read."""
    try:
        with open_plain(path) as file:
            data = file.read() if most_bytes is None else file.read(most_bytes + 1)
    except OSError as error:
        raise TomlFault(why_unreadable(path, error), is_unreadable=True) from error
    if most_bytes is not None and len(data) > most_bytes:
        raise TomlFault(f"is larger than {most_bytes} bytes", is_unreadable=True)
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise TomlFault(f"cannot be read as text: it is not UTF-8 (at line {line})") from error


def parse_toml(text: str) -> dict[str, Any]:
    """Return what a text in TOML says; TomlFault where it is none."""
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # a number can be too long for Python, and nesting too deep
        reason = str(error).replace("Cannot overwrite a value", "a key is given twice")
        if given := re.search(r"given twice \(at line (\d+)", reason):
            reason = reason.replace("a key is", f"{_key_of(text.splitlines()[int(given[1]) - 1])} is")
        raise TomlFault(f"is not valid TOML: {reason}") from error


def _key_of(line: str) -> str:
    """Return the key that a line gives a value; of the last line of a longer value nothing, it can be a secret."""
    try:
        return f"the key {', '.join(tomllib.loads(line))[:60]}"
    except ValueError:
        return "a key"
