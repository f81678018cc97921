"""What the releases that a hospital has imported say of a code or a whole name, from one read-only index.

The index is an SQLite file that `cds-hooks terminology import` wrote (importing.py) and nothing changes: it is opened
immutable, and a process without one asks nothing. It adds to the tables that ship; where both know a code, both count.
"""

import hashlib
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from string import hexdigits
from typing import Final

import msgspec
from msgspec import Struct

from fhir.terminology.caching import CACHES
from fhir.terminology.plain_file import read_plain, unreadable

_MOST_MEANINGS: Final = 8192
_DIGITS: Final = 16
_WRITES_ONE: Final = "`cds-hooks terminology import` writes one (docs/terminology.md)"
FORMAT: Final = 3
"""The number of the format of the index, its `user_version`."""
LONGEST_NAME: Final = 200


class Meaning(Struct, frozen=True, omit_defaults=True):
    """What a code or a name means: groups of conditions, ingredients by RxNorm code, allergens, vaccines, an analyte.

    `allergies` are ingredients that the patient is allergic to. `name` is kept of RxNorm only, whose names are free.
    `nothing` says that it must not be read, whatever our tables and words say: a look-alike. `by` names its source.
    """

    groups: tuple[str, ...] = ()
    ingredients: tuple[str, ...] = ()
    allergies: tuple[str, ...] = ()
    allergens: tuple[str, ...] = ()
    vaccines: tuple[str, ...] = ()
    analyte: str = ""
    name: str = ""
    nothing: bool = False
    by: str = ""

    @property
    def of_site(self) -> bool:
        """Whether a row of the site's own table says it."""
        return ", line " in self.by


_MEANING: Final = msgspec.json.Decoder(Meaning)


class Source(Struct, frozen=True):
    """A file that was imported: its publisher, edition or date, name, SHA-256, and what was taken of it."""

    publisher: str
    edition: str
    file: str
    sha256: str
    codes: int


class WrongIndex(ValueError):
    """The file is no index that can be used; the message says why."""

    what_cannot_be_used = "The imported terminology (CDS_TERMINOLOGY)"


class InUse(Struct, frozen=True, eq=False):
    """What lookups read: the index by the start of its SHA-256, and its sources."""

    index: str = ""
    sources: tuple[Source, ...] = ()

    @property
    def words(self) -> dict[str, str]:
        """What of it counts for a decision: index and editions."""
        words = {"index": self.index} if self.index else {}
        return words | {
            f"{source.publisher} {source.file}": source.edition or source.sha256[:16] for source in self.sources
        }


class _Index:
    """The index that is used, in memory: nothing that happens to its file afterwards changes or ends a lookup."""

    path: Path | None = None
    in_use = InUse()
    connection: sqlite3.Connection | None = None
    meanings: dict[int, Meaning]
    """Those that were asked for, by their number: many codes have the same."""


_INDEX: Final = _Index()


def use_index(path: Path | None) -> None:
    """Names the index, or none, while no chart is read.

    Raises:
        WrongIndex: There is no such file, it was changed or not written to its end, or it has another format.
    """
    connection, in_use = None, InUse()
    if path is not None:
        content = _content_of(path)
        connection, of_index = _opened(path, content)
        in_use = InUse(_digest(path, content), of_index)
    _INDEX.path, _INDEX.connection, _INDEX.meanings, _INDEX.in_use = path, connection, {}, in_use
    for cache in CACHES.values():
        cache.clear()


def in_use() -> InUse:
    """Return what lookups read now; another object after each change."""
    return _INDEX.in_use


def digest_of(path: Path) -> str:
    """Return the start of the SHA-256 of an index, which is its name in a folder of indexes.

    Raises:
        WrongIndex: There is no such file, or it was changed since it was named by its digest.
    """
    return _digest(path, _content_of(path))


def _content_of(path: Path) -> bytes:
    try:
        return read_plain(path)
    except OSError as error:
        raise WrongIndex(f"{unreadable(path, error)}; {_WRITES_ONE}") from None


