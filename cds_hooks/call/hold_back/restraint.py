"""What a site holds back at this moment: rules file, approvals and budgets, and the histories of its patients."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from time import time
from typing import Final

from cards.card import Card
from cards.rules.engine.governance import (
    SiteRules,
    SuppressionCheck,
    all_rule_versions,
)
from cds_hooks.call.hold_back.budgets import Budgets
from cds_hooks.call.hold_back.checks import CheckedCall, check_findings
from cds_hooks.call.hold_back.history import Histories, answers_to, shown_events
from cds_hooks.call.hold_back.site_file import RulesFileError, read_rules_file
from cds_hooks.evidence.storage.decision import Decision, FeedbackItem, is_trial
from cds_hooks.telemetry.logs import log
from cds_hooks.telemetry.readings import read_beside, stamp_of

_LOOK_SECONDS: Final = 1.0


class Restraint:
    """The rules of one site, and what is remembered there."""

    def __init__(
        self,
        file: Path | None,
        *,
        needs_approval: bool,
        in_force: Callable[[SiteRules], SiteRules] | None = None,
        now: Callable[[], float] = time,
        database_url: str = "",
    ) -> None:
        """RulesFileError where there is a file and it cannot be used; later a bad one changes nothing.

        Where approval is needed, `in_force` gives the rules of the site with what two people have approved. `now` gives
        epoch seconds by the clock of the calls. `database_url` is that of the record, beside which the places of
        budgets are.
        """
        self._file = file
        self.needs_approval = needs_approval
        """Whether a rule shows its findings only in a version that two people have approved."""
        self.budgets = Budgets(database_url, now)
        """The budgets of clients, care units and users."""
        self.histories = Histories()
        self._in_force = in_force
        self._typed = read_rules_file(file) if file is not None else SiteRules()
        self._stamp = stamp_of(file) if file is not None else None
        self._in_force_since = time()
        self.refused = ""
        """What an operator has to know of a newer rules file that cannot be used; "" where the newest is in force."""

    def check_findings(self, call: CheckedCall) -> SuppressionCheck:
        """Return what says of a finding why it is not shown in this call."""
        return check_findings(call)

    def approval_counts(self) -> dict[str, int] | None:
        """How many rules show their findings here and how many run in shadow; None where no approval is needed."""
        if not self.needs_approval:
            return None
        versions = all_rule_versions()
        waiting = len(self.site.not_approved(versions))
        return {"approved": len(versions) - waiting, "not_approved": waiting}

    def remember(self, decision: Decision, items: Iterable[FeedbackItem]) -> None:
        """Take clinicians' answers to the cards of a decision at once, so that the next call already knows them."""
        if is_trial(decision.client):
            return
        self.histories.note(decision.client, decision.patient, answers_to(decision, items))

    def note_shown(self, cards: Sequence[Card], call: CheckedCall) -> None:
        """Take what was shown just now and is on record."""
        caller = call.caller
        events = shown_events(caller.service, caller.hook, (card.own_extension for card in cards), call.as_of)
        self.histories.note(caller.client, caller.patient, events)

    @property
    def site(self) -> SiteRules:
        """What the rules file says, with the approvals that are in force."""
        return self._in_force(self._typed) if self._in_force is not None and self.needs_approval else self._typed

    async def keep_looking(self) -> None:
        """Look at the rules file every second, beside the calls, until canceled."""
        while self._file is not None:
            await asyncio.sleep(_LOOK_SECONDS)
            await read_beside("CDS_RULES_FILE", self.look)

    def look(self) -> None:
        """Put the rules file in force where it was changed; one that cannot be used changes nothing."""
        stamp = stamp_of(self._file) if self._file is not None else None
        # one that was refused is read every time: it may be readable again without a change
        if self._file is None or (stamp == self._stamp and not self.refused):
            return
        is_new, self._stamp = stamp != self._stamp, stamp
        try:
            self._typed = read_rules_file(self._file)
        except RulesFileError as error:
            if is_new or not self.refused:
                log().error("rules file refused, the last good one stays", count=len(error.problems))
                refused, good = (datetime.fromtimestamp(at, UTC) for at in (time(), self._in_force_since))
                self.refused = (
                    f"The rules file (CDS_RULES_FILE) of {refused:%H:%M:%S} UTC is refused; that of "
                    f"{good:%Y-%m-%d %H:%M:%S} UTC is in force. `cds-hooks rules check` lists its mistakes."
                )
        else:
            self.refused, self._in_force_since = "", time()
            log().info("rules file read again", count=len(self._typed.switches))
