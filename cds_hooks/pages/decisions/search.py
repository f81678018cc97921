"""The list of decisions: what was asked for, the rows that fit, and from where the older ones go on.

A patient, a hook call or a card is asked for by a posted form only: no address, log or history has it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Final
from urllib.parse import urlencode

import msgspec

from cards.card import SEVERITY
from cds_hooks.decision_history import is_refused, read_cards
from cds_hooks.hold_back.checks import SUPPRESSED
from cds_hooks.hold_back.no_card import explain_no_card
from cds_hooks.monitor.finder import find
from cds_hooks.monitor.postings import Budget
from cds_hooks.pages.count_keeper import Counted
from cds_hooks.pages.explain.recorded_decision import read_basis
from cds_hooks.storage.decision import Decision
from cds_hooks.storage.queries import DecisionFilter, FoundDecision, Place
from cds_hooks.web.numbers import format_seconds
from fhir.record.refusals import WhyNot

_NOT_COUNTED: Final = 200
"""So many decisions that are not counted yet are looked through for a page."""
ROWS: Final = 20
IN_ADDRESS: Final = (
    "service", "client", "outcome", "rule", "reason", "severity", "answer", "override",
    "since", "until", "withheld", "before",
)  # fmt: skip
"""What an address may ask for: nothing of a patient or of one call."""
IN_FORM: Final = ("patient", "hook_instance", "card", *IN_ADDRESS)
_IN_SIGHT: Final = ("patient", "card", "since", "until", "outcome")
OUTCOMES: Final = {"cards": "with a card", "silent": "without a card", "error": "failed"}
SEVERITIES: Final = {"critical": "critical", "warning": "warning", "info": "info"}
ANSWERS: Final = {"accepted": "accepted", "overridden": "overridden"}
CHOICES: Final = {"outcome": OUTCOMES, "severity": SEVERITIES, "answer": ANSWERS}
"""The fields with a choice, and the words of each."""
SEARCHES: Final = (
    ("Critical cards", "severity=critical"),
    ("Overridden cards", "answer=overridden"),
    ("Findings that were held back", "withheld=1"),
    ("Calls that failed", "outcome=error"),
)
"""Searches that are asked for often, as the addresses that find them."""
_MOST_PLACES: Final = 2_000
_LONGEST: Final = 200
_SHOWN: Final = 3
_WORDS: Final = {"info": "Info", "warning": "Warning", "critical": "Critical"}


@dataclass(frozen=True, slots=True)
class Asked:
    """What the form holds, as it was typed, and a sentence for each field that cannot be read."""

    fields: Mapping[str, str]
    faults: Mapping[str, str] = field(default_factory=dict)

    def get(self, name: str) -> str:
        """Return a field as it was typed."""
        return self.fields.get(name, "")

    @property
    def address(self) -> str:
        """The query of an address with what may stand in one; empty where the rest would be lost."""
        if any(self.get(name) for name in IN_FORM if name not in IN_ADDRESS):
            return ""
        return urlencode({name: value for name in IN_ADDRESS if name != "before" and (value := self.get(name))})

    @property
    def has_more(self) -> bool:
        """Whether a field is filled in that the form folds."""
        return any(self.get(name) for name in IN_FORM if name not in (*_IN_SIGHT, "before"))

    @property
    def is_restricted(self) -> bool:
        """Whether anything is asked for that a decision may not fit."""
        return any(self.get(name) for name in IN_FORM)

    @property
    def wanted(self) -> DecisionFilter:
        """The decisions that are asked for; only where there are no faults."""
        text = {name: self.get(name) or None for name in IN_FORM}
        patient = text["patient"]
        return DecisionFilter(
            service=text["service"],
            outcome=text["outcome"],
            client=text["client"],
            patient=None if patient is None else patient.removeprefix("Patient/"),
            since=_microseconds(self.get("since"), is_end=False),
            until=_microseconds(self.get("until"), is_end=True),
            rule=text["rule"],
            held_back=SUPPRESSED if text["withheld"] else (),
            hook_instance=text["hook_instance"],
            reason=text["reason"],
            severity=text["severity"],
            answer=text["answer"],
            override=text["override"],
        )

    @property
    def before(self) -> Place | None:
        """From where the list goes on."""
        at, _, sequence = self.get("before").partition(".")
        return (int(at), int(sequence)) if at and sequence else None


def read_asked(form: Mapping[str, str]) -> Asked:
    """Return the fields of the form, each checked."""
    fields = {name: form.get(name, "").strip() for name in IN_FORM}
    faults = {name: f"Longer than {_LONGEST} characters." for name, value in fields.items() if len(value) > _LONGEST}
    for name in ("since", "until"):
        if name not in faults and not _is_time(fields[name]):
            faults[name] = "Write a day as 2026-11-20, or a time (UTC) as 2026-11-20 09:14."
    for name, words in CHOICES.items():
        if fields[name] and fields[name] not in words:
            faults[name] = f"There is no such {name}."
    at, _, sequence = fields["before"].partition(".")
    if fields["before"] and not (at.isdecimal() and sequence.isdecimal() and len(fields["before"]) < 36):
        fields["before"] = ""
    return Asked(fields, faults)


def _is_time(text: str) -> bool:
    try:
        _microseconds(text, is_end=True)
    except (ValueError, OverflowError):
        return False
    return True


def _microseconds(text: str, *, is_end: bool) -> int | None:
    """Return the instant; the end of a day begins the next one."""
    if not text:
        return None
    at = datetime.fromisoformat(text)
    if is_end and len(text) <= len("2026-11-20"):  # a time makes it longer in whatever form
        at += timedelta(days=1)
    return int((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() * 1_000_000)


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


@dataclass(frozen=True, slots=True)
class Listing:
    """A page of the list; `before` goes on with the older ones, and `looked_to` says how far was looked."""

    rows: tuple[Row, ...]
    before: str = ""
    looked_to: str = ""


def list_rows(url: str, form: Asked, counted: Counted) -> Listing:
    """Return the newest decisions that are asked for, from the place that the form names, a page of them.

    Raises:
        RecordUnavailable: the record cannot be read.
    """
    budget = Budget(_MOST_PLACES)
    every = find(url, counted.book, form.wanted, form.before, budget, _NOT_COUNTED)
    places = list(islice(every, ROWS + 1))
    rows = tuple(_row(entry.decision) for entry in places[:ROWS])
    if len(places) > ROWS:
        return Listing(rows, _as_text(places[ROWS - 1].position))
    if budget.is_spent and budget.reached is not None:
        return Listing(rows, _as_text(budget.reached), format_seconds(budget.reached[0]))
    return Listing(rows)


def rows_of(places: Iterable[FoundDecision]) -> tuple[Row, ...]:
    """Decisions as rows."""
    return tuple(_row(entry.decision) for entry in places)


def _row(decision: Decision) -> Row:
    texts, sign = _texts_and_sign(decision)
    return Row(decision, texts[:_SHOWN], len(texts), sign)


def _texts_and_sign(decision: Decision) -> tuple[tuple[str, ...], tuple[str, str]]:
    try:
        if cards := read_cards(decision):
            cards.sort(key=lambda card: SEVERITY.get(card.indicator, 0), reverse=True)
            worst = cards[0].indicator if cards[0].indicator in SEVERITY else "info"
            return tuple(card.summary for card in cards), (worst, _WORDS[worst])
        reasons = [WhyNot(*silence) for silence in read_basis(decision).silence]
    except msgspec.MsgspecError:
        failed = ("critical", "Failed") if is_refused(decision) else ("none", "Not readable")
        return ("The record has another form than this version reads.",), failed
    if is_refused(decision):
        return tuple(silence.text for silence in reasons), ("critical", "Failed")
    no_card = explain_no_card(reasons)
    first = [silence for silence in no_card.reasons if silence in reasons]
    texts = dict.fromkeys(silence.text for silence in (*first, *reasons))
    return tuple(texts), ("warning" if no_card.kind == "held-back" else "none", f"No card: {no_card.title.lower()}")


def _as_text(position: Place) -> str:
    return f"{position[0]}.{position[1]}"
