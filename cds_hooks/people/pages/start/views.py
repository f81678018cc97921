"""The start page: what each role does most, the services and the published equations.

For who has logged in, what waits for them: approvals, acts, models without cards, a record that nobody verified, old
tables.
"""

from datetime import UTC, datetime
from typing import Final

from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from cds_hooks.people.access.roles import Role
from cds_hooks.people.pages.server import PageServer
from cds_hooks.people.pages.start.tasks import Task, tasks_of
from cds_hooks.people.web.site import HEADERS, Failure, PageRefusal
from cds_hooks.people.web.visitor import PageLink, visiting
from models_onnx.declarations import origin_of
from models_onnx.equations.calculate import limits
from models_onnx.equations.card import source_attributes
from models_onnx.equations.declaration import EquationInput, find_equations

_NO_EQUATION: Final = Failure("No such equation", "No equation has this name.", "The start page lists those there are.")


Work = dict[str, list[PageLink]]
"""Kinds of work, each with the pages of what it does most."""


def _input_row(item: EquationInput) -> tuple[str, str, str, str]:
    """Return words, unit, limits or choices, and codes of an input."""
    allowed = " or ".join(item.choices) if item.choices else "yes or no" if item.kind == "yes-no" else limits(item)
    codes = ", ".join(f"LOINC {code}" for code in item.loinc) or item.note
    return item.words, "" if item.unit == "1" else item.unit, allowed, codes


_WORK: Final = (
    ("Try a service", (Role.OPERATOR,),
     (("try", "send a call"), ("docs/testers/try.html", "what the page can do"),
      ("docs/testers/contract-kit.html", "check a server against CDS Hooks"))),
    ("Treat patients", (Role.CLINICIAN,),
     (("worklist", "open the worklist"), ("docs/readers/clinician.html", "read what the cards say"))),
    ("Check medications", (Role.PHARMACIST,),
     (("rules#find", "see which checks a drug has"), ("rules", "read, approve and switch rules"),
      ("ops/cards", "see how cards are answered"), ("docs/readers/pharmacist.html", "how rules are checked"))),
    ("Work on models", (Role.MODEL_OWNER,),
     (("models", "read the models"), ("ops/cards", "see how cards are answered"),
      ("docs/readers/data-scientist.html", "from a table to a card"),
      ("docs/operations/release.html", "release a version"))),
    ("Decide in the committee", (Role.APPROVER,),
     (("rules#waiting", "see what waits for a second person"), ("docs/rules/governance.html", "try a change"),
      ("ops/cards", "see how cards are answered"))),
    ("Operate the server", (Role.OPERATOR,),
     (("ops", "see what is wrong now"), ("ops#interfaces", "mend a feed"),
      ("docs/operations/runbooks.html", "open a runbook"))),
    ("Read along", (Role.VIEWER,), (("rules", "read the rules"), ("models", "read the models"))),
    ("Audit", (Role.AUDITOR,),
     (("decisions", "find a decision"), ("ops#record", "see whether the record is whole"),
      ("docs/operations/decisions.html", "verify the record"), ("docs/readers/compliance.html", "what is recorded"))),
    ("Protect patients' data", (Role.AUDITOR,),
     (("decisions/seen", "see who saw what"), ("docs/security.html", "what is kept and sent"))),
)  # fmt: skip
"""Each kind of work with its roles and its tasks, the next one first."""


def routes(server: PageServer) -> list[Route]:
    """Return its address."""

    def start() -> Response:
        visitor = visiting().visitor
        roles = visitor.roles if visitor is not None and visitor.bound is None else frozenset[str]()
        of_role, other = _work(roles)
        return server.page(
            "start/start.html",
            tries=server.site.development and visiting().may_open("try"),
            work=of_role,
            other_work=other,
            tasks=_tasks(server),
            sees_metrics=visiting().may_open("metrics"),
            services=list(server.services.values()),
            origin_of=origin_of,
            equations=find_equations().values(),
            input_row=_input_row,
            source_attributes=source_attributes,
        )

    def equation(equation_id: str) -> Response:
        """Lead the link of a card to the equation on the start page."""
        if equation_id not in find_equations():
            raise PageRefusal(_NO_EQUATION)
        return RedirectResponse(f"../#equation-{equation_id}", 308, HEADERS)

    return [server.route("/", start), server.route("/equations/{equation_id}", equation)]


def _work(roles: frozenset[str]) -> tuple[Work, Work]:
    """Return the work of these roles and the other work that is open to them; without roles all of it is one list."""
    of_role, other = Work(), Work()
    for title, of_roles, links in _WORK:
        usable = [PageLink(*link) for link in links if visiting().may_open(link[0])]
        if any(not link.path.startswith("docs/") for link in usable):
            (of_role if not roles or not roles.isdisjoint(of_roles) else other)[title] = usable
    return of_role, other


def _tasks(server: PageServer) -> list[Task]:
    """Return what waits for who has logged in and can do it; nothing where the counts cannot be used."""
    visitor = visiting().visitor
    book = server.counts.counted().book if visitor is not None else None
    if visitor is None or book is None:
        return []
    tasks = tasks_of(server, book, datetime.now(UTC))
    return [task for task in tasks if not task.roles.isdisjoint(visitor.roles)]
