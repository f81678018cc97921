"""Makes the index of a hospital's own releases (imported.py) from the files of their publishers, offline, in one pass.

Read are snapshots of SNOMED CT (RF2), LOINC (Loinc.csv, LoincTableCore.csv), RxNorm (RXNCONSO.RRF), the ATC
(a table with atc_code and atc_name) and a table of the site's own codes and names; each as a file, in a folder or in an
archive. The index is written beside its place and moved there when it is whole.
"""

import csv
import hashlib
import io
import os
import re
import sqlite3
import zipfile
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Final

import msgspec

from fhir.terminology.allergens import ALLERGEN_CLASSES
from fhir.terminology.analytes import ANALYTE_BY_CODE, ANALYTES
from fhir.terminology.conditions import CONDITION_GROUPS, code_system
from fhir.terminology.imported import FORMAT, Meaning, Source, plain_address, plain_name
from fhir.terminology.medication_names import medication_of_code, read_name
from fhir.terminology.medications import INGREDIENT_BY_NAME, RXNORM, drug_system, table_rows
from fhir.terminology.rf2 import COLUMNS, NotARelease, Release, Roots, expand, names_of
from fhir.terminology.vaccines import VACCINE_FAMILIES

_RXNORM_KINDS: Final = frozenset(
    ["IN", "PIN", "MIN", "SCD", "SBD", "SCDC", "SBDC", "SCDF", "SBDF", "BN", "GPCK", "BPCK"]
)
_LOINC_PARTS: Final = ("COMPONENT", "PROPERTY", "TIME_ASPCT", "SYSTEM", "SCALE_TYP")
SITE_COLUMNS: Final = ("system", "code", "name", "group", "drug", "allergen", "vaccine", "analyte")
_LARGEST_MEMBER: Final = 8 * 1024**3
_DATE: Final = re.compile(r"(?:19|20)\d{6}")


@dataclass(slots=True)
class Imported:
    """What the index will hold, and how it was made."""

    codes: dict[tuple[str, str], Meaning] = field(default_factory=dict)
    names: dict[str, Meaning] = field(default_factory=dict)
    sources: list[Source] = field(default_factory=list)
    not_read: list[str] = field(default_factory=list)


def import_releases(paths: Sequence[Path], index: Path, step: Callable[[str], None]) -> Imported:
    """Reads the files and writes the index; `step` is told what is being read.

    Raises:
        NotARelease: A file has not the form of its publisher, or there is nothing to import.
        OSError: A file cannot be read, or the index cannot be written.
    """
    imported = Imported()
    with ExitStack() as stack:
        files = [file for path in paths for file in _files_of(path, stack, imported)]
        for file in files:
            if (read := _reader_of(file.name)) is not None:
                step(file.name)
                read(imported, file)
        rf2 = [file for file in files if _kind_of(file.name)]
        if rf2:
            _read_snomed(imported, rf2, step)
    if not imported.codes and not imported.names:
        raise NotARelease("Nothing of these files is a release or a table that can be imported.")
    _write(imported, index)
    return imported


@dataclass(frozen=True, slots=True)
class _File:
    """A file on disk or in an archive."""

    name: str
    path: Path
    open: Callable[[], IO[bytes]]

    def lines(self) -> IO[str]:
        return io.TextIOWrapper(self.open(), encoding="utf-8-sig", newline="")


def _files_of(path: Path, stack: ExitStack, imported: Imported) -> Iterator[_File]:
    if path.is_dir():
        for inner in sorted(path.rglob("*")):
            if inner.is_file():
                yield from _files_of(inner, stack, imported)
    elif zipfile.is_zipfile(path):
        archive = stack.enter_context(zipfile.ZipFile(path))
        for member in archive.infolist():
            name = member.filename.rpartition("/")[2]
            if member.file_size > _LARGEST_MEMBER:
                imported.not_read.append(f"{path.name}: {name} is larger than 8 GiB")
            elif name:
                yield _File(name, path, lambda member=member: archive.open(member))  # type: ignore[misc]
    else:
        yield _File(path.name, path, lambda: path.open("rb"))


def _kind_of(name: str) -> str:
    """Which file of RF2 it is, "" for none; of a release only the snapshot is read."""
    kind = next((start for start in COLUMNS if name.startswith(start)), "")
    return kind if "Snapshot" in name else ""


def _note(imported: Imported, publisher: str, file: _File, codes: int) -> None:
    digest = hashlib.sha256()
    with closing(file.open()) as content:
        while chunk := content.read(1 << 20):
            digest.update(chunk)
    date = _DATE.search(file.name) or _DATE.search(file.path.name)
    imported.sources.append(Source(publisher, date[0] if date else "", file.name, digest.hexdigest(), codes))


