"""Reads a family's files into its typed table: `family.json` with what its rules share, and one file for each rule.

A file with `"for_each": "drugs.csv"` is a rule for each row of that table of the folder: `$column` in its texts becomes
the row's value. A band with `"only_for": NAME` stands in the rule of a row only where the row's column `bands`, names
with spaces between them, has it. So knowledge about a hundred drugs is a table and not a hundred files. What a row
leaves empty is left out, a column with `;` between its values gives a list:

- an item of a list that is `"$column"`, or an object of such texts, stands once for each value of its columns;
- a member that is `"$column"` is left out where the row has nothing;
- `{"column": NAME}` is the number of that column, and is left out where the row has none;
- what holds nothing any more, an object or a list, is left out, too.

`"ingredients": {"of_tables": ["limits.csv"]}` are the drugs of their columns `rxcui` and `drug`, each once; with
`"columns": {"a_key": "a"}` beside it those of other columns, without the classes that stand there among the codes.
Where `;` separates several codes, the names stand in the same order.
`"evidence": {"of_tables": ["sources.csv"]}` are the documents of that table.
A row of a table with a column `country`, and an object in a list with a member `country`, is left out where it does
not hold in the site's country (fhir/terminology/country.py).

Every fault is named by the file and the line that it stands in.
"""

import csv
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache, cached_property
from importlib.resources import files
from importlib.resources.abc import Traversable
from json.decoder import scanstring  # type: ignore[attr-defined]  # typeshed leaves it out
from string import Template
from typing import Any, TypeAlias, TypeVar

import msgspec

from cards.rules.language.knowledge_base import ALLERGIES, DISEASES, DUPLICATES, PAIRS, KnowledgeBase, knowledge_base
from cards.rules.language.rule import Path, Rule, RuleError, RuleTable, typed, within
from cards.rules.language.site import SITE, read_text, site_folders, site_head, site_rows, with_owner
from cards.rules.language.sources import with_quotes
from fhir.terminology.country import parts_in_force, rows_in_force
from fhir.terminology.medications import INGREDIENTS

Raw: TypeAlias = Mapping[str, Any]
T = TypeVar("T")

_FAMILIES = "cards/rules/families"
_OF_SITE = ("hospital", "replaces")
_BLANK = re.compile(r"\s*")
_decoder = json.JSONDecoder()


@dataclass(frozen=True)
class RuleFile:
    """One JSON file of a family, or one row's rule of it; `name` is its path from the project's root."""

    name: str
    text: str
    folder: Traversable
    row: Mapping[str, str] | None = None
    is_of_site: bool = False

    @cached_property
    def raw(self) -> dict[str, Any]:
        """The object that it holds, filled from its row. RuleError with the line where it is not a JSON object."""
        written = with_owner(self.written, self.name) if self.is_of_site else self.written
        if self.row is None:
            return written
        bands = self.row.get("bands", "").split()
        declared = written.get("bands", [])
        written["bands"] = [band for band in declared if band.pop("only_for", None) in (None, *bands)]
        left_out = {band["id"] for band in declared} - {band["id"] for band in written["bands"]}
        for quiet in written.get("silent_when", ()):
            if excepted := [band for band in quiet.pop("except_bands", ()) if band not in left_out]:
                quiet["except_bands"] = excepted
        filled: dict[str, Any] = _filled_from_row(written, self.row)
        return filled | {"template": self.name.rpartition("/")[2].removesuffix(".json")}

    @property
    def written(self) -> dict[str, Any]:
        """The object as it is written, without `for_each`."""
        document = self._decoded()
        if self.row is not None:
            document.pop("for_each", None)
        return document

    @property
    def holds_here(self) -> bool:
        """Whether the rule is in force in the site's country."""
        return bool(parts_in_force([self._document()]))

    def _document(self) -> dict[str, Any]:
        try:
            document = json.loads(self.text)
        except json.JSONDecodeError as error:
            raise RuleError(f"{self.name}, line {error.lineno}: this is not valid JSON ({error.msg})") from error
        if not isinstance(document, dict):
            raise RuleError(f"{self.name}, line 1: this is not a JSON object")
        return document

    def _decoded(self) -> dict[str, Any]:
        document = parts_in_force(self._document())
        with_drugs: dict[str, Any] = _with_drugs_of_tables(document, self.folder)
        return with_drugs

    def line_of(self, path: Path) -> int:
        """Return the line of the value at a path, or of the last part of the path that is in the file."""
        return self.text.count("\n", 0, _position(self.text, _skip(self.text, 0), path)) + 1

    @property
    def row_line(self) -> str:
        """Where its row stands, "label_kidney.csv, line 12"; empty for a rule that is not made from a table's row."""
        table = json.loads(self.text).get("for_each")
        if self.row is None or table is None:
            return ""
        first_cell, reader = next(iter(self.row.values())), csv.reader(_lines(self.folder, table))
        line = next((reader.line_num for row in reader if row[0] == first_cell), 0)
        return f"{table}, line {line}"


