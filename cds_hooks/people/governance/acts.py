"""Acts: what people approve, switch and release, and what servers record, that decides what may show cards.

A person who has logged in records a `Statement`, the approval of a rule, model or waiver, or an `Act`, which switches
or releases something; both say who did it (`Signatory`). A monitor records a `Rollback`. Each is
the detail of an event of the record; `ActLog` reads these events in their order, each verified, and `Signatories` says
whose acts count.
"""

import asyncio
import re
import secrets
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from threading import Lock
from typing import Any, Final, Literal, TypeVar

import msgspec
import orjson
from msgspec import Struct
from sqlalchemy import select, text

from cds_hooks.call.hold_back.released import Key
from cds_hooks.evidence.storage.chain import NOTHING_BEFORE, link_hash, row_digest
from cds_hooks.evidence.storage.queries import read_rows
from cds_hooks.evidence.storage.tables import chain, events
from cds_hooks.people.access.recorded_acts import AccountAct, RecordedAccounts
from cds_hooks.people.access.roles import COMMITTEE
from cds_hooks.telemetry.logs import log
from models_onnx.artifact.release_file import Release

APPROVAL_EVENT: Final = "approval"
RELEASE_EVENT: Final = "release-act"
ROLLBACK_EVENT: Final = "automatic-rollback"

GATE_REPORT: Final = "gates.json"
SALT: Final = re.compile("[0-9a-f]{32}")
LOCAL: Final = "accounts"
COMMAND: Final = "command"

Kind = Literal["rule", "model", "waiver", "service"]
Subject = Mapping[str, Any]
"""What is approved: members that name it and digests that change with every byte of it."""
ActKind = Literal[
    "service", "client", "unit", "user", "rule", "model", "equation", "knowledge", "prompt", "terminology"
]
ActState = Literal["off", "on", "shadow", "canary", "active", "retired"]


class ApprovalRefused(Exception):
    """An approval or an act that cannot be made or does not count; one sentence."""


class Signatory(Struct, frozen=True, kw_only=True):
    """Who did it: name and role, the id of the person, and who vouches for that id.

    `person` is what the record names as actor ("account ann"). `issuer` is that of the site's OpenID provider, `LOCAL`
    for an account of this server, `COMMAND` for whoever typed a command on the machine of the record.
    """

    by: str
    role: str
    person: str
    issuer: str

    @property
    def signer(self) -> str:
        """Name and role."""
        return f"{self.by} ({self.role})"

    def is_same_person(self, other: "Signatory") -> bool:
        """Return whether both are one person: by id, or by name, because one person can have two logins."""
        return (self.issuer, self.person) == (other.issuer, other.person) or _folded(self.by) == _folded(other.by)

    def is_named_in(self, text: str) -> bool:
        """Return whether the text names this person."""
        return _folded(self.by) in _folded(text)

    def can_second(self, first: "Signatory") -> bool:
        """Return whether it is another person in another role than the first."""
        return not self.is_same_person(first) and self.role != first.role


class Statement(Signatory, frozen=True, kw_only=True):
    """One approval: of what, by whom in which role, when, and what was checked."""

    format: Literal["cds-hooks-onnx/approval/1"] = "cds-hooks-onnx/approval/1"
    kind: Kind
    subject: dict[str, Any]
    at: str
    """ISO instant."""
    note: str = ""


class Act(Signatory, frozen=True, kw_only=True):
    """One act of release: what it is about, in which version, the new state, by whom, when and why.

    `version` is the digest of the rule's version or of the model's release, `gates` that of its gate report; both are
    empty for services and clients. `salt` (32 hexadecimal digits) chooses the patients of a canary.
    """

    format: Literal["cds-hooks-onnx/act/1"] = "cds-hooks-onnx/act/1"
    kind: ActKind
    name: str
    state: ActState
    at: str
    """ISO instant."""
    why: str
    version: str = ""
    gates: str = ""
    share: int = 100
    salt: str = msgspec.field(default_factory=lambda: secrets.token_hex(16))

    @property
    def key(self) -> Key:
        """What it is about."""
        return self.kind, self.name

    @property
    def words(self) -> str:
        """What it does: "model mortality_5y to canary 5 %"."""
        return f"{self.kind} {self.name} to {self.state}{f' {self.share} %' if self.state == 'canary' else ''}"

    def does_the_same_as(self, other: "Act") -> bool:
        """Return whether both change the same thing in the same version to the same state."""
        names = ("kind", "name", "version", "state", "share")
        return all(getattr(self, name) == getattr(other, name) for name in names)