def _read_snomed(imported: Imported, files: Sequence[_File], step: Callable[[str], None]) -> None:
    release = Release()
    descriptions = []
    for file in files:
        kind = _kind_of(file.name)
        if kind == "sct2_Description_":
            descriptions.append(file)
            continue
        step(file.name)
        with closing(file.lines()) as lines:
            release.read(kind, file.name, lines)
    if not release.active or not release.children:
        raise NotARelease("SNOMED CT: concepts and relationships of a snapshot are needed.")
    meanings = expand(release, snomed_roots())
    for code, meaning in meanings.items():
        imported.codes["snomed", code] = meaning
    with ExitStack() as stack:
        opened = [(file.name, stack.enter_context(closing(file.lines()))) for file in descriptions]
        imported.names |= names_of(opened, meanings, lambda: None)
    for file in files:
        _note(imported, "SNOMED International", file, len(meanings))


def snomed_roots() -> Roots:
    """The codes of SNOMED CT of our tables."""
    groups: defaultdict[str, set[str]] = defaultdict(set)
    for row in table_rows("condition_codes.csv"):
        groups[row["group"]] |= set(row["snomed"].split(";"))
    in_none = groups.pop("", set())
    return Roots(
        _frozen(groups),
        _column("snomed_drugs.csv", "rxcui", "substance"),
        _column("allergen_classes.csv", "allergen_class", "snomed"),
        _column("vaccine_families.csv", "family", "snomed"),
        frozenset(in_none),
    )


def _column(table: str, key: str, column: str) -> dict[str, frozenset[str]]:
    return {row[key]: frozenset(filter(None, row[column].split(";"))) for row in table_rows(table)}


def _frozen(sets: Mapping[str, set[str]]) -> dict[str, frozenset[str]]:
    return {name: frozenset(members) for name, members in sets.items()}


def _read_loinc(imported: Imported, file: _File) -> None:
    """An analyte is what has the component, property, time, system and scale of one of its codes, by any method."""
    with closing(file.lines()) as lines:
        rows = list(_table(file.name, lines, ("LOINC_NUM", *_LOINC_PARTS)))
    analytes: defaultdict[tuple[str, ...], set[str]] = defaultdict(set)
    for row in rows:
        analyte = ANALYTE_BY_CODE.get(row["LOINC_NUM"])
        if analyte is not None and analyte.kind in ("lab", "vital"):
            analytes[_parts(row)].add(analyte.key)
    number_of_codes = 0
    for row in rows:
        meant = analytes.get(_parts(row), set())
        if len(meant) == 1 and row["LOINC_NUM"] not in ANALYTE_BY_CODE:
            imported.codes["loinc", row["LOINC_NUM"]] = Meaning(analyte=next(iter(meant)))
            number_of_codes += 1
    _note(imported, "Regenstrief Institute", file, number_of_codes)


