"""Takes what a person who has logged in approves, switches or releases at a page: checked, then recorded.

What counts is what the record's readers check again (approvals.py, releases.py). Here it is refused beforehand with a
sentence. Several acts are taken as a whole or not at all.
"""

import hashlib
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from threading import Lock
from typing import Final, NamedTuple, get_args

from msgspec import Struct, to_builtins

from cards.rules.engine.governance import NEEDS_NOTE, all_rule_versions
from cds_hooks.call.hold_back.released import CANARY, TERMINOLOGY, Key
from cds_hooks.call.hold_back.site_file import RulesFileError, no_rule
from cds_hooks.evidence.storage.decision import RecordUnavailable
from cds_hooks.evidence.storage.entries import add_events
from cds_hooks.people.access.roles import COMMITTEE, Role
from cds_hooks.people.governance.acts import (
    APPROVAL_EVENT,
    RELEASE_EVENT,
    Act,
    ActKind,
    ActState,
    ApprovalRefused,
    Kind,
    Signatory,
    Statement,
    Subject,
    key_of_subject,
    model_subject,
    rule_subject,
    service_subject,
    words_of,
)
from cds_hooks.people.governance.approvals import ApprovalBook
from cds_hooks.people.governance.releases import Releases, why_not_allowed
from models_onnx.artifact.release_file import Release

APPROVED: Final = "approved"
_ROLES: Final = (Role.APPROVER, Role.PHARMACIST, Role.MODEL_OWNER, Role.OPERATOR)
"""The roles in which a person acts who has several of them, the first one first."""
_LONGEST: Final = 500
"""Characters of a reason or note that are kept."""
_OF_SITE: Final = ("client", "unit", "user")


@dataclass(frozen=True, slots=True)
class WantedAct:
    """What a person wants: `state` is "approved" or one of `ActState`; of a waiver `kind` is "waiver".

    `version` is what the page showed: the digest of the rule, model or equation; of a waiver that of `waiver_version`.
    """

    kind: str
    name: str
    state: str
    version: str = ""
    why: str = ""
    share: int = 100
    early: bool = False
    """Whether a model may become canary before its least time in shadow."""


class ReviewedRule(NamedTuple):
    """A version of a rule that somebody has read, and what was checked."""

    rule: str
    digest: str
    note: str = ""


def refuse_unfit(reviewed: Iterable[ReviewedRule]) -> None:
    """Nothing where all of them can be approved.

    Raises:
        RulesFileError: A rule is not there or in another version, or needs a note.
    """
    if faults := [fault for reviewed_rule in reviewed if (fault := _fault(reviewed_rule))]:
        raise RulesFileError(Path("approval"), *faults)


def read_review(text: str) -> list[ReviewedRule]:
    """Return the rules of a list that `cds-hooks rules check --to-review` printed; RulesFileError where it is none."""
    reviewed, faults = [], []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        words, _, note = line.partition("|")
        match words.split():
            case [rule, digest]:
                reviewed.append(ReviewedRule(rule, digest, note.strip()))
            case _:
                faults.append(f"line {number} must be RULE VERSION, or RULE VERSION | note")
    if faults or not reviewed:
        raise RulesFileError(Path("list"), *(faults or ["the list names no rule"]))
    return reviewed


def _fault(reviewed: ReviewedRule) -> str | None:
    rule, digest, note = reviewed
    version = all_rule_versions().get(rule)
    if version is None:
        return no_rule(rule)
    if digest != version.digest:
        return f"{rule} is in version {version.digest}, not {digest}: read it again, then approve it"
    if version.rule.audit.verified == NEEDS_NOTE and not note.strip():
        return f"{rule} still needs a label check: say in the note how and by whom the label was checked"
    return None


class Recorded(Struct, frozen=True):
    """One act that was recorded: what it is, by whom, and what is still missing; "" where nothing is."""

    what: str
    by: str
    missing: str


_AT_ONCE: Final = 200
"""So many hold the record's write lock for milliseconds; thousands in one transaction held it for seconds, where the
machine was busy, and calls waited."""


class LoggedIn(Struct, frozen=True):
    """The person who clicks: name, id, who vouches for it, and roles."""

    name: str
    person: str
    issuer: str
    roles: frozenset[str]


class ServedHere(Struct, frozen=True):
    """What acts can be about: versions of rules, models and equations, names of services, releases and waivers."""

    versions: Mapping[Key, str]
    services: Collection[str]
    release: Callable[[str], Release | None]
    waivers: Callable[[str], Sequence[Subject]]
    why_too_early: Callable[[str, str, str, datetime], str | None]
    """Why a model in shadow should not show cards yet: `monitor.versions.why_too_early`."""
    indexes: Callable[[], Mapping[str, str]] = dict
    """The indexes of terminologies that are here and whole, each with its digest."""
    by_two_people: bool = True
    """As `Releases`: not in the development profile, where a command alone can do everything."""

    def version(self, kind: str, name: str) -> str:
        """Return the version that an act about this names; "" where it has none, or is not here."""
        return self.indexes().get(name, "") if kind == TERMINOLOGY else self.versions.get((kind, name), "")

    def names(self, kind: str) -> str:
        """Name what there is of a kind; of rules, which are many, the page that lists them."""
        if kind == "rule":
            return "the page /rules lists those there are"
        there = self.services if kind == "service" else [name for of_kind, name in self.versions if of_kind == kind]
        return f"there are {', '.join(sorted(there)) or 'none'}"


