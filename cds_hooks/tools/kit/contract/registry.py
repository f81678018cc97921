"""Checks: a small function with the rows it stands for; its docstring is the sentence of advice.

Four decorators say what a check is handed: `check_part` one part of a document, `check_exchange` one exchange,
`check_service` one service to call, `check_server` the whole server. A check yields a Fault for each breach, and raises
NotTested where it cannot be tested or where what it is about was not seen.

The rows of the conformance checklist: what each says, how binding it is, whether it can be seen from outside.

Source: the CDS Hooks conformance checklist (2.0.1, shared material of the project, 266 rows); the words are our own.
`rows.csv` holds the 157 rows that bind a service, the rows of the client that are tried on a service, and Epic's ways
(from the note on EHR dialects). Rows of the hooks' fields (`HK-<hook>-<field>`) are made from `hooks.csv`.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, partial
from importlib import import_module
from pkgutil import iter_modules
from typing import Any, Final

from cds_hooks.tools.kit.contract.definitions import FIELDS, read_table
from cds_hooks.tools.kit.contract.document import MUST, SHOULD, Fault, Level, Subject

Faults = Iterator[Fault]


@dataclass(frozen=True)
class Check:
    """One check; `dialect` names the only dialect it is for, empty for every one.

    `everything`: it is handed the answers to every other check's requests, not only those to conformant calls. `slow`:
    it waits, or sends much; a quick run leaves it out.
    """

    name: str
    rows: tuple[str, ...]
    level: Level
    subject: Subject
    run: Callable[[Any], Faults]
    advice: str
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


_Function = Callable[[Any], Faults]


def check_part(subject: Subject, *rows: str, level: Level = MUST, **more: Any) -> Callable[[_Function], _Function]:
    """Register a check that is handed this, for these rows; `more` is for `Check`."""

    def register(function: _Function) -> _Function:
        advice = " ".join((function.__doc__ or "").split())
        _checks.append(Check(function.__name__, rows, level, subject, function, advice, **more))
        return function

    return register


def add_check(row: dict[str, str], subject: Subject, function: _Function) -> None:
    """Register a check whose name, rows, level, dialect and advice are those of a row of a table."""
    level: Level = SHOULD if row["level"] == "should" else MUST
    _checks.append(
        Check(row["check"], (*row["rows"].split(),), level, subject, function, row["advice"], row["dialect"])
    )


check_exchange: Final = partial(check_part, Subject.EXCHANGE)
"""Register a check of every exchange; `everything` where conformant calls alone do not show the fault."""
check_service: Final = partial(check_part, Subject.SERVICE)
"""Register a check that calls one service."""
check_server: Final = partial(check_part, Subject.SERVER)
"""Register a check that is made once for the whole server."""


@cache
def all_checks() -> tuple[Check, ...]:
    """Return every check of the modules in `checks/`, module by module in the order of their names."""
    package = import_module("cds_hooks.tools.kit.contract.checks")
    for module in sorted(module.name for module in iter_modules(package.__path__)):
        import_module(f"{package.__name__}.{module}")
    return tuple(_checks)


SECTIONS = {
    "GEN": "JSON and transport",
    "CAP": "Capabilities",
    "DISC": "Discovery",
    "REQ": "Calling a service",
    "PRE": "Prefetched data",
    "TOK": "Prefetch tokens",
    "QRY": "Prefetch queries",
    "FHIR": "FHIR access",
    "RESP": "Response",
    "CARD": "Card",
    "SRC": "Source",
    "COD": "Coding",
    "SUG": "Suggestion",
    "ACT": "Action",
    "LINK": "Link",
    "SYS": "System action",
    "FB": "Feedback",
    "SEC": "Security",
    "CORS": "CORS",
    "STALE": "Stale advice",
    "EXT": "Extension",
    "HK": "Hook context",
    "EPIC": "Epic",
}


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the checklist.

    `binds` is S (service), both, C (client: tried on a service all the same) or dialect; `unseen` says why it cannot be
    seen from outside.
    """

    id: str
    strength: str
    binds: str
    statement: str
    unseen: str = ""

    @property
    def section(self) -> str:
        """Its section's letters: CARD for CARD-03."""
        return self.id.partition("-")[0]

    @property
    def is_seen_by(self) -> str:
        """The dialect that alone is asked about it; empty for every one."""
        return self.section.lower() if self.binds == "dialect" else ""

    @property
    def binds_a_service(self) -> bool:
        """Whether the checklist counts it among the rows of a service."""
        return self.binds in ("S", "both")


@cache
def rows() -> dict[str, Row]:
    """Return all rows by id, in the order of the checklist."""
    rows_by_id = {
        row["row"]: Row(row["row"], row["strength"], row["binds"], row["statement"], row["outside"].removeprefix("yes"))
        for row in read_table("rows.csv")
    }
    for field in FIELDS:
        row = f"HK-{field.hook}-{field.name}"
        strength, word = ("SHALL", "a required") if field.required else ("MAY", "an optional")
        rows_by_id[row] = Row(row, strength, "C", f"{field.hook}: context.{field.name} is {word} {field.type}.")
    return rows_by_id
