"""Shows which index of terminologies is in force, what others there are, and what is not understood here."""

from contextlib import suppress
from typing import Final

from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from cds_hooks.hold_back.terminology import SUFFIX, whole_indexes
from cds_hooks.pages.server import PageServer
from cds_hooks.pages.terminology.unread import unread_entries
from cds_hooks.storage.queries import list_decisions
from fhir.terminology.imported import Source, WrongIndex, in_use, sources

_DECISIONS: Final = 300
_SHOWN: Final = 50


class IndexRow(Struct, frozen=True):
    """An index: its name, what it was made of, and how it stands (in force, before, there, gone)."""

    name: str
    sources: tuple[Source, ...]
    standing: str


class _Terminology:
    def __init__(self, server: PageServer) -> None:
        self._server = server

    def show(self, _: Request) -> Response:
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
            rows.append(IndexRow(name, read, standing if name in whole else "gone or changed"))
        return rows


def routes(server: PageServer) -> list[Route]:
    """Return the address of the page."""
    return [server.route("/terminology", _Terminology(server).show)]