class Rollback(Struct, frozen=True):
    """A monitor took something that was tried back to shadow. It can only silence, so no person signs it."""

    kind: Literal["rule", "model", "equation"]
    name: str
    at: str
    why: str

    @property
    def key(self) -> Key:
        """What was taken back."""
        return self.kind, self.name


def rule_subject(rule: str, digest: str) -> Subject:
    """Return a version of a medication rule; its digest changes with every word and number of it."""
    return {"rule": rule, "digest": digest}


def model_subject(release: Release) -> Subject:
    """Return a model as it was released: the digest of its files, and that of its gate report."""
    report = release.files.get(GATE_REPORT)
    gates = report.sha256 if report is not None else ""
    return {"model": release.id, "version": release.version, "digest": release.digest, "gates": gates}


def waiver_subject(model: str, version: str, waiver: Mapping[str, Any]) -> Subject:
    """Return a waiver of a gate with its whole text and its end."""
    return {"model": model, "version": version, **waiver}


def service_subject(service: str, digest: str) -> Subject:
    """Return what a site declares of a service; its digest changes with every word and number of it."""
    return {"service": service, "digest": digest}


def words_of(kind: Kind, subject: Subject) -> str:
    """Return the subject in words."""
    if kind == "rule":
        return f"rule {subject.get('rule')} in version {subject.get('digest')}"
    if kind == "service":
        return f"service {subject.get('service')} in the words {str(subject.get('digest'))[:16]}"
    model = f"{subject.get('model')} {subject.get('version')}"
    if kind == "waiver":
        return f"waiver of {subject.get('gate')} for model {model} until {subject.get('expires')}"
    return f"model {model}, digest {str(subject.get('digest'))[:16]}"


def key_of_subject(kind: Kind, subject: Subject) -> bytes:
    """Equal for equal subjects only."""
    return orjson.dumps([kind, subject], option=orjson.OPT_SORT_KEYS)


def ended(waiver: Subject, today: date) -> bool:
    """Return whether a waiver is no longer, or not yet, in force."""
    try:
        return not date.fromisoformat(waiver["granted"]) <= today < date.fromisoformat(waiver["expires"])
    except (KeyError, TypeError, ValueError):
        return True


def _folded(text: str) -> str:
    """Case and spaces do not tell people apart."""
    return " ".join(text.split()).casefold()


_BEFORE: Final = chain.alias("before")
_LINKED: Final = (
    select(chain.c.sequence.label("number"), chain.c.digest, chain.c.hash, _BEFORE.c.hash.label("before"), *events.c)
    .select_from(chain)
    .outerjoin(events, events.c.sequence == chain.c.sequence)
    .outerjoin(_BEFORE, _BEFORE.c.sequence == chain.c.sequence - 1)
    .where(text("chain.of_table = 'events'"))  # as in the index, which no bound value finds
    .order_by(chain.c.sequence)
    .limit(500)
)
_MOST_TRIES: Final = 3
_Detail = TypeVar("_Detail", bound=Struct)


class Entry(Struct, frozen=True):
    """One event of the record; `at` in epoch seconds, `number` its number in the record."""

    kind: str
    at: float
    number: int
    detail: str
    actor: str
    fault: str | None
    """Why it does not count: its place in the chain or its hash does not hold."""

    def read(self, kind: type[_Detail]) -> _Detail:
        """Return the detail as this type; ApprovalRefused where the entry does not count, or is of another type."""
        if self.fault is not None:
            raise ApprovalRefused(self.fault)
        try:
            return msgspec.json.decode(self.detail, type=kind)
        except msgspec.MsgspecError as error:
            raise ApprovalRefused("this version does not know this kind of act") from error


READ_SECONDS: Final = 0.4
"""Time between two readings: an act is in effect within a second everywhere."""


async def keep_reading(read: Callable[[], None], seconds: float) -> None:
    """Take what is new until canceled, on a thread of its own: an act never waits behind uploads or messages.

    Raises:
        RecordUnavailable: The record cannot be read.
    """
    thread = ThreadPoolExecutor(1, thread_name_prefix="acts")
    while True:
        await asyncio.get_running_loop().run_in_executor(thread, read)
        await asyncio.sleep(seconds)


