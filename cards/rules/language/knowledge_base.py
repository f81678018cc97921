"""A hospital's own knowledge base: the export of FDB, Medi-Span, ABDATA or Micromedex in the site's folder, read once.

`severity.toml` names the vendor, the edition and what each of its levels is here; `pairs.csv`, `duplicates.csv`,
`diseases.csv` and `allergy_classes.csv` hold its rows, `drugs.csv` what the site's own codes of drugs mean. A drug is
an RxNorm code, an ATC code of a drug or a group, a class of ours, a name, or a code of `drugs.csv`. A row with
something unknown is left out and told with its line; the other rows hold. docs/adding/site-rules.md has the columns.
"""

import csv
import hashlib
import re
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import Final, Literal, TypeAlias, TypeVar

from msgspec import Struct

from cards.rules.language.rule import RuleError
from cards.rules.language.site import SITE, read_text, site_folders
from fhir.mapping.medications.identity import MedicationIdentity
from fhir.terminology.conditions import CONDITION_GROUPS
from fhir.terminology.medication_names import medication_of_code
from fhir.terminology.medications import CLASS_MEMBERS, INGREDIENT_BY_NAME, INGREDIENTS, RXNORM, atc_codes

T = TypeVar("T")
Level: TypeAlias = Literal["critical", "warning", "info", "silent"]
LEVELS: Final[tuple[Level, ...]] = ("critical", "warning", "info", "silent")
HEAD: Final = "severity.toml"
PAIRS: Final = "pairs.csv"
DUPLICATES: Final = "duplicates.csv"
DISEASES: Final = "diseases.csv"
ALLERGIES: Final = "allergy_classes.csv"
_COLUMNS: Final[Mapping[str, frozenset[str]]] = {
    PAIRS: frozenset({"a_key", "b_key", "severity"}),
    DUPLICATES: frozenset({"class", "key", "severity"}),
    DISEASES: frozenset({"key", "condition", "severity"}),
    ALLERGIES: frozenset({"class", "key", "severity"}),
}
_ATC: Final = re.compile(r"[A-Z]\d\d(?:[A-Z](?:[A-Z](?:\d\d)?)?)?")
_ICD10: Final = re.compile(r"[A-Z]\d[\dA-Z](?:\.?[\dA-Z]{1,4})?")
_SNOMED: Final = re.compile(r"\d{6,18}")
_MOST_LISTED: Final = 200


class Row(Struct, frozen=True, gc=False):
    """One row of the vendor: how it is shown, and its words."""

    level: Level
    words: str
    advice: str


class ClassMembers(Struct, frozen=True):
    """A class of the vendor: its drugs, and how many of them together are usual."""

    name: str
    row: Row
    most: int
    keys: frozenset[str]


class DiseaseRow(Struct, frozen=True):
    """Drugs that do not fit a disease: groups of ours, and codes of ICD-10 (with what is below them) and SNOMED CT."""

    row: Row
    groups: tuple[str, ...]
    icd10: tuple[str, ...]
    snomed: frozenset[str]


