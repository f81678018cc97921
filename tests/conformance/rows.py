"""Rows of the checklist and the tests that carry their ids: `@row("CARD-03")` on a test, a reason in stated.csv."""

import csv
import importlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cds_hooks.contract.rows import Row, rows

FOLDER = Path(__file__).parent


def row(*ids: str) -> pytest.MarkDecorator:
    """Says which rows a test, or one case of it, shows."""
    return pytest.mark.row(*ids)


def known() -> dict[str, Row]:
    """Every row there is, by id."""
    return rows()


def binding() -> dict[str, Row]:
    """The 157 rows that bind a service."""
    return {each.id: each for each in known().values() if each.binds_a_service}


def stated() -> dict[str, str]:
    """Why a row is not tested here, by id."""
    with (FOLDER / "stated.csv").open(encoding="utf-8", newline="") as file:
        return {each["row"]: each["reason"] for each in csv.DictReader(file)}


def tests() -> dict[str, list[str]]:
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