@dataclass(frozen=True)
class FamilyFiles:
    """The files of one family; `rules` in the order of their names."""

    family: RuleFile
    rules: tuple[RuleFile, ...]

    @cached_property
    def raw(self) -> dict[str, Any]:
        """The whole table as it is written: the family's members, and the rules as the list `rules`."""
        return {**self.family.raw, "rules": [rule.raw for rule in self.rules]}

    def describe(self, path: Path, text: str) -> str:
        """Return a sentence about a fault: the file, the line, the rule, the part of the rule, what is wrong."""
        file, inside, rule = self.family, path, None
        if len(path) > 1 and path[0] == "rules" and isinstance(path[1], int):
            file, inside = self.rules[path[1]], path[2:]
            rule = str(file.raw.get("id", ""))
        names = [name for name in (f"rule {rule}" if rule else "", file.row_line) if name]
        where = ", ".join([*names, *_parts(file.raw, inside)])
        return f"{file.name}, line {file.line_of(inside)}{f' ({where})' if where else ''}: {text}"


def read_family(family: str) -> FamilyFiles:
    """Return the files of a family, as they are. RuleError where one is missing or cannot be read."""
    site_folder = site_folders().get(family)
    folder: Traversable = site_folder if site_folder is not None else files(f"{_FAMILIES.replace('/', '.')}.{family}")
    location = str(site_folder) if site_folder is not None else f"{_FAMILIES}/{family}"
    names = sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(".json"))
    if "family.json" not in names:
        raise RuleError(f"{location}/family.json is missing")
    by_name = {
        name: RuleFile(
            f"{location}/{name}",
            read_text(folder.joinpath(name)),
            folder,
            is_of_site=site_folder is not None and name != "family.json",
        )
        for name in names
    }
    head = by_name.pop("family.json")
    rules = [rule_file for file in by_name.values() for rule_file in _for_each_row(file)]
    return FamilyFiles(head, (*rules, *((*_absent_drugs(folder), *_own_knowledge(folder)) if family == SITE else ())))


def _absent_drugs(folder: Traversable) -> Iterator[RuleFile]:
    """Yield a rule for each drug that the hospital does not have."""
    head, text = site_head(), files("cards.rules.language").joinpath("site-absent.json").read_text("utf-8")
    for row in site_rows("absent.csv"):
        of_row = {"note": "", **row, "hospital": head["hospital"], "reviewed": head["reviewed"]}
        yield RuleFile(f"{folder}/absent.csv", text, folder, of_row, is_of_site=True)


_OWN_TABLES = {
    PAIRS: ("pairs", "Interactions", "own_pair"),
    DUPLICATES: ("duplicates", "Duplicates", "own_duplicate"),
    DISEASES: ("diseases", "Diseases", "own_disease"),
    ALLERGIES: ("allergies", "Allergy classes", "own_allergy"),
}
"""Kind, title and word of the rule about each table of a hospital's knowledge base."""


def _own_knowledge(folder: Traversable) -> Iterator[RuleFile]:
    """Yield a rule for each table of the hospital's own knowledge base; its version is that of the table."""
    base = knowledge_base()
    if base is None:
        return
    text = files("cards.rules.language").joinpath("site-knowledge.json").read_text("utf-8")
    for table, version in base.versions.items():
        kind, title, word = _OWN_TABLES[table]
        row = {
            "kind": kind, "title": title, "word": word, "table": table, "version": version, "vendor": base.vendor,
            "edition": base.edition, "scope": "instead" if base.instead else "beside",
            "label": f"{base.vendor} {base.edition}, {title.lower()}"[:80], "reviewed": site_head()["reviewed"],
        }  # fmt: skip
        drugs = _selector_of(base, table)
        trigger = {"pair": [[drugs], [drugs]]} if table == PAIRS else {"draft": [drugs]}
        written = json.loads(text) | {"trigger": trigger}
        yield RuleFile(f"{folder}/{table}", json.dumps(written), folder, row, is_of_site=True)


