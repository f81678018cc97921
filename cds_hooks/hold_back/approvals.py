"""The approvals of a site, read from the record and verified: who has signed what, and what does not count and why.

A model may show cards by its release and, behind a trust file, by the signatures of two people.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Final

from msgspec import Struct
from msgspec.structs import replace

from cards.rules.engine.governance import Approval, SiteRules, all_rule_versions
from cds_hooks.hold_back.act_log import ActLog, Entry
from cds_hooks.hold_back.acts import (
    APPROVAL_EVENT,
    RELEASE_EVENT,
    ApprovalRefused,
    Kind,
    Statement,
    Subject,
    ended,
    key_of_subject,
    model_subject,
    rule_subject,
    waiver_subject,
    words_of,
)
from cds_hooks.hold_back.people import People, Person, read_people
from cds_hooks.hold_back.signatures import SignedAct, sign_act
from cds_hooks.settings import ModelState
from cds_hooks.storage.database import parse_url
from cds_hooks.storage.entries import add_events
from cds_hooks.storage.opening import upgrade_schema
from cds_hooks.trusted_models import why_withheld
from models_onnx.artifact.keys import Signer
from models_onnx.artifact.release_file import Release
from models_onnx.model_card.embed import read_card
from models_onnx.serving.runtime import Model

NEEDED: Final = 2
"""How many people sign."""


class Signed(Struct, frozen=True):
    """One verified approval in the record, and whose it is."""

    statement: Statement
    person: Person
    entry: int
    """Its number among the events of the record."""


class _Approvals:
    """What was read of the record so far, judged by the people of one moment."""

    def __init__(self, people: People) -> None:
        self.people = people
        self.signed: defaultdict[bytes, list[Signed]] = defaultdict(list)
        self.log = ActLog((APPROVAL_EVENT,), self._take, self.signed.clear)

    def _take(self, entry: Entry) -> None:
        act = entry.read(SignedAct)
        signed = Signed(act.approval(), act.signer(self.people, entry.at), entry.position)
        self.signed[key_of_subject(signed.statement.kind, signed.statement.subject)].append(signed)


class ApprovalBook:
    """The approvals of one record; `read` takes what is new, from any thread.

    Nothing counts that is not signed by a person of the file, and nothing counts where there is no such file.
    """

    def __init__(self, url: str, people_file: Path | None) -> None:
        """PeopleFileError where there is a file and it cannot be used."""
        self._url = url
        self._file = people_file
        self._stamp: tuple[int, int] | None = None
        self._approvals = _Approvals(People())
        self._approvals = self._beginning() or self._approvals

    def _beginning(self) -> _Approvals | None:
        """Returns an empty reading with the people of the file, where these are others than before."""
        if self._file is None:
            return None
        stat = self._file.stat() if self._file.exists() else None
        stamp = (stat.st_mtime_ns, stat.st_size) if stat is not None else None
        if stamp is not None and stamp == self._stamp:
            return None
        people = read_people(self._file)
        people.refuse_lost({key: person.name for key, person in self.people.by_key.items()})
        self._stamp = stamp
        return _Approvals(people)

    @property
    def people(self) -> People:
        """Whose keys count."""
        return self._approvals.people

    @property
    def asks_people(self) -> bool:
        """Whether the site says who may approve."""
        return self._file is not None

    @property
    def refused(self) -> list[str]:
        """What does not count, a sentence for each."""
        return self._approvals.log.refused

    @property
    def state(self) -> tuple[int, int]:
        """Changes with everything that was read."""
        return id(self._approvals), self._approvals.log.sequence

    def read(self) -> None:
        """Takes the events that are new; all again where the people changed.

        Raises:
            RecordUnavailable: The record cannot be read.
            PeopleFileError: The file of people was changed and cannot be used; what was read before stays.
        """
        approvals = self._beginning() or self._approvals
        approvals.log.read(self._url)
        self._approvals = approvals

    def signers(self, kind: Kind, subject: Subject) -> list[Signed]:
        """Returns the first approval of each person who has signed exactly this, in the order of the record."""
        signatures: list[Signed] = []
        for approval in self._approvals.signed.get(key_of_subject(kind, subject), ()):
            if not any(approval.person.is_same_as(earlier.person.name) for earlier in signatures):
                signatures.append(approval)
        return signatures

    def why_not_approved(self, kind: Kind, subject: Subject, today: date) -> str | None:
        """Returns why this does not count as approved by two people, in a sentence; None where it does."""
        if kind == "waiver" and ended(subject, today):
            return f"the {words_of(kind, subject)} is not in force on {today}"
        signatures = self.signers(kind, subject)
        if len(signatures) < NEEDED:
            by = f"by {signatures[0].person.name} alone" if signatures else "by nobody"
            return f"{words_of(kind, subject)} is signed {by}; two people sign it (docs/operations/approvals.md)"
        if kind == "waiver" and all(
            signature.person.is_named_in(str(subject.get("by"))) for signature in signatures[1:]
        ):
            return f"the second signature of the {words_of(kind, subject)} is its author's; another person gives it"
        if kind == "model" and len({signature.person.role.casefold() for signature in signatures}) < NEEDED:
            return f"those who signed {words_of(kind, subject)} have one role; two roles are needed"
        return None

    def approve(self, kind: Kind, subject: Subject, signer: Signer, note: str = "") -> list[Signed]:
        """Signs, records and verifies one approval; all that count for the subject now.

        Raises:
            ApprovalRefused: The key is nobody's, the person has signed this before, is the author of the waiver whose
                second signature this would be, or the waiver is not in force.
            RecordUnavailable: The record cannot be written.
        """
        self.approve_all([(kind, subject, note)], signer)
        return self.signers(kind, subject)

    def approve_all(self, wanted: Sequence[tuple[Kind, Subject, str]], signer: Signer) -> None:
        """Signs, records and verifies approvals (kind, subject, note) in one transaction: all of them or none.

        Raises:
            ApprovalRefused, RecordUnavailable: As `approve`, for the first of them that cannot be signed.
        """
        upgrade_schema(parse_url(self._url))
        self.read()
        person = self.people.of_key(signer.public.id)
        if person is None:
            file = self.people.file or "the file of people, which CDS_PEOPLE_FILE names"
            raise ApprovalRefused(f"the key {signer.public.id} belongs to nobody in {file}")
        now = datetime.now(UTC)
        if person.has_left(now.date()):
            raise ApprovalRefused(f"{person.name} left on {person.left_on}, and signs nothing any more")
        new_events = []
        for kind, subject, note in wanted:
            self.refuse_signature(kind, subject, person, now.date())
            statement = Statement(
                kind=kind,
                subject=dict(subject),
                by=person.name,
                role=person.role,
                at=now.isoformat(timespec="seconds"),
                note=note,
            )
            new_events.append((APPROVAL_EVENT, person.name, sign_act(statement, signer)))
        add_events(self._url, new_events)
        self.read()

    def refuse_signature(self, kind: Kind, subject: Subject, person: Person, today: date) -> None:
        """Raises ApprovalRefused where this person's signature would not count for the subject."""
        words = words_of(kind, subject)
        if kind == "waiver" and ended(subject, today):
            raise ApprovalRefused(f"the {words} is not in force on {today}; write a new one")
        before = self.signers(kind, subject)
        if any(person.is_same_as(signature.person.name) for signature in before):
            raise ApprovalRefused(f"{person.name} has signed {words} already; the second key is another person's")
        if before and kind == "waiver" and person.is_named_in(str(subject.get("by"))):
            raise ApprovalRefused(f"{person.name} is the author of the {words}; the second key is another person's")

    def in_force(self, site: SiteRules) -> SiteRules:
        """What the site says, with the approvals of two people instead of those that were typed into its file."""
        approvals = {}
        for rule, version in all_rule_versions().items():
            signed = self.signers("rule", rule_subject(rule, version.digest))
            if len(signed) >= NEEDED:
                approvals[rule] = _approval(rule, version.digest, signed[:NEEDED])
        return replace(site, approvals=approvals)

    def everything(self) -> list[list[Signed]]:
        """Returns all verified approvals, those of one subject together, the oldest subject first."""
        return [list(signatures) for signatures in self._approvals.signed.values()]