def _parts(row: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(row[part] for part in _LOINC_PARTS)


def _read_rxnorm(imported: Imported, file: _File) -> None:
    number_of_codes = 0
    with closing(file.lines()) as lines:
        for number, line in enumerate(lines, 1):
            cells = line.rstrip("\r\n").split("|")
            if len(cells) < 17:
                raise NotARelease(f"{file.name}, line {number}: {len(cells)} columns, not 18")
            code, source, kind, name = cells[0], cells[11], cells[12], cells[14]
            if source != "RXNORM" or kind not in _RXNORM_KINDS or medication_of_code(RXNORM, code) is not None:
                continue
            if ingredients := read_name(name).ingredients:
                members = tuple(ingredient.rxcui for ingredient in ingredients)
                imported.codes["rxnorm", code] = Meaning(ingredients=members, name=name)
                number_of_codes += 1
    _note(imported, "U.S. National Library of Medicine", file, number_of_codes)


def _read_table(imported: Imported, file: _File) -> None:
    """A table of the ATC, or one of the site's own codes and names."""
    with closing(file.lines()) as lines:
        header = [name.strip().lower() for name in next(csv.reader(lines), [])]
    if {"atc_code", "atc_name"} <= set(header):
        _read_atc(imported, file)
    elif header and set(header) <= set(SITE_COLUMNS):
        _read_site(imported, file)
    else:
        imported.not_read.append(f"{file.name}: no table that is known; of the site's own: {', '.join(SITE_COLUMNS)}")


def _read_atc(imported: Imported, file: _File) -> None:
    number_of_codes = 0
    with closing(file.lines()) as lines:
        for row in _table(file.name, lines, ("atc_code", "atc_name")):
            ingredient = INGREDIENT_BY_NAME.get(row["atc_name"].lower())
            if ingredient is not None and medication_of_code("http://www.whocc.no/atc", row["atc_code"]) is None:
                imported.codes["atc", row["atc_code"]] = Meaning(ingredients=(ingredient.rxcui,))
                number_of_codes += 1
    _note(imported, "WHO Collaborating Centre for Drug Statistics Methodology", file, number_of_codes)


def _read_site(imported: Imported, file: _File) -> None:
    number_of_codes = 0
    with closing(file.lines()) as lines:
        for number, row in enumerate(_table(file.name, lines, ()), 2):
            meaning = _meaning_of_row(row, f"{file.name}, line {number}")
            if row.get("code"):
                system = row.get("system") or ""
                short = code_system(system) or drug_system(system) or plain_address(system)
                imported.codes[short, row["code"]] = meaning
            if row.get("name"):
                imported.names[plain_name(row["name"])] = meaning
            number_of_codes += 1
    _note(imported, "this site", file, number_of_codes)


_KNOWN: Final[Mapping[str, Callable[[], object]]] = {
    "group": lambda: CONDITION_GROUPS, "drug": lambda: INGREDIENT_BY_NAME, "allergen": lambda: ALLERGEN_CLASSES,
    "vaccine": lambda: VACCINE_FAMILIES, "analyte": lambda: ANALYTES,
}  # fmt: skip


def _meaning_of_row(row: Mapping[str, str], where: str) -> Meaning:
    meant = {column: tuple(filter(None, (row.get(column) or "").split(";"))) for column in _KNOWN}
    for column, names in meant.items():
        for name in names:
            if name not in _KNOWN[column]():  # type: ignore[operator]  # tables by name
                raise NotARelease(f"{where}: there is no {column} {name!r}")
    if not any(meant.values()):
        raise NotARelease(f"{where}: none of {', '.join(_KNOWN)} says what it means")
    if not row.get("code") and not row.get("name"):
        raise NotARelease(f"{where}: neither a code nor a name")
    return Meaning(
        groups=tuple(CONDITION_GROUPS[name].key for name in meant["group"]),
        ingredients=tuple(INGREDIENT_BY_NAME[name].rxcui for name in meant["drug"]),
        allergens=meant["allergen"],
        vaccines=meant["vaccine"],
        analyte=next(iter(meant["analyte"]), ""),
    )


def _table(name: str, lines: IO[str], needed: tuple[str, ...]) -> Iterator[dict[str, str]]:
    reader = csv.DictReader(lines)
    missing = set(needed) - set(reader.fieldnames or ())
    if missing:
        raise NotARelease(f"{name}, line 1: the column {sorted(missing)[0]} is missing")
    for row in reader:
        yield {column: (cell or "").strip() for column, cell in row.items() if column}


def _reader_of(name: str) -> Callable[[Imported, _File], None] | None:
    if name in ("Loinc.csv", "LoincTableCore.csv"):
        return _read_loinc
    if name == "RXNCONSO.RRF":
        return _read_rxnorm
    return _read_table if name.lower().endswith(".csv") else None


def _write(imported: Imported, index: Path) -> None:
    """Writes the index beside its place and moves it there when it is whole."""
    part = index.with_name(f"{index.name}.part")
    part.unlink(missing_ok=True)
    encode = msgspec.json.Encoder().encode
    with closing(sqlite3.connect(part)) as connection, connection:
        connection.execute(f"PRAGMA user_version = {FORMAT}")
        connection.execute("CREATE TABLE about (text TEXT)")
        connection.execute("CREATE TABLE meaning (id INTEGER PRIMARY KEY, text TEXT)")
        connection.execute(
            "CREATE TABLE code (system TEXT, code TEXT, meaning INTEGER, PRIMARY KEY (system, code)) WITHOUT ROWID"
        )
        connection.execute("CREATE TABLE name (name TEXT PRIMARY KEY, meaning INTEGER) WITHOUT ROWID")
        numbers: dict[Meaning, int] = {}
        codes = ((*key, numbers.setdefault(imported.codes[key], len(numbers))) for key in sorted(imported.codes))
        connection.executemany("INSERT INTO code VALUES (?, ?, ?)", codes)
        names = ((name, numbers.setdefault(imported.names[name], len(numbers))) for name in sorted(imported.names))
        connection.executemany("INSERT INTO name VALUES (?, ?)", names)
        meanings = ((number, encode(meaning).decode()) for meaning, number in numbers.items())
        connection.executemany("INSERT INTO meaning VALUES (?, ?)", meanings)
        connection.execute("INSERT INTO about VALUES (?)", (encode(imported.sources).decode(),))
    os.chmod(part, 0o444)
    part.replace(index)


def growth_of_groups(imported: Imported) -> Counter[str]:
    """How many codes of SNOMED CT each group gets that our tables do not have."""
    ours = snomed_roots().groups
    growth: Counter[str] = Counter()
    for (system, code), meaning in imported.codes.items():
        growth.update(group for group in meaning.groups if system == "snomed" and code not in ours.get(group, ()))
    return growth
