"""Reads from the record which cards were shown and answered: at the start all that still count, later new ones."""

from collections.abc import Collection, Iterable, Iterator
from datetime import datetime
from time import time
from typing import Any, Final

import msgspec
from msgspec import Struct
from sqlalchemy import Select, select

from cards.card import Indicator
from cards.extension import EXTENSION_KEY, NOTHING_SAID, CardExtension
from cds_hooks.hold_back.patient_finding import PatientFinding, patient_finding
from cds_hooks.storage.decision import ANSWERED_ON_PAGE, Decision, FeedbackItem
from cds_hooks.storage.following import Mark, is_there, settled
from cds_hooks.storage.queries import read_rows
from cds_hooks.storage.tables import decisions, feedback

_DAY_SECONDS: Final = 86_400.0
_ROWS_AT_ONCE: Final = 500
_RESPONSES_AT_ONCE: Final = 50
ACCEPTED: Final = "accepted"
LONGEST_DAYS: Final = 365
"""So far back an answer can count: the largest number of days that rules.schema.json lets a site set."""
MOST_AT_START: Final = 100_000
"""So many decisions with cards, the newest, are read at the start: each takes some 70 µs of processor time."""


class _Extension(Struct, rename={"ours": EXTENSION_KEY}):
    ours: CardExtension = NOTHING_SAID


class SentAction(Struct):
    """An action of a suggestion; its resource as it was sent."""

    resource: msgspec.Raw = msgspec.field(default_factory=msgspec.Raw)


class SentSuggestion(Struct):
    """What is needed of a suggestion that was sent."""

    label: str = ""
    uuid: str = ""
    actions: tuple[SentAction, ...] = ()


class SentCard(Struct):
    """What is needed of a card that was sent."""

    uuid: str = ""
    indicator: Indicator = "info"
    suggestions: tuple[SentSuggestion, ...] = ()
    extension: _Extension = msgspec.field(default_factory=_Extension)

    @property
    def our_extension(self) -> CardExtension:
        """Its extension."""
        return self.extension.ours

    @property
    def findings(self) -> list[tuple[str, str]]:
        """Rule and band of each of its findings."""
        return [(finding.rule, finding.band) for finding in self.our_extension.findings]


class Answer(Struct, frozen=True):
    """A clinician's answer to a card that was sent; times in epoch seconds.

    `how` is "accepted" or the code of the override, `reason` the reason of an override in words or as a code, "" where
    none was given, `suggestions` the uuids of those that were accepted. `is_reported` is False for an answer that a
    person gave on the page of the decision.
    """

    client: str
    patient: str
    service: str
    hook: str
    card: SentCard
    how: str
    at: float
    decided_at: float
    reason: str = ""
    suggestions: tuple[str, ...] = ()
    is_reported: bool = True

    @property
    def is_accepted(self) -> bool:
        """Whether the card was accepted."""
        return self.how == ACCEPTED


class _Response(Struct):
    cards: tuple[SentCard, ...] = ()


class _Basis(Struct):
    as_of: datetime | None = None
    units: tuple[str, ...] = ()


_response: Final = msgspec.json.Decoder(_Response)
_basis: Final = msgspec.json.Decoder(_Basis)


def sent_cards(response: bytes) -> tuple[SentCard, ...]:
    """Returns the cards of a response as it was sent."""
    return _response.decode(response).cards


def findings_of(response: bytes) -> dict[str, list[tuple[str, str]]]:
    """Rule and band of each finding of each card of a response, by the card's uuid."""
    return {card.uuid: card.findings for card in sent_cards(response)}


