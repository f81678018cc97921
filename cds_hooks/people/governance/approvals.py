"""The approvals of a site, read from the record and verified: who has approved what, and what does not count and why.

A model may show cards by its release and, behind a trust file, by the approvals of two people.
"""

import json
from collections import defaultdict
from collections.abc import Callable, Mapping
from datetime import date, datetime
from typing import Any, Final

from msgspec.structs import replace

from cards.rules.engine.governance import Approval, SiteRules, all_rule_versions
from cds_hooks.call.hold_back.released import words_name
from cds_hooks.call.trusted_models import why_withheld
from cds_hooks.people.access.recorded_acts import ACCOUNT_EVENT
from cds_hooks.people.governance.acts import (
    APPROVAL_EVENT,
    ActLog,
    ApprovalRefused,
    Entry,
    Kind,
    Signatories,
    Signatory,
    Statement,
    Subject,
    ended,
    key_of_subject,
    model_subject,
    rule_subject,
    waiver_subject,
    words_of,
)
from cds_hooks.settings import ModelState, Settings
from models_onnx.artifact.release_file import Release
from models_onnx.serving.runtime import Model

NEEDED: Final = 2
"""How many people approve."""


class ApprovalBook:
    """The approvals of one record; `read` takes what is new, from any thread."""

    def __init__(self, url: str, *, people_log_in: bool) -> None:
        """`people_log_in`: whether the site has people who can approve."""
        self._url = url
        self.people_log_in = people_log_in
        self._log = ActLog((APPROVAL_EVENT, ACCOUNT_EVENT), self._take, self._begin)
        self._readings = 0
        self._in_force: tuple[SiteRules | None, tuple[int, int], SiteRules] = (None, (0, 0), SiteRules())
        self._begin()

    def _begin(self) -> None:
        self._readings += 1
        self._signatories = Signatories()
        self._approvals: defaultdict[bytes, list[Statement]] = defaultdict(list)

    @property
    def refused(self) -> list[str]:
        """What does not count, a sentence for each."""
        return self._log.refused

    def read(self) -> None:
        """Take the events that are new; RecordUnavailable where the record cannot be read."""
        self._log.read(self._url)

    def _take(self, entry: Entry) -> None:
        if entry.kind == ACCOUNT_EVENT:
            self._signatories.take(entry)
            return
        statement = entry.read(Statement)
        if fault := _fault_of(statement):
            raise ApprovalRefused(fault)
        self._signatories.refuse(entry, statement, by_command=False)
        self._approvals[key_of_subject(statement.kind, statement.subject)].append(statement)

    def approvals(self, kind: Kind, subject: Subject) -> list[Statement]:
        """Return the first approval of exactly this and, where there is one, that of another person in another role.

        The second approval of a waiver is never that of its author.
        """
        statements = self._approvals.get(key_of_subject(kind, subject), [])
        for statement in statements:
            if statement.can_second(statements[0]) and not _is_author(statement, kind, subject):
                return [statements[0], statement]
        return statements[:1]

    def why_not_approved(self, kind: Kind, subject: Subject, today: date) -> str | None:
        """Return why this does not count as approved by two people, in a sentence; None where it does."""
        if kind == "waiver" and ended(subject, today):
            return f"the {words_of(kind, subject)} is not in force on {today}"
        approvals = self.approvals(kind, subject)
        if len(approvals) >= NEEDED:
            return None
        by = f"by {approvals[0].signer} alone" if approvals else "by nobody"
        return f"{words_of(kind, subject)} is approved {by}; two people in two roles approve it"

    def refuse_approval(self, kind: Kind, subject: Subject, person: Signatory, today: date) -> None:
        """Raise ApprovalRefused where this person's approval would not count for the subject."""
        words, before = words_of(kind, subject), self.approvals(kind, subject)
        if kind == "waiver" and ended(subject, today):
            raise ApprovalRefused(f"the {words} is not in force on {today}; write a new one")
        if len(before) >= NEEDED:
            raise ApprovalRefused(f"{words} is approved already, by {before[0].signer} and {before[1].signer}")
        if before and not person.can_second(before[0]):
            raise ApprovalRefused(
                f"{before[0].signer} has approved {words} already; another person in another role is needed"
            )
        if before and _is_author(person, kind, subject):
            raise ApprovalRefused(f"{person.by} is the author of the {words}; another person approves it")

    def in_force(self, site: SiteRules) -> SiteRules:
        """Return what the site says, with the approvals of two people: the same object until one of them changes."""
        read = self._readings, self._log.sequence
        given, read_then, rules = self._in_force
        if given is not site or read_then != read:
            rules = self._with_approvals(site)
            self._in_force = site, read, rules
        return rules

    def _with_approvals(self, site: SiteRules) -> SiteRules:
        approvals = {}
        subjects: list[tuple[Kind, str, Subject]] = [
            ("rule", rule, rule_subject(rule, version.digest)) for rule, version in all_rule_versions().items()
        ]
        services = (row.subject for row in self.everything() if row.kind == "service")
        subjects += [("service", words_name(service["service"], service["digest"]), service) for service in services]
        for kind, name, subject in subjects:
            statements = self.approvals(kind, subject)
            if len(statements) >= NEEDED:
                approvals[name] = Approval(
                    name,
                    subject["digest"],
                    " and ".join(statement.by for statement in statements),
                    " and ".join(statement.role for statement in statements),
                    datetime.fromisoformat(statements[-1].at).date(),
                    "; ".join(statement.note for statement in statements if statement.note),
                )
        return replace(site, approvals=approvals)

    def rules_approved(self) -> frozenset[str]:
        """Return the rules that two people approved in some version."""
        kept = (self.approvals(row.kind, row.subject) for row in self.everything() if row.kind == "rule")
        return frozenset(str(rows[0].subject["rule"]) for rows in kept if len(rows) >= NEEDED)

    def everything(self) -> list[Statement]:
        """Return the first approval of each subject, the oldest subject first."""
        return [approvals[0] for approvals in self._approvals.values()]