def _digest(path: Path, content: bytes) -> str:
    digest = hashlib.sha256(content).hexdigest()[:_DIGITS]
    if len(path.stem) == _DIGITS and set(path.stem) <= set(hexdigits) and path.stem != digest:
        raise WrongIndex(f"{path} was changed after it was written: import again")
    return digest


def _opened(path: Path, content: bytes) -> tuple[sqlite3.Connection, tuple[Source, ...]]:
    """Return the index in memory: a mapped file that somebody shortens in place would end the process."""
    connection = sqlite3.connect(":memory:", check_same_thread=False)
    try:
        connection.deserialize(content)
        connection.execute("PRAGMA query_only = ON")
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        text = connection.execute("SELECT text FROM about").fetchone()
    except sqlite3.Error as error:
        connection.close()
        raise WrongIndex(f"{path} is not an index of terminologies ({error}); {_WRITES_ONE}") from None
    if version != FORMAT or text is None:
        connection.close()
        raise WrongIndex(f"{path} has format {version}, not {FORMAT}: import again")
    return connection, msgspec.json.decode(text[0], type=tuple[Source, ...])


def is_used() -> bool:
    """Whether an index is in use."""
    return _INDEX.path is not None


def meaning_of_code(system: str, code: str) -> Meaning | None:
    """Return what a code means; `system` is snomed, loinc, rxnorm or atc, else the plain address of the code system."""
    if not is_used():
        return None
    key = (system, plain_code(system, code))
    return _meaning("SELECT meaning FROM code WHERE system = ? AND code = ?", key)


def meaning_of_name(name: str) -> Meaning | None:
    """Return what a whole name means, in any of the languages that were imported."""
    if not is_used() or len(name) > LONGEST_NAME:
        return None
    return _meaning("SELECT meaning FROM name WHERE hash = ?", (hash_of_name(plain_name(name)),))


def plain_address(address: str) -> str:
    """Return the address of a code system without version and final slash, in lower case, with http."""
    plain = address.strip().partition("|")[0].rstrip("/").lower()
    return f"http://{plain.removeprefix('https://')}" if plain.startswith("https://") else plain


def plain_code(system: str, code: str) -> str:
    """Return a code as the index has it: of ICD-10 without dots in capitals, of packages without dashes.

    >>> plain_code("icd10", "i50.0"), plain_code("ndc", "0093-0058-01"), plain_code("snomed", "84114007")
    ('I500', '00093005801', '84114007')
    """
    plain = code.strip()
    if system == "icd10":
        return plain.replace(".", "").upper()
    if system == "ndc" and plain.count("-") == 2:
        labeler, product, package = plain.split("-")
        return f"{labeler.zfill(5)}{product.zfill(4)}{package.zfill(2)}"
    return plain


def plain_name(name: str) -> str:
    """Return a name as the index has it: in lower case, with single spaces, without the tag of SNOMED CT."""
    plain = " ".join(name.lower().split())
    return plain[: plain.rindex(" (")] if plain.endswith(")") and " (" in plain else plain


def hash_of_name(plain: str) -> int:
    """Return 64 bits of a plain name: the index holds no name of a release and needs half the memory."""
    return int.from_bytes(hashlib.blake2b(plain.encode(), digest_size=8).digest(), signed=True)


def _meaning(question: str, values: tuple[str | int, ...]) -> Meaning | None:
    rows = _INDEX.connection
    if rows is None:
        return None
    row = rows.execute(question, values).fetchone()
    if row is None:
        return None
    meaning = _INDEX.meanings.get(row[0])
    if meaning is None:
        if len(_INDEX.meanings) >= _MOST_MEANINGS:
            _INDEX.meanings.clear()
        text = rows.execute("SELECT text FROM meaning WHERE id = ?", row).fetchone()[0]
        meaning = _INDEX.meanings[row[0]] = _MEANING.decode(text)
    return meaning


def analytes_by_code() -> Mapping[str, str]:
    """Return the analyte of each LOINC code of the index."""
    rows = _INDEX.connection
    if rows is None:
        return {}
    codes = rows.execute("SELECT code, text FROM code JOIN meaning ON meaning.id = code.meaning WHERE system = 'loinc'")
    return {code: _MEANING.decode(meaning).analyte for code, meaning in codes}
