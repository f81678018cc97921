"""What clinicians answered to findings: read from the record at the start and now and then, so that all workers know.

An override with a reason is an answer; one without is not. The answers of a patient are found by the client and its
patient id, both of which only the record holds.
"""

from collections import defaultdict
from typing import Any, Final

import msgspec
from msgspec import Struct
from sqlalchemy import select

from cards.card import Indicator
from cards.rules.governance import HARM, Answer, Answers, about, numbers
from cds_hooks.storage.reading import read_rows
from cds_hooks.storage.tables import decisions, feedback

_NO_ANSWERS: Final[Answers] = {}


class _Finding(Struct):
    rule: str
    band: str


class _Fact(Struct):
    name: str
    value: float | str | None = None


class _Ours(Struct):
    findings: tuple[_Finding, ...] = ()
    facts: tuple[_Fact, ...] = ()


class _Extension(Struct, rename={"ours": "org.cds-hooks-onnx"}):
    ours: _Ours = msgspec.field(default_factory=_Ours)


class _Card(Struct):
    uuid: str = ""
    indicator: Indicator = "info"
    extension: _Extension = msgspec.field(default_factory=_Extension)


class _Response(Struct):
    cards: tuple[_Card, ...] = ()


_decoder: Final = msgspec.json.Decoder(_Response)


def findings_of(response: bytes) -> dict[str, list[tuple[str, str]]]:
    """Rule and band of each finding of each card, by the card's uuid."""
    cards = _decoder.decode(response).cards
    return {card.uuid: [(one.rule, one.band) for one in card.extension.ours.findings] for card in cards}


class Memory:
    """All answers on record, by client and patient; how long one counts is the rules' business."""

    def __init__(self) -> None:
        self._answers: defaultdict[tuple[str, str], dict[tuple[str, str], list[Answer]]] = defaultdict(dict)
        self._read_to = 0

    def of_patient(self, client: str, patient: str) -> Answers:
        """The answers to each finding of this client's patient."""
        return self._answers.get((client, patient), _NO_ANSWERS)

    def remember(self, client: str, patient: str, response: bytes, card: str, reason: str, at: float) -> None:
        """Takes the reason (words) that was given at `at` (epoch seconds) against a card of this response."""
        sent = next((one for one in _decoder.decode(response).cards if one.uuid == card), None)
        if sent is None:
            return
        facts = [(fact.name, fact.value) for fact in sent.extension.ours.facts]
        answer = Answer(at, sent.indicator, reason, about(facts), numbers(facts))
        known = self._answers[client, patient]
        for finding in sent.extension.ours.findings:
            answers = known.setdefault((finding.rule, finding.band), [])
            if answer not in answers:
                answers[:] = [one for one in answers if not _is_replaced(one, answer)] + [answer]

    def read(self, url: str) -> None:
        """Takes what was stored since the last time; RecordUnavailable where it cannot be read."""
        for row in read_rows(url, self._query()):
            self._read_to = max(self._read_to, row.sequence)
            reason = row.override_reason_display or row.override_reason_code
            if reason:
                self.remember(row.client, row.patient, row.response, row.card, reason, row.received_at / 1e6)

    def _query(self) -> Any:
        answer = [feedback.c[name] for name in ("sequence", "card", "override_reason_code", "override_reason_display")]
        about = [decisions.c[name] for name in ("client", "patient", "response")]
        return (
            select(*answer, feedback.c.received_at, *about)
            .join(decisions, decisions.c.id == feedback.c.decision)
            .where(feedback.c.sequence > self._read_to, feedback.c.outcome == "overridden")
            .order_by(feedback.c.sequence)
        )


def _is_replaced(answer: Answer, newer: Answer) -> bool:
    """Whether what was answered later counts for all that the earlier answer counts for."""
    is_wider = answer.about <= newer.about and HARM[answer.indicator] <= HARM[newer.indicator]
    return is_wider and answer.at <= newer.at
