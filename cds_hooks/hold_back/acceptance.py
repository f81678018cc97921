"""Counts how the cards of each rule and service are answered, and says which are hardly ever accepted or do not fit.

A card of the medication rules counts for each of its rules, any other for its service; critical cards do not count, and
information and warnings are counted apart. It is counted for each client by itself, so that no client silences another,
and a patient counts once a day, however often the card is shown. Only clients that report answers count: of the others
nobody knows what became of a card. The counts are rows of the views of the record (`cds_hooks/decision_views`).
"""

import hashlib
import sqlite3
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from time import time
from typing import ClassVar, Final, Literal

from msgspec import Struct

from cards.extension import CardExtension
from cds_hooks.decision_views.file import Views
from cds_hooks.decision_views.follow import Batch, Projection
from cds_hooks.hold_back.acts import MOST_NOT_APPLICABLE, Key
from cds_hooks.hold_back.sent_cards import SentCard, answer_of, shown_decision

WINDOW_DAYS: Final = 90
"""So far back cards count; the project's own choice."""
LEAST_ANSWERS: Final = 100
"""So many answers are needed before those that say "not applicable" pause anything (responsible-ai.md 4.2, point 5)."""
LEAST_USERS: Final = 5
"""So many users must have been shown them; the project's own choice. Without recorded users nothing is paused."""
LEAST_PATIENTS: Final = 50
LEAST_DAYS: Final = 3
MOST_OF_ONE: Final = 0.25
"""The largest share of the cards that one user counts for; what is more of one user counts less. The own choice."""
NOT_APPLICABLE: Final = frozenset({"patient-ineligible", "cds-not-applicable"})
"""The override reasons that say that the advice does not fit the patient (CDS Hooks 3.0, `non-adherence-reason-codes`).

Other codes below `cds-not-applicable` there, such as that the action is done, say that it did fit.
"""
_DAY_SECONDS: Final = 86_400.0
_PATIENT_BYTES: Final = 8


class LowAcceptance(Struct, frozen=True):
    """A rule or service with the cards of one client, of information or of warnings, and how they were answered."""

    key: Key
    client: str
    indicator: Literal["info", "warning"]
    cards: int
    accepted: int
    answered: int = 0
    not_applicable: int = 0

    @property
    def does_not_fit(self) -> bool:
        """Whether so many answers say "not applicable" that this alone is a reason for a pause."""
        return self.answered >= LEAST_ANSWERS and self.not_applicable > MOST_NOT_APPLICABLE * self.answered


