"""Who may open which page: the one table of doors. A path without a door is open to nobody while pages need a login."""

import re
from functools import cache
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from cds_hooks.people.access.roles import COMMITTEE, DECISION_READERS, STAFF, Role
from models_onnx.declarations import declarations_of_packages
from models_onnx.packages import Package, packages

_ADDRESS: Final = re.compile(r"/[a-z0-9-]+")

_OPERATOR_ONLY: Final = (
    "Open it at CDS_OPERATOR_LISTEN, or with CDS_OPERATOR_TOKEN as bearer; with CDS_LOGIN people log in."
)


class Door(Struct, frozen=True):
    """The pages at and below a path, and who may open them.

    `roles` None: everybody, without a login. `changes` are the roles that may send a form there; None: as `roles`.
    Without a login (CDS_LOGIN) the pages that a viewer may open are open to everybody, and all others, with the forms
    of pages that have `changes`, to the operator alone.
    """

    path: str
    views: str
    """The module below `cds_hooks.people.pages` that answers."""
    roles: frozenset[Role] | None
    title: str = ""
    """Its name in the navigation; "" for a page that is not in it."""
    of_patients: bool = False
    """Whether it shows something of a patient: then each view is recorded."""
    token: bool = False
    """Whether programs may open it, too: with CDS_OPERATOR_TOKEN, or at CDS_OPERATOR_LISTEN."""
    changes: frozenset[Role] | None = None
    by_link: bool = False
    """Whether sessions of the link of a card and of an EHR launch open it, and everybody with CDS_EXPLAIN_PAGES."""
    anonymous: bool = False
    """Whether it is the same for everybody: then nobody's session is looked up."""
    package: str = ""
    """The package from outside that brings the page; "" for a page of ours."""
    refusal: str = _OPERATOR_ONLY
    """What somebody can do whom the server does not let in because they are not the operator."""

    def leads_to(self, path: str) -> bool:
        """Return whether a path is at or below this one."""
        return path == self.path or (path.startswith(self.path.rstrip("/") + "/") and self.path != "/")

    def roles_for(self, *, is_reading: bool) -> frozenset[Role] | None:
        """Return who may read it, or send a form there; None: everybody, without a login."""
        return self.roles if is_reading or self.changes is None else self.changes

    @property
    def is_public(self) -> bool:
        """Whether everybody may read it where pages need no login."""
        return self.roles is None or Role.VIEWER in self.roles


_OPERATOR: Final = frozenset({Role.OPERATOR})

DOORS: Final = (
    Door("/", "models.views", STAFF),
    Door("/equations", "models.views", STAFF),
    Door("/try", "tester.views", _OPERATOR, "Try a service"),
    Door("/worklist", "worklist.views", frozenset({Role.CLINICIAN, Role.PHARMACIST}), "Worklist", of_patients=True),
    Door(
        "/rules",
        "rules.views",
        STAFF,
        "Rules",
        changes=COMMITTEE,
        refusal="People who have logged in approve and release; set CDS_LOGIN.",
    ),
    Door("/models", "models.views", STAFF, "Models"),
    Door("/decisions", "decisions.views", DECISION_READERS, "Decisions", of_patients=True, token=True),
    Door(
        "/ops",
        "operations.views",
        frozenset({Role.OPERATOR, Role.AUDITOR, Role.MODEL_OWNER}),
        "Operations",
        token=True,
    ),
    Door("/ops/cards", "operations.views", COMMITTEE | {Role.AUDITOR}, token=True),
    Door("/ops/interfaces", "operations.feeds", _OPERATOR, of_patients=True),
    Door("/docs", "documentation.views", STAFF, "Documentation"),
    Door(
        "/explain",
        "explain.views",
        DECISION_READERS | {Role.CLINICIAN, Role.CLINICIAN_LINK},
        of_patients=True,
        token=True,
        by_link=True,
        refusal="Open it from its card again, or ask the operator. The card in the chart says what it rests on.",
    ),
    Door(
        "/summary",
        "explain.views",
        frozenset({Role.CLINICIAN, Role.CLINICIAN_LINK}),
        of_patients=True,
        by_link=True,
        refusal="Open the app from the chart of the patient.",
    ),
    Door("/static", "files", None, anonymous=True),
    Door(
        "/metrics",
        "files",
        _OPERATOR,
        token=True,
        refusal="/metrics is for the operator: ask at CDS_OPERATOR_LISTEN, or with CDS_OPERATOR_TOKEN as bearer.",
    ),
    Door("/login", "login.views", None),
    Door("/logout", "login.views", None),
    Door("/open", "login.views", None),
    Door("/launch", "login.views", None, anonymous=True),
)
"""All doors; those with a title are in the navigation, in this order."""


def all_doors() -> tuple[Door, ...]:
    """Return our doors, then those of packages from outside.

    Raises:
        DeclarationError: A page of a package is declared wrongly, or at an address of ours.
    """
    return _doors_with(packages()) if packages() else DOORS


@cache
def _doors_with(_packages: tuple[Package, ...]) -> tuple[Door, ...]:
    doors = list(DOORS)
    for declaration in declarations_of_packages("cds_hooks.people.pages", Door):
        door, file = declaration.value, declaration.file
        if not _ADDRESS.fullmatch(door.path):
            raise file.fault(f"the address {door.path!r} is / and lower-case letters, digits and -", door.path)
        if any(other.leads_to(door.path) or door.leads_to(other.path) for other in doors):
            raise file.fault(f"{door.path} is the address of another page", door.path)
        if not callable(getattr(declaration.module, "routes", None)):
            raise file.fault("the file declares no routes; a function of the server returns them (docs/adding/page.md)")
        doors.append(replace(door, views=file.name, package=file.package.name if file.package else ""))
    return tuple(doors)


def door_of(path: str) -> Door | None:
    """Return the door of a path, the longest that leads there; None where there is none: then nobody may open it."""
    leading = [door for door in all_doors() if door.leads_to(path)]
    return max(leading, key=lambda door: len(door.path), default=None)
