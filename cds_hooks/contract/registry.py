"""Checks: a small function with the rows it stands for; its docstring is the sentence of advice.

Four decorators say what a check is handed: `judges` one part of a document, `weighs` one exchange, `tries` one service
to call, `tries_server` the whole server. A check yields a Fault for each breach and raises NotTested where it cannot
be tried.
"""

import importlib
import pkgutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from functools import cache
from typing import Any

from cds_hooks.contract.exchange import Exchange
from cds_hooks.contract.finding import MUST, Fault, Level
from cds_hooks.contract.node import Node
from cds_hooks.contract.service import Service
from cds_hooks.contract.subjects import Subject
from cds_hooks.contract.target import Target

Faults = Iterator[Fault]


class Way(Enum):
    """What a check is handed when it is not a part of a document."""

    EXCHANGE = "answer"
    SERVICE = "service"
    SERVER = "server"


@dataclass(frozen=True)
class Check:
    """One check; `dialect` names the only dialect it is for, empty for every one.

    `everything`: it weighs the answers to every other check's requests, not only those to conformant calls.
    """

    name: str
    rows: tuple[str, ...]
    level: Level
    of: Subject | Way
    run: Callable[[Any], Faults]
    advice: str
    group: str
    dialect: str = ""
    everything: bool = False

    @property
    def row(self) -> str:
        """The row its findings quote."""
        return self.rows[0]

    @property
    def words(self) -> str:
        """Its name as a sentence."""
        return self.name.replace("_", " ")


_checks: list[Check] = []


def judges(
    subject: Subject, *rows: str, level: Level = MUST, dialect: str = ""
) -> Callable[[Callable[[Node], Faults]], Callable[[Node], Faults]]:
    """Registers a check of one part of a document."""
    return _registered(subject, rows, level, dialect)


def weighs(
    *rows: str, level: Level = MUST, everything: bool = False
) -> Callable[[Callable[[Exchange], Faults]], Callable[[Exchange], Faults]]:
    """Registers a check of every exchange; `everything` where conformant calls alone do not show the fault."""
    return _registered(Way.EXCHANGE, rows, level, everything=everything)


def tries(
    *rows: str, level: Level = MUST, dialect: str = ""
) -> Callable[[Callable[[Service], Faults]], Callable[[Service], Faults]]:
    """Registers a check that calls one service."""
    return _registered(Way.SERVICE, rows, level, dialect)


def tries_server(*rows: str, level: Level = MUST) -> Callable[[Callable[[Target], Faults]], Callable[[Target], Faults]]:
    """Registers a check that is made once for the whole server."""
    return _registered(Way.SERVER, rows, level)


def _registered(
    of: Subject | Way, rows: tuple[str, ...], level: Level, dialect: str = "", everything: bool = False
) -> Callable[[Any], Any]:
    def register(function: Any) -> Any:
        advice = " ".join((function.__doc__ or "").split())
        group = function.__module__.rpartition(".")[2]
        _checks.append(Check(function.__name__, rows, level, of, function, advice, group, dialect, everything))
        return function

    return register


@cache
def all_checks() -> tuple[Check, ...]:
    """Every check of the modules in `checks/`, module by module in the order of their names."""
    package = importlib.import_module("cds_hooks.contract.checks")
    for module in sorted(pkgutil.iter_modules(package.__path__), key=lambda each: each.name):
        importlib.import_module(f"{package.__name__}.{module.name}")
    return tuple(_checks)