def waiver_version(subject: Subject) -> str:
    """Return the digest of the whole text of a waiver."""
    return hashlib.sha256(key_of_subject("waiver", subject)).hexdigest()[:16]


class ActDesk:
    """Takes acts into one record."""

    def __init__(self, url: str, served: ServedHere) -> None:
        self._url = url
        self._served = served
        self._lock = Lock()

    def take(self, wanted: Sequence[WantedAct], person: LoggedIn, now: datetime) -> list[Recorded]:
        """Check the acts and record them, so many at once that no call waits long for the record.

        Raises:
            ApprovalRefused: One of them cannot be taken, and nothing is recorded; or the record took only some of them.
            RecordUnavailable: The record cannot be read or written.
        """
        if not wanted:
            raise ApprovalRefused("nothing was chosen")
        with self._lock:
            desk = _Checks(self._url, self._served, person, now)
            acts = [desk.act(request) for request in dict.fromkeys(wanted)]
            kinds = {Statement: APPROVAL_EVENT, Act: RELEASE_EVENT}
            for done in range(0, len(acts), _AT_ONCE):
                part = acts[done : done + _AT_ONCE]
                try:
                    add_events(self._url, [(kinds[type(act)], person.person, to_builtins(act)) for act in part])
                except RecordUnavailable as error:
                    if not done:
                        raise
                    text = f"{done:,} of {len(acts):,} were recorded, and the record could not take the others"
                    raise ApprovalRefused(f"{text}; choose those again") from error
            after = _Checks(self._url, self._served, person, now)
            return [after.recorded(act) for act in acts]

    def on_record(self) -> tuple[ApprovalBook, Releases]:
        """Return the approvals and acts of release as the record has them at this moment.

        Raises:
            RecordUnavailable: The record cannot be read.
        """
        return _read(self._url, self._served)


def _read(url: str, served: ServedHere) -> tuple[ApprovalBook, Releases]:
    book = ApprovalBook(url, people_log_in=True)
    releases = Releases(served.versions, by_two_people=served.by_two_people)
    book.read()
    releases.read(url)
    return book, releases