def _selector_of(base: KnowledgeBase, table: str) -> dict[str, Any]:
    keys = sorted(base.drugs[table])
    classes = [key for key in keys if key not in INGREDIENTS]
    drugs = [{"rxcui": key, "name": INGREDIENTS[key].name} for key in keys if key in INGREDIENTS]
    return {"ingredients": drugs} | ({"classes": classes} if classes else {})


def _for_each_row(file: RuleFile) -> Iterator[RuleFile]:
    """Yield the file itself, or it with each row of the table that it names; nothing of a rule of another country."""
    if not file.holds_here:
        return
    table = file.raw.get("for_each")
    if table is None:
        yield file
        return
    yield from (replace(file, row=row) for row in _rows(file.folder, table))


def _rows(folder: Traversable, table: str) -> Iterator[dict[str, str]]:
    return iter(rows_in_force(csv.DictReader(_lines(folder, table))))


def _lines(folder: Traversable, table: str) -> list[str]:
    return read_text(folder.joinpath(table)).splitlines()


_LEFT_OUT: Any = object()


def _filled_from_row(value: Any, row: Mapping[str, str]) -> Any:
    """Replace `$column` in every text of the value; a column that the row does not have is a fault of the file."""
    if isinstance(value, str):
        return Template(value).substitute({**row, **_amounts(row)}) if "$" in value else value
    if isinstance(value, list):
        items = [filled for item in value for filled in _items_from_row(item, row) if filled is not _LEFT_OUT]
        return items if items or not value else _LEFT_OUT
    if not isinstance(value, dict):
        return value
    if set(value) == {"column"}:
        number = row[value["column"]]
        return float(number) if number else _LEFT_OUT
    given = {name: item for name, item in value.items() if not _is_column(item) or row[item[1:]]}
    filled_members = {name: _filled_from_row(item, row) for name, item in given.items()}
    members = {
        Template(name).substitute(row) if "$" in name else name: item
        for name, item in filled_members.items()
        if item is not _LEFT_OUT
    }
    return members if members or not value else _LEFT_OUT


def _amounts(row: Mapping[str, str]) -> dict[str, str]:
    """Return the milligrams of a row as a sentence has them: "12,000"."""
    return {name: f"{int(text):,}" for name, text in row.items() if name.endswith("_mg") and text.isdecimal()}


def _items_from_row(item: Any, row: Mapping[str, str]) -> Iterator[Any]:
    """Yield what an item of a list becomes: itself, or one item for each value of the columns that it consists of."""
    texts = [item] if isinstance(item, str) else list(item.values()) if isinstance(item, dict) else []
    if not texts or not all(map(_is_column, texts)):
        yield _filled_from_row(item, row)
        return
    for values in zip(*(row[text[1:]].split(";") for text in texts), strict=True):
        if any(values):
            yield values[0] if isinstance(item, str) else dict(zip(item, values, strict=True))


def _is_column(value: object) -> bool:
    """Whether a text is the name of a column and nothing else."""
    return isinstance(value, str) and value[:1] == "$" and value[1:].isidentifier()


def _with_drugs_of_tables(value: Any, folder: Traversable) -> Any:
    """Return the value with the drugs of tables in place of each `{"of_tables": [NAME]}`."""
    if isinstance(value, dict):
        if "of_tables" in value:
            columns = value.get("columns", {"rxcui": "drug"})
            rows = [row for table in value["of_tables"] for row in _rows(folder, table) if not row.get("left_out")]
            if "document" in rows[0]:
                kept = [
                    {name: text for name, text in row.items() if name not in ("id", "read", "class")} for row in rows
                ]
                return [source | {"grade_scheme": source["grade"]} for source in kept]
            cells = ((row[code], row[name]) for code, name in columns.items() for row in rows)
            drugs = dict(
                pair for codes, names in cells for pair in zip(codes.split(";"), names.split(";"), strict=True)
            )
            return [{"rxcui": code, "name": name} for code, name in drugs.items() if not code.isidentifier()]
        return {name: _with_drugs_of_tables(item, folder) for name, item in value.items()}
    return [_with_drugs_of_tables(item, folder) for item in value] if isinstance(value, list) else value


@cache
def read_table(family: str) -> RuleTable:
    """Return the family's table with every shared entry put in, read once.

    Raises:
        RuleError: a member or a name is not known; the message names file, line and rule.
    """
    written = read_family(family)
    raw = written.raw
    try:
        table = table_of(raw)
    except RuleError as error:
        raise RuleError(written.describe(error.path, error.text)) from error
    if family in site_folders():
        return table
    return msgspec.structs.replace(table, rules=tuple(map(with_quotes, table.rules)))


