"""Makes the index of a hospital's own releases (imported.py) from the files of their publishers, offline, in one pass.

Each file is read as its publisher makes it, alone, in a folder or in an archive: snapshots of SNOMED CT here (rf2.py),
tables in publishers.py, the site's own in site_table.py. Definitions are expanded (definitions.py), and where that
differs from our tables is told. The index is written beside its place and moved there when it is whole.
"""

import csv
import os
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path
from typing import IO, Final

import msgspec
from msgspec.structs import replace

from fhir.terminology.definitions import Definition
from fhir.terminology.imported import FORMAT, Meaning, digest_of, hash_of_name
from fhir.terminology.medications import table_rows
from fhir.terminology.phrases import groups_in_words
from fhir.terminology.publishers import TABLES
from fhir.terminology.release_files import Imported, ReleaseFile, edition_of, files_of, header_of, rows_of
from fhir.terminology.rf2 import COLUMNS, NotARelease, Release, Roots, disagreements, expand, names_of
from fhir.terminology.site_table import SITE_COLUMNS, is_definitions, read_definitions, read_site

Step = Callable[[str, int, int], None]
"""Is told what is being read, and how many bytes of how many were."""
SUFFIX: Final = ".idx"


Asked = Callable[[Imported, Step], None]
"""Adds what another source has of our definitions: a terminology server."""


def import_releases(paths: Sequence[Path], index: Path, step: Step, by_server: Asked | None = None) -> Imported:
    """Read the files and write the index; where `index` is a folder, its name there is the start of its digest.

    What `by_server` adds comes after the definitions of the site and before its own codes and names.

    Raises:
        NotARelease: A file has not the form of its publisher, or there is nothing to import.
        OSError: A file cannot be read, or the index cannot be written.
    """
    imported = Imported()
    with ExitStack() as stack:
        files = [file for path in paths for file in files_of(path, stack, imported.not_read)]
        read_files(imported, files, step, by_server)
    read = {source.file for source in imported.sources}
    for path in paths:
        if path.is_file() and path.suffix.lower() != ".zip" and path.name not in read:
            imported.not_read.append(f"{path.name} is no release or table that is known")
    imported.index = write_index(imported, index)
    return imported


def read_files(imported: Imported, files: Sequence[ReleaseFile], step: Step, by_server: Asked | None = None) -> None:
    """Read definitions, tables, SNOMED CT and at last the tables of the site, which say what counts.

    Raises:
        NotARelease: A file has not the form of its publisher, or two sources have SNOMED CT.
    """
    total = sum(file.size for file in files)
    progress = _Progress(step, total)
    definitions = [file for file in files if is_definitions(file)]
    rf2 = [file for file in files if _kind_of(file.name)]
    if rf2 and by_server is not None:
        raise NotARelease(f"SNOMED CT comes from {rf2[0].name} and from a terminology server (--from): leave one out.")
    for file in definitions:
        read_definitions(imported, progress.counted(file))
    if by_server is not None:
        by_server(imported, step)
    else:
        imported.not_read += [
            f"the definition of {row.key} is an expression: it needs a terminology server (--from)"
            for row in imported.definitions
            if row.system == "ecl"
        ]
    read_tables(imported, [progress.counted(file) for file in files if file not in definitions])
    if rf2:
        _read_snomed(imported, [progress.counted(file) for file in rf2])
    apply_ingredients(imported)


def read_tables(imported: Imported, files: Sequence[ReleaseFile]) -> None:
    """Read the publishers' tables, products before what is said of them, and then the site's own.

    Raises:
        NotARelease: A file has not the form of its publisher.
    """
    headers = {file: header_of(file) for file in files if file.name.lower().endswith(".csv")}
    remaining = list(files)
    for table in TABLES:
        for file in [file for file in remaining if table.is_of(file.name, headers.get(file, set()))]:
            remaining.remove(file)
            with closing(table.rows(file)) as rows:
                codes = table.read(imported, rows, edition_of(file) or file.name)
            imported.note(table.publisher, file, codes)
    for file in remaining:
        if (header := headers.get(file)) and header <= set(SITE_COLUMNS):
            read_site(imported, file)
        elif file in headers or file.name.lower().endswith(".xml"):
            imported.not_read.append(
                f"{file.name}, line 1: no table that is known; of the site's own: {', '.join(SITE_COLUMNS)}"
            )