class ActLog:
    """Hands over the events of some kinds once each, from any thread.

    No entry is passed over: one that is being taken when something fails comes again at the next reading. Where the
    record lost entries that were read (a standby took over, a backup was restored), all are handed over anew, because
    new ones now have the numbers of those that are lost.
    """

    def __init__(self, kinds: Collection[str], take: Callable[[Entry], None], forget: Callable[[], None]) -> None:
        """`take` raises ApprovalRefused for an entry that does not count; `forget` undoes all that was taken."""
        self._kinds = frozenset(kinds)
        self._take = take
        self._forget = forget
        self._lock = Lock()
        self._tries = 0
        self.refused: list[str] = []
        """What does not count, a sentence for each."""
        self.is_read_anew = False
        """Whether entries that were read are gone, and those that are there have not all been read since."""
        self.lost_at: datetime | None = None
        """When this process saw last that entries are gone that it had read."""
        self._begin()

    def _begin(self) -> None:
        self.sequence = 0
        """The number of the last event that was read."""
        self._hash = NOTHING_BEFORE

    def read(self, url: str, until: float = float("inf")) -> None:
        """Hands over the entries that are new and were written until that time (epoch seconds).

        Raises:
            RecordUnavailable: The record cannot be read.
        """
        with self._lock:
            while rows := self._new_rows(url):
                for row in rows:
                    if row.kind is not None and row.at / 1e6 > until:
                        return
                    fault = _fault(row)
                    if row.kind in self._kinds:
                        self._hand_over(Entry(row.kind, row.at / 1e6, row.number, row.detail, row.actor, fault))
                    elif row.kind is None and self._kinds:
                        self._refuse(row.number, str(fault))
                    self.sequence, self._hash = row.number, bytes(row.hash)
            self.is_read_anew = False

    def _new_rows(self, url: str) -> Sequence[Any]:
        """Return the next rows; those from the beginning on where the last one that was read is there no more."""
        rows = read_rows(url, _LINKED.where(chain.c.sequence >= self.sequence))
        if not self.sequence:
            return rows
        if rows and (rows[0].number, bytes(rows[0].hash)) == (self.sequence, self._hash):
            return rows[1:]
        log().error("entries of the record are gone that were read: its acts are read again", count=self.sequence)
        self._begin()
        self.refused.clear()
        self.is_read_anew, self.lost_at = True, datetime.now(UTC)
        self._forget()
        return read_rows(url, _LINKED)

    def _hand_over(self, entry: Entry) -> None:
        """Take the entry; an unexpected fault is raised and it comes again; after three of them it does not count."""
        self._tries += 1
        try:
            self._take(entry)
        except ApprovalRefused as fault:
            self._refuse(entry.number, str(fault))
        except Exception as error:
            if self._tries < _MOST_TRIES:
                raise
            log().error("an entry of the record cannot be read", error_type=type(error).__name__, count=entry.number)
            self._refuse(entry.number, f"reading it failed with {type(error).__name__}")
        self._tries = 0

    def _refuse(self, number: int, why: str) -> None:
        self.refused.append(f"entry {number} of the record does not count: {why}")


def _fault(row: Any) -> str | None:
    """Return why an event does not count: it is gone, was changed, or its link does not follow the one before it."""
    event = [getattr(row, column.name) for column in events.columns]
    if row.kind is None:
        return "it was taken out"
    if row_digest("events", event) != bytes(row.digest):
        return "it was changed after it was written"
    before = NOTHING_BEFORE if row.number == 1 else row.before
    if before is None or link_hash(bytes(before), "events", bytes(row.digest)) != bytes(row.hash):
        return "it does not follow the row before it"
    return None


_ACCOUNT: Final = "account "


class Signatories:
    """The people of one record, taken in its order."""

    def __init__(self) -> None:
        self._accounts = RecordedAccounts()

    def take(self, entry: Entry) -> None:
        """Take what was recorded about an account."""
        self._accounts.take(entry.read(AccountAct))

    def refuse(self, entry: Entry, act: Signatory, *, by_command: bool) -> None:
        """Raise ApprovalRefused where the act of this entry does not count.

        `by_command`: whether an act counts that was typed on the machine of the record, by nobody who has logged in.
        """
        if entry.actor != act.person:
            raise ApprovalRefused(f"it is of {act.person[:80]} and was recorded by {entry.actor[:80]}")
        if act.issuer == COMMAND:
            if not by_command:
                raise ApprovalRefused("it was typed as a command; a person who has logged in does it")
            return
        if act.role not in COMMITTEE:
            raise ApprovalRefused(f"the role {act.role[:40]} approves and releases nothing")
        if act.issuer == LOCAL:
            name = act.person.removeprefix(_ACCOUNT)
            account = self._accounts.made.get(name)
            if account is None or account.state != "active" or act.role not in account.roles:
                raise ApprovalRefused(f"no active account {name[:80]} had the role {act.role} when it was recorded")
