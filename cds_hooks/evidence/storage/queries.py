"""Reads decisions and feedback from the record, and stores feedback."""

from collections.abc import Collection, Iterator, Sequence
from functools import cached_property
from itertools import islice
from typing import Any, Final
from zlib import crc32

import msgspec
from msgspec import Struct
from sqlalchemy import URL, ColumnElement, Connection, Select, Table, TextClause, func, or_, select

from cds_hooks.evidence.storage.chain import add_rows, wait_for_turn
from cds_hooks.evidence.storage.content import ContentUnreadable, store_text
from cds_hooks.evidence.storage.database import (
    DATABASE_ERRORS,
    database_error_reason,
    engine_for,
    parse_url,
    reading_engine,
    refuse_other_tables,
    shown_url,
)
from cds_hooks.evidence.storage.decision import (
    TRIAL,
    Decision,
    DecisionBasis,
    FeedbackItem,
    RecordUnavailable,
    decision_of,
    read_basis,
    without_nul,
)
from cds_hooks.evidence.storage.entries import Event, write_event
from cds_hooks.evidence.storage.sent import SentResponse, read_response
from cds_hooks.evidence.storage.tables import chain, charts, decisions, feedback


def store_feedback(
    url: URL, items: Sequence[FeedbackItem], *, only_first: bool = False, event: Event | None = None
) -> list[FeedbackItem]:
    """Store all items or none and return the new ones.

    Repeated feedback (the same card, outcome, time and suggestions) is not new; with `only_first` none is whose card
    has an answer already, whoever gave it. The event, which says who answered, is written in the same transaction, and
    only if an item is new. While this writes no decision can be written, so what can be done before is, and all rows go
    in one statement.

    Raises:
        RecordUnavailable: Nothing was stored.
    """
    rows = [_row(item) for item in items]
    new, new_rows = list[FeedbackItem](), list[dict[str, Any]]()
    try:
        with engine_for(url).begin() as connection:
            wait_for_turn(connection)
            stored_answers = _stored_answers(connection, rows)
            answered = _answered_cards(connection, rows) if only_first else set()
            for item, row in zip(items, rows, strict=True):
                answer = tuple(row[name] for name in _ONCE)
                if answer in stored_answers or row["card"] in answered:
                    continue
                stored_answers.add(answer)
                new_rows.append(row)
                new.append(item)
            add_rows(connection, feedback, new_rows)
            if new and event is not None:
                write_event(connection, *event)
            return new
    except DATABASE_ERRORS as error:
        raise RecordUnavailable(f"feedback cannot be stored: {database_error_reason(error)}") from error


_ONCE: Final = ("card", "outcome", "outcome_timestamp", "accepted_suggestions")
_SAMPLED_AT_ONCE: Final = 256
_IDS_AT_ONCE: Final = 5_000


def _stored_answers(connection: Connection, rows: Sequence[dict[str, Any]]) -> set[tuple[str, ...]]:
    """Of the answers that these rows hold those that are stored already."""
    columns = [feedback.c[name] for name in _ONCE]
    instants = {row["outcome_timestamp"] for row in rows}
    query = select(*columns).where(
        feedback.c.card.in_({row["card"] for row in rows}), feedback.c.outcome_timestamp.in_(instants)
    )
    return {tuple(row) for row in connection.execute(query)} if rows else set()


def _answered_cards(connection: Connection, rows: Sequence[dict[str, Any]]) -> set[str]:
    query = select(feedback.c.card).where(feedback.c.decision.in_({row["decision"] for row in rows}))
    return {row.card for row in connection.execute(query)}


def _row(item: FeedbackItem) -> dict[str, Any]:
    row = msgspec.structs.asdict(without_nul(item))
    row["decision"] = decision_of(item.card)
    if item.user_comment is not None:
        row["user_comment"] = store_text(row["user_comment"])
    row["accepted_suggestions"] = msgspec.json.encode(item.accepted_suggestions).decode()
    return row


LISTED: Final = [
    decisions.c[field.name] for field in msgspec.structs.fields(Decision) if field.name not in ("facts", "chart")
]
"""The columns of a Decision as it is read for everything but a replay."""
NUMBERED: Final = select(decisions.c.sequence, *LISTED)
"""The query whose rows `read_decisions` reads."""
_FEEDBACK = [feedback.c[field.name] for field in msgspec.structs.fields(FeedbackItem)]