def sent_by(url: str, ids: Iterable[str]) -> dict[str, dict[str, SentCard]]:
    """The cards of these decisions, by the decision and the card's uuid; RecordUnavailable where they cannot be read.

    Many answers can be about one decision with a long response, which is read and decoded once.
    """
    cards = dict[str, dict[str, SentCard]]()
    columns = [decisions.c[name] for name in ("id", "response")]
    wanted = sorted(set(ids))
    for start in range(0, len(wanted), _RESPONSES_AT_ONCE):
        some = wanted[start : start + _RESPONSES_AT_ONCE]
        for row in read_rows(url, select(*columns).where(decisions.c.id.in_(some))):
            cards[row.id] = {card.uuid: card for card in sent_cards(row.response)}
    return cards


class AnsweredRows:
    """The answers to cards, oldest first, each once."""

    def __init__(self, days: float) -> None:
        """`days`: how far back an answer can count."""
        self._days = days
        self._last: Mark | None = None

    def read(self, url: str, now: float) -> Iterator[Answer]:
        """Yields the new ones; RecordUnavailable where the record cannot be read. `now`: epoch seconds."""
        if self._last is None:
            oldest = int((now - self._days * _DAY_SECONDS) * 1e6)
            first = read_rows(url, first_since(oldest))
            self._last = Mark(first[0].sequence - 1 if first else 0)
        while rows := read_rows(url, self._query(self._last.sequence)):
            sent = sent_by(url, (row.id for row in rows if row.id is not None))
            for row in rows:
                self._last = Mark(row.sequence, bytes(row.hash))
                if (card := sent.get(row.id, {}).get(row.card)) is not None:
                    yield _answer(row, row, card, msgspec.json.decode(row.accepted_suggestions or "[]"))

    def has_lost_rows(self, url: str) -> bool:
        """Whether answers that were handed out are not in the record any more, so that others have their numbers."""
        return self._last is not None and not is_there(url, feedback, self._last)

    def _query(self, after: int) -> Select[Any]:
        names = ("sequence", "hash", "card", "outcome", "override_reason_code", "override_reason_system",
                 "override_reason_display", "received_at", "accepted_suggestions")  # fmt: skip
        answer = [feedback.c[name] for name in names]
        sent = [decisions.c[name] for name in ("id", "client", "patient", "hook", "service", "decided_at")]
        return (
            select(*answer, *sent)
            .outerjoin(decisions, decisions.c.id == feedback.c.decision)
            .where(feedback.c.sequence > after)
            .order_by(feedback.c.sequence)
            .limit(_ROWS_AT_ONCE)
        )


def answers_to(decision: Decision, items: Iterable[FeedbackItem]) -> Iterator[Answer]:
    """Yields the answers that came just now to the cards of a decision."""
    cards = {card.uuid: card for card in sent_cards(decision.response)}
    for item in items:
        if (card := cards.get(item.card)) is not None:
            yield _answer(item, decision, card, item.accepted_suggestions)


def first_since(oldest: int) -> Select[Any]:
    """The sequence number of the first feedback since `oldest` (epoch microseconds); the index by time answers it."""
    since = select(feedback.c.sequence).where(feedback.c.received_at >= oldest)
    return since.order_by(feedback.c.received_at, feedback.c.sequence).limit(1)


def _answer(item: Any, decision: Any, card: SentCard, suggestions: Iterable[str]) -> Answer:
    is_accepted = item.outcome == ACCEPTED
    return Answer(
        decision.client,
        decision.patient,
        decision.service,
        decision.hook,
        card,
        ACCEPTED if is_accepted else item.override_reason_code or "overridden",
        item.received_at / 1e6,
        decision.decided_at / 1e6,
        "" if is_accepted else item.override_reason_display or item.override_reason_code or "",
        tuple(suggestions) if is_accepted else (),
        not (item.override_reason_system or "").endswith(ANSWERED_ON_PAGE),
    )


