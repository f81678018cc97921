"""People who have logged in and click at one record: what the page of approvals hands to the desk."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from msgspec import to_builtins

from cards.rules.engine.governance import all_rule_versions
from cds_hooks.call.hold_back.released import Key
from cds_hooks.evidence.storage.database import parse_url
from cds_hooks.evidence.storage.entries import add_event
from cds_hooks.evidence.storage.opening import upgrade_schema
from cds_hooks.people.access.recorded_acts import ACCOUNT_EVENT
from cds_hooks.people.governance.act_desk import APPROVED, ActDesk, LoggedIn, Recorded, ServedHere, WantedAct
from cds_hooks.people.governance.acts import (
    APPROVAL_EVENT,
    COMMAND,
    LOCAL,
    RELEASE_EVENT,
    Act,
    ActKind,
    ActState,
    Kind,
    Signatory,
    Statement,
    Subject,
    rule_subject,
)
from cds_hooks.people.governance.approvals import ApprovalBook
from cds_hooks.people.governance.releases import Releases
from models_onnx.artifact.release_file import Release

RULE = "renal-metformin"
DIGEST = all_rule_versions()[RULE].digest
SUBJECT = rule_subject(RULE, DIGEST)
ISSUER = "https://login.example.org/realms/site"
ANN = LoggedIn("Ann Lee", "account ann", LOCAL, frozenset({"pharmacist"}))
BEN = LoggedIn("Ben Ray", "oidc 7-ben", ISSUER, frozenset({"approver", "viewer"}))
CARA = LoggedIn("Cara Dow", "oidc 8-cara", ISSUER, frozenset({"approver"}))


def signatory(person: LoggedIn, role: str = "") -> dict[str, Any]:
    """The members that say who did it."""
    role = role or min(person.roles - {"viewer"})
    body: dict[str, str] = to_builtins(Signatory(by=person.name, role=role, person=person.person, issuer=person.issuer))
    return body


class Desk:
    """A record with the account of Ann, and a desk at which people click."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.versions: dict[Key, str] = {("rule", RULE): DIGEST, ("model", "m"): "v1", ("equation", "e"): "e1"}
        self.releases_by_model: dict[str, Release] = {}
        self.waivers: list[Subject] = []
        self.too_early: str | None = None
        self.served()
        upgrade_schema(parse_url(url))
        self.account("ann", "add", roles=["pharmacist"])

    def served(self, **more: Any) -> None:
        """Opens the desk of a server that has, beside models and waivers of tests, what is named."""
        served = ServedHere(
            self.versions,
            ["order-safety"],
            self.releases_by_model.get,
            lambda _: self.waivers,
            lambda *_: self.too_early,
            **more,
        )
        self.desk = ActDesk(self.url, served)

    def account(self, name: str, act: str, **more: Any) -> None:
        """Records what the command `accounts` records."""
        add_event(self.url, ACCOUNT_EVENT, "root", {"account": name, "act": act, **more})

    def click(self, person: LoggedIn, state: str = APPROVED, **changes: Any) -> Recorded:
        """What became of one click of a person, about the rule unless `changes` say otherwise."""
        about = {"kind": "rule", "name": RULE, "version": DIGEST, "why": "a reason"} | changes
        (recorded,) = self.desk.take([WantedAct(state=state, **about)], person, datetime.now(UTC))
        return recorded

    def put_approval(
        self, someone: LoggedIn, about: Subject = SUBJECT, /, *, kind: Kind = "rule", actor: str = "", **changes: Any
    ) -> None:
        """An approval straight into the record, as whoever holds the database can write it."""
        at = datetime.now(UTC).isoformat(timespec="seconds")
        statement = Statement(kind=kind, subject=dict(about), at=at, **signatory(someone))
        add_event(self.url, APPROVAL_EVENT, actor or someone.person, to_builtins(statement) | changes)

    def put_act(self, someone: LoggedIn, state: ActState, /, *, actor: str = "", **changes: Any) -> None:
        """An act of release straight into the record."""
        about: Mapping[str, Any] = {"kind": "rule", "name": RULE, "why": "a reason"} | changes
        act = Act(state=state, at="2026-11-21T10:00:00+00:00", **{**signatory(someone), **about})
        add_event(self.url, RELEASE_EVENT, actor or someone.person, to_builtins(act))

    def book(self, *, people_log_in: bool = True) -> ApprovalBook:
        """The approvals as they are read anew."""
        book = ApprovalBook(self.url, people_log_in=people_log_in)
        book.read()
        return book

    def releases(self, versions: Mapping[Key, str] | None = None) -> Releases:
        """The acts as a server behind a trust file reads them anew."""
        releases = Releases(versions, by_two_people=True)
        releases.read(self.url)
        return releases

    def state(self) -> str:
        """The state of the rule."""
        return self.releases().current.words.get(f"rule {RULE}", "on")


def an_act(
    state: ActState, kind: ActKind, name: str, *, by: str = "a test", role: str = "operator", **more: Any
) -> Act:
    """An act as the command `release` makes it."""
    about = {"at": datetime.now(UTC).isoformat(), "why": "a trial", "person": by, "issuer": COMMAND} | more
    return Act(kind=kind, name=name, state=state, by=by, role=role, **about)


def put_command(url: str, state: ActState, kind: ActKind, name: str, **more: Any) -> None:
    """Records such an act."""
    act = an_act(state, kind, name, **more)
    add_event(url, RELEASE_EVENT, act.person, to_builtins(act))
