"""The search in the record, and who saw what; /explain shows each decision.

The list of decisions: what was asked for, the rows that fit, and from where the older ones go on.

A patient, a hook call or a card is asked for by a posted form only: no address, log or history has it.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlencode

import msgspec
from fastapi import Depends, Query
from pydantic import BaseModel, Field, StringConstraints, model_validator
from sqlalchemy import select
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from cards.card import SEVERITY
from cds_hooks.call.hold_back.reasons import SUPPRESSED, explain_no_card, in_words
from cds_hooks.evidence.monitor.finder import find_page
from cds_hooks.evidence.storage.decision import Decision, decision_of
from cds_hooks.evidence.storage.entries import EXPORT_EVENT
from cds_hooks.evidence.storage.queries import DecisionFilter, Place, get_decision, read_rows
from cds_hooks.evidence.storage.sent import read_response
from cds_hooks.evidence.storage.tables import events
from cds_hooks.people.pages.explain.recorded_decision import read_basis
from cds_hooks.people.pages.gate import EVENT
from cds_hooks.people.pages.server import PageServer, posted
from cds_hooks.people.web.numbers import format_seconds
from cds_hooks.people.web.site import HEADERS, Failure, PageRefusal
from fhir.record.refusals import WhyNot

ROWS: Final = 20
CHOICES: Final = {
    "outcome": {"cards": "with a card", "silent": "without a card", "error": "failed"},
    "severity": {"critical": "critical", "warning": "warning", "info": "info"},
    "answer": {"accepted": "accepted", "overridden": "overridden"},
}
"""The fields with a choice, and the words of each."""
SEARCHES: Final = (
    ("Critical cards", "severity=critical"),
    ("Overridden cards", "answer=overridden"),
    ("Findings that were held back", "withheld=1"),
    ("Calls that failed", "outcome=error"),
)
"""Searches that are asked for often, as the addresses that find them."""
_IN_SIGHT: Final = frozenset({"patient", "card", "since", "until", "outcome", "before"})
_SHOWN: Final = 3
_WORDS: Final = {"info": "Info", "warning": "Warning", "critical": "Critical"}

Text = Annotated[str, StringConstraints(strip_whitespace=True, max_length=200)]
Day = Annotated[date, Field(lt=date.max)]


class InAddress(BaseModel, frozen=True):
    """What an address may ask for: nothing of a patient or of one call."""

    service: Text = ""
    client: Text = ""
    outcome: Literal["cards", "silent", "error"] | None = None
    rule: Text = ""
    reason: Text = ""
    severity: Literal["critical", "warning", "info"] | None = None
    answer: Literal["accepted", "overridden"] | None = None
    override: Text = ""
    since: Day | None = None
    until: Day | None = None
    withheld: bool = False
    before: Annotated[str, Field(pattern=r"^\d{1,17}\.\d{1,17}$")] = ""
    """From where the list goes on."""

    @model_validator(mode="before")
    @classmethod
    def _without_empty_fields(cls, fields: dict[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in fields.items() if value != ""}


class Asked(InAddress, frozen=True):
    """What the form asks for."""

    patient: Text = ""
    hook_instance: Text = ""
    card: Text = ""

    @property
    def address(self) -> str:
        """The query of an address with what may stand in one; empty where the rest would be lost."""
        if self.patient or self.hook_instance or self.card:
            return ""
        return urlencode(self.model_dump(mode="json", exclude={"before"}, exclude_defaults=True))

    @property
    def has_more(self) -> bool:
        """Whether a field is filled in that the form folds."""
        return not self.model_dump(exclude_defaults=True).keys() <= _IN_SIGHT

    @property
    def is_restricted(self) -> bool:
        """Whether anything is asked for that a decision may not fit."""
        return bool(self.model_dump(exclude_defaults=True))

    @property
    def wanted(self) -> DecisionFilter:
        """The decisions that are asked for."""
        fields = self.model_dump(exclude={"card", "before", "withheld"}, exclude_defaults=True)
        changed = {
            "patient": self.patient.removeprefix("Patient/") or None,
            "since": _midnight(self.since) if self.since else None,
            "until": _midnight(self.until + timedelta(days=1)) if self.until else None,
            "held_back": SUPPRESSED if self.withheld else (),
        }
        return DecisionFilter(**fields | changed)

    @property
    def position(self) -> Place | None:
        """From where the list goes on."""
        at, _, sequence = self.before.partition(".")
        return (int(at), int(sequence)) if sequence else None


def _midnight(day: date) -> int:
    return int(datetime.combine(day, time(), UTC).timestamp() * 1_000_000)


@dataclass(frozen=True, slots=True)
class Row:
    """One decision of the list: `texts` are the first of its cards, or of its reasons for silence, of so many."""

    decision: Decision
    texts: tuple[str, ...]
    count: int
    sign: tuple[str, str]
    """The mark of the row and its word: how grave the worst card is, or what the answer without a card means."""

    @property
    def time(self) -> str:
        """The time of the decision, to the second."""
        return format_seconds(self.decision.decided_at)


def rows_of(decisions: Iterable[Decision]) -> tuple[Row, ...]:
    """Return decisions as rows of a list."""
    rows = []
    for decision in decisions:
        texts, sign = _texts_and_sign(decision)
        rows.append(Row(decision, texts[:_SHOWN], len(texts), sign))
    return tuple(rows)


def _texts_and_sign(decision: Decision) -> tuple[tuple[str, ...], tuple[str, str]]:
    try:
        if cards := sorted(read_response(decision.response).cards, key=lambda card: -SEVERITY[card.indicator]):
            worst = cards[0].indicator
            return tuple(card.summary for card in cards), (worst, _WORDS[worst])
        reasons = in_words(WhyNot(*silence) for silence in read_basis(decision).silence)
    except msgspec.MsgspecError:
        failed = ("critical", "Failed") if decision.is_refused else ("none", "Not readable")
        return ("The record has another form than this version reads.",), failed
    if decision.is_refused:
        return tuple(silence.text for silence in reasons), ("critical", "Failed")
    no_card = explain_no_card(reasons)
    first = [silence for silence in no_card.reasons if silence in reasons]
    texts = dict.fromkeys(silence.text for silence in (*first, *reasons))
    return tuple(texts), ("warning" if no_card.kind == "held-back" else "none", f"No card: {no_card.title.lower()}")


_IN_ADDRESS: Final = Failure(
    "Not in an address",
    "A patient, a hook call or a card is never asked for in an address, because logs and histories keep addresses.",
    "Open /decisions and type it into the form.",
)


SEEN_KINDS: Final = {
    EVENT: "was shown a page of patients",
    "login": "logged in or out",
    "account-act": "changed an account",
    "card-answer": "answered a card",
    "worklist-act": "changed the worklist",
    EXPORT_EVENT: "took data out by a command",
}
"""The entries of the record that say who saw or did what on pages of patients, each in words."""
MOST_SEEN: Final = 200


class _Decisions:
    def __init__(self, server: PageServer) -> None:
        self._server = server
        self._url = server.settings.database_url

    def show(self, request: Request, wanted: Annotated[InAddress, Query()]) -> Response:
        """Show the decisions that the address asks for."""
        if request.query_params.keys() - InAddress.model_fields:
            raise PageRefusal(_IN_ADDRESS, 400)
        return self._list(Asked(**wanted.model_dump()))

    def find(self, form: Annotated[Asked, Depends(posted(Asked))]) -> Response:
        """Show the decisions that the form asks for, under an address where one may ask for them."""
        if form.address and not form.before:
            return RedirectResponse(f"decisions?{form.address}#found", 303, HEADERS)
        if not form.card:
            return self._list(form)
        decision_id = decision_of(form.card)
        if decision_id is not None and get_decision(self._url, decision_id) is not None:
            return RedirectResponse(f"explain/{decision_id}", 303, HEADERS)
        return self._list(form, 404)

    def show_seen(self, who: Annotated[str, Query(max_length=200)] = "") -> Response:
        """Show who logged in, and who was shown which page of patients, the newest first."""
        who = who.strip()
        query = select(events.c.at, events.c.kind, events.c.actor, events.c.detail).where(events.c.kind.in_(SEEN_KINDS))
        query = query.where(events.c.actor == who) if who else query
        rows = read_rows(self._url, query.order_by(events.c.sequence.desc()).limit(MOST_SEEN))
        seen = [
            (format_seconds(row.at), row.actor, SEEN_KINDS[row.kind], msgspec.json.decode(row.detail)) for row in rows
        ]
        return self._server.page("decisions/seen.html", rows=seen, who=who, most=MOST_SEEN)

    def _list(self, form: Asked, status: int = 200) -> Response:
        counted = self._server.counts.counted()
        views = counted.book.views if counted.book is not None else None
        found = find_page(self._url, views, form.wanted, form.position, ROWS) if status == 200 else None
        return self._server.page(
            "decisions/decisions.html",
            status=status,
            asked=form,
            found=found,
            rows=rows_of(found.decisions) if found is not None else (),
            looked_to=format_seconds(found.looked_to) if found is not None and found.looked_to is not None else "",
            counted=counted,
            services=sorted(self._server.services),
            choices=CHOICES,
            searches=SEARCHES,
        )


def routes(server: PageServer) -> list[Route]:
    """Return the addresses of these pages."""
    pages = _Decisions(server)
    return [
        server.route("/decisions", pages.show),
        server.route("/decisions", pages.find, ["POST"]),
        server.route("/decisions/seen", pages.show_seen),
    ]
