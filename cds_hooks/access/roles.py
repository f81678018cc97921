"""The roles, and the one table that says which page is for which role.

A page that is not in `DOORS` is open to nobody while pages need a login; `tests/cds_hooks/access/test_roles.py`
compares the table with the routes of the server.
"""

from enum import StrEnum
from typing import Final

from msgspec import Struct


class Role(StrEnum):
    """What a person may do on the pages. An account can have several roles."""

    VIEWER = "viewer"
    CLINICIAN = "clinician"
    CLINICIAN_LINK = "clinician-link"
    MODEL_OWNER = "model-owner"
    APPROVER = "approver"
    PHARMACIST = "pharmacist"
    OPERATOR = "operator"
    AUDITOR = "auditor"


ROLE_WORDS: Final = {
    Role.VIEWER: "the pages without patients: start, models, equations, rules, documentation",
    Role.CLINICIAN: "the worklist, and why a decision was as it was",
    Role.CLINICIAN_LINK: "why a decision was as it was, for the one patient whose chart is open; only an EHR launch "
    "gives it",
    Role.MODEL_OWNER: "the pages without patients, operations, simulations of changes without their "
    "examples, and what releases and approvals of models need",
    Role.APPROVER: "the pages without patients, simulations of changes without their examples, and handing in signed "
    "approvals",
    Role.PHARMACIST: "the worklist, single decisions, and what a committee needs to judge rules",
    Role.OPERATOR: "everything but the worklist",
    Role.AUDITOR: "single decisions and operations; changes nothing",
}
"""What each role opens, for people."""

ASSIGNABLE: Final = tuple(role for role in Role if role is not Role.CLINICIAN_LINK)
"""The roles that an account or a group of the site's provider can have."""

STAFF: Final = frozenset(ASSIGNABLE)
"""Everybody who can log in."""

ANSWERERS: Final = frozenset({Role.CLINICIAN, Role.CLINICIAN_LINK, Role.PHARMACIST})
"""Who may answer a card on the page of its decision: those who treat or check, not those who operate or audit."""

DECISION_READERS: Final = frozenset({Role.PHARMACIST, Role.OPERATOR, Role.AUDITOR})
"""Who may read single decisions, and the examples of a simulation."""

COMMITTEE: Final = frozenset({Role.APPROVER, Role.PHARMACIST, Role.MODEL_OWNER, Role.OPERATOR})
"""Who works on rules and models: tries changes, hands in signed acts."""


class Door(Struct, frozen=True):
    """The pages at and below a path, and who may open them.

    `roles` None: everybody, without a login. `changes` are the roles that may send a form there; None: as `roles`.
    `of_patients`: what is shown is of a patient, so each view is recorded. `title` puts it into the navigation.
    `token`: also for programs with CDS_OPERATOR_TOKEN or at CDS_OPERATOR_LISTEN.
    """

    path: str
    roles: frozenset[Role] | None
    title: str = ""
    of_patients: bool = False
    token: bool = False
    changes: frozenset[Role] | None = None

    def leads_to(self, path: str) -> bool:
        """Whether a path is at or below this one."""
        return path == self.path or (path.startswith(self.path.rstrip("/") + "/") and self.path != "/")


DOORS: Final = (
    Door("/", STAFF, "Start"),
    Door("/livez", None),
    Door("/readyz", None),
    Door("/outcomes", None),  # clients report there with their own tokens
    Door("/static", None),
    Door("/login", None),
    Door("/logout", None),
    Door("/launch", None),  # an EHR opens it; who may see what is decided on the way back
    Door("/open", None),  # links on cards; the link says what it opens
    Door("/try", frozenset({Role.OPERATOR}), "Try a service"),
    Door("/worklist", frozenset({Role.CLINICIAN, Role.PHARMACIST}), "Worklist", of_patients=True),
    Door("/models", STAFF, "Models"),
    Door("/equations", STAFF),
    Door("/rules", STAFF, "Rules"),
    Door("/simulations", COMMITTEE, of_patients=True),
    Door("/approvals", STAFF, "Approvals", changes=COMMITTEE),
    Door("/explain", DECISION_READERS | {Role.CLINICIAN, Role.CLINICIAN_LINK}, of_patients=True, token=True),
    Door("/decisions", DECISION_READERS, "Decisions", of_patients=True, token=True),
    Door("/ops", frozenset({Role.OPERATOR, Role.AUDITOR, Role.MODEL_OWNER}), "Operations", token=True),
    Door("/metrics", frozenset({Role.OPERATOR}), token=True),
    Door("/docs", STAFF, "Documentation"),
    Door("/api", STAFF),
    Door("/openapi.json", STAFF),
)
"""Every page; in the navigation in this order."""


def door_of(path: str) -> Door | None:
    """The door of a path; None where there is none, and then nobody may open it."""
    return next((door for door in DOORS if door.leads_to(path)), None)
