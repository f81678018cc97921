"""How many cards were shown, accepted and overridden, by care unit, service, rule and client, for each day."""

import sqlite3
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import ClassVar, Final, Literal

from msgspec import Struct

from cds_hooks.call.hold_back.history import ACCEPTED
from cds_hooks.evidence.decision_views.file import Views
from cds_hooks.evidence.decision_views.follow import Batch, Projection
from cds_hooks.evidence.storage.queries import DecisionRow
from cds_hooks.evidence.storage.sent import SentCard

By = Literal["unit", "service", "rule", "client"]
"""By what cards are counted."""
SMALLEST_SHOWN: Final = 11
"""A count from 1 to 10 is not shown: CMS Cell Size Suppression Policy (ResDAC, version of 2024-01-26)."""
_COUNTED: Final = ("shown", "accepted", "overridden")
OVERRIDDEN_DAYS: Final = 90
"""So far back answers count for the list of rules that are overridden nearly always; the project's own choice."""
_LEAST_ANSWERS: Final = 100
"""So many answers are needed before a rule is on that list (responsible-ai.md 4.2, point 5)."""
_LEAST_ACCEPTED: Final = 0.05
"""A rule of whose answered cards a smaller share was accepted is on that list; the project's own choice."""
NO_UNIT: Final = "no visit in progress"
"""In place of a care unit, where the chart names none."""


class CardCount(Struct, frozen=True):
    """The cards of one care unit, service, rule or client; None for a count that is too small to be shown."""

    name: str
    shown: int | None
    accepted: int | None
    overridden: int | None
    unanswered: int | None


class CardCounts(Projection):
    """The cards of each day and what was first answered to each.

    A card of several rules counts for each of them, and one of a patient in several units for each of these; `rule` is
    the model or service of a card without a rule.
    """

    tables: ClassVar[str] = """
CREATE TABLE card_counts (
    day TEXT, client TEXT, service TEXT, rule TEXT, unit TEXT, shown INTEGER NOT NULL, accepted INTEGER NOT NULL,
    overridden INTEGER NOT NULL, is_first_rule INTEGER NOT NULL, is_first_unit INTEGER NOT NULL,
    PRIMARY KEY (day, client, service, rule, unit, is_first_rule, is_first_unit)
) WITHOUT ROWID;
CREATE TABLE answered_cards (card TEXT PRIMARY KEY) WITHOUT ROWID;
"""

    def take(self, connection: sqlite3.Connection, batch: Batch) -> None:
        """Count cards on the day on which they were shown, and the first answer to each on the same day."""
        counts = Counter[tuple[object, ...]]()
        for row in batch.decisions:
            for _, keys in _cards(row):
                counts.update((*key, "shown") for key in keys)
        for answered in batch.answers:
            answer = answered.feedback
            cards = _cards(answered.decision) if answered.decision is not None else ()
            for keys in (keys for uuid, keys in cards if uuid == answer.card):
                if connection.execute("INSERT OR IGNORE INTO answered_cards VALUES (?)", (answer.card,)).rowcount:
                    outcome = "accepted" if answer.outcome == ACCEPTED else "overridden"
                    counts.update((*key, outcome) for key in keys)
        connection.executemany(
            "INSERT INTO card_counts VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET "
            "shown = shown + excluded.shown, accepted = accepted + excluded.accepted, "
            "overridden = overridden + excluded.overridden",
            [
                (*key[:5], *(number if what == column else 0 for column in _COUNTED), *key[5:])
                for (*key, what), number in counts.items()
            ],
        )

    def forget(self, connection: sqlite3.Connection, oldest: int) -> None:
        """Leaves out the days of decisions that were taken out."""
        day = datetime.fromtimestamp(oldest / 1e6, UTC).date().isoformat()
        connection.execute("DELETE FROM card_counts WHERE day < ?", (day,))


def _cards(row: DecisionRow) -> Iterator[tuple[str, list[tuple[object, ...]]]]:
    """Yield the uuid of each card that was shown, with the keys under which it counts."""
    yield from ((card.uuid, list(_keys(row, card))) for card in row.response.cards)


def _keys(row: DecisionRow, card: SentCard) -> Iterator[tuple[object, ...]]:
    decision, units = row.decision, row.basis.units
    day = datetime.fromtimestamp(decision.decided_at / 1e6, UTC).date().isoformat()
    extension = card.own_extension
    model = (extension.model or {}).get("id")
    rules = list(dict.fromkeys(finding.rule for finding in extension.findings)) or [str(model or decision.service)]
    for rule in rules:
        for unit in units or (NO_UNIT,):
            is_first_unit = not units or unit == units[0]
            yield day, decision.client, decision.service, rule, unit, int(rule == rules[0]), int(is_first_unit)


def count_cards(views: Views, by: By, until: date, days: int) -> list[CardCount]:
    """Return the counts of so many days up to and with a day, those with most cards first.

    Raises:
        RecordUnavailable: The views cannot be read.
    """
    once = {"rule": "is_first_unit = 1", "unit": "is_first_rule = 1"}.get(by, "is_first_rule = 1 AND is_first_unit = 1")
    query = (
        f"SELECT {by}, sum(shown), sum(accepted), sum(overridden) FROM card_counts "  # noqa: S608 - of four names
        f"WHERE day BETWEEN ? AND ? AND {once} GROUP BY {by} ORDER BY 2 DESC, 1"
    )
    first = until - timedelta(days=days - 1)
    return [_hidden(*row) for row in views.read(query, first.isoformat(), until.isoformat())]


def nearly_always_overridden(views: Views, until: date) -> list[CardCount]:
    """Return the rules and models with enough answers of which hardly any accepted a card, those with most cards first.

    A person decides what follows: nothing is held back by the machine.

    Raises:
        RecordUnavailable: The views cannot be read.
    """
    return [row for row in count_cards(views, "rule", until, OVERRIDDEN_DAYS) if _is_nearly_always_overridden(row)]


def _is_nearly_always_overridden(row: CardCount) -> bool:
    if row.overridden is None:
        return False
    accepted = SMALLEST_SHOWN - 1 if row.accepted is None else row.accepted
    answered = row.overridden + accepted
    return answered >= _LEAST_ANSWERS and accepted < _LEAST_ACCEPTED * answered


def _hidden(name: str, shown: int, accepted: int, overridden: int) -> CardCount:
    """Return the counts without those that are small, and without those from which a small one could be worked out."""
    parts = (accepted, overridden, shown - accepted - overridden)
    small = [0 < part < SMALLEST_SHOWN for part in parts]
    if sum(small) == 1 and shown >= SMALLEST_SHOWN:  # the only small one is the whole less the others
        small[max((position for position in range(3) if not small[position]), key=parts.__getitem__)] = True
    large_enough = [None if is_small else part for part, is_small in zip(parts, small, strict=True)]
    return CardCount(name, None if 0 < shown < SMALLEST_SHOWN else shown, *large_enough)