class Acceptance(Projection):
    """What became of the cards that each client's patients were shown, by day."""

    tables: ClassVar[str] = """
CREATE TABLE acceptance (
    kind TEXT, name TEXT, client TEXT, indicator TEXT, day INTEGER, patient BLOB, user TEXT NOT NULL,
    decided_at REAL NOT NULL, cards INTEGER NOT NULL, accepted INTEGER NOT NULL, answered INTEGER NOT NULL,
    not_applicable INTEGER NOT NULL, PRIMARY KEY (kind, name, client, indicator, day, patient)
) WITHOUT ROWID;
CREATE TABLE reporting (client TEXT PRIMARY KEY) WITHOUT ROWID;
"""

    def __init__(self, now: Callable[[], float] = time) -> None:
        """`now` gives epoch seconds by the clock of the calls."""
        self._now = now

    def take(self, connection: sqlite3.Connection, batch: Batch) -> None:
        """Count cards and answers that are not too old.

        An answer that the client did not report, but a person gave on the page of the decision, does not make the
        client one that reports answers.
        """
        oldest, rows = int(self._now() // _DAY_SECONDS) - WINDOW_DAYS, list[tuple[object, ...]]()
        for row in batch.decisions:
            shown = shown_decision(row.decision)
            if shown is None or shown.as_of // _DAY_SECONDS <= oldest:
                continue
            for card in shown.cards:
                for keys in _keys(card, shown.service, shown.client, int(shown.as_of // _DAY_SECONDS), shown.patient):
                    rows.append((*keys, shown.user, shown.decided_at, 1, 0, 0, 0))
        for answered in batch.answers:
            answer = answer_of(answered)
            if answer is None or answer.at // _DAY_SECONDS <= oldest:
                continue
            flags = (0, answer.is_accepted, 1, answer.how in NOT_APPLICABLE)
            day = int(answer.at // _DAY_SECONDS)
            for keys in _keys(answer.card, answer.service, answer.client, day, answer.patient):
                rows.append((*keys, answer.user, answer.decided_at, *flags))
            if answer.is_reported:
                connection.execute("INSERT OR IGNORE INTO reporting VALUES (?)", (answer.client,))
        connection.executemany(
            "INSERT INTO acceptance VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET "
            "decided_at = max(decided_at, excluded.decided_at), cards = max(cards, excluded.cards), "
            "accepted = max(accepted, excluded.accepted), answered = max(answered, excluded.answered), "
            "not_applicable = max(not_applicable, excluded.not_applicable)",
            rows,
        )

    def forget(self, connection: sqlite3.Connection, oldest: int) -> None:
        """Leaves out the days that are over, and those that were taken out."""
        day = max(int(self._now() // _DAY_SECONDS) - WINDOW_DAYS, int(oldest / 1e6 // _DAY_SECONDS) - 1)
        connection.execute("DELETE FROM acceptance WHERE day <= ?", (day,))


class AcceptanceCounts:
    """Reads the counts from the views."""

    def __init__(self, views: Views, resumed: Callable[[], Mapping[Key, float]] = dict) -> None:
        """`resumed` gives when somebody ended a pause (epoch seconds): what was decided before counts no more."""
        self.views = views
        self._resumed = resumed

    def low(self, least_cards: int, least_share: float) -> list[LowAcceptance]:
        """Rules and services with so many cards of which a smaller share was accepted, and those that do not fit.

        Only those of enough users, patients and days; of one user no more counts than the largest share.

        Raises:
            RecordUnavailable: The views cannot be read.
        """
        spread = self.views.read(
            "SELECT kind, name, client, indicator FROM acceptance JOIN reporting USING (client) "
            "GROUP BY kind, name, client, indicator HAVING count(DISTINCT user) >= ? AND min(user) != '' "
            "AND count(DISTINCT patient) >= ? AND count(DISTINCT day) >= ? ORDER BY kind, name, client, indicator",
            LEAST_USERS,
            LEAST_PATIENTS,
            LEAST_DAYS,
        )
        resumed = self._resumed()
        counted = (self._counted(row, resumed.get((row[0], row[1]), 0.0)) for row in spread)
        return [
            counts
            for counts in counted
            if counts.does_not_fit or (counts.cards >= least_cards and counts.accepted < least_share * counts.cards)
        ]

    def _counted(self, row: tuple[str, str, str, Literal["info", "warning"]], after: float) -> LowAcceptance:
        kind, name, client, indicator = row
        by_user = self.views.read(
            "SELECT sum(cards), sum(accepted), sum(answered), sum(not_applicable) FROM acceptance WHERE kind = ? AND "
            "name = ? AND client = ? AND indicator = ? AND decided_at > ? GROUP BY user",
            *row,
            after,
        )
        cards, answers = sum(counts[0] for counts in by_user), sum(counts[2] for counts in by_user)
        sums = defaultdict[str, float](float)
        for shown, accepted, answered, not_applicable in by_user:
            share = min(1.0, MOST_OF_ONE * cards / shown) if shown else 1.0
            sums["cards"] += share * shown
            sums["accepted"] += share * accepted
            share = min(1.0, MOST_OF_ONE * answers / answered) if answered else 1.0
            sums["answered"] += share * answered
            sums["not_applicable"] += share * not_applicable
        whole = [round(sums[name]) for name in ("cards", "accepted", "answered", "not_applicable")]
        return LowAcceptance((kind, name), client, indicator, *whole)


def _keys(card: SentCard, service: str, client: str, day: int, patient: str) -> Iterator[tuple[object, ...]]:
    if card.indicator == "critical":
        return
    digest = hashlib.sha256(f"{client}\0{patient}".encode("utf-8", "surrogatepass")).digest()[:_PATIENT_BYTES]
    for kind, name in keys_of(card.our_extension, service):
        yield kind, name, client, "warning" if card.indicator == "warning" else "info", day, digest


def keys_of(extension: CardExtension, service: str) -> tuple[Key, ...]:
    """Return what a card counts for: its rules, else its service."""
    return tuple({("rule", finding.rule): None for finding in extension.findings}) or (("service", service),)