def table_of(raw: Raw) -> RuleTable:
    """Return the typed table of a written one. RuleError with the path where a member or a name is not known."""
    shared = _checked_shared(raw.get("shared", {}))
    family_members = {name: value for name, value in raw.items() if name not in ("shared", "rules", *_OF_SITE)}
    rules = tuple(_typed(rule, Rule, shared, "rules", position) for position, rule in enumerate(raw["rules"]))
    table = msgspec.structs.replace(_typed({**family_members, "rules": []}, RuleTable, shared), rules=rules)
    if not rules:
        raise RuleError("the family has no rule: add one to its folder")
    return table


def _checked_shared(shared: Any) -> Mapping[str, Mapping[str, Any]]:
    """Return the shared entries; RuleError where these are not objects."""
    if not isinstance(shared, dict):
        raise RuleError("`shared` is an object whose members hold entries by their names", ("shared",))
    for kind, entries in shared.items():
        if not isinstance(entries, dict) or not all(isinstance(entry, dict) for entry in entries.values()):
            raise RuleError(f"`{kind}` is an object of entries, which are objects, by their names", ("shared", kind))
    return shared


def _typed(raw: Raw, kind: type[T], shared: Mapping[str, Any], *path: str | int) -> T:
    with within(*path):
        filled = _filled(raw, shared)
    return typed(filled, kind, *path)


# Shared entries


def _filled(value: Any, shared: Mapping[str, Mapping[str, Any]]) -> Any:
    """Return the value with every `use` and `named` in it replaced by what it stands for."""
    if isinstance(value, list):
        return [_part(item, shared, position) for position, item in enumerate(value)]
    if "named" in value and len(value) == 1:
        return _filled(_shared(shared, "predicates", value["named"]), shared)
    if "use" in value:
        return _used(value, shared)
    return {name: _part(item, shared, name) for name, item in value.items()}


def _part(value: Any, shared: Mapping[str, Mapping[str, Any]], step: str | int) -> Any:
    """Return the same for what stands at this step."""
    if not isinstance(value, dict | list):
        return value
    with within(step):
        return _filled(value, shared)


def _used(value: Raw, shared: Mapping[str, Mapping[str, Any]]) -> Any:
    """Return a shared entry with what stands beside `use` laid over it; a reason or missing data has its name."""
    name = value["use"]
    over = {key: item for key, item in value.items() if key != "use"}
    for kind, own_name in {"suggestions": {}, "missing_data": {"id": name}, "silent_when": {"code": name}}.items():
        if name in shared.get(kind, {}):
            return _filled(own_name | shared[kind][name] | over, shared)
    raise RuleError(f"no shared entry is called {name!r}")


def _shared(shared: Mapping[str, Mapping[str, Any]], kind: str, name: str) -> Any:
    try:
        return shared[kind][name]
    except KeyError:
        raise RuleError(f"no shared {kind} entry is called {name!r}") from None


# Lines


def _parts(raw: Any, path: Path) -> Iterator[str]:
    """Yield what a path leads through, in words: "band lt30", "suggestion halve"."""
    names = {"bands": "band", "suggestions": "suggestion", "missing_data": "missing data", "silent_when": "silent when"}
    kind = ""
    for step in path:
        if isinstance(step, str):
            kind = step
        try:
            raw = raw[step]
        except (LookupError, TypeError):
            return
        if isinstance(raw, dict) and kind in names:
            name = raw.get("id") or raw.get("use") or raw.get("code") or raw.get("label")
            if isinstance(name, str) and isinstance(step, int):
                yield f"{names[kind]} {name}"


def _skip(text: str, position: int) -> int:
    blank = _BLANK.match(text, position)
    return blank.end() if blank is not None else position


def _position(text: str, start: int, path: Path) -> int:
    """Where the value at a path begins; `start` is where the value of the whole begins."""
    if not path:
        return start
    for name, value_start in _members(text, start):
        if name == path[0]:
            return _position(text, value_start, path[1:])
    return start


def _members(text: str, start: int) -> Iterator[tuple[str | int, int]]:
    """Name or position, and where the value begins, of each member of the object or list that begins there."""
    is_object, position, count = text[start] == "{", _skip(text, start + 1), 0
    if text[start] not in "{[":
        return
    while text[position] not in "}]":
        name: str | int = count
        if is_object:
            name, position = scanstring(text, position + 1)
            position = _skip(text, _skip(text, position) + 1)
        yield name, position
        _, position = _decoder.raw_decode(text, position)
        position, count = _skip(text, position), count + 1
        if text[position] == ",":
            position = _skip(text, position + 1)
