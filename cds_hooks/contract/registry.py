"""Checks: a small function with the rows it stands for; its docstring is the sentence of advice.

Four decorators say what a check is handed: `check_part` one part of a document, `check_exchange` one exchange,
`check_service` one service to call, `check_server` the whole server. A check yields a Fault for each breach, and raises
NotTested where it cannot be tested or where what it is about was not seen.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from functools import cache
from typing import Any

from cds_hooks.contract.connection import Exchange
from cds_hooks.contract.document import MUST, Fault, Level, Node, Subject
from cds_hooks.contract.target import Service, Target
from models_onnx.discovery import declaring_files

Faults = Iterator[Fault]


class Scope(Enum):
    """What a check is handed when it is not a part of a document."""

    EXCHANGE = "answer"
    SERVICE = "service"
    SERVER = "server"


@dataclass(frozen=True)
class Check:
    """One check; `dialect` names the only dialect it is for, empty for every one.

    `everything`: it is handed the answers to every other check's requests, not only those to conformant calls. `slow`:
    it waits, or sends much; a quick run leaves it out.
    """

    name: str
    rows: tuple[str, ...]
    level: Level
    of: Subject | Scope
    run: Callable[[Any], Faults]
    advice: str
    group: str
    dialect: str = ""
    everything: bool = False
    slow: bool = False

    @property
    def row(self) -> str:
        """The row its findings quote."""
        return self.rows[0]

    @property
    def words(self) -> str:
        """Its name as a sentence."""
        return self.name.replace("_", " ")


_checks: list[Check] = []


def check_part(
    subject: Subject, *rows: str, level: Level = MUST, dialect: str = ""
) -> Callable[[Callable[[Node], Faults]], Callable[[Node], Faults]]:
    """Registers a check of one part of a document."""
    return _registered(subject, rows, level, dialect)


def check_exchange(
    *rows: str, level: Level = MUST, everything: bool = False
) -> Callable[[Callable[[Exchange], Faults]], Callable[[Exchange], Faults]]:
    """Registers a check of every exchange; `everything` where conformant calls alone do not show the fault."""
    return _registered(Scope.EXCHANGE, rows, level, everything=everything)


def check_service(
    *rows: str, level: Level = MUST, dialect: str = "", slow: bool = False
) -> Callable[[Callable[[Service], Faults]], Callable[[Service], Faults]]:
    """Registers a check that calls one service."""
    return _registered(Scope.SERVICE, rows, level, dialect, slow=slow)


def check_server(
    *rows: str, level: Level = MUST, slow: bool = False
) -> Callable[[Callable[[Target], Faults]], Callable[[Target], Faults]]:
    """Registers a check that is made once for the whole server."""
    return _registered(Scope.SERVER, rows, level, slow=slow)


def _registered(
    of: Subject | Scope,
    rows: tuple[str, ...],
    level: Level,
    dialect: str = "",
    everything: bool = False,
    slow: bool = False,
) -> Callable[[Any], Any]:
    def register(function: Any) -> Any:
        advice = " ".join((function.__doc__ or "").split())
        group = function.__module__.rpartition(".")[2]
        _checks.append(Check(function.__name__, rows, level, of, function, advice, group, dialect, everything, slow))
        return function

    return register


@cache
def all_checks() -> tuple[Check, ...]:
    """Every check of the modules in `checks/`, module by module in the order of their names."""
    for file in declaring_files("cds_hooks.contract.checks"):
        file.load()
    return tuple(_checks)
