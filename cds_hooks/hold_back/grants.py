"""Grants of roles: which roles an account has is signed by a person of the site's file of people, as approvals are.

From the first signed grant of a record on, roles of accounts count only as they were signed: a row that somebody
changed in the database gives nobody a right. Without a grant, and without a file of people, the rows count.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from threading import Lock
from typing import Any

from msgspec import Struct

from cds_hooks.access.accounts import EVENT, AccountRefused
from cds_hooks.hold_back.act_log import ActLog, Entry
from cds_hooks.hold_back.acts import ApprovalRefused, Grant
from cds_hooks.hold_back.people import People, is_same_name
from cds_hooks.hold_back.signatures import SignedAct, sign_act
from models_onnx.artifact.keys import Signer


class _Change(Struct):
    """The detail of an entry about an account, as far as it is about roles."""

    account: str
    act: str
    roles: list[str] | None = None
    grant: SignedAct | None = None


class Grants:
    """The grants of one record, verified as they are read; from any thread."""

    def __init__(self, url: str, people: Callable[[], People]) -> None:
        """`people` gives who may grant now."""
        self._url = url
        self._people = people
        self._lock = Lock()
        self._begin(people())

    def _begin(self, judged_by: People) -> None:
        self._judged_by = judged_by
        self._log = ActLog((EVENT,), self._take, self._forget)
        self._forget()

    def _forget(self) -> None:
        self._grants: dict[str, Grant] = {}
        self._are_asked_for = False

    @property
    def refused(self) -> list[str]:
        """What does not count, a sentence for each."""
        return self._log.refused

    def counting(self, account: str, roles: frozenset[str]) -> frozenset[str]:
        """Return those of an account's roles that count.

        Raises:
            RecordUnavailable: The record cannot be read.
        """
        with self._lock:
            self.read()
            grant = self._grants.get(account)
            if not self._are_asked_for:
                return roles
            return roles & frozenset(grant.roles) if grant is not None else frozenset()

    def read(self) -> None:
        """Takes the entries that are new; all again where the people changed."""
        if self._people() is not self._judged_by:
            self._begin(self._people())
        self._log.read(self._url)

    def _take(self, entry: Entry) -> None:
        change = entry.read(_Change)
        if change.roles is None:
            return
        if change.grant is None:
            if self._are_asked_for:
                raise ApprovalRefused(f"nobody signed the roles of the account {change.account}")
            return
        self._are_asked_for = True  # also where it turns out that nobody of today's file signed it
        grant = change.grant.grant(self._judged_by, entry.at)
        earlier = self._grants.get(grant.account)
        if (grant.account, sorted(grant.roles)) != (change.account, sorted(change.roles)):
            raise ApprovalRefused(f"the roles of the account {change.account} are not those that were signed")
        if is_same_name(grant.by, grant.holder):
            raise ApprovalRefused(f"{grant.by} signed their own roles")
        if earlier is not None and grant.at <= earlier.at:
            raise ApprovalRefused(f"a later grant of the account {change.account} was recorded before it")
        self._grants[grant.account] = grant


def sign_grant(account: str, holder: str, roles: frozenset[str], people: People, signer: Signer) -> dict[str, Any]:
    """Return the signed grant of these roles, for the record.

    Raises:
        AccountRefused: The key is nobody's, its person has left, or would grant roles to themselves.
    """
    person = people.of_key(signer.public.id)
    now = datetime.now(UTC)
    if person is None:
        file = people.file or "a file of people, which CDS_PEOPLE_FILE names"
        raise AccountRefused(f"The key {signer.public.id} belongs to nobody in {file}.")
    if person.has_left(now.date()):
        raise AccountRefused(f"{person.name} left on {person.left_on}, and grants nothing any more.")
    if person.is_same_as(holder):
        raise AccountRefused("Nobody grants roles to themselves; another person of the file signs.")
    at = now.isoformat(timespec="microseconds")
    grant = Grant(account=account, holder=holder, roles=sorted(roles), by=person.name, role=person.role, at=at)
    return sign_act(grant, signer)
