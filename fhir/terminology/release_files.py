"""The files that an import reads, on disk, in folders and archives, and what it makes of them."""

import csv
import hashlib
import io
import re
import zipfile
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Final

from msgspec.structs import replace

from fhir.terminology.definitions import Definition, own_definitions
from fhir.terminology.imported import LONGEST_NAME, Meaning, Source, plain_code, plain_name
from fhir.terminology.plain_file import LongLine, bounded_lines
from fhir.terminology.rf2 import Difference, NotARelease

_LARGEST_MEMBER: Final = 8 * 1024**3
_LONGEST_LINE: Final = 1_000_000
_DATE: Final = re.compile(r"(?:19|20)\d{6}")
_SHORTEST_NAME: Final = 5
"""Abbreviations have several meanings; only a table of the site may name them."""


@dataclass(frozen=True, slots=True)
class ReleaseFile:
    """A file on disk or in an archive; `seen` is told how many bytes were read of it."""

    name: str
    path: Path
    size: int
    opener: Callable[[], IO[bytes]]

    def open(self) -> IO[bytes]:
        """Return the bytes of the file."""
        return self.opener()

    def lines(self, encoding: str = "utf-8-sig") -> Generator[str, None, None]:
        """Yield the lines of the file, none longer than any publisher's; the caller closes it."""
        try:
            with io.TextIOWrapper(self.open(), encoding=encoding, newline="") as text:
                yield from bounded_lines(text.readline, self.name, _LONGEST_LINE)
        except LongLine as error:
            raise NotARelease(str(error)) from error


@dataclass(slots=True)
class Imported:
    """What the index will hold, and how it was made."""

    codes: dict[tuple[str, str], Meaning] = field(default_factory=dict)
    names: dict[str, Meaning] = field(default_factory=dict)
    sources: list[Source] = field(default_factory=list)
    not_read: list[str] = field(default_factory=list)
    """What of the files could not be read, with file and line."""
    differences: list[Difference] = field(default_factory=list)
    definitions: list[Definition] = field(default_factory=own_definitions)
    several: list[str] = field(default_factory=list)
    """Names that were left out because concepts of different meaning have them."""
    index: Path | None = None
    """Where the index was written."""

    def add_code(self, system: str, code: str, meaning: Meaning) -> None:
        """Add a code, in the spelling in which it is looked up."""
        self.codes[system, plain_code(system, code)] = meaning

    def add_name(self, name: str, meaning: Meaning, *, of_site: bool = False) -> None:
        """Add a whole name; of a release neither abbreviations nor a name that has another meaning already."""
        plain = plain_name(name)
        if of_site:
            self.names[plain] = meaning
        elif _SHORTEST_NAME <= len(plain) <= LONGEST_NAME:
            other = self.names.setdefault(plain, meaning)
            if replace(other, by="", name="") != replace(meaning, by="", name=""):
                del self.names[plain]
                self.several.append(plain)

    def note(self, publisher: str, file: ReleaseFile, codes: int) -> None:
        """Note a file as one that was read, with its edition and digest."""
        digest = hashlib.sha256()
        with closing(file.open()) as content:
            while chunk := content.read(1 << 20):
                digest.update(chunk)
        self.sources.append(Source(publisher, edition_of(file), file.name, digest.hexdigest(), codes))


def edition_of(file: ReleaseFile) -> str:
    """Return the date in the name of a file or of its archive, else ""."""
    date = _DATE.search(file.name) or _DATE.search(file.path.name)
    return date[0] if date else ""


def files_of(path: Path, stack: ExitStack, not_read: list[str]) -> Iterator[ReleaseFile]:
    """Yield the files at a path: one, all of a folder, or those of an archive, also of an archive in an archive."""
    if path.is_dir():
        for inner in sorted(path.rglob("*")):
            if inner.is_file():
                yield from files_of(inner, stack, not_read)
    elif path.suffix.lower() == ".zip" or zipfile.is_zipfile(path):
        yield from _members(stack.enter_context(_archive(path, path.name)), path, stack, not_read, is_inner=False)
    else:
        yield ReleaseFile(path.name, path, path.stat().st_size, lambda: path.open("rb"))


def _archive(file: Path | IO[bytes], name: str) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(file)
    except zipfile.BadZipFile as fault:
        raise NotARelease(f"{name} is not a whole archive: fetch it again") from fault


def _members(
    archive: zipfile.ZipFile, path: Path, stack: ExitStack, not_read: list[str], *, is_inner: bool
) -> Iterator[ReleaseFile]:
    for member in archive.infolist():
        name = member.filename.rpartition("/")[2]
        if member.file_size > _LARGEST_MEMBER:
            not_read.append(f"{path.name}: {name} is larger than 8 GiB")
        elif name.lower().endswith(".zip") and not is_inner:
            inner = stack.enter_context(_archive(stack.enter_context(archive.open(member)), name))
            yield from _members(inner, path, stack, not_read, is_inner=True)
        elif name:
            yield ReleaseFile(name, path, member.file_size, lambda member=member: archive.open(member))  # type: ignore[misc]


def header_of(file: ReleaseFile) -> set[str]:
    """Return the columns of a table with commas, in lower case."""
    with closing(file.lines()) as lines:
        return {name.strip().lower() for name in next(csv.reader(lines), [])}


def rows_of(
    file: ReleaseFile, columns: Sequence[str], separator: str, header: Sequence[str] = (), optional: Sequence[str] = ()
) -> Generator[tuple[str, ...], None, None]:
    """Yield the cells of these columns, and of the optional ones, which are empty where the file lacks them.

    `header` names the columns of a file that begins with its first row. Only tables with commas have quoted cells. The
    case of a column's name does not count.

    Raises:
        NotARelease: A column is missing, a line has too few cells, or a cell is too long.
    """
    with closing(file.lines()) as lines:
        split = csv.reader(lines) if separator == "," else (line.rstrip("\r\n").split(separator) for line in lines)
        line = 0
        try:
            names = [name.strip().lower() for name in header or next(split, [])]
            line = 0 if header else 1
            if missing := [column for column in columns if column.lower() not in names]:
                raise NotARelease(f"{file.name}, line 1: the column {min(missing)} is missing")
            wanted = [column.lower() for column in (*columns, *optional)]
            places = [names.index(column) if column in names else len(names) for column in wanted]
            least = max(places[: len(columns)], default=-1)
            for cells in split:
                line += 1
                if not any(cells):
                    continue
                if len(cells) <= least:
                    raise NotARelease(f"{file.name}, line {line}: {len(cells)} columns, not {len(names)}")
                yield tuple([cells[place].strip() if place < len(cells) else "" for place in places])
        except csv.Error as error:
            raise NotARelease(f"{file.name}, line {line + 1}: {error}") from error
