"""The site's rules and its clinicians' answers, kept up to date while the server runs; one hearing for each call."""

import asyncio
from collections.abc import Callable, Collection
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import Final

from cards.rules.governance import Hearing, SiteRules, every_version
from cds_hooks.governance.memory import Memory
from cds_hooks.governance.rules_file import RulesFileError, read_rules_file
from cds_hooks.logs import log
from cds_hooks.storage.decision import Decision, FeedbackItem
from cds_hooks.storage.log import RecordUnavailable

_LOOK_SECONDS: Final = 1.0
_READ_SECONDS: Final = 2.0


class Governance:
    """Who may speak here. Without a trust file every rule may; with one only what the rules file approves."""

    def __init__(self, file: Path | None, *, needs_approval: bool, clock: Callable[[], float] = monotonic) -> None:
        """RulesFileError where there is a file and it cannot be used; later a bad one changes nothing."""
        self._file = file
        self._needs_approval = needs_approval
        self._clock = clock
        self._memory = Memory()
        self._site = read_rules_file(file) if file is not None else SiteRules()
        self._stamp = _stamp(file)
        self._looked_at = clock()

    def hearing(self, client: str, patient: str, units: Callable[[], Collection[str]], as_of: float) -> Hearing:
        """What is said in a call of this client about this patient, seen in these units; `as_of` in epoch seconds."""
        return Hearing(
            self.site,
            every_version(),
            needs_approval=self._needs_approval,
            client=client,
            units=units,
            answers=self._memory.of_patient(client, patient),
            as_of=as_of,
        )

    def remember(self, decision: Decision, item: FeedbackItem) -> None:
        """Takes a clinician's answer at once, so that the next call already knows it."""
        reason = item.override_reason_display or item.override_reason_code
        if item.outcome == "overridden" and reason:
            at = item.received_at / 1e6
            self._memory.remember(decision.client, decision.patient, decision.response, item.card, reason, at)

    async def keep_reading(self, url: str) -> None:
        """Takes what other workers stored, every two seconds until cancelled."""
        while True:
            with suppress(RecordUnavailable):  # the record says so itself, to every call
                await asyncio.to_thread(self._memory.read, url)
            await asyncio.sleep(_READ_SECONDS)

    def read_answers(self, url: str) -> None:
        """Takes the answers that are on record; RecordUnavailable where they cannot be read."""
        self._memory.read(url)

    @property
    def site(self) -> SiteRules:
        """What the rules file says, as of at most a second ago."""
        now = self._clock()
        if self._file is not None and now - self._looked_at >= _LOOK_SECONDS:
            self._looked_at = now
            stamp = _stamp(self._file)
            if stamp != self._stamp:
                self._stamp = stamp
                self._take(self._file)
        return self._site

    def _take(self, file: Path) -> None:
        try:
            self._site = read_rules_file(file)
        except RulesFileError as error:
            log().error("rules file refused, the last good one stays", count=len(error.problems))
        else:
            log().info("rules file read again", count=len(self._site.approvals))


def _stamp(file: Path | None) -> tuple[int, int] | None:
    try:
        found = file.stat() if file is not None else None
    except OSError:
        return None
    return (found.st_mtime_ns, found.st_size) if found is not None else None
