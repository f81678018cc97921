"""Entries of invented charts that stand in a file of rows: the name of what makes a resource, and its arguments."""

from collections.abc import Mapping
from typing import Any

Json = dict[str, Any]


def made(entry: Any, kinds: Mapping[str, Any]) -> Any:
    """Return what a row's entry stands for: `["problem", "Gout", "M10.9", {"when": "2020-01-01"}]` calls `problem`.

    An argument may be an entry itself; a kind that is no function is a resource that many rows share. Any other
    list is plain data.
    """
    if isinstance(entry, dict):
        return {name: made(value, kinds) for name, value in entry.items()}
    if not isinstance(entry, list):
        return entry
    if not entry or not isinstance(entry[0], str) or entry[0] not in kinds:
        return [made(part, kinds) for part in entry]
    name, *given = entry
    named = given.pop() if given and isinstance(given[-1], dict) else {}
    kind = kinds[name]
    if not callable(kind):
        return kind
    return kind(*(made(argument, kinds) for argument in given), **made(named, kinds))


def resources_of(entries: list[Any], kinds: Mapping[str, Any]) -> list[Json]:
    """Return the resources of a chart in order; an entry may stand for several."""
    several = (made(entry, kinds) for entry in entries)
    return [resource for entry in several for resource in (entry if isinstance(entry, list | tuple) else [entry])]
