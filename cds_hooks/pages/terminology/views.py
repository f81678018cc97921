"""Shows which index of terminologies is in force, what others there are, and what is not understood here."""

import csv
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct
from starlette.responses import Response
from starlette.routing import Route

from cds_hooks.hold_back.terminology import REPLAY, REPORT, SUFFIX, whole_indexes
from cds_hooks.pages.server import PageServer
from cds_hooks.pages.terminology.unread import unread_entries
from cds_hooks.storage.queries import list_decisions
from fhir.terminology.imported import Source, WrongIndex, in_use, sources

_DECISIONS: Final = 300
_SHOWN: Final = 50


class Replayed(Struct, frozen=True):
    """What `cds-hooks decisions replay --against` wrote of an index: decisions, and cards by rule that would change."""

    decisions: int = 0
    not_replayed: int = 0
    by_card: dict[str, dict[str, int]] = {}

    @property
    def cards(self) -> list[tuple[str, int, int]]:
        """Each rule or kind of card with how many more and fewer there would be, most changes first."""
        rows = [(name, counts.get("more", 0), counts.get("fewer", 0)) for name, counts in self.by_card.items()]
        return sorted(rows, key=lambda row: (-row[1] - row[2], row[0]))[:_SHOWN]


class IndexRow(Struct, frozen=True):
    """An index: its name, what it was made of, how it stands (in force, before, there, gone), and what it changes."""

    name: str
    sources: tuple[Source, ...]
    standing: str
    differences: tuple[tuple[str, int], ...]
    replay: Replayed | None


class _Terminology:
    def __init__(self, server: PageServer) -> None:
        self._server = server

    def show(self) -> Response:
        """Show the page; its forms are taken at /rules, as all acts are."""
        released = self._server.components.releases.current
        url = self._server.settings.database_url
        entries = unread_entries(url, list_decisions(url, _DECISIONS))
        return self._server.page(
            "terminology/terminology.html",
            indexes=self._indexes(released.terminologies),
            in_use=in_use().index,
            mappings=sorted(released.mappings.items()),
            entries=entries[:_SHOWN],
            total=len(entries),
            most=_DECISIONS,
            can_act=self._server.approvals is not None,
        )

    def _indexes(self, acted: list[str]) -> list[IndexRow]:
        folder, whole = self._server.settings.terminology, whole_indexes(self._server.settings)
        rows = []
        for name in dict.fromkeys((*reversed(acted), *whole)):
            read: tuple[Source, ...] = ()
            if folder is not None and name in whole:
                with suppress(WrongIndex):
                    read = sources(folder / f"{name}{SUFFIX}")
            standing = "in force" if acted and name == acted[-1] else "before" if name in acted else "there"
            standing = standing if name in whole else "gone or changed"
            beside = folder / name if folder is not None else None
            rows.append(IndexRow(name, read, standing, _differences(beside), _replay(beside)))
        return rows


def _differences(beside: Path | None) -> tuple[tuple[str, int], ...]:
    """How many differences of each kind from our tables the report of an index has."""
    report = beside.with_suffix(REPORT) if beside is not None else None
    if report is None or not report.is_file():
        return ()
    with report.open(encoding="utf-8", newline="") as lines:
        return tuple(Counter(row.get("how") or "" for row in csv.DictReader(lines)).most_common())


def _replay(beside: Path | None) -> Replayed | None:
    try:
        return (
            msgspec.json.decode(beside.with_suffix(REPLAY).read_bytes(), type=Replayed) if beside is not None else None
        )
    except (OSError, msgspec.MsgspecError):
        return None


def routes(server: PageServer) -> list[Route]:
    """Return the address of the page."""
    return [server.route("/terminology", _Terminology(server).show)]
