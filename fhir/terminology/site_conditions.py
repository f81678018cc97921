"""A hospital's own conditions: codes, phrases and groups that its charts have beside those of the tables.

A row of the file (`conditions.csv` in the folder of the hospital's rules) gives a group one more code, with the address
of its code system, or one more phrase. A new group needs a name; a row without a group says that a code is understood
and in none of them. The file is read once, before the first chart.
"""

import csv
from pathlib import Path
from typing import Final

from fhir.terminology.assertions import tokens_of
from fhir.terminology.caching import CACHES
from fhir.terminology.conditions import CONDITION_GROUPS, SITE_CODES, add_group
from fhir.terminology.imported import plain_address
from fhir.terminology.phrases import SITE_PHRASES, plain_words

COLUMNS: Final = ("group", "name", "history", "implies", "system", "code", "phrase")
_HISTORIES: Final = frozenset({"", "any", "5 years"})


class WrongConditions(ValueError):
    """A row of the file cannot be used; the message names the file and the line."""


def use_site_conditions(path: Path) -> None:
    """Add what the file says to the tables.

    Raises:
        WrongConditions: A column or a row is none of this table.
    """
    reader = csv.DictReader(path.read_text("utf-8").splitlines())
    unknown = set(reader.fieldnames or ()) - set(COLUMNS)
    if unknown or "group" not in (reader.fieldnames or ()):
        raise WrongConditions(f"{path}, line 1: the columns are {', '.join(COLUMNS)}")
    for line, row in enumerate(reader, 2):
        fault = _add({name: (cell or "").strip() for name, cell in row.items() if name})
        if fault:
            raise WrongConditions(f"{path}, line {line}: {fault}")
    for cache in CACHES.values():
        cache.clear()


def _add(row: dict[str, str]) -> str:
    """Add one row; what is wrong with it, empty where nothing is."""
    group, system, code, phrase = (row.get(name, "") for name in ("group", "system", "code", "phrase"))
    if group and group not in CONDITION_GROUPS:
        if fault := _fault_of_new_group(row):
            return fault
        add_group(group, row["name"], row.get("history", ""), _implied(row))
    if bool(system) is not bool(code):
        return "a code stands beside the address of its code system"
    if phrase and not group:
        return "a phrase needs the group that it means"
    if phrase and not plain_words(tokens_of(phrase)):
        return f"the phrase {phrase!r} has no word"
    if not code and not phrase:
        return "" if group else "the row has neither a group nor a code"
    if code:
        key = (plain_address(system), code)
        SITE_CODES[key] = (*SITE_CODES.get(key, ()), *([CONDITION_GROUPS[group].key] if group else []))
    if phrase:
        SITE_PHRASES.append((group, phrase))
    return ""


def _fault_of_new_group(row: dict[str, str]) -> str:
    group, missing = row["group"], [name for name in _implied(row) if name not in CONDITION_GROUPS]
    if not group.startswith("site_"):
        return f"there is no group {group!r}; the id of a new one begins with site_"
    if not row.get("name"):
        return f"the new group {group!r} needs a name"
    if row.get("history", "") not in _HISTORIES:
        return f"history is empty, any or 5 years, not {row['history']!r}"
    return f"{group!r} implies {missing[0]!r}, which is no group" if missing else ""


def _implied(row: dict[str, str]) -> tuple[str, ...]:
    return tuple(filter(None, row.get("implies", "").split(";")))