class _Checks:
    """The record of one moment, and the checks of what one person wants against it."""

    def __init__(self, url: str, served: ServedHere, person: LoggedIn, now: datetime) -> None:
        self.url, self.served, self.person, self.now = url, served, person, now
        self.book, self.releases = _read(url, served)

    @property
    def today(self) -> date:
        return self.now.date()

    def act(self, wanted: WantedAct) -> Statement | Act:
        """Return what is recorded; ApprovalRefused where it cannot be taken."""
        return self._approval(wanted) if wanted.state == APPROVED else self._release_act(wanted)

    def _signatory(self, first: Signatory | None) -> Signatory:
        """Return who acts: in a role that the first person has not, where there are several."""
        roles = [role for role in _ROLES if role in self.person.roles]
        if not roles:
            raise ApprovalRefused(f"none of your roles approves or releases; {', '.join(sorted(COMMITTEE))} do")
        role = next((role for role in roles if first is None or role != first.role), roles[0])
        return Signatory(by=self.person.name, role=role, person=self.person.person, issuer=self.person.issuer)

    @property
    def _at(self) -> str:
        return self.now.isoformat(timespec="seconds")

    def _approval(self, wanted: WantedAct) -> Statement:
        kind: Kind
        match wanted.kind:
            case "rule":
                kind, subject = "rule", self._rule(wanted)
            case "model":
                kind, subject = "model", self._model(wanted)
            case "waiver":
                kind, subject = "waiver", self._waiver(wanted)
            case "service":
                kind, subject = "service", self._words_of_service(wanted)
            case _:
                raise ApprovalRefused(f"a {wanted.kind[:40]} is not approved; rules, models, waivers and services are")
        first = next(iter(self.book.approvals(kind, subject)), None)
        who = self._signatory(first)
        self.book.refuse_approval(kind, subject, who, self.today)
        note = wanted.why.strip()[:_LONGEST]
        return Statement(kind=kind, subject=dict(subject), at=self._at, note=note, **to_builtins(who))

    def _rule(self, wanted: WantedAct) -> Subject:
        if wanted.name not in all_rule_versions():
            raise ApprovalRefused(f"there is no rule {wanted.name[:80]} at this server")
        try:
            refuse_unfit([ReviewedRule(wanted.name, wanted.version, wanted.why)])
        except RulesFileError as fault:
            raise ApprovalRefused("; ".join(fault.problems)) from fault
        return rule_subject(wanted.name, wanted.version)

    def _release(self, model: str) -> Release:
        release = self.served.release(model)
        if release is None:
            raise ApprovalRefused(f"there is no model {model[:80]} at this server")
        return release

    def _model(self, wanted: WantedAct) -> Subject:
        release = self._release(wanted.name)
        if release.digest != wanted.version:
            raise ApprovalRefused(f"the model {wanted.name} is here in another version than was shown; read it again")
        _refuse_red(release)
        return model_subject(release)

    def _waiver(self, wanted: WantedAct) -> Subject:
        self._release(wanted.name)
        for subject in self.served.waivers(wanted.name):
            if waiver_version(subject) == wanted.version:
                return subject
        raise ApprovalRefused(f"the model {wanted.name} has no such waiver, or its text was changed; read it again")

    def _words_of_service(self, wanted: WantedAct) -> Subject:
        if not wanted.version or self.served.versions.get(("service", wanted.name)) != wanted.version:
            raise ApprovalRefused(f"the service {wanted.name[:80]} is not here in these words; read them again")
        return service_subject(wanted.name, wanted.version)

    def _release_act(self, wanted: WantedAct) -> Act:
        if wanted.kind not in get_args(ActKind) or wanted.state not in get_args(ActState):
            text = f"nothing of the kind {wanted.kind[:40]} can become {wanted.state[:40]}"
            raise ApprovalRefused(f"{text}; there are {', '.join(get_args(ActKind))}")
        if not wanted.why.strip():
            raise ApprovalRefused("give the reason; it is recorded")
        self._refuse_version(wanted)
        if not 1 <= wanted.share <= 100:
            raise ApprovalRefused("the share of a canary is 1 to 99 in 100 patients")
        current = self.releases.current
        fault = why_not_allowed(current.states, wanted.kind, wanted.name, wanted.state)
        if fault is not None:
            raise ApprovalRefused(fault)
        act = self._made(wanted, self._signatory(None))
        first = next((earlier for earlier in self.releases.waiting_for_second() if act.does_the_same_as(earlier)), None)
        if first is not None:
            act = self._made(wanted, self._signatory(first))
            if not act.can_second(first):
                raise ApprovalRefused(f"{first.signer} did this already; another person in another role is needed")
        self._refuse_early(act, early=wanted.early)
        return act

    def _made(self, wanted: WantedAct, who: Signatory) -> Act:
        release = self.served.release(wanted.name) if wanted.kind == "model" else None
        if release is not None and wanted.state in (CANARY, "active"):
            _refuse_red(release)
        return Act(
            kind=wanted.kind,  # type: ignore[arg-type] # every other kind was refused
            name=wanted.name,
            state=wanted.state,  # type: ignore[arg-type] # and every other state
            at=self._at,
            why=wanted.why.strip()[:_LONGEST],
            version=self.served.version(wanted.kind, wanted.name),
            gates=str(model_subject(release)["gates"]) if release is not None else "",
            share=wanted.share if wanted.state == CANARY else 100,
            **to_builtins(who),
        )

    def _refuse_version(self, wanted: WantedAct) -> None:
        if wanted.kind in _OF_SITE:
            return
        if wanted.kind == TERMINOLOGY:
            indexes = self.served.indexes()
            if wanted.state == "active" and wanted.name not in indexes:
                text = f"there is no whole index {wanted.name[:40]} in the folder of CDS_TERMINOLOGY"
                raise ApprovalRefused(f"{text}; there are {', '.join(indexes) or 'none'}")
            return
        if wanted.kind == "service" and wanted.name in self.served.services:
            return
        served = self.served.versions.get((wanted.kind, wanted.name))
        if served is None:
            there = self.served.names(wanted.kind)
            raise ApprovalRefused(f"there is no {wanted.kind} {wanted.name[:80]} at this server; {there}")
        if wanted.version != served and (wanted.kind, wanted.version) not in (("equation", ""), ("prompt", "")):
            raise ApprovalRefused(
                f"the {wanted.kind} {wanted.name} is here in another version than was shown; read it again"
            )

    def _refuse_early(self, act: Act, *, early: bool) -> None:
        since = self.releases.in_shadow_since(act.key) if (act.kind, act.state) == ("model", CANARY) else None
        if since is None or early:
            return
        if (why := self.served.why_too_early(self.url, act.version, since, self.now)) is not None:
            raise ApprovalRefused(f"the model {act.name} cannot become canary yet: {why}; tick that it is tried early")

    def recorded(self, act: Statement | Act) -> Recorded:
        """Return what became of an act that is on record now."""
        if isinstance(act, Statement):
            missing = self.book.why_not_approved(act.kind, act.subject, self.today) or ""
            return Recorded(words_of(act.kind, act.subject), act.signer, missing)
        waits = any(act.does_the_same_as(first) for first in self.releases.waiting_for_second())
        missing = "it takes effect when another person in another role does the same" if waits else ""
        return Recorded(act.words, act.signer, missing)


def _refuse_red(release: Release) -> None:
    """Refuses a model that would show nobody a card, whatever is approved."""
    if release.gates is None or release.gates.red:
        red = ", ".join(release.gates.red) if release.gates is not None else "no gate report"
        raise ApprovalRefused(f"{release.id} {release.version} shows no cards: {red} not green")
