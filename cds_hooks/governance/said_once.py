"""What a patient's clinicians answered to a card about the patient as a whole: the same finding, no worse, waits.

It holds for the patient and not for one user, because the fact is the patient's. What became worse speaks again. The
answers are in the record; they are read at the start and every two seconds, so that all workers know them.
"""

from collections.abc import Callable, Sequence
from threading import Lock
from time import time
from typing import Any, Final

import msgspec
from msgspec import Struct
from sqlalchemy import select

from cards.card import Card
from cards.extension import EXTENSION_KEY, NOTHING_SAID, CardExtension
from cards.rules.engine.finding import Silence
from cds_hooks.storage.queries import read_rows
from cds_hooks.storage.tables import decisions, feedback

PERIOD_DAYS: Final = {
    "accepted": 90,
    "action-completed": 365,
    "patient-ineligible": 365,
    "wrong-time-workflow": 30,
    "need-more-info": 30,
    "recipient-does-not-trust": 180,
}
"""How long a card that was answered so is not shown again; the project's own choice (docs/services.md)."""
OTHER_DAYS: Final = 30
"""The period of an override without one of the project's reasons."""
WORSE_SHARE: Final = 0.20
"""A number that moved so much for the worse speaks again: KDIGO 2024 (2.1.3) says so of the eGFR."""

_DAY_SECONDS: Final = 86_400.0
_LONGEST_DAYS: Final = 365
_ROWS_AT_ONCE: Final = 500
_FALLING_IS_WORSE: Final = frozenset({"egfr"})


class Answer(Struct, frozen=True, gc=False):
    """One answer: when (epoch seconds), how, and how bad the finding was."""

    at: float
    how: str
    band: str
    number: float | None
    is_falling: bool


class _Extension(Struct, rename={"ours": EXTENSION_KEY}):
    ours: CardExtension = NOTHING_SAID


class _Card(Struct):
    uuid: str = ""
    extension: _Extension = msgspec.field(default_factory=_Extension)


class _Response(Struct):
    cards: tuple[_Card, ...] = ()


_decoder: Final = msgspec.json.Decoder(_Response)
_Key = tuple[str, str, str]


def finding_of(said: CardExtension) -> tuple[str, str, float | None, bool] | None:
    """What the card is about, its band, its number and whether less is worse; None for cards of other kinds."""
    if said.findings or said.vaccines is not None:
        return None
    if said.missing and said.probability is None and said.value is None:
        return f"missing {','.join(said.missing)}", "", None, False
    if said.model is not None:
        number = said.probability if said.probability is not None else said.value
        band = said.band["id"] if said.band else ""
        model = said.model["id"].removesuffix("_small").removesuffix("_early")
        return f"{model} {said.output or ''}", band, number if isinstance(number, float | int) else None, False
    if said.output is None or not said.facts:
        return None
    fact = said.facts[0]
    number = float(fact.value) if isinstance(fact.value, float | int) else None
    return said.output, "", number, fact.name in _FALLING_IS_WORSE


class SaidOnce:
    """The answers that still count, by client, patient and finding. Used from any thread."""

    def __init__(self, now: Callable[[], float] = time) -> None:
        """`now` gives epoch seconds: the clock by which calls are answered."""
        self._now = now
        self._answers: dict[_Key, Answer] = {}
        self._writing = Lock()
        self._newest: int | None = None

    def remember(self, client: str, patient: str, response: bytes, card: str, how: str, at: float) -> None:
        """Takes an answer ("accepted" or the code of the override) to a card of this response."""
        sent = next((one for one in _decoder.decode(response).cards if one.uuid == card), None)
        found = finding_of(sent.extension.ours) if sent is not None else None
        if found is None:
            return
        about, band, number, is_falling = found
        with self._writing:
            known = self._answers.get((client, patient, about))
            if known is None or known.at <= at:
                self._answers[client, patient, about] = Answer(at, how, band, number, is_falling)

    def without_said(self, client: str, patient: str, cards: Sequence[Card]) -> tuple[list[Card], list[Silence]]:
        """The cards to show, and the reason for each that was answered within its period and is no worse."""
        shown: list[Card] = []
        silences: list[Silence] = []
        for card in cards:
            said = card.own_extension
            found = finding_of(said)
            answer = self._answers.get((client, patient, found[0])) if found is not None else None
            days = PERIOD_DAYS.get(answer.how, OTHER_DAYS) if answer is not None else 0
            if found is None or answer is None or self._is_over(answer, days) or _is_worse(found, answer):
                shown.append(card)
                continue
            subject = said.model["id"] if said.model is not None else str(said.output)
            text = f"It was answered for this patient ({answer.how}) and is no worse: silent for {days} days after."
            silences.append(Silence(subject, "said-once", text))
        return shown, silences

    def read(self, url: str) -> None:
        """Takes what was stored since the last reading; RecordUnavailable where the record cannot be read."""
        if self._newest is None:
            oldest = int((self._now() - _LONGEST_DAYS * _DAY_SECONDS) * 1e6)
            first = read_rows(url, _first_since(oldest))
            self._newest = first[0].sequence - 1 if first else 0
        while rows := read_rows(url, self._query(self._newest)):
            for row in rows:
                how = "accepted" if row.outcome == "accepted" else row.override_reason_code or "overridden"
                self.remember(row.client, row.patient, row.response, row.card, how, row.received_at / 1e6)
            self._newest = max(row.sequence for row in rows)
        oldest_second = self._now() - _LONGEST_DAYS * _DAY_SECONDS
        with self._writing:
            self._answers = {key: each for key, each in self._answers.items() if each.at >= oldest_second}

    def _query(self, after: int) -> Any:
        answer = [feedback.c[name] for name in ("sequence", "card", "outcome", "override_reason_code", "received_at")]
        card = [decisions.c[name] for name in ("client", "patient", "response")]
        return (
            select(*answer, *card)
            .join(decisions, decisions.c.id == feedback.c.decision)
            .where(feedback.c.sequence > after, decisions.c.hook == "patient-view")
            .order_by(feedback.c.sequence)
            .limit(_ROWS_AT_ONCE)
        )

    def _is_over(self, answer: Answer, days: int) -> bool:
        return self._now() - answer.at > days * _DAY_SECONDS


def _first_since(oldest: int) -> Any:
    """The first answer since `oldest` (epoch microseconds); the index by time answers it."""
    since = select(feedback.c.sequence).where(feedback.c.received_at >= oldest)
    return since.order_by(feedback.c.received_at, feedback.c.sequence).limit(1)


def _is_worse(found: tuple[str, str, float | None, bool], answer: Answer) -> bool:
    _, band, number, is_falling = found
    if number is None or answer.number is None:
        return False
    change = (answer.number - number) if is_falling else (number - answer.number)
    if change <= 0:
        return False
    return band != answer.band or change > WORSE_SHARE * abs(answer.number)
