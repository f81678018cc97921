"""The start page: for each role what it does most, the state of the server, and one card as an EHR shows it."""

from datetime import UTC, datetime, time
from functools import cache
from importlib.resources import files
from typing import Final

import msgspec
from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from cds_hooks.decision_history import Card
from cds_hooks.pages.operations.glance import Task, tasks_of
from cds_hooks.pages.server import PageServer
from cds_hooks.web.markdown import render_markdown
from cds_hooks.web.visitor import PageLink, visiting


class RoleLinks(Struct, frozen=True):
    """A role, and the pages of what it does most."""

    title: str
    links: tuple[PageLink, ...]


class LiveState(Struct, frozen=True):
    """What goes on: the counted calls of today, and what waits for a person."""

    calls: int
    tasks: tuple[Task, ...]


_ROLES: Final = (
    ("Try it out", (("try", "send a call"), ("docs/testers/try.html", "save and replay calls"),
                    ("docs/testers/contract-kit.html", "check a server against CDS Hooks"))),
    ("Treat patients", (("worklist", "open the worklist"), ("docs/readers/clinician.html", "read what the cards say"),
                        ("docs/services.html", "see when each service speaks"))),
    ("Check medications", (("rules", "read the rules"), ("approvals", "approve them"),
                           ("docs/readers/pharmacist.html", "how rules are checked"))),
    ("Operate the server", (("ops", "see how it goes"), ("docs/operations/runbooks.html", "open a runbook"),
                            ("docs/operations/install.html", "install it"))),
    ("Audit", (("decisions", "find a decision"), ("docs/operations/decisions.html", "verify the record"),
               ("docs/readers/compliance.html", "what is recorded"))),
    ("Work on models", (("models", "read the models"), ("docs/readers/data-scientist.html", "from a table to a card"),
                        ("docs/operations/release.html", "release a version"))),
)  # fmt: skip


def routes(server: PageServer) -> list[Route]:
    """Return its address."""

    def start(_: Request) -> Response:
        open_pages = {link.path for link in visiting().links} | {"docs"}
        return server.page(
            "start/start.html",
            roles=_roles(open_pages),
            state=_state(server) if "ops" in open_pages else None,
            example=_example(),
            can_try="try" in open_pages,
        )

    return [server.route("/", start)]


def _roles(open_pages: set[str]) -> list[RoleLinks]:
    """Return each role with the links that who looks at the page may open."""
    roles = []
    for title, links in _ROLES:
        usable = tuple(PageLink(*link) for link in links if link[0] in open_pages or link[0].startswith("docs/"))
        roles.append(RoleLinks(title, usable))
    return roles


def _state(server: PageServer) -> LiveState | None:
    """Return what goes on; None where the counts cannot be used."""
    book = server.counts.counted().book
    if book is None:
        return None
    now = datetime.now(UTC)
    midnight = datetime.combine(now.date(), time(), UTC)
    calls = sum(calls for _, calls in book.callers(int(midnight.timestamp() * 1e6)).values())
    return LiveState(calls, tuple(tasks_of(server, book, now)))


@cache
def _example() -> dict[str, object]:
    """Return the card of a sample patient, as the server answers it (tests/cds_hooks/pages/test_start.py)."""
    card = msgspec.json.decode((files("cds_hooks.pages.start") / "example.json").read_bytes(), type=Card)
    return {"card": card, "detail": render_markdown(card.detail)}
