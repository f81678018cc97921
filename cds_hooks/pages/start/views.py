"""The start page: for each role what it does most, the state of the server, and one card as an EHR shows it."""

from datetime import UTC, datetime, time
from typing import Final

from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from cds_hooks.pages.operations.tasks import Task, tasks_of
from cds_hooks.pages.server import PageServer
from cds_hooks.pages.start.example import example_card
from cds_hooks.web.visitor import PageLink, visiting
from models_onnx.equations.declaration import find_equations


class RoleLinks(Struct, frozen=True):
    """A role, and the pages of what it does most."""

    title: str
    links: tuple[PageLink, ...]


class LiveState(Struct, frozen=True):
    """What goes on: the counted calls of today, and what waits for a person."""

    calls: int
    tasks: tuple[Task, ...]


_ROLES: Final = (
    ("Try a service", (("try", "send a call"), ("docs/testers/try.html", "save and replay calls"),
                       ("docs/testers/contract-kit.html", "check a server against CDS Hooks"))),
    ("Treat patients", (("worklist", "open the worklist"), ("docs/readers/clinician.html", "read what the cards say"))),
    ("Check medications", (("rules", "read the rules"), ("rules/checks", "see which checks a drug has"),
                           ("docs/readers/pharmacist.html", "how rules are checked"))),
    ("Work on models", (("models", "read the models"), ("docs/readers/data-scientist.html", "from a table to a card"),
                        ("docs/operations/release.html", "release a version"))),
    ("Decide in the committee", (("rules#waiting", "see what waits for a second person"),
                                 ("simulations", "try a change"), ("models", "compare two versions of a model"))),
    ("Operate the server", (("ops", "see what is wrong now"), ("ops/interfaces", "mend a feed"),
                            ("docs/operations/runbooks.html", "open a runbook"))),
    ("Keep a payer's rules", (("payers", "read the rules, and try an order"),
                              ("docs/payers.html", "write rules of your own"))),
    ("Audit", (("decisions", "find a decision"), ("docs/operations/decisions.html", "verify the record"),
               ("docs/readers/compliance.html", "what is recorded"))),
    ("Protect patients' data", (("decisions", "see who was shown what"),
                                ("docs/security.html", "what is kept and sent"))),
)  # fmt: skip
"""Each role with its tasks, the next one first."""


def routes(server: PageServer) -> list[Route]:
    """Return its address."""

    def start(_: Request) -> Response:
        open_pages = {link.path.rstrip("/") for link in visiting().links} | {"docs"}
        return server.page(
            "start/start.html",
            roles=_roles(open_pages),
            state=_state(server) if "ops" in open_pages else None,
            example=example_card(),
            can_try="try" in open_pages,
            open_pages=open_pages,
            services=list(server.services.values()),
            equations=list(find_equations().values()),
        )

    return [server.route("/", start)]


def _roles(open_pages: set[str]) -> list[RoleLinks]:
    """Return the roles whose pages somebody may open, each with the links that lead somewhere for them."""
    roles = []
    for title, links in _ROLES:
        usable = tuple(PageLink(*link) for link in links if _leads(link[0], open_pages))
        if any(not link.path.startswith("docs/") for link in usable):
            roles.append(RoleLinks(title, usable))
    return roles


def _leads(path: str, open_pages: set[str]) -> bool:
    return path.partition("#")[0].partition("/")[0] in open_pages


def _state(server: PageServer) -> LiveState | None:
    """Return what goes on; None where the counts cannot be used."""
    book = server.counts.counted().book
    if book is None:
        return None
    now = datetime.now(UTC)
    midnight = datetime.combine(now.date(), time(), UTC)
    calls = sum(calls for _, calls in book.callers(int(midnight.timestamp() * 1e6)).values())
    return LiveState(calls, tuple(tasks_of(server, book, now)))
