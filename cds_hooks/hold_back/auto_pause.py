"""Pauses information of which hardly any is accepted or much does not fit, and tells of it once.

It is paused for the client whose clinicians answered so, and only information: for warnings a pause is proposed, and
a person decides.

Every server process reads the same counts and comes to the same end; in the transaction that writes the pause
it looks whether another one was first. The process that wrote it posts the notice, and tries again until it is taken.

Counts how the cards of each rule and service are answered, and says which are hardly ever accepted or do not fit.

A card of the medication rules counts for each of its rules, any other for its service; critical cards do not count, and
information and warnings are counted apart. It is counted for each client by itself, so that no client silences another,
and a patient counts once a day, however often the card is shown. Only clients that report answers count: of the others
nobody knows what became of a card. The counts are rows of the views of the record (`cds_hooks/decision_views`).
"""

import asyncio
import hashlib
import sqlite3
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from time import time
from typing import Any, ClassVar, Final, Literal

import msgspec
from msgspec import Struct
from sqlalchemy import select

from cards.extension import CardExtension
from cds_hooks.decision_views.file import Views
from cds_hooks.decision_views.follow import Batch, Projection
from cds_hooks.hold_back.acts import MOST_NOT_APPLICABLE, PAUSE_EVENT, Key, Pause
from cds_hooks.hold_back.releases import Releases
from cds_hooks.hold_back.sent_cards import SentCard, answer_of, shown_decision
from cds_hooks.logs import log
from cds_hooks.notice_formats import post_notice
from cds_hooks.settings import Settings
from cds_hooks.storage.database import DATABASE_ERRORS, database_error_reason, engine_for, parse_url
from cds_hooks.storage.decision import RecordUnavailable
from cds_hooks.storage.entries import newest_entry, write_event
from cds_hooks.storage.tables import events

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


LOOK_SECONDS: Final = 30.0
"""Time between two looks at the counts."""
_ACTOR: Final = "cds-hooks"


class Pausing:
    """Looks at the counts of one server, and pauses."""

    def __init__(self, configured: Settings, counts: AcceptanceCounts, releases: Releases) -> None:
        """Without a share (CDS_PAUSE_SHARE=0) nothing is ever paused."""
        self._url = configured.database_url
        self._least_cards, self._least_share = configured.pause_cards, configured.pause_share
        self._notice_url = configured.notice_url
        self._counts = counts
        self._releases = releases
        self._untold: list[Pause] = []
        self._said = False
        self._looked_at = 0.0
        self._known_scopes: set[tuple[str, str, str, str]] = set()

    async def keep_looking(self) -> None:
        """Look twice a minute until cancelled."""
        while self._least_share > 0:
            with suppress(RecordUnavailable):  # the record says so itself, to every call
                await asyncio.to_thread(self.look)
            await asyncio.sleep(LOOK_SECONDS)

    def look(self) -> list[Pause]:
        """Pauses or proposes to pause what is not yet; gives the pauses and proposals that this process wrote.

        Raises:
            RecordUnavailable: The record cannot be written.
        """
        # In this order: what is read meanwhile, on another thread, is in `known_scopes` or is looked for in the record.
        read_to = self._releases.read_to
        known_scopes = {pause.scope for pause in self._releases.pauses}
        mark = self._counts.views.whole_until()
        if mark == self._looked_at and known_scopes == self._known_scopes:
            self._tell()
            return []
        low = self._counts.low(self._least_cards, self._least_share)
        low = [counts for counts in low if (*counts.key, counts.client, counts.indicator) not in known_scopes]
        self._looked_at, self._known_scopes = mark, known_scopes
        written = [pause for counts in low if (pause := self._pause(counts, read_to)) is not None]
        for pause in written:
            event = "pause proposed" if pause.is_proposed else "cards paused"
            log().warning(event, reason=f"{pause.kind} {pause.name}", client=pause.client, count=pause.cards)
        self._untold += written if self._notice_url else []
        self._tell()
        return written

    def _pause(self, low: LowAcceptance, read_to: int) -> Pause | None:
        kind, name = low.key
        now = datetime.now(UTC).isoformat(timespec="seconds")
        not_fitting = (low.answered, low.not_applicable) if low.does_not_fit else (0, 0)
        pause = Pause(
            kind,  # type: ignore[arg-type] # of keys_of
            name,
            now,
            low.cards,
            low.accepted,
            self._least_share,
            *not_fitting,
            client=low.client,
            is_proposed=low.indicator == "warning",
        )
        return pause if record_pause(self._url, pause, read_to) else None

    def _tell(self) -> None:
        if self._notice_url is None:
            return
        while self._untold:
            pause = self._untold[0]
            key = f"{pause.kind} {pause.name}"
            if fault := post_notice(self._notice_url, _notice(pause), key, pause.at, is_over=False):
                if not self._said:
                    log().error("notice of a pause was not taken", reason=fault)
                self._said = True
                return
            self._said = False
            self._untold.pop(0)


def _notice(pause: Pause) -> dict[str, Any]:
    """Return what is posted: counts of cards, nothing of a patient."""
    event = "pause proposed" if pause.is_proposed else "paused"
    return {"event": event, **msgspec.to_builtins(pause), "text": pause.sentence}


def record_pause(url: str, pause: Pause, read_to: int) -> bool:
    """Commit the pause; False where another process has paused the same after the event `read_to`.

    Raises:
        RecordUnavailable: It cannot be committed.
    """
    try:
        with engine_for(parse_url(url)).begin() as connection:
            newest_entry(connection, events)  # from here on nobody else writes
            query = select(events.c.detail).where(events.c.kind == PAUSE_EVENT, events.c.sequence > read_to)
            if _names((row.detail for row in connection.execute(query)), pause):
                return False
            write_event(connection, PAUSE_EVENT, _ACTOR, msgspec.to_builtins(pause))
            return True
    except DATABASE_ERRORS as error:
        raise RecordUnavailable(f"the pause cannot be recorded: {database_error_reason(error)}") from error


def _names(details: Any, pause: Pause) -> bool:
    pauses: Sequence[Pause] = [msgspec.json.decode(detail, type=Pause) for detail in details]
    return any(other_pause.scope == pause.scope for other_pause in pauses)
