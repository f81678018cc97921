"""What clinicians' reasons ask of people: cards that did not fit, estimates not trusted, cards for somebody else.

responsible-ai.md 4.2, point 4. Nothing is decided here: a list names rules, models and services with decisions to open.
"""

from collections.abc import Iterator
from typing import Any, Final

from msgspec import Struct
from sqlalchemy import select

from cds_hooks.hold_back.acceptance import keys_of
from cds_hooks.hold_back.sent_cards import SentCard, sent_by
from cds_hooks.storage.queries import read_rows, without_trials
from cds_hooks.storage.tables import feedback

LISTS: Final = {
    "patient-ineligible": "Review of the positive predictive value: the card did not fit the patient",
    "recipient-does-not-trust": "For the owner of the model: the estimate is not trusted",
    "inappropriate-recipient": "Proposals for a filter by role: the card went to somebody who cannot act on it",
}
"""By the code of the reason the heading of its list."""
_AT_ONCE: Final = 500
_EXAMPLES: Final = 5


class Reviewed(Struct):
    """How often one reason was given against the cards of a rule, model or service of one client.

    `kind` is rule, model or service; `last` the day of the newest answer (UTC); `decisions` the newest few.
    """

    reason: str
    client: str
    service: str
    kind: str
    name: str
    answers: int = 0
    last: int = 0
    decisions: list[str] = []


def reviewed(url: str, since: int) -> list[Reviewed]:
    """Return what was answered with one of these reasons since then (microseconds since 1970), the most frequent first.

    Raises:
        RecordUnavailable: The record cannot be read.
    """
    by_key: dict[tuple[str, ...], Reviewed] = {}
    for row, sent in _answers(url, since):
        for kind, name in _subjects(sent, row.service):
            key = (row.override_reason_code, row.client, row.service, kind, name)
            entry = by_key.setdefault(key, Reviewed(*key, decisions=[]))
            entry.answers += 1
            entry.last = max(entry.last, row.received_at)
            entry.decisions = [row.decision, *entry.decisions][:_EXAMPLES]
    order = list(LISTS)
    return sorted(
        by_key.values(), key=lambda review: (order.index(review.reason), -review.answers, review.client, review.name)
    )


def _answers(url: str, since: int) -> Iterator[tuple[Any, SentCard]]:
    f = feedback.c
    query = select(f.sequence, f.client, f.service, f.decision, f.card, f.override_reason_code, f.received_at)
    query = query.where(
        without_trials(feedback), f.received_at >= since, f.override_reason_code.in_(list(LISTS))
    ).order_by(f.sequence)
    after = 0
    while rows := read_rows(url, query.where(f.sequence > after).limit(_AT_ONCE)):
        after = rows[-1].sequence
        cards = sent_by(url, (row.decision for row in rows if row.decision))
        for row in rows:
            sent = cards.get(row.decision or "", {}).get(row.card)
            if sent is not None:
                yield row, sent


def _subjects(sent: SentCard, service: str) -> list[tuple[str, str]]:
    """Return the model of a card where it has one, else its rules, else its service."""
    model = (sent.our_extension.model or {}).get("id")
    return [("model", str(model))] if model else list(keys_of(sent.our_extension, service))
