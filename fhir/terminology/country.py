"""The country whose labels, names of drugs and units hold, named once for the process before a table is read.

`tables/countries.csv` has a row for each country that is known: its ISO code, another code by which it goes, and the
labels that hold there beside its own (EU: what the European Medicines Agency or a European referral decided; the
United Kingdom kept these texts). A row of any table may have a column `country`: it is in force where the country or
one of its labels stands there. A row without one holds everywhere. To add a country is to add a row here, and rows to
the tables in which it differs.
"""

import csv
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.resources import files
from typing import Any, ClassVar, Final

from msgspec import Struct

DEFAULT: Final = "US"
COLUMN: Final = "country"
"""The column of a table, and the member of an object in a rule's file, that says where it holds."""


class UnknownCountry(ValueError):
    """A country that has no row, or one that is named after the tables of another one were read."""

    what_cannot_be_used: ClassVar[str] = "CDS_COUNTRY"


class Country(Struct, frozen=True):
    """A country: its ISO 3166 code, its name, what stands in a row that holds there, its calibration of KFRE."""

    code: str
    name: str
    holds_for: frozenset[str]
    kfre_region: str

    def holds(self, cell: str) -> bool:
        """Whether a row with these countries, separated by semicolons, is in force; an empty cell holds everywhere."""
        return not cell or not self.holds_for.isdisjoint(cell.split(";"))


@cache
def countries() -> Mapping[str, Country]:
    """Return every country that is known, by each code that it goes by."""
    text = files("fhir.terminology").joinpath("tables/countries.csv").read_text(encoding="utf-8")
    by_code: dict[str, Country] = {}
    for row in csv.DictReader(text.splitlines()):
        holds_for = frozenset({row["code"], *filter(None, row["labels"].split(";"))})
        country = Country(row["code"], row["name"], holds_for, row["kfre_region"])
        by_code |= dict.fromkeys(filter(None, (row["code"], row["also"])), country)
    return by_code


def country_of(code: str) -> Country:
    """Return the country with this code. UnknownCountry, with the countries that are known, where there is none."""
    country = countries().get(code.strip().upper())
    if country is None:
        codes = ", ".join(f"{code} ({country.name})" for code, country in countries().items())
        raise UnknownCountry(f"the country {code[:40]!r} is not known; known are {codes}")
    return country


_chosen: Final = [DEFAULT]
_read: Final[list[str]] = []


def use_country(code: str) -> None:
    """Name the country, once for the process.

    Raises:
        UnknownCountry: No row has this code, or tables were read already for another country.
    """
    country = country_of(code)
    if _read and _read[0] != country.code:
        raise UnknownCountry(f"the tables were read already for {_read[0]}, so that {country.code} comes too late")
    _chosen[0] = country.code


def own_country() -> Country:
    """Return the country in force; from now on it stays."""
    _read[:] = _chosen
    return countries()[_chosen[0]]


def rows_in_force(rows: Iterable[dict[str, str]]) -> list[dict[str, str]]:
    """Return the rows of a table that hold in the country, without that column."""
    return [row for row in rows if COLUMN not in row or own_country().holds(row.pop(COLUMN))]


def parts_in_force(written: Any) -> Any:
    """Return what a file holds without the members of its lists that hold in other countries only."""
    if isinstance(written, list):
        return [parts_in_force(part) for part in written if _is_in_force(part)]
    if isinstance(written, dict):
        return {name: parts_in_force(part) for name, part in written.items() if name != COLUMN}
    return written


def _is_in_force(part: Any) -> bool:
    return not isinstance(part, dict) or COLUMN not in part or own_country().holds(part[COLUMN])