class _Progress:
    """Tells how far the reading is."""

    def __init__(self, step: Step, total: int) -> None:
        self._step, self._total, self._done = step, total, 0

    def counted(self, file: ReleaseFile) -> ReleaseFile:
        """Return the file, whose reading is told when it is opened the first time."""
        opened: list[str] = []

        def opener() -> IO[bytes]:
            if not opened:
                opened.append(file.name)
                self._step(file.name, self._done, self._total)
                self._done += file.size
            return file.opener()

        return ReleaseFile(file.name, file.path, file.size, opener)


def _kind_of(name: str) -> str:
    """Which file of RF2 it is, "" for none; of a release only the snapshot is read."""
    kind = next((start for start in COLUMNS if name.startswith(start)), "")
    return kind if "Snapshot" in name else ""


def _read_snomed(imported: Imported, files: Sequence[ReleaseFile]) -> None:
    release, descriptions = Release(), []
    for file in files:
        kind = _kind_of(file.name)
        if kind == "sct2_Description_":
            descriptions.append(partial(_active_rows, file, kind))
        else:
            with closing(_active_rows(file, kind)) as rows:
                release.read(kind, rows)
    if not release.active or not release.children:
        raise NotARelease("SNOMED CT: concepts and relationships of a snapshot are needed.")
    expansion = expand(release, snomed_roots(imported.definitions))
    imported.differences += expansion.differences
    by = f"SNOMED CT {max(map(edition_of, files), default='')}".rstrip()
    meanings = {code: replace(meaning, by=by) for code, meaning in expansion.meanings.items()}
    of_site = {key: meaning for key, meaning in imported.codes.items() if key[0] == "snomed" and meaning.of_site}
    imported.codes |= {("snomed", code): meaning for code, meaning in meanings.items()} | of_site
    names = names_of(descriptions, meanings, release.active, imported.several)
    ours = snomed_roots().by_kind["group"]
    imported.differences += disagreements(descriptions, meanings, ours, _groups_affirmed)
    imported.names = {**imported.names, **names} | {
        name: meaning for name, meaning in imported.names.items() if meaning.of_site
    }
    for file in files:
        imported.note("SNOMED International", file, len(meanings))


def _active_rows(file: ReleaseFile, kind: str) -> Generator[tuple[str, ...], None, None]:
    with closing(rows_of(file, COLUMNS[kind], "\t")) as rows:
        yield from (cells for cells in rows if cells[0] == "1")


def _groups_affirmed(words: str) -> frozenset[str]:
    return frozenset(row.group for row in groups_in_words(words) if row.assertion.polarity in ("affirmed", "unclear"))


def apply_ingredients(imported: Imported) -> None:
    """Add what definitions by RxNorm ingredients say to each code that stands for one of them."""
    wanted: defaultdict[str, list[Definition]] = defaultdict(list)
    for row in imported.definitions:
        for rxcui in row.text.split(";") if row.system == "rxnorm" else ():
            imported.codes.setdefault(("rxnorm", rxcui), Meaning(ingredients=(rxcui,), by="RxNorm"))
            wanted[rxcui].append(row)
    for key, meaning in imported.codes.items() if wanted else ():
        rows = [row for rxcui in meaning.ingredients for row in wanted.get(rxcui, ())]
        added = {field: tuple(row.key for row in rows if row.kind == kind) for kind, field in _FIELDS.items()}
        more = {field: (*getattr(meaning, field), *keys) for field, keys in added.items() if keys}
        imported.codes[key] = replace(meaning, **more) if more else meaning


_FIELDS: Final = {"group": "groups", "allergen": "allergens", "vaccine": "vaccines"}