class ShownDecision(Struct, frozen=True):
    """A decision with cards; `as_of` in epoch seconds, by the clock of its call, `decided_at` by that of the machine.

    `user` is as it is recorded; `units` are the patient's care units, where the site has budgets for units.
    """

    client: str
    patient: str
    service: str
    hook: str
    as_of: float
    cards: tuple[SentCard, ...]
    user: str = ""
    units: tuple[str, ...] = ()
    decided_at: float = 0.0

    @property
    def findings(self) -> list[PatientFinding]:
        """What its cards say about the patient as a whole."""
        findings = (patient_finding(card.our_extension, self.hook) for card in self.cards)
        return [finding for finding in findings if finding is not None]


class ShownRows:
    """The decisions that showed cards, oldest first.

    Those of orders are among them: one of their cards is shown once for a patient, that a drug is not covered.
    """

    def __init__(self, days: float, most_at_start: int = MOST_AT_START) -> None:
        """`days`: how far back a card that was shown can count."""
        self._days = days
        self._most_at_start = most_at_start
        self._last: Mark | None = None

    def read(self, url: str, own_ids: Collection[str] = ()) -> Iterator[ShownDecision]:
        """Yields the new ones; RecordUnavailable where the record cannot be read.

        `own` are the ids of decisions that this process remembers already: their content is not read.
        """
        top = settled(url, self._last or Mark())
        if top == (self._last or Mark()):
            return
        if self._last is None:
            oldest = _sequence_before(url, int((time() - self._days * _DAY_SECONDS) * 1e6), top.sequence)
            self._last = Mark(_newest_with_cards(url, oldest, self._most_at_start))
        while heads := read_rows(url, self._heads(self._last.sequence, top.sequence)):
            wanted = [head.id for head in heads if head.id not in own_ids]
            yield from _read_decisions(url, wanted)
            self._last = Mark(heads[-1].sequence, bytes(heads[-1].hash))
        self._last = top

    def has_lost_rows(self, url: str) -> bool:
        """Whether decisions that were looked at are not in the record any more, so that others have their numbers."""
        return self._last is not None and not is_there(url, decisions, self._last)

    def _heads(self, after: int, top: int) -> Select[Any]:
        return (
            select(decisions.c.sequence, decisions.c.id, decisions.c.hash)
            .where(decisions.c.sequence > after, decisions.c.sequence <= top)
            .where(decisions.c.outcome == "cards")
            .order_by(decisions.c.sequence)
            .limit(_ROWS_AT_ONCE)
        )


def _read_decisions(url: str, ids: list[str]) -> Iterator[ShownDecision]:
    if not ids:
        return
    names = ("client", "patient", "service", "hook", "user_id", "decided_at", "response", "basis")
    columns = [decisions.c[name] for name in names]
    rows = read_rows(url, select(*columns).where(decisions.c.id.in_(ids)).order_by(decisions.c.sequence))
    for row in rows:
        basis = _basis.decode(row.basis)
        if basis.as_of is not None:
            yield ShownDecision(
                row.client,
                row.patient,
                row.service,
                row.hook,
                basis.as_of.timestamp(),
                sent_cards(row.response),
                row.user_id or "",
                basis.units,
                row.decided_at / 1e6,
            )


def _newest_with_cards(url: str, after: int, most: int) -> int:
    """A sequence number after which at most so many decisions with cards come; `after` where there are not more."""
    where = select(decisions.c.sequence).where(decisions.c.sequence > after, decisions.c.outcome == "cards")
    rows = read_rows(url, where.order_by(decisions.c.sequence.desc()).limit(1).offset(most))
    return int(rows[0].sequence) if rows else after


def _sequence_before(url: str, oldest: int, top: int) -> int:
    """Returns a sequence number before all decisions since `oldest` (epoch microseconds).

    Found by halving, because nothing but the sequence is indexed: decisions are made about in its order.
    """
    low, high = 0, top
    while low < high:
        middle = (low + high) // 2
        query = select(decisions.c.decided_at).where(decisions.c.sequence > middle)
        rows = read_rows(url, query.order_by(decisions.c.sequence).limit(1))
        if rows and rows[0].decided_at < oldest:
            low = middle + 1
        else:
            high = middle
    return low
