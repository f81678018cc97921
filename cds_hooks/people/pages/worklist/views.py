"""The worklist: the page, and the form that takes a finding off or puts it back.

Lays the worklist out: the rows that a filter leaves, what may be done about each finding, what was done.
"""

import hashlib
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from time import monotonic
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlencode

from fastapi import Depends, Query
from msgspec import Struct
from msgspec.structs import replace
from pydantic import AfterValidator, BaseModel, Field, model_validator
from pydantic_core import PydanticCustomError
from starlette.responses import Response
from starlette.routing import Route

from cards.compose.model import in_100
from cds_hooks.call.hold_back.history import PERIOD_DAYS
from cds_hooks.evidence.decision_views.file import Mark, Views
from cds_hooks.evidence.decision_views.follow import Follower
from cds_hooks.evidence.storage.decision import decision_of
from cds_hooks.evidence.storage.entries import add_event
from cds_hooks.people.pages.server import PageServer, posted
from cds_hooks.people.web.numbers import format_time
from cds_hooks.people.web.site import HEADERS
from cds_hooks.people.worklist.worklist import WORK_EVENT, WorklistRow, read_worklist
from models_onnx.equations.declaration import find_equations

SNOOZE_DAYS: Final = (1, 7, 30)
DONE_DAYS: Final = PERIOD_DAYS["accepted"]
"""What was done is suppressed as long as a card that was accepted."""

_DAY_SECONDS: Final = 86_400.0


class WorklistAct(Struct, frozen=True):
    """The newest act on a finding of a patient; `until` in epoch seconds."""

    act: str
    by: str
    at: float
    until: float


def finding_digest(text: str) -> str:
    """16 hexadecimal digits that stand for the name of a test or the summary of a finding."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def record_act(url: str, actor: str, decision: str, finding: str, act: str, now: float, days: int = 0) -> None:
    """Record an act.

    Raises:
        RecordUnavailable: It cannot be recorded.
    """
    suppressed_days = {"done": DONE_DAYS, "snooze": days, "back": 0}[act]
    detail = {"decision": decision, "finding": finding, "act": act, "until": now + suppressed_days * _DAY_SECONDS}
    add_event(url, WORK_EVENT, actor, detail)


WorklistActs = dict[tuple[str, str], dict[str, WorklistAct]]
"""The newest act on each finding, by its digest, of each client's patients."""


def read_acts(views: Views) -> WorklistActs:
    """Return what people did about the findings of the worklist.

    Raises:
        RecordUnavailable: The views cannot be read.
    """
    acts: WorklistActs = {}
    for client, patient, finding, *act in views.read(
        "SELECT client, patient, finding, act, actor, at, until FROM work_acts"
    ):
        acts.setdefault((client, patient), {})[finding] = WorklistAct(*act)
    return acts


# The worklist as the pages show it, from the views of the record


_MADE_SECONDS: Final = 60.0
"""The list is put in order again when something is new, and for the days that go by once a minute."""


class WorklistKeeper:
    """Makes the list again when the record has something new; one for each server process."""

    def __init__(self, follower: Follower, now: Callable[[], datetime]) -> None:
        """`now` is the clock by which calls are answered."""
        self._follower = follower
        self._now = now
        self._lock = threading.Lock()
        self._made: tuple[Mark, float, Rows, WorklistActs] | None = None

    def worklist(self) -> "tuple[Rows, WorklistActs]":
        """Return everybody who is on the list now or of whom something was said before, and what people did.

        Raises:
            RecordUnavailable: The views cannot be read.
        """
        views, moment = self._follower.views, monotonic()
        with self._lock:
            # by the mark: it is written with the rows, the time up to which all is whole some moments later
            mark = views.mark()
            if self._made is None or self._made[0] != mark or moment - self._made[1] >= _MADE_SECONDS:
                rows = [(row, tuple(_findings(row))) for row in read_worklist(views, self._now())]
                self._made = (mark, moment, rows, read_acts(views))
            return self._made[2:]


ROWS_ON_A_PAGE: Final = 50
_BECAUSE: Final = {
    "no-visit": "found outside a visit",
    "measure": "not done in the period of the measure",
    "offered-before": "another reminder was shown first",
    "from-event": "found when a new result or visit arrived",
}


class Filter(BaseModel, frozen=True):
    """What the list is narrowed to; `did` is the finding about which something was just done."""

    client: Annotated[str, Field(max_length=200)] = ""
    what: Annotated[str, Field(max_length=100)] = ""
    kind: Literal["all", "missing", "said"] = "all"
    start: Annotated[int, Field(ge=0, lt=1_000_000)] = 0
    did: Annotated[str, Field(exclude=True)] = ""

    def query(self, **changed: Any) -> str:
        """Return the filter as the query of an address, with some of it changed."""
        fields = self.model_dump(exclude_defaults=True) | changed
        return urlencode({name: value for name, value in fields.items() if value})


class FindingLine(Struct, frozen=True):
    """One finding of a patient: what it is, why it is on the list, and the act that took it off, if any."""

    text: str
    why: str
    kind: str
    act: WorklistAct | None = None

    @property
    def finding(self) -> str:
        """The digest by which the forms of the page name it."""
        return finding_digest(self.text)

    @property
    def until(self) -> str:
        """Until when it is off the list."""
        return _day(self.act.until) if self.act is not None else ""

    @property
    def acted(self) -> str:
        """When it was taken off."""
        return _day(self.act.at) if self.act is not None else ""


Rows = list[tuple[WorklistRow, tuple[FindingLine, ...]]]
"""Everybody on the list with their findings."""