def snomed_roots(definitions: Sequence[Definition] = ()) -> Roots:
    """Return the codes of SNOMED CT of our tables, with definitions beside them."""
    groups: defaultdict[str, set[str]] = defaultdict(set)
    for row in table_rows("condition_codes.csv"):
        groups[row["group"]] |= set(row["snomed"].split(";"))
    in_none = groups.pop("", set())
    by_kind = {
        "group": {name: frozenset(members) for name, members in groups.items()},
        "drug": _column("snomed_drugs.csv", "rxcui", "substance"),
        "allergen": _column("allergen_classes.csv", "allergen_class", "snomed"),
        "vaccine": _column("vaccine_families.csv", "family", "snomed"),
    }
    return Roots(by_kind, frozenset(in_none), [row for row in definitions if row.system in ("snomed", "ecl")])


def _column(table: str, key: str, column: str) -> dict[str, frozenset[str]]:
    return {row[key]: frozenset(filter(None, row[column].split(";"))) for row in table_rows(table)}


def write_index(imported: Imported, index: Path) -> Path:
    """Write the index beside its place and move it there when it is whole; return where it is.

    Raises:
        NotARelease: There is nothing to write.
        OSError: It cannot be written.
    """
    if not imported.codes and not imported.names:
        raise NotARelease(
            "These files hold neither a release nor a table of codes that can be imported; no index was written. "
            "docs/terminology.md shows the columns of a table."
        )
    folder = index if index.is_dir() else index.parent
    part = folder / f".{os.getpid()}{SUFFIX}.part"
    part.unlink(missing_ok=True)
    encode = msgspec.json.Encoder().encode
    with closing(sqlite3.connect(part)) as connection, connection:
        connection.execute(f"PRAGMA user_version = {FORMAT}")
        connection.execute("CREATE TABLE about (text TEXT)")
        connection.execute("CREATE TABLE meaning (id INTEGER PRIMARY KEY, text TEXT)")
        connection.execute(
            "CREATE TABLE code (system TEXT, code TEXT, meaning INTEGER, PRIMARY KEY (system, code)) WITHOUT ROWID"
        )
        connection.execute("CREATE TABLE name (hash INTEGER PRIMARY KEY, meaning INTEGER)")
        numbers: dict[Meaning, int] = {}
        codes = ((*key, numbers.setdefault(imported.codes[key], len(numbers))) for key in sorted(imported.codes))
        connection.executemany("INSERT INTO code VALUES (?, ?, ?)", codes)
        by_name = sorted(imported.names.items())
        names = ((hash_of_name(name), numbers.setdefault(meaning, len(numbers))) for name, meaning in by_name)
        connection.executemany("INSERT INTO name VALUES (?, ?)", sorted(names))
        meanings = ((number, encode(meaning).decode()) for meaning, number in numbers.items())
        connection.executemany("INSERT INTO meaning VALUES (?, ?)", meanings)
        connection.execute("INSERT INTO about VALUES (?)", (encode(imported.sources).decode(),))
    os.chmod(part, 0o400)
    written = index / f"{digest_of(part)}{SUFFIX}" if index.is_dir() else index
    part.replace(written)
    return written


def write_report(imported: Imported, report: Path) -> Counter[tuple[str, str]]:
    """Write each difference between our tables and the release as a row, for a person to decide on.

    Returns how many there are of each kind by key of the table. Only codes are written, no names of a release.
    """
    rows = sorted(imported.differences, key=lambda row: (row.kind, row.key, row.how, row.code))
    with open(os.open(report, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", newline="", encoding="utf-8") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(("kind", "key", "code", "how", "definition"))
        defined: dict[tuple[str, str], str] = {
            (row.kind, row.key): row.constraint for row in imported.definitions if row.system == "snomed"
        }
        table.writerows((row.kind, row.key, row.code, row.how, defined.get((row.kind, row.key), "")) for row in rows)
    return Counter((row.key, row.how) for row in rows)


def growth_of_groups(imported: Imported) -> Counter[str]:
    """How many codes of SNOMED CT each group gets that our tables do not have."""
    return Counter(row.key for row in imported.differences if (row.kind, row.how) == ("group", "new"))


def faults_of(imported: Imported) -> Iterable[str]:
    """Yield what a person should look at before the index is used: absent roots, definitions that hold nothing."""
    for row in imported.differences:
        if row.how == "no such root":
            yield f"the definition of {row.key} names {row.code}, which is not active in the release"
