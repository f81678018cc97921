"""Who may open which page, whether it is of patients, and whether programs may open it: typed again in doors.csv."""

import csv
from pathlib import Path

from cds_hooks.access.roles import Role
from cds_hooks.pages.doors import DOORS

_FLAGS = ("of_patients", "token", "by_link", "anonymous")


def _names(roles: frozenset[Role] | None, otherwise: str) -> str:
    return otherwise if roles is None else " ".join(sorted(role.value for role in roles))


def test_each_page_is_open_to_those_whom_the_table_names() -> None:
    with Path(__file__).with_name("doors.csv").open(encoding="utf-8", newline="") as file:
        typed = [tuple(row.values()) for row in csv.DictReader(file)]
    declared = [
        (
            door.path,
            _names(door.roles, "everybody"),
            _names(door.changes, ""),
            " ".join(flag for flag in _FLAGS if getattr(door, flag)),
        )
        for door in DOORS
    ]
    assert sorted(declared) == typed
