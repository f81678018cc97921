"""Approvals by two keys: people of the site sign rules, models and waivers, and the record keeps what they signed."""

from cds_hooks.approvals.book import ApprovalBook, ModelApprovals, Signed
from cds_hooks.approvals.people import People, PeopleFileError, Person, read_people
from cds_hooks.approvals.statements import ApprovalRefused, Statement

__all__ = [
    "ApprovalBook",
    "ApprovalRefused",
    "ModelApprovals",
    "People",
    "PeopleFileError",
    "Person",
    "Signed",
    "Statement",
    "read_people",
]
