"""Signed acts that somebody hands in at a page: each is verified, and recorded as if it had been signed here.

What counts is what the record's readers check again (approvals.py, releases.py). Here it is refused beforehand
with a sentence, and so is what they cannot see: that a file is old, or was handed in before. A file is taken as a whole
or not at all. The private keys stay where they are.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from threading import Lock
from typing import Any, Final

import orjson
from msgspec import Struct

from cards.rules.engine.governance import all_rule_versions
from cds_hooks.hold_back.acts import (
    APPROVAL_EVENT,
    RELEASE_EVENT,
    Act,
    ApprovalRefused,
    Key,
    Statement,
    Subject,
    model_subject,
    words_of,
)
from cds_hooks.hold_back.approvals import ApprovalBook
from cds_hooks.hold_back.releases import CANARY, Releases, why_not_allowed
from cds_hooks.hold_back.rules_file import ReviewedRule, RulesFileError, refuse_unfit
from cds_hooks.hold_back.signatures import SignedAct, read_signed, refuse_other_name
from cds_hooks.storage.entries import add_events
from models_onnx.artifact.release_file import Release

HANDED_IN: Final = "acts-handed-in"
MOST_DAYS: Final = 30
"""An act that was signed earlier is signed again: who signed it may have learned something since."""
_AHEAD: Final = timedelta(minutes=5)
_OF_SITE: Final = ("client", "unit", "user")


class Taken(Struct, frozen=True):
    """One act that was recorded: what it is, who signed it, and what is still missing; "" where nothing is."""

    what: str
    by: str
    missing: str


class ServedHere(Struct, frozen=True):
    """What acts can be about: versions of rules, models and equations, names of services, releases and waivers."""

    versions: Mapping[Key, str]
    services: Collection[str]
    release: Callable[[str], Release | None]
    waivers: Callable[[str], Sequence[Subject]]
    why_too_early: Callable[[str, str, str, datetime], str | None]
    """Why a model in shadow should not show cards yet: `monitor.versions.why_too_early`."""


class ActDesk:
    """Takes signed acts into one record."""

    def __init__(self, url: str, people_file: Path | None, served: ServedHere) -> None:
        self._url = url
        self._people_file = people_file
        self._served = served
        self._lock = Lock()

    def take(self, text: str, actor: str, now: datetime) -> list[Taken]:
        """Verifies the acts of a file and records them; `actor` is who hands it in.

        Raises:
            ApprovalRefused: One of them cannot be taken; nothing is recorded then.
            PeopleFileError: The file of people cannot be used.
            RecordUnavailable: The record cannot be read or written.
        """
        acts = read_signed(text)
        with self._lock:
            site = _Site(self._url, self._people_file, self._served, now)
            checked = [site.check(act, number if len(acts) > 1 else 0) for number, act in enumerate(acts, 1)]
            summary = {"by": actor, "acts": len(acts), "keys": sorted({act.key for act in acts})}
            entries = [(kind, by, act.detail) for (kind, by), act in zip(checked, acts, strict=True)]
            add_events(self._url, [*entries, (HANDED_IN, actor, summary)])
            after = _Site(self._url, self._people_file, self._served, now)
            return [after.recorded(act) for act in acts]

    def on_record(self) -> tuple[ApprovalBook, Releases]:
        """Returns the approvals and acts of release as the record has them at this moment.

        Raises:
            PeopleFileError: The file of people cannot be used.
            RecordUnavailable: The record cannot be read.
        """
        site = _Site(self._url, self._people_file, self._served, datetime.now(UTC))
        return site.book, site.releases


class _Site:
    """The record of one moment, and the checks of one act after the other against it."""

    def __init__(self, url: str, people_file: Path | None, served: ServedHere, now: datetime) -> None:
        self.url, self.served, self.now = url, served, now
        self.book = ApprovalBook(url, people_file)
        self.book.read()
        self.releases = Releases(lambda: self.book.people, served.versions)
        self.releases.read(url)
        self._seen: set[bytes] = set()

    @property
    def today(self) -> date:
        return self.now.date()

    def check(self, signed: SignedAct, number: int) -> tuple[str, str]:
        """Returns the kind of the event and who signed; the sentence of a refusal says which act of several it is."""
        try:
            about = orjson.dumps([_about(signed), signed.key], option=orjson.OPT_SORT_KEYS)
            if about in self._seen:
                raise ApprovalRefused("the file has the same act of the same key twice")
            self._seen.add(about)
            if signed.format == Statement.FORMAT:
                return APPROVAL_EVENT, self._check_approval(signed)
            if signed.format == Act.FORMAT:
                return RELEASE_EVENT, self._check_act(signed)
            raise ApprovalRefused("it is of a format that this version does not know")
        except ApprovalRefused as fault:
            position = f"Act {number} of the file: " if number else ""
            raise ApprovalRefused(f"{position}{fault}") from fault

    def _check_approval(self, signed: SignedAct) -> str:
        if self.book.people.of_key(signed.key) is None:
            raise ApprovalRefused("its key belongs to nobody whom this site names; ask who keeps CDS_PEOPLE_FILE")
        person, statement = signed.signer(self.book.people), signed.approval()
        refuse_other_name(statement, person)
        self._refuse_time(statement.at)
        self._refuse_subject(statement)
        self.book.refuse_signature(statement.kind, statement.subject, person, self.today)
        return person.name

    def _refuse_time(self, at: str) -> datetime:
        try:
            signed = datetime.fromisoformat(at)
        except ValueError as error:
            raise ApprovalRefused("it does not say when it was signed") from error
        if signed.tzinfo is None or signed > self.now + _AHEAD:
            raise ApprovalRefused(f"it says that it was signed at {at[:40]}, which is not before now in UTC")
        if signed < self.now - timedelta(days=MOST_DAYS):
            raise ApprovalRefused(f"it was signed on {signed.date()}, more than {MOST_DAYS} days ago; sign it again")
        return signed

    def _refuse_subject(self, approval: Statement) -> None:
        """Refuses what is not here, or is here in another version than was signed."""
        if approval.kind == "rule":
            self._refuse_rule(approval)
            return
        model = str(approval.subject.get("model", ""))
        release = self.served.release(model)
        if release is None:
            raise ApprovalRefused(f"there is no model {model[:80]} at this server")
        if approval.kind == "waiver":
            if approval.subject not in self.served.waivers(model):
                raise ApprovalRefused(
                    f"the {words_of('waiver', approval.subject)} is not on the model's card at this server"
                )
            return
        if approval.subject != model_subject(release):
            raise ApprovalRefused(f"{model} is here as version {release.version} with other files than were signed")
        if release.gates is None or release.gates.red:
            raise ApprovalRefused(f"{model} {release.version} cannot be approved: its gates are not all green")

    def _refuse_rule(self, approval: Statement) -> None:
        rule, digest = str(approval.subject.get("rule", "")), str(approval.subject.get("digest", ""))
        if rule not in all_rule_versions() or set(approval.subject) != {"rule", "digest"}:
            raise ApprovalRefused(f"there is no rule {rule[:80]} at this server")
        try:
            refuse_unfit([ReviewedRule(rule, digest, approval.note)])
        except RulesFileError as fault:
            raise ApprovalRefused("; ".join(fault.problems)) from fault

    def _check_act(self, signed: SignedAct) -> str:
        act = signed.act(self.book.people)
        at, changed = self._refuse_time(act.at), self.releases.changes.get(act.key)
        if changed is not None and at.timestamp() <= changed.at:
            raise ApprovalRefused(
                f"the {act.kind} {act.name} was changed after this was signed, or it was handed in before; see how it "
                "stands now, and sign again"
            )
        self._refuse_version(act)
        states, paused = self.releases.current.states, self.releases.current.paused_keys
        if (fault := why_not_allowed(states, act.kind, act.name, act.state, paused)) is not None:
            raise ApprovalRefused(fault)
        self._refuse_second(act)
        self._refuse_early(act)
        return act.by

    def _refuse_version(self, act: Act) -> None:
        key = (act.kind, act.name)
        if act.kind in _OF_SITE:
            return
        if act.kind == "service":
            if act.name not in self.served.services:
                raise ApprovalRefused(f"there is no service {act.name[:80]} at this server")
            return
        if key not in self.served.versions:
            raise ApprovalRefused(f"there is no {act.kind} {act.name[:80]} at this server")
        if act.version != self.served.versions[key]:
            raise ApprovalRefused(f"the {act.kind} {act.name} is here in another version than was signed")
        release = self.served.release(act.name) if act.kind == "model" else None
        if release is not None and act.gates != model_subject(release)["gates"]:
            raise ApprovalRefused(f"the model {act.name} is here with another gate report than was signed")

    def _refuse_second(self, act: Act) -> None:
        """Refuses the second signature of a person, or of a role, that has signed the same act already."""
        for first in self.releases.waiting_for_second():
            if act.does_the_same_as(first) and not act.can_second(first):
                raise ApprovalRefused(
                    f"{first.signer} has signed this already; another person in another role is needed"
                )

    def _refuse_early(self, act: Act) -> None:
        since = self.releases.in_shadow_since(act.key) if (act.kind, act.state) == ("model", CANARY) else None
        if since is None:
            return
        if (why := self.served.why_too_early(self.url, act.version, since, self.now)) is not None:
            raise ApprovalRefused(
                f"the model {act.name} cannot become canary yet: {why}; whoever tries it nevertheless types "
                "cds-hooks release set canary with --early at the server"
            )

    def recorded(self, signed: SignedAct) -> Taken:
        """Returns what became of an act that is on record now."""
        if signed.format == Statement.FORMAT:
            approval = signed.approval()
            missing = self.book.why_not_approved(approval.kind, approval.subject, self.today) or ""
            return Taken(words_of(approval.kind, approval.subject), f"{approval.by} ({approval.role})", missing)
        act = signed.act(self.book.people)
        waits = any(act.does_the_same_as(first) for first in self.releases.waiting_for_second())
        missing = "it takes effect when another person in another role signs the same" if waits else ""
        return Taken(act.words, act.signer, missing)


def _about(signed: SignedAct) -> list[Any]:
    """Returns what an act is about, whatever else it says: the same for two acts of which one is too many."""
    return [signed.format, *(signed.statement.get(name) for name in ("kind", "subject", "name"))]
