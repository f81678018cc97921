"""Reads the tables that stand in our packages, and keeps what is equal in them once."""

import csv
import sys
from importlib.resources import files
from typing import Any, Final, TypeVar

from fhir.terminology.country import rows_in_force

_Member = TypeVar("_Member")
_SHARED: Final[dict[frozenset[Any], frozenset[Any]]] = {}


def shared(members: frozenset[_Member]) -> frozenset[_Member]:
    """Return the one set of what is loaded with these members: tens of thousands of conditions name a few thousand."""
    return _SHARED.setdefault(members, members)


def package_rows(package: str, path: str) -> list[dict[str, str]]:
    """Return the rows of a table in a package that hold in the country.

    Equal cells are one text, of which most tables have many (2 MB less).

    Raises:
        ValueError: A row is shorter or longer than the first one.
    """
    text = files(package).joinpath(path).read_text(encoding="utf-8")
    header, *rows = csv.reader(text.splitlines())
    return rows_in_force(dict(zip(header, map(sys.intern, row), strict=True)) for row in rows)