def without_trials(table: Table) -> ColumnElement[bool]:
    """Return the condition that a row of this table, decisions or feedback, is of no trial call."""
    return ~table.c.client.startswith(TRIAL, autoescape=True)


def was_estimated_by(model: str) -> ColumnElement[bool]:
    """Return the condition that this model estimated a risk in a decision."""
    return decisions.c.estimated_by.contains(f" {model} ", autoescape=True)


Place = tuple[int, int]
"""The time of a decision (microseconds since 1970-01-01 UTC) and its number: decisions are listed in this order."""


class DecisionRow(Struct, frozen=True, dict=True):
    """A decision with its number in the record; basis and answer are read once for all who ask.

    Raises:
        msgspec.DecodeError: The basis or the answer that is asked for has another form.
    """

    sequence: int
    decision: Decision

    @cached_property
    def basis(self) -> DecisionBasis:
        """What it was based on."""
        return read_basis(self.decision.basis)

    @cached_property
    def response(self) -> SentResponse:
        """Its answer."""
        return read_response(self.decision.response)

    @property
    def rules(self) -> set[str]:
        """The rules whose findings are on the cards, and the subjects of the reasons for silence."""
        on_cards = set[str]().union(*(card.rules for card in self.response.cards))
        return on_cards | {subject for subject, _, _ in self.basis.silence}

    @property
    def position(self) -> Place:
        """Where it stands in the order of time."""
        return self.decision.decided_at, self.sequence


class DecisionFilter(Struct, frozen=True):
    """The decisions to find; a field that is None does not restrict them."""

    service: str | None = None
    outcome: str | None = None
    client: str | None = None
    """The client, whose trials are among them."""
    patient: str | None = None
    since: int | None = None
    """Microseconds since 1970-01-01 UTC, included."""
    until: int | None = None
    """Microseconds since 1970-01-01 UTC, not included."""
    rule: str | None = None
    """A rule with a finding on one of the cards, or named among the reasons for silence."""
    held_back: Collection[str] = ()
    """Only decisions in which a card was held back for one of these reasons."""
    hook_instance: str | None = None
    """Only decisions of this call of a hook; the services of one hook share it."""
    reason: str | None = None
    """Only decisions with this reason for silence; with `rule`, that of this rule."""
    severity: str | None = None
    """Only decisions with a card of this indicator (info, warning, critical)."""
    answer: str | None = None
    """Only decisions of which a card was answered so (accepted, overridden)."""
    has_trials: bool = True
    """Whether trials are among them: calls from /try and about sample patients."""
    override: str | None = None
    """Only decisions of which a card was overridden with a reason of this code."""
    model: str | None = None
    """Only decisions in which this model estimated a risk."""

    def narrow(self, query: Select[Any]) -> Select[Any]:
        """Return the query with all conditions that the database can evaluate: all but the rule."""
        for name in ("service", "outcome", "patient", "hook_instance"):
            if (value := getattr(self, name)) is not None:
                query = query.where(decisions.c[name] == value)
        if self.client is not None:
            query = query.where(decisions.c.client.in_((self.client, f"{TRIAL}{self.client}")))
        if not self.has_trials:
            query = query.where(without_trials(decisions))
        if self.since is not None:
            query = query.where(decisions.c.decided_at >= self.since)
        if self.until is not None:
            query = query.where(decisions.c.decided_at < self.until)
        if self.answer is not None:
            answered = select(feedback.c.sequence).where(feedback.c.decision == decisions.c.id)
            query = query.where(answered.where(feedback.c.outcome == self.answer).exists())
        if self.override is not None:
            answered = select(feedback.c.sequence).where(feedback.c.decision == decisions.c.id)
            query = query.where(answered.where(feedback.c.override_reason_code == self.override).exists())
        if self.model is not None:
            query = query.where(was_estimated_by(self.model))
        return query

    def fits(self, row: DecisionRow) -> bool:
        """Whether the rule, reason for silence, severity, or something held back is in this decision, where asked."""
        if self.severity is not None and self.severity not in {card.indicator for card in row.response.cards}:
            return False
        if not (self.held_back or self.reason or self.rule):
            return True
        silences = row.basis.silence
        if self.held_back and not any(reason in self.held_back for _, reason, _ in silences):
            return False
        if self.reason is not None:
            return any(reason == self.reason and self.rule in (None, subject) for subject, reason, _ in silences)
        return self.rule is None or self.rule in row.rules


