"""The roles of people, and the groups of roles that several pages are for."""

from enum import StrEnum
from typing import Final


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
    Role.VIEWER: "the pages without patients: models, equations, rules, documentation",
    Role.CLINICIAN: "the worklist, and why a decision was as it was",
    Role.CLINICIAN_LINK: "why a decision was as it was, for the one patient whose chart is open; only an EHR launch "
    "gives it",
    Role.MODEL_OWNER: "the pages without patients, operations, and approving and releasing",
    Role.APPROVER: "the pages without patients, and approving and releasing",
    Role.PHARMACIST: "the worklist, single decisions, what a committee needs to judge rules, and approving and "
    "releasing",
    Role.OPERATOR: "everything but the worklist; approving and releasing",
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
"""Who may read single decisions."""

COMMITTEE: Final = frozenset({Role.APPROVER, Role.PHARMACIST, Role.MODEL_OWNER, Role.OPERATOR})
"""Who works on rules and models: approves and releases."""