@dataclass(frozen=True)
class KnowledgeBase:
    """The vendor's rows that are in force, indexed by drug, and what was left out."""

    vendor: str
    edition: str
    instead: bool
    versions: Mapping[str, str]
    """The number of rows and the digest of each table, by its name."""
    faults: tuple[str, ...] = ()
    pairs: tuple[Row, ...] = ()
    first_side: Mapping[str, frozenset[int]] = field(default_factory=dict)
    second_side: Mapping[str, frozenset[int]] = field(default_factory=dict)
    named_beside: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """The drugs and classes that stand beside each drug or class in a pair."""
    duplicates: tuple[ClassMembers, ...] = ()
    diseases: Mapping[str, tuple[DiseaseRow, ...]] = field(default_factory=dict)
    allergies: tuple[ClassMembers, ...] = ()

    def pair(self, first: MedicationIdentity, second: MedicationIdentity) -> Row | None:
        """Return the gravest row about two drugs, whichever of them stands first; None where there is none."""
        mine, theirs = self._rows_of(first), self._rows_of(second)
        rows = (mine[0] & theirs[1]) | (mine[1] & theirs[0])
        return min((self.pairs[row] for row in sorted(rows)), key=lambda row: LEVELS.index(row.level), default=None)

    def _rows_of(self, medication: MedicationIdentity) -> tuple[frozenset[int], frozenset[int]]:
        """Return the rows that name the drug first and second; most drugs have one key in the tables."""
        first, second = (
            [rows for key in medication.keys if (rows := side.get(key))] for side in (self.first_side, self.second_side)
        )
        return _together(first), _together(second)

    def beside(self, medication: MedicationIdentity) -> frozenset[str]:
        """Return the drugs and classes that the pairs name beside a medication."""
        return _together([keys for key in medication.keys if (keys := self.named_beside.get(key))])

    @cached_property
    def drugs(self) -> Mapping[str, frozenset[str]]:
        """The drugs and classes that each table speaks of."""
        none: frozenset[str] = frozenset()
        return {
            PAIRS: frozenset({*self.first_side, *self.second_side}),
            DUPLICATES: none.union(*(members.keys for members in self.duplicates)),
            DISEASES: frozenset(self.diseases),
            ALLERGIES: none.union(*(members.keys for members in self.allergies)),
        }

    def takes_over(self, table: str, medication: MedicationIdentity) -> bool:
        """Whether this table speaks of the drug in place of our rows."""
        return self.instead and not self.drugs[table].isdisjoint(medication.keys)


def _together(sets: list[frozenset[T]]) -> frozenset[T]:
    """Return the union; most drugs have one set, which may have hundreds of members and is not copied."""
    return sets[0] if len(sets) == 1 else frozenset().union(*sets)


@cache
def knowledge_base() -> KnowledgeBase | None:
    """Return the knowledge base of the site's folder; None where it has none.

    Raises:
        RuleError: `severity.toml` is missing or wrong, or a table lacks a column.
    """
    folder = site_folders().get(SITE)
    tables = {name: folder / name for name in _COLUMNS if (folder / name).is_file()} if folder is not None else {}
    if folder is None or not (tables or (folder / HEAD).is_file()):
        return None
    return _Reading(folder, tables).knowledge_base()