def find_decisions(url: str, wanted: DecisionFilter, at_once: int = 500) -> Iterator[Decision]:
    """Yield the decisions that the filter describes, the newest first.

    They are read `at_once` at a time, so that neither memory nor the write-ahead log grows with the record.

    Raises:
        RecordUnavailable: there is no record.
    """
    return (row.decision for row in find_places(url, wanted, None, at_once))


def find_places(
    url: str, wanted: DecisionFilter, before: Place | None = None, at_once: int = 500
) -> Iterator[DecisionRow]:
    """As `find_decisions`, from the place `before` on."""
    query = wanted.narrow(NUMBERED)
    query = query.order_by(decisions.c.decided_at.desc(), decisions.c.sequence.desc())
    most = min(at_once, 500)
    rows = read_decisions(url, _older_than(query, before).limit(most))
    while rows:
        yield from filter(wanted.fits, rows)
        if len(rows) < most:
            return
        most = 500
        rows = read_decisions(url, _older_than(query, rows[-1].position).limit(most))


def find_ids(url: str, wanted: DecisionFilter) -> Iterator[str]:
    """Yield the ids of the decisions that the filter describes but for its rule and reasons, in find_decisions' order.

    What a decision says is not read, so that a share of them is chosen in a fiftieth of the time.

    Raises:
        RecordUnavailable: there is no record.
    """
    query = wanted.narrow(select(decisions.c.sequence, decisions.c.decided_at, decisions.c.id))
    query = query.order_by(decisions.c.decided_at.desc(), decisions.c.sequence.desc()).limit(_IDS_AT_ONCE)
    oldest: Place | None = None
    while rows := read_rows(url, _older_than(query, oldest)):
        yield from (row.id for row in rows)
        oldest = rows[-1].decided_at, rows[-1].sequence


def find_sample(url: str, wanted: DecisionFilter, share: float) -> Iterator[Decision]:
    """Yield a share (0 to 1) of the decisions, always the same ones: chosen by their ids, so that only those are read.

    Raises:
        RecordUnavailable: there is no record.
    """
    if share == 1:
        yield from find_decisions(url, wanted)
        return
    chosen = (decision_id for decision_id in find_ids(url, wanted) if crc32(decision_id.encode()) < share * (1 << 32))
    while ids := list(islice(chosen, _SAMPLED_AT_ONCE)):
        decisions_by_id = get_decisions(url, ids)
        yield from (decisions_by_id[decision_id] for decision_id in ids if decision_id in decisions_by_id)


def _older_than(query: Select[Any], before: Place | None) -> Select[Any]:
    if before is None:
        return query
    at, sequence = decisions.c.decided_at, decisions.c.sequence
    # the first condition alone finds the place in the index; databases do not derive it from the second
    return query.where(at <= before[0]).where(or_(at < before[0], sequence < before[1]))


def decisions_at(url: str, wanted: DecisionFilter, numbers: Collection[int]) -> dict[int, DecisionRow]:
    """Return those of the decisions with these numbers that the filter describes, by number.

    Raises:
        RecordUnavailable: there is no record.
    """
    query = wanted.narrow(NUMBERED).where(decisions.c.sequence.in_(numbers))
    return {row.sequence: row for row in filter(wanted.fits, read_decisions(url, query))}


def newest_number(url: str) -> int:
    """Return the number of the newest row of the record; 0 for an empty record.

    Raises:
        RecordUnavailable: there is no record.
    """
    return int(read_rows(url, select(func.max(chain.c.sequence)))[0][0] or 0)


def has_link(url: str, number: int, link: bytes) -> bool:
    """Return whether the record's chain has this hash at this number; it has that of 0, where it begins.

    Raises:
        RecordUnavailable: there is no record.
    """
    rows = read_rows(url, select(chain.c.hash).where(chain.c.sequence == number)) if number else ()
    return not number or (bool(rows) and bytes(rows[0].hash) == link)


