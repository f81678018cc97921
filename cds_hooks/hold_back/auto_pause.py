"""Pauses information of which hardly any is accepted or much does not fit, and tells of it once.

It is paused for the client whose clinicians answered so, and only information: for warnings a pause is proposed, and
a person decides.

Every server process reads the same counts and comes to the same end; in the transaction that writes the pause
it looks whether another one was first. The process that wrote it posts the notice, and tries again until it is taken.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
from sqlalchemy import select

from cds_hooks.hold_back.acceptance import AcceptanceCounts, LowAcceptance
from cds_hooks.hold_back.acts import PAUSE_EVENT, Pause
from cds_hooks.hold_back.releases import Releases
from cds_hooks.logs import log
from cds_hooks.notice_formats import post_notice
from cds_hooks.settings import Settings
from cds_hooks.storage.database import DATABASE_ERRORS, database_error_reason, engine_for, parse_url
from cds_hooks.storage.decision import RecordUnavailable
from cds_hooks.storage.entries import newest_entry, write_event
from cds_hooks.storage.tables import events

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
        if not self._untold or self._notice_url is None:
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