class _Reading:
    """Reads the tables of one folder."""

    def __init__(self, folder: Path, tables: Mapping[str, Path]) -> None:
        self._folder, self._tables = folder, tables
        self._faults: list[str] = []
        self._levels: dict[str, Level] = {}
        self._own_codes: dict[str, str] = {}
        self._keys_by_code: dict[str, frozenset[str] | str] = {}

    def knowledge_base(self) -> KnowledgeBase:
        head = self._head()
        self._own_codes = self._read_own_codes()
        first, second, named_beside, pairs = self._pairs()
        return KnowledgeBase(
            vendor=head["vendor"],
            edition=head["edition"],
            instead=head["scope"] == "instead",
            versions=self._versions(),
            pairs=pairs,
            first_side=first,
            second_side=second,
            named_beside=named_beside,
            duplicates=self._classes(DUPLICATES),
            diseases=self._diseases(),
            allergies=self._classes(ALLERGIES),
            faults=tuple(self._faults),
        )

    def _head(self) -> dict[str, str]:
        path = self._folder / HEAD
        if not path.is_file():
            raise RuleError(f"{path} is missing: it names the vendor, the edition and the levels of {self._names}")
        try:
            head = tomllib.loads(read_text(path))
        except tomllib.TOMLDecodeError as error:
            raise RuleError(f"{path}: this is not valid TOML ({error})") from error
        scope = head.setdefault("scope", "beside")
        for name in ("vendor", "edition"):
            if not isinstance(head.get(name), str) or not head[name].strip():
                raise RuleError(f"{path}: `{name}` is missing, which cards show as their source")
        if scope not in ("instead", "beside"):
            raise RuleError(f'{path}: `scope` is {scope!r}; write "instead" or "beside"')
        levels = head.get("levels")
        wrong = [name for name, level in levels.items() if level not in LEVELS] if isinstance(levels, dict) else [""]
        if wrong or not levels:
            raise RuleError(f"{path}: `levels` is a table of the vendor's levels; each is one of {', '.join(LEVELS)}")
        self._levels = levels
        return {name: str(head[name]) for name in ("vendor", "edition", "scope")}

    @property
    def _names(self) -> str:
        return ", ".join(sorted(self._tables))

    def _read_own_codes(self) -> dict[str, str]:
        path = self._folder / "drugs.csv"
        if not path.is_file():
            return {}
        rows = csv.DictReader(read_text(path).splitlines())
        if not {"code", "drug"} <= set(rows.fieldnames or ()):
            raise RuleError(f"{path}, line 1: the columns code and drug are needed")
        return {row["code"].strip(): row["drug"].strip() for row in rows if row["code"] and row["drug"]}

    def _versions(self) -> dict[str, str]:
        paths = {**self._tables, HEAD: self._folder / HEAD, "drugs.csv": self._folder / "drugs.csv"}
        contents = {name: path.read_bytes() for name, path in paths.items() if path.is_file()}
        common = contents.pop(HEAD) + contents.pop("drugs.csv", b"")
        digests = {name: hashlib.sha256(content + common).hexdigest() for name, content in contents.items()}
        lines = {name: len(content.splitlines()) for name, content in contents.items()}
        return {name: f"{lines[name]:,} lines, sha256 {digest}" for name, digest in digests.items()}

    def _rows(self, table: str) -> Iterator[tuple[int, dict[str, str]]]:
        if table not in self._tables:
            return
        path = self._tables[table]
        rows = csv.DictReader(read_text(path).splitlines())
        if missing := _COLUMNS[table] - set(rows.fieldnames or ()):
            raise RuleError(f"{path}, line 1: the column {', '.join(sorted(missing))} is missing")
        for line, row in enumerate(rows, 2):
            yield line, {name: (value or "").strip() for name, value in row.items() if name}

    def _row(self, cells: Mapping[str, str]) -> Row:
        level = self._levels.get(cells["severity"])
        if level is None:
            raise _Unknown(f"{HEAD} has no level {cells['severity'][:40]!r}")
        words = cells.get("mechanism") or cells.get("hazard") or ""
        return Row(level, words[:300], cells.get("advice", "")[:400])

    def _read_rows(self, table: str, read: Callable[[Mapping[str, str]], None]) -> None:
        for line, cells in self._rows(table):
            try:
                read(cells)
            except _Unknown as problem:
                self._faults.append(f"{self._tables[table]}, line {line}: {problem}; the row is left out")

    def _pairs(
        self,
    ) -> tuple[dict[str, frozenset[int]], dict[str, frozenset[int]], dict[str, frozenset[str]], tuple[Row, ...]]:
        sides: tuple[dict[str, set[int]], dict[str, set[int]]] = ({}, {})
        named_beside: dict[str, set[str]] = {}
        rows: list[Row] = []

        def read(cells: Mapping[str, str]) -> None:
            both, row = (self._drugs(cells["a_key"]), self._drugs(cells["b_key"])), self._row(cells)
            for side, keys, others in zip(sides, both, reversed(both), strict=True):
                for key in keys:
                    side.setdefault(key, set()).add(len(rows))
                    named_beside.setdefault(key, set()).update(others)
            rows.append(row)

        self._read_rows(PAIRS, read)
        first, second = ({key: frozenset(numbers) for key, numbers in side.items()} for side in sides)
        return first, second, {key: frozenset(keys) for key, keys in named_beside.items()}, tuple(rows)

    def _classes(self, table: str) -> tuple[ClassMembers, ...]:
        members: dict[str, set[str]] = {}
        heads: dict[str, tuple[Row, int]] = {}

        def read(cells: Mapping[str, str]) -> None:
            keys, row, most = self._drugs(cells["key"]), self._row(cells), cells.get("most") or "1"
            if not most.isdecimal():
                raise _Unknown(f"`most` must be a whole number; it is {most[:20]!r}")
            members.setdefault(cells["class"], set()).update(keys)
            heads.setdefault(cells["class"], (row, int(most)))

        self._read_rows(table, read)
        return tuple(ClassMembers(name, *heads[name], frozenset(keys)) for name, keys in members.items())

    def _diseases(self) -> dict[str, tuple[DiseaseRow, ...]]:
        by_drug: dict[str, list[DiseaseRow]] = {}

        def read(cells: Mapping[str, str]) -> None:
            keys, row = self._drugs(cells["key"]), self._row(cells)
            groups, icd10, snomed = [], [], []
            for part in _parts(cells["condition"]):
                if part in CONDITION_GROUPS:
                    groups.append(part)
                elif _ICD10.fullmatch(part):
                    icd10.append(part.replace(".", ""))
                elif _SNOMED.fullmatch(part):
                    snomed.append(part)
                else:
                    raise _Unknown(
                        f"no group of conditions, and no code of ICD-10 or SNOMED CT, is called {part[:40]!r}"
                    )
            disease = DiseaseRow(row, tuple(groups), tuple(icd10), frozenset(snomed))
            for key in keys:
                by_drug.setdefault(key, []).append(disease)

        self._read_rows(DISEASES, read)
        return {key: tuple(rows) for key, rows in by_drug.items()}

    def _drugs(self, cell: str) -> frozenset[str]:
        keys: frozenset[str] = frozenset()
        for part in _parts(cell):
            keys_or_fault = self._keys_by_code.get(part)
            if keys_or_fault is None:
                keys_or_fault = self._keys_by_code[part] = keys_of_drug(self._own_codes.get(part, part))
            if isinstance(keys_or_fault, str):
                raise _Unknown(keys_or_fault)
            keys |= keys_or_fault
        return keys