def count_decisions(url: str, wanted: DecisionFilter) -> int:
    """Return how many decisions the filter describes, but for its rule.

    Raises:
        RecordUnavailable: there is no record.
    """
    return int(read_rows(url, wanted.narrow(select(func.count()).select_from(decisions)))[0][0])


def get_decision(url: str, decision_id: str) -> Decision | None:
    """Return the decision with this id; None where there is none.

    Raises:
        RecordUnavailable: there is no record.
    """
    rows = read_rows(url, select(*LISTED).where(decisions.c.id == decision_id))
    return Decision(*rows[0]) if rows else None


def get_decisions(url: str, ids: Collection[str]) -> dict[str, Decision]:
    """Return the decisions on record that have one of these ids, by id.

    Raises:
        RecordUnavailable: there is no record.
    """
    return {decision_id: row.decision for decision_id, row in get_rows(url, ids).items()}


def get_rows(url: str, ids: Collection[str]) -> dict[str, DecisionRow]:
    """As `get_decisions`, each with its number."""
    rows = read_decisions(url, NUMBERED.where(decisions.c.id.in_(ids))) if ids else ()
    return {row.decision.id: row for row in rows}


def facts_of(url: str, ids: Collection[str]) -> dict[str, bytes]:
    """Return the facts that are kept of these decisions, by id; those without any are not in it.

    Raises:
        RecordUnavailable: there is no record, or they cannot be read.
    """
    query = select(decisions.c.id, decisions.c.facts).where(decisions.c.id.in_(ids), decisions.c.facts.is_not(None))
    return {row.id: row.facts for row in read_rows(url, query)} if ids else {}


def charts_of(url: str, ids: Collection[str]) -> dict[str, bytes]:
    """Return the lean charts with which these decisions were made, by id; those without any are not in it.

    Raises:
        RecordUnavailable: there is no record, or they cannot be read.
    """
    if not ids:
        return {}
    naming = select(decisions.c.id, decisions.c.chart).where(decisions.c.id.in_(ids), decisions.c.chart.is_not(None))
    hash_by_id = {row.id: bytes(row.chart) for row in read_rows(url, naming)}
    wanted = select(charts.c.hash, charts.c.content).where(charts.c.hash.in_(set(hash_by_id.values())))
    content_by_hash = {bytes(row.hash): row.content for row in read_rows(url, wanted)}
    return {identity: content_by_hash[name] for identity, name in hash_by_id.items() if name in content_by_hash}


def feedback_on(url: str, decision_id: str) -> list[FeedbackItem]:
    """Return the feedback on the cards of this decision, in the order in which it arrived."""
    query = select(*_FEEDBACK).where(feedback.c.decision == decision_id).order_by(feedback.c.sequence)
    return [_feedback_item(row) for row in read_rows(url, query)]


def read_rows(url: str, query: Select[Any] | TextClause) -> Sequence[Any]:
    """Return all rows of a query.

    Raises:
        RecordUnavailable: there is no record, or the database does not answer.
    """
    parsed = parse_url(url)
    try:
        with reading_engine(parsed).connect() as connection:
            return connection.execute(query).all()
    except ContentUnreadable as error:
        raise RecordUnavailable(str(error)) from error
    except DATABASE_ERRORS as error:
        refuse_other_tables(parsed, error)
        reason = database_error_reason(error)
        raise RecordUnavailable(f"the record at {shown_url(parsed)} cannot be read: {reason}") from error


def read_decisions(url: str, query: Select[Any]) -> list[DecisionRow]:
    """Return the rows of a query that begins with `NUMBERED`.

    Raises:
        RecordUnavailable: there is no record, or the database does not answer.
    """
    return [DecisionRow(row[0], Decision(*row[1:])) for row in read_rows(url, query)]


def _feedback_item(row: Any) -> FeedbackItem:
    suggestions = msgspec.json.decode(row.accepted_suggestions, type=tuple[str, ...])
    return FeedbackItem(**{**row._asdict(), "accepted_suggestions": suggestions})