def approvals_of(configured: Settings) -> ApprovalBook:
    """Return the approvals in the record of these settings, of which nothing was read yet."""
    return ApprovalBook(configured.database_url, people_log_in=configured.login != "none")


_MEMBERS: Final[Mapping[Kind, tuple[str, ...]]] = {
    "rule": ("rule", "digest"),
    "service": ("service", "digest"),
    "model": ("model", "version", "digest"),
    "waiver": ("model", "version", "gate"),
}
"""What names the subject of each kind."""


def _fault_of(statement: Statement) -> str:
    """Return what an approval lacks, which any program that writes into the record can leave out; "" if nothing."""
    lacking = [name for name in _MEMBERS[statement.kind] if not isinstance(statement.subject.get(name), str)]
    if lacking:
        return f"its subject has no {' and no '.join(lacking)}"
    try:
        datetime.fromisoformat(statement.at)
    except ValueError:
        return "its time is not an ISO instant"
    return ""


def _is_author(person: Signatory, kind: Kind, subject: Subject) -> bool:
    return kind == "waiver" and person.is_named_in(str(subject.get("by")))


NOBODY_APPROVES: Final = "CDS_MODEL_STATE asks for two approvals, and without a trust file nobody can approve."


class ModelApprovals:
    """What one server asks of a model before it shows its cards.

    Without approvals (the development profile) the signed release is enough. With them `approved` needs the
    approvals of two people, and a waiver must be in force and, where people log in, be approved by two.
    """

    def __init__(self, lowest_state: ModelState, book: ApprovalBook | None, today: Callable[[], date]) -> None:
        self._lowest_state = lowest_state
        self._book = book
        self._today = today
        self._waivers: dict[Model, list[Mapping[str, Any]]] = {}

    def why_withheld(self, model: Model) -> str | None:
        """Return why this model shows no cards here, in one sentence; None where it does."""
        withheld = why_withheld(model)
        release = model.artifact.release
        if withheld is not None or release is None:
            return withheld
        if self._book is None:
            return NOBODY_APPROVES if self._lowest_state == "approved" else None
        today = self._today()
        if self._lowest_state == "approved":
            missing = self._book.why_not_approved("model", model_subject(release), today)
            if missing is not None:
                return f"{missing[0].upper()}{missing[1:]}."
        return self._waiver_fault(model, release, today, self._book)

    def _waiver_fault(self, model: Model, release: Release, today: date, book: ApprovalBook) -> str | None:
        for gate in release.gates.waived if release.gates is not None else ():
            faults = [why_waiver_is_none(book, waiver, today) for waiver in self._of_gate(model, release, gate)]
            if None not in faults:
                fault = faults[0] if faults else f"its card has no waiver of {gate}"
                return f"{release.id} {release.version} is withheld: {fault}."
        return None

    def _of_gate(self, model: Model, release: Release, gate: str) -> list[Mapping[str, Any]]:
        if model not in self._waivers:  # the card is inside the model file, and parsed once
            card = json.loads(model.metadata.get("model_card", "{}"))
            waivers = card.get("product", {}).get("waivers", [])
            self._waivers[model] = [waiver_subject(release.id, release.version, waiver) for waiver in waivers]
        return [waiver for waiver in self._waivers[model] if waiver["gate"] == gate]


def why_waiver_is_none(book: ApprovalBook, waiver: Mapping[str, Any], today: date) -> str | None:
    """Return why a waiver excuses nothing at this site, in a sentence; None where it does.

    Where nobody logs in, the signature of whoever published the model stands for it.
    """
    if book.people_log_in:
        return book.why_not_approved("waiver", waiver, today)
    return f"the {words_of('waiver', waiver)} is not in force on {today}" if ended(waiver, today) else None