class _Unknown(Exception):
    """A row has something that is not known; the message says what."""


def _parts(cell: str) -> list[str]:
    parts = [part.strip() for part in cell.split(";") if part.strip()]
    if not parts:
        raise _Unknown("a drug or a condition is empty")
    return parts


def keys_of_drug(code: str) -> frozenset[str] | str:
    """Return the ingredients, or the class of ours, that a code or a name means; else a sentence why none.

    >>> sorted(keys_of_drug("29046")), keys_of_drug("nsaid"), keys_of_drug("Lisinopril")
    (['29046'], frozenset({'nsaid'}), frozenset({'29046'}))
    >>> keys_of_drug("999999999")
    "no drug is known by the code or name '999999999'"
    """
    if code in INGREDIENTS:
        return frozenset({code})
    if code in CLASS_MEMBERS:
        return frozenset({code})
    if _ATC.fullmatch(code) and (members := _of_atc().get(code)):
        return members
    by_name = INGREDIENT_BY_NAME.get(code.lower())
    if by_name is not None:
        return frozenset({by_name.rxcui})
    product = medication_of_code(RXNORM, code) if code.isdecimal() else None
    if product is not None and len(product.ingredients) == 1:
        return frozenset({product.ingredients[0].rxcui})
    if product is not None and product.ingredients:
        return f"{code[:40]!r} is a product of several drugs; give each of them"
    return f"no drug is known by the code or name {code[:40]!r}"


@cache
def _of_atc() -> Mapping[str, frozenset[str]]:
    """Return the ingredients of each ATC code and of each group above it."""
    members: dict[str, set[str]] = {}
    for rxcui, ingredient in INGREDIENTS.items():
        for code in atc_codes(ingredient):
            for length in (3, 4, 5, 7):
                members.setdefault(code[:length], set()).add(rxcui)
    return {code: frozenset(codes) for code, codes in members.items()}


def listed_faults() -> Iterable[str]:
    """Return a sentence for each row that was left out, and how many more there are beyond the first 200."""
    base = knowledge_base()
    faults = base.faults if base is not None else ()
    more = [f"{len(faults) - _MOST_LISTED:,} more rows are left out"] if len(faults) > _MOST_LISTED else []
    return [*faults[:_MOST_LISTED], *more]