class PatientLine(Struct, frozen=True):
    """One patient, with the findings that filter and acts leave."""

    rank: int
    row: WorklistRow
    findings: tuple[FindingLine, ...]

    @property
    def higher_than(self) -> int | None:
        """How many in 100 people of the model's reference group have a lower estimate, 1 to 99; None without one."""
        return in_100(self.row.risk) if self.row.risk is not None else None

    @property
    def days(self) -> str:
        """How long ago the newest call about the patient was, in words."""
        days = int(self.row.days)
        return "today" if days < 1 else "1 day ago" if days == 1 else f"{days} days ago"


class Lists(Struct, frozen=True):
    """The list and what was taken off it."""

    waiting: tuple[PatientLine, ...]
    off: tuple[PatientLine, ...]
    clients: tuple[str, ...]

    def finding(self, digest: str) -> FindingLine | None:
        """Return the finding with this digest among those that were taken off."""
        return next((finding for line in self.off for finding in line.findings if finding.finding == digest), None)


def make_lists(keeper: WorklistKeeper, wanted: Filter, now: float) -> Lists:
    """Return everybody on the list, in its order, and whose findings are suppressed because of an act."""
    waiting, off = list[PatientLine](), list[PatientLine]()
    rows, acts = keeper.worklist()
    takes_all = wanted.kind == "all" and not wanted.what.strip()
    for row, every in rows:
        if wanted.client and row.client != wanted.client:
            continue
        findings = every if takes_all else tuple(finding for finding in every if _fits(finding, wanted))
        if of_patient := acts.get((row.client, row.patient)):
            resting = {digest: act for digest, act in of_patient.items() if act.act != "back" and now < act.until}
            findings = tuple(replace(finding, act=resting.get(finding.finding)) for finding in findings)
        waiting_findings = tuple(finding for finding in findings if finding.act is None)
        off_findings = tuple(finding for finding in findings if finding.act is not None)
        if waiting_findings:
            waiting.append(PatientLine(len(waiting) + 1, row, waiting_findings))
        if off_findings:
            off.append(PatientLine(len(off) + 1, row, off_findings))
    return Lists(tuple(waiting), tuple(off), tuple(sorted({row.client for row, _ in rows})))


def _findings(row: WorklistRow) -> Iterator[FindingLine]:
    for entry in row.entries:
        why = f"{_purpose(entry.purpose)}; {_BECAUSE.get(entry.because, entry.because)}"
        yield FindingLine(entry.test, why, "missing")
    for earlier_card in row.shown:
        why = f"Shown on {earlier_card.since[:10]} and not answered; not shown again before {earlier_card.until[:10]}"
        yield FindingLine(earlier_card.test, why, "said")


def _purpose(name: str) -> str:
    """Return why it is to be done: an input of an equation, or what a service found due."""
    equation = find_equations().get(name)
    return f"Missing for {equation.title}" if equation is not None else "Due"


def _fits(finding: FindingLine, wanted: Filter) -> bool:
    is_kind = wanted.kind in ("all", finding.kind)
    return is_kind and wanted.what.strip().casefold() in f"{finding.text} {finding.why}".casefold()


def _day(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).date().isoformat()


def _recorded(decision: str) -> str:
    if (decision_id := decision_of(decision)) is None:
        raise PydanticCustomError("decision", "no decision has this id")
    return decision_id


class Work(BaseModel):
    """What somebody did about a finding."""

    decision: Annotated[str, AfterValidator(_recorded)]
    finding: Annotated[str, Field(pattern="^[0-9a-f]{16}$")]
    act: Literal["done", "snooze", "back"]
    days: int = 0

    @model_validator(mode="after")
    def _snoozes(self) -> "Work":
        if self.act == "snooze" and self.days not in SNOOZE_DAYS:
            raise PydanticCustomError("days", "an entry is snoozed for 1, 7 or 30 days")
        return self


class _Worklist:
    def __init__(self, server: PageServer) -> None:
        self._server = server
        self._keeper = WorklistKeeper(server.follower, server.now)

    def show(self, wanted: Annotated[Filter, Query()]) -> Response:
        """Show the page."""
        note, now = self._server.counts.counted().note, self._server.now()
        lists = make_lists(self._keeper, wanted, now.timestamp())
        start = min(wanted.start, max(0, len(lists.waiting) - 1) // ROWS_ON_A_PAGE * ROWS_ON_A_PAGE)
        return self._server.page(
            "worklist/worklist.html",
            lists=lists,
            shown=lists.waiting[start : start + ROWS_ON_A_PAGE],
            start=start,
            step=ROWS_ON_A_PAGE,
            wanted=wanted,
            note=note,
            now=format_time(now),
            snoozes=SNOOZE_DAYS,
            did=lists.finding(wanted.did) if wanted.did else None,
            title_of=self._model_title,
        )

    def _model_title(self, model_id: str) -> str:
        manifest = self._server.files.manifest(model_id)
        return manifest.title if manifest is not None else model_id

    def act(
        self, work: Annotated[Work, Depends(posted(Work))], wanted: Annotated[Filter, Depends(posted(Filter))]
    ) -> Response:
        """Take a finding off the list, or put it back."""
        url, moment = self._server.settings.database_url, self._server.now().timestamp()
        record_act(url, self._server.actor, work.decision, work.finding, work.act, moment, work.days)
        query = wanted.query(did=work.finding)
        return Response(status_code=303, headers=HEADERS | {"location": f"worklist?{query}#list"})


def routes(server: PageServer) -> list[Route]:
    """Return the addresses of the worklist."""
    page = _Worklist(server)
    return [
        server.route("/worklist", page.show),
        server.route("/worklist", page.act, ["POST"]),
    ]


# What people did about the entries of the worklist: done, snoozed, put back. Each act is an entry of the record