def _approval(rule: str, digest: str, signed: list[Signed]) -> Approval:
    statements = [signature.statement for signature in signed]
    return Approval(
        rule,
        digest,
        " and ".join(signature.person.name for signature in signed),
        " and ".join(signature.person.role for signature in signed),
        datetime.fromisoformat(statements[-1].at).date(),
        "; ".join(statement.note for statement in statements if statement.note),
    )


def refuse_lost_people(url: str, people: People) -> None:
    """Raises PeopleFileError where an act in the record was signed by a key that has disappeared from the file.

    Raises:
        RecordUnavailable: The record cannot be read.
    """
    signers: dict[str, str] = {}

    def take(entry: Entry) -> None:
        signed = entry.read(SignedAct)
        if signed.key:  # none in the development profile
            signers.setdefault(signed.key, str(signed.statement.get("by", "somebody")))

    ActLog((APPROVAL_EVENT, RELEASE_EVENT), take, signers.clear).read(url)
    people.refuse_lost(signers)


BY_TWO_PEOPLE: Final = ("approved", "active")


class ModelApprovals:
    """What one server asks of a model before it shows its cards.

    Without approvals (the development profile) the signed release is enough. With them a state from `approved` on needs
    the signatures of two people, and a waiver must be in force and, where the site names its people, be signed by two.
    """

    def __init__(self, lowest_state: ModelState, book: ApprovalBook | None, today: Callable[[], date]) -> None:
        self._lowest_state = lowest_state
        self._book = book
        self._today = today
        self._waivers: dict[Model, list[Mapping[str, Any]]] = {}

    def why_withheld(self, model: Model) -> str | None:
        """Returns why this model shows no cards here, in one sentence; None where it does."""
        withheld = why_withheld(model, self._lowest_state)
        release = model.artifact.release
        if withheld is not None or self._book is None or release is None:
            return withheld
        today = self._today()
        if self._lowest_state in BY_TWO_PEOPLE:
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
        if model not in self._waivers:  # the card is inside the model file, which is parsed once
            waivers = read_card(model.artifact.content)["product"].get("waivers", [])
            self._waivers[model] = [waiver_subject(release.id, release.version, waiver) for waiver in waivers]
        return [waiver for waiver in self._waivers[model] if waiver["gate"] == gate]


def why_waiver_is_none(book: ApprovalBook, waiver: Mapping[str, Any], today: date) -> str | None:
    """Returns why a waiver excuses nothing at this site, in a sentence; None where it does.

    Where the site does not say who may approve, the signature of whoever published the model stands for it.
    """
    if book.asks_people:
        return book.why_not_approved("waiver", waiver, today)
    return f"the {words_of('waiver', waiver)} is not in force on {today}" if ended(waiver, today) else None
