"""Rows of the checklist and the tests that carry their ids: `@row("CARD-03")` on a test, a reason in stated.csv."""

import csv
import importlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cds_hooks.tools.kit.contract.registry import Row, rows

FOLDER = Path(__file__).parent
NUMBERED = {
    "GEN": 12, "CAP": 4, "DISC": 17, "REQ": 17, "PRE": 17, "TOK": 19, "QRY": 10, "FHIR": 21, "RESP": 10, "CARD": 21,
    "SRC": 7, "COD": 4, "SUG": 8, "ACT": 8, "LINK": 11, "SYS": 6, "FB": 19, "SEC": 33, "CORS": 3, "STALE": 4, "EXT": 3,
    "HOOK": 12,
}  # fmt: skip
"""How many rows each section of the checklist has: 266 together. They are numbered from 01."""


def row(*ids: str) -> pytest.MarkDecorator:
    """Says which rows a test, or one case of it, shows."""
    return pytest.mark.row(*ids)


def exists(name: str) -> bool:
    """Whether the checklist has such a row: a numbered one, or one on a field of a hook."""
    section, _, number = name.partition("-")
    if section == "HK":
        return name in rows()
    return number.isdigit() and len(number) == 2 and 1 <= int(number) <= NUMBERED.get(section, 0)


def binding() -> dict[str, Row]:
    """The 157 rows that bind a service."""
    return {each.id: each for each in rows().values() if each.binds_a_service}


def stated() -> dict[str, str]:
    """Why a row is not tested here, by id."""
    with (FOLDER / "stated.csv").open(encoding="utf-8", newline="") as file:
        return {each["row"]: each["reason"] for each in csv.DictReader(file)}


def shown() -> dict[str, list[str]]:
    """The tests of each row: `test_card.py::test_a_summary_is_short`."""
    found: dict[str, list[str]] = {}
    for path in sorted(FOLDER.glob("test_*.py")):
        module = importlib.import_module(f"tests.conformance.{path.stem}")
        for name, function in vars(module).items():
            if name.startswith("test_") and callable(function):
                for each in sorted(set(_ids(function))):
                    found.setdefault(each, []).append(f"{path.name}::{name}")
    return found


def _ids(function: Callable[..., Any]) -> Iterator[str]:
    for mark in getattr(function, "pytestmark", ()):
        if mark.name == "row":
            yield from mark.args
        elif mark.name == "parametrize":
            for case in mark.args[1]:
                for inner in getattr(case, "marks", ()):
                    if inner.name == "row":
                        yield from inner.args
